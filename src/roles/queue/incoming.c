/* Transactions of filter, from txn_begin to the commit. */
#include "incoming.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "queue.h"
#include "story.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    OPEN_MAX = 20000,       /* transactions */
    RCPTS_MAX = 100000,     /* of one transaction; smtp has the real limit */
    TXN_TEXT = 64 * 1024 * 1024, /* of all its addresses */
};

static struct metric accepted = METRIC_COUNTER("staffetta_queue_accepted_total", "Messages committed and answered with 250.");
static struct metric accepted_bytes = METRIC_COUNTER("staffetta_queue_accepted_bytes_total", "Bytes of those messages.");
static struct metric refused = METRIC_COUNTER("staffetta_queue_refused_total", "Messages not taken.");
static struct metric open_txns = METRIC_GAUGE("staffetta_queue_transactions", "Messages arriving now.");

enum txn_state {
    TXN_OPEN,    /* recipients and body come in */
    TXN_STORING, /* ended: in the batch */
    TXN_FAILED,  /* answered or aborted, but a piece of it is still in the batch */
};

struct txn {
    struct op op; /* from txn_end on */
    struct map_node by_key, by_message;
    uint64_t id, serial;
    unsigned copy; /* of filter */
    enum txn_state state;
    struct arena arena; /* all texts */
    struct message_row row;
    struct rcpt_row *rcpts;
    size_t n, size;
    struct buf body;     /* what is not in chunk rows yet */
    struct str judged;   /* by filter, for the story */
    size_t envelope;     /* bytes of recipients, counted in incoming.bytes */
    uint64_t chunks;     /* pieces given to the batch */
    unsigned pieces;     /* of these, in the batch now */
    bool conflict;       /* the queue id is taken */
};

/* One full piece of a long body. */
struct piece {
    struct op op;
    struct txn *txn;
    uint64_t seq;
    struct str data; /* owned */
};

/* Removes the pieces of a message that will not be. */
struct cleanup {
    struct op op;
    uint64_t message;
};

void incoming_init(struct incoming *in)
{
    map_init(&in->by_key);
    map_init(&in->by_message);
    metric_show(&accepted);
    metric_show(&accepted_bytes);
    metric_show(&refused);
    metric_show(&open_txns);
}

static uint64_t key_hash(uint64_t serial, uint64_t id)
{
    return map_hash_number(serial * UINT64_C(0x9e3779b97f4a7c15) + id);
}

static struct txn *find(struct queue *q, struct channel *from, uint64_t id)
{
    uint64_t serial = channel_serial(from);
    struct map_node *n = map_find(&q->incoming.by_key, key_hash(serial, id));

    for (; n; n = map_find_next(n)) {
        struct txn *t = CONTAINER(n, struct txn, by_key);

        if (t->id == id && t->serial == serial)
            return t;
    }
    return NULL;
}

static bool message_is_open(struct queue *q, uint64_t message)
{
    struct map_node *n = map_find(&q->incoming.by_message, map_hash_number(message));

    for (; n; n = map_find_next(n))
        if (CONTAINER(n, struct txn, by_message)->row.id == message)
            return true;
    return false;
}

static void answer(struct channel *c, uint64_t id, unsigned code, struct str text)
{
    ipc_send_txn_done(c, &(struct msg_txn_done){.id = id, .code = code, .text = text});
    if (code == 250)
        channel_gave(c, HANDOVER_ACCEPTED);
    else
        metric_add(&refused, 1);
}

/* The filter process that sent it, NULL when that is gone. */
static struct channel *source(struct queue *q, const struct txn *t)
{
    struct channel *c = role_peer(q->role, ROLE_FILTER, t->copy);

    return c != NULL && channel_serial(c) == t->serial ? c : NULL;
}

static void answer_txn(struct queue *q, const struct txn *t, unsigned code, struct str text)
{
    struct channel *c = source(q, t);

    if (code == 250)
        *(c != NULL ? &q->incoming.answered : &q->incoming.unheard) += 1;
    if (c != NULL)
        answer(c, t->id, code, text);
}

static void count_body(struct queue *q, struct txn *t, size_t before)
{
    q->incoming.bytes = q->incoming.bytes - before + t->body.n;
}

static void txn_free(struct queue *q, struct txn *t)
{
    map_remove(&q->incoming.by_key, &t->by_key);
    map_remove(&q->incoming.by_message, &t->by_message);
    q->incoming.bytes -= t->body.n + t->envelope;
    q->incoming.count--;
    metric_set(&open_txns, (int64_t)q->incoming.count);
    buf_clear(&t->body);
    free(t->rcpts);
    arena_clear(&t->arena);
    free(t);
}

/* ---- pieces ---- */

static bool cleanup_run(struct queue *q, struct op *op, struct err *err)
{
    return store_drop_chunks(q->store, CONTAINER(op, struct cleanup, op)->message, err);
}

static void cleanup_done(struct queue *q, struct op *op)
{
    (void)q;
    free(CONTAINER(op, struct cleanup, op));
}

/* Left to the sweep at the next start. */
static void cleanup_failed(struct queue *q, struct op *op, const struct err *err)
{
    (void)err;
    cleanup_done(q, op);
}

static const struct op_type cleanup_type = {cleanup_run, cleanup_done, cleanup_failed, true};

/* Forgets a transaction that will not be committed; its rows go with a following commit. */
static void txn_drop(struct queue *q, struct txn *t)
{
    t->state = TXN_FAILED;
    map_remove(&q->incoming.by_key, &t->by_key);
    if (t->pieces > 0)
        return; /* the last piece calls again */
    if (t->chunks > 0 && !t->conflict) {
        struct cleanup *c = xcalloc(1, sizeof *c);

        c->op.type = &cleanup_type;
        c->message = t->row.id;
        batch_add(q, &c->op, BATCH_LAZY, 0);
    }
    txn_free(q, t);
}

static void txn_refuse(struct queue *q, struct txn *t, unsigned code, struct str text)
{
    answer_txn(q, t, code, text);
    txn_drop(q, t);
}

static bool piece_run(struct queue *q, struct op *op, struct err *err)
{
    struct piece *p = CONTAINER(op, struct piece, op);
    struct message_row row;

    if (p->seq == 0 && !store_find_message(q->store, p->txn->row.id, &row, &p->txn->conflict, err))
        return false;
    return p->txn->conflict || store_add_chunk(q->store, p->txn->row.id, p->seq, p->data, err);
}

static void piece_end(struct queue *q, struct piece *p)
{
    struct txn *t = p->txn;

    t->pieces--;
    q->incoming.bytes -= p->data.n;
    str_free(&p->data);
    free(p);
    if (t->state == TXN_FAILED)
        txn_drop(q, t);
}

static void piece_done(struct queue *q, struct op *op)
{
    piece_end(q, CONTAINER(op, struct piece, op));
}

static void piece_failed(struct queue *q, struct op *op, const struct err *err)
{
    struct piece *p = CONTAINER(op, struct piece, op);

    (void)err;
    if (p->txn->state == TXN_OPEN) {
        answer_txn(q, p->txn, 452, STR("4.3.1 Storage is full or failing, try again later"));
        p->txn->state = TXN_FAILED;
        map_remove(&q->incoming.by_key, &p->txn->by_key);
    }
    piece_end(q, p);
}

static const struct op_type piece_type = {piece_run, piece_done, piece_failed, false};

static void give_piece(struct queue *q, struct txn *t, size_t n)
{
    struct piece *p = xcalloc(1, sizeof *p);
    size_t before = t->body.n;

    p->op.type = &piece_type;
    p->txn = t;
    p->seq = t->chunks++;
    p->data = str_dup(str_sub(buf_str(&t->body), 0, n));
    t->pieces++;
    buf_consume(&t->body, n);
    count_body(q, t, before);
    q->incoming.bytes += n;
    batch_add(q, &p->op, BATCH_LAZY, n);
}

/* ---- the envelope and the body ---- */

static struct str keep(struct txn *t, struct str s)
{
    struct str kept = arena_str(&t->arena, s);

    return kept.p == NULL ? (struct str){0} : kept;
}

static void read_envelope(struct txn *t, const struct msg_txn_begin *m, uint64_t now)
{
    t->row = (struct message_row){.id = m->message, .created = (int64_t)now, .kind = KIND_MAIL, .flags = m->flags & INT64_MAX,
        .priority = m->priority > 18 ? 18 : m->priority, .account = m->account & INT64_MAX,
        .hold_until = m->hold_until > 0 ? m->hold_until : 0, .deliver_by = m->deliver_by > 0 ? m->deliver_by : 0,
        .sender = keep(t, m->sender), .envid = keep(t, m->envid), .login = keep(t, m->login),
        .client = keep(t, m->client), .helo = keep(t, m->helo), .protocol = keep(t, m->protocol),
        .tls = keep(t, m->tls)};
}

static bool may_begin(struct queue *q, const struct msg_txn_begin *m, unsigned *code, struct str *text)
{
    *code = 451;
    *text = STR("4.3.0 Queue id in use, try again");
    if (m->message == 0 || m->message > INT64_MAX || message_is_open(q, m->message))
        return false;
    *code = 421;
    *text = STR("4.3.2 Server is stopping, try again later");
    if (q->draining)
        return false;
    *code = 452;
    *text = STR("4.3.1 Too many messages at once, try again later");
    if (q->incoming.count >= OPEN_MAX)
        return false;
    return health_accepts(q, text);
}

void incoming_on_begin(struct role *role, struct channel *from, const struct msg_txn_begin *m)
{
    struct queue *q = role_state(role);
    struct str text;
    unsigned code;
    struct txn *t;

    if (find(q, from, m->id) != NULL)
        return;
    if (!may_begin(q, m, &code, &text)) {
        answer(from, m->id, code, text);
        return;
    }
    t = xcalloc(1, sizeof *t);
    t->id = m->id;
    t->serial = channel_serial(from);
    t->copy = channel_copy(from);
    arena_init(&t->arena, TXN_TEXT);
    buf_init(&t->body, STORE_PIECE + IPC_CHUNK);
    read_envelope(t, m, (uint64_t)clock_now());
    map_add(&q->incoming.by_key, &t->by_key, key_hash(t->serial, t->id));
    map_add(&q->incoming.by_message, &t->by_message, map_hash_number(m->message));
    q->incoming.count++;
    metric_set(&open_txns, (int64_t)q->incoming.count);
}

void incoming_on_rcpt(struct role *role, struct channel *from, const struct msg_txn_rcpt *m)
{
    struct queue *q = role_state(role);
    struct txn *t = find(q, from, m->id);
    struct rcpt_row *r;
    size_t bytes;

    if (t == NULL || t->state != TXN_OPEN)
        return;
    bytes = sizeof *r + m->address.n + m->orcpt.n + 2;
    if (t->n >= RCPTS_MAX || t->envelope + bytes > TXN_TEXT / 2 || health_over_limit(q)) {
        txn_refuse(q, t, 452, STR("4.5.3 Too many recipients"));
        return;
    }
    t->envelope += bytes;
    q->incoming.bytes += bytes;
    if (t->n == t->size) {
        t->size = t->size ? t->size * 2 : 1;
        t->rcpts = xrealloc(t->rcpts, t->size * sizeof *t->rcpts);
    }
    r = &t->rcpts[t->n];
    *r = (struct rcpt_row){.message = t->row.id, .n = ++t->n, .notify = m->notify & 15,
        .address = keep(t, m->address), .orcpt = keep(t, m->orcpt)};
    r->original = r->address;
}

void incoming_on_chunk(struct role *role, struct channel *from, const struct msg_txn_chunk *m)
{
    struct queue *q = role_state(role);
    struct txn *t = find(q, from, m->id);
    size_t before;

    if (t == NULL || t->state != TXN_OPEN)
        return;
    if (batch_failing(q) || health_over_limit(q)) {
        txn_refuse(q, t, 452, STR("4.3.1 Storage is full or failing, try again later"));
        return;
    }
    before = t->body.n;
    buf_add(&t->body, m->data);
    count_body(q, t, before);
    t->row.size += m->data.n;
    /* More than a piece, so that a body of exactly one piece can still be inline. */
    if (t->body.n > STORE_PIECE)
        give_piece(q, t, STORE_PIECE);
}

/* ---- the end ---- */

static void set_times(struct queue *q, struct txn *t)
{
    const struct config *config = role_config(q->role);
    struct message_row *m = &t->row;
    int64_t now = clock_steady(), hold = m->hold_until + clock_steady_ahead(), start = hold > now ? hold : now;

    m->class = m->flags & TXN_BULK ? CLASS_BULK : CLASS_TRANSACTIONAL;
    m->expires = schedule_expiry(config, m, start);
    for (size_t i = 0; i < t->n; i++) {
        t->rcpts[i].class = m->class;
        t->rcpts[i].due = start < m->expires ? start : m->expires;
        t->rcpts[i].expires = m->expires;
    }
}

/* Small: all inline. Else what is left of the body becomes the last piece. */
static void set_head(struct queue *q, struct txn *t, struct str prepend)
{
    struct message_row *m = &t->row;
    struct buf head;
    size_t before;

    if (t->chunks > 0 || prepend.n + t->body.n > STORE_PIECE)
        while (t->body.n > 0)
            give_piece(q, t, t->body.n < STORE_PIECE ? t->body.n : STORE_PIECE);
    before = t->body.n;
    buf_init(&head, 2 * STORE_PIECE);
    buf_reserve(&head, prepend.n + t->body.n + 1);
    buf_add(&head, prepend);
    buf_add(&head, buf_str(&t->body));
    buf_clear(&t->body);
    t->body = head;
    count_body(q, t, before);
    m->size += prepend.n;
    m->head_size = head.n;
}

static bool txn_run(struct queue *q, struct op *op, struct err *err)
{
    struct txn *t = CONTAINER(op, struct txn, op);
    bool added = false, good;

    if (t->conflict)
        return true;
    good = store_add_message(q->store, &t->row, buf_str(&t->body), &added, err);
    t->conflict = good && !added;
    for (size_t i = 0; good && added && i < t->n; i++)
        good = store_add_rcpt(q->store, &t->rcpts[i], err);
    ledger_note(q, LEDGER_MESSAGES, added);
    ledger_note(q, LEDGER_ACCEPTED, added ? (int64_t)t->n : 0);
    return good;
}

/* Head and body of a small message, to be delivered from memory; a larger one is read back. */
static struct str take_body(struct queue *q, struct txn *t)
{
    struct str whole = buf_str(&t->body);

    if (t->chunks > 0)
        return (struct str){0};
    q->incoming.bytes -= t->body.n;
    buf_init(&t->body, 0);
    return whole;
}

static void txn_committed(struct queue *q, struct op *op)
{
    struct txn *t = CONTAINER(op, struct txn, op);
    char text[64], id[MSGID_TEXT + 1];
    struct mail *mail;

    if (t->conflict) {
        txn_refuse(q, t, 451, STR("4.3.0 Queue id in use, try again"));
        return;
    }
    msgid_format(t->row.id, id);
    snprintf(text, sizeof text, "2.0.0 queued as %s", id);
    answer_txn(q, t, 250, str_of(text));
    metric_add(&accepted, 1);
    metric_add(&accepted_bytes, (int64_t)t->row.size);
    story_accepted(q, &t->row, t->rcpts, t->n, t->judged);
    counts_message(q, t->row.id, 1);
    mail = mail_new(q, &t->row, take_body(q, t));
    for (size_t i = 0; i < t->n; i++) {
        counts_rcpt(q, &t->rcpts[i], RCPT_WAITING, false, 1);
        schedule_offer(q, mail, &t->rcpts[i]);
    }
    mail_unref(q, mail);
    txn_free(q, t);
}

static void txn_failed(struct queue *q, struct op *op, const struct err *err)
{
    (void)err;
    txn_refuse(q, CONTAINER(op, struct txn, op), 452, STR("4.3.1 Storage is full or failing, try again later"));
}

static const struct op_type txn_type = {txn_run, txn_committed, txn_failed, false};

void incoming_on_end(struct role *role, struct channel *from, const struct msg_txn_end *m)
{
    struct queue *q = role_state(role);
    struct txn *t = find(q, from, m->id);

    if (t == NULL || t->state != TXN_OPEN)
        return;
    if (t->n == 0) {
        txn_refuse(q, t, 554, STR("5.5.1 No valid recipients"));
        return;
    }
    if (batch_failing(q)) {
        txn_refuse(q, t, 452, STR("4.3.1 Storage is full or failing, try again later"));
        return;
    }
    if (t->arena.ceiling - t->arena.used < m->prepend.n + m->message_id.n + m->judged.n + 4096 || t->body.failed) {
        txn_refuse(q, t, 552, STR("5.3.4 Envelope too large"));
        return;
    }
    t->row.flags |= m->flags & INT64_MAX;
    t->row.message_id = keep(t, m->message_id);
    t->judged = keep(t, m->judged);
    set_times(q, t);
    set_head(q, t, m->prepend);
    t->state = TXN_STORING;
    t->op.type = &txn_type;
    batch_add(q, &t->op, BATCH_NOW, 0);
}

void incoming_on_abort(struct role *role, struct channel *from, const struct msg_txn_abort *m)
{
    struct queue *q = role_state(role);
    struct txn *t = find(q, from, m->id);

    if (t != NULL && t->state == TXN_OPEN)
        txn_drop(q, t);
}

void incoming_peer_gone(struct queue *q, struct channel *c)
{
    struct map_node *n = map_walk(&q->incoming.by_key, NULL);

    while (n != NULL) {
        struct txn *t = CONTAINER(n, struct txn, by_key);

        n = map_walk(&q->incoming.by_key, n);
        if (t->serial == channel_serial(c) && t->state == TXN_OPEN)
            txn_drop(q, t);
    }
}
