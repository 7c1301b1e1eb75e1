/* Transactions between smtp and queue: who they belong to, what happens to them when a peer dies.
 *
 * The filter promises nothing by itself: 250 is said by queue and passed on. When queue dies, its open
 * transactions are answered 451 (queue drops what was not committed; what was committed but not
 * answered is sent again by the client: the one place where SMTP itself allows a double). When smtp
 * dies, its transactions are aborted. When the filter dies, smtp and queue do both. */
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/random.h"
#include "filter.h"
#include "smtp/address.h"

#include <inttypes.h>
#include <stdlib.h>

static struct metric sealed = METRIC_COUNTER("staffetta_filter_sealed_total", "Messages sealed (ARC) because they go on to another server.");
static struct metric unsealed =
    METRIC_COUNTER("staffetta_filter_unsealed_total", "Messages that go on to another server without a seal: no key, or a chain that must not be added to.");
static struct metric messages = METRIC_COUNTER("staffetta_filter_messages_total",
    "Messages passed on to the queue in full.");
static struct metric bytes = METRIC_COUNTER("staffetta_filter_bytes_total", "Bytes of messages that came in.");
static struct metric refusals = METRIC_COUNTER("staffetta_filter_refused_total", "Messages the filter refused.");
static struct metric open_txns = METRIC_GAUGE("staffetta_filter_transactions", "Messages on their way through.");
static struct metric held_bytes = METRIC_GAUGE("staffetta_filter_held_bytes", "Bytes of headers held in memory.");
static struct metric checks = METRIC_COUNTER("staffetta_filter_author_checks_total",
    "Addresses in From asked of the directory.");
static struct metric signatures = METRIC_COUNTER("staffetta_filter_signed_total", "Messages signed with DKIM.");
static struct metric latency = METRIC_HISTOGRAM("staffetta_filter_message_seconds",
    "Time from the first of a message to passing on its end.");

#define ANSWER_TIME MINUTE /* for directory; then 451 */

struct txn {
    struct filter *filter;
    struct link link;
    struct map_node by_source, by_id;
    struct channel *source, *queue; /* NULL once gone or answered */
    uint64_t source_serial, source_id, id;
    int64_t began; /* monotonic */
    size_t held; /* counted in filter->held */
    struct list questions;
    struct message message;
    struct judging *judging; /* NULL: not judged */
    struct reading *reading; /* NULL: no report is expected in it */
};

void transaction_show_metrics(void)
{
    struct metric *all[] = {&messages, &bytes, &refusals, &open_txns, &held_bytes, &checks, &signatures, &sealed, &unsealed, &latency};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        metric_show(all[i]);
}

static uint64_t source_hash(uint64_t serial, uint64_t id)
{
    return map_hash_number(serial * UINT64_C(0x9e3779b97f4a7c15) + id);
}

static struct txn *find_by_source(struct filter *f, struct channel *from, uint64_t id)
{
    uint64_t serial = channel_serial(from);
    struct map_node *n = map_find(&f->by_source, source_hash(serial, id));

    for (; n != NULL; n = map_find_next(n)) {
        struct txn *t = CONTAINER(n, struct txn, by_source);

        if (t->source_id == id && t->source_serial == serial)
            return t;
    }
    return NULL;
}

static struct txn *find_by_id(struct filter *f, uint64_t id)
{
    struct map_node *n = map_find(&f->by_id, map_hash_number(id));

    for (; n != NULL; n = map_find_next(n))
        if (CONTAINER(n, struct txn, by_id)->id == id)
            return CONTAINER(n, struct txn, by_id);
    return NULL;
}

static void count_held(struct txn *t, size_t held)
{
    t->filter->held = t->filter->held - t->held + held;
    t->held = held;
    metric_set(&held_bytes, (int64_t)t->filter->held);
}

static void txn_free(struct txn *t)
{
    struct filter *f = t->filter;

    questions_drop_all(&f->questions, &t->questions);
    count_held(t, 0);
    judging_free(t->judging);
    reading_free(t->reading);
    message_clear(&t->message);
    map_remove(&f->by_source, &t->by_source);
    map_remove(&f->by_id, &t->by_id);
    list_remove(&t->link);
    f->count--;
    metric_set(&open_txns, (int64_t)f->count);
    free(t);
}

static void answer(struct filter *f, struct channel *to, uint64_t id, unsigned code, struct str text)
{
    ipc_send_txn_done(to, &(struct msg_txn_done){.id = id, .code = code, .text = text});
    if (code == 250) {
        channel_gave(to, HANDOVER_ACCEPTED);
        f->passed_on++;
    }
    flow_wrote(f, to);
}

/* The last word to the source; nothing more goes to queue. The transaction is freed by the caller. */
static void fail(struct txn *t, unsigned code, struct str text)
{
    metric_add(&refusals, 1);
    if (t->queue != NULL)
        ipc_send_txn_abort(t->queue, &(struct msg_txn_abort){t->id});
    t->queue = NULL;
    if (t->source != NULL)
        answer(t->filter, t->source, t->source_id, code, text);
    t->source = NULL;
}

/* ---- what the machine of a message calls ---- */

static void send_chunk(void *owner, struct str data)
{
    struct txn *t = owner;

    if (t->queue == NULL)
        return;
    ipc_send_txn_chunk(t->queue, &(struct msg_txn_chunk){t->id, data});
    flow_wrote(t->filter, t->queue);
}

/* For the story: what was found out, and whether it was sealed. */
static void write_words(const struct txn *t, struct buf *out)
{
    const struct sealing *s = &t->message.sealing;

    buf_add(out, judging_words(t->judging));
    if (t->judging == NULL || s->domain_count == 0)
        return;
    metric_add(s->state == SEALING_DONE ? &sealed : &unsealed, 1);
    if (s->state == SEALING_DONE)
        buf_addf(out, " sealed=%.*s", STR_ARG(sealing_domain(s)));
}

static void send_end(void *owner, uint64_t flags, struct str prepend, struct str message_id)
{
    struct txn *t = owner;
    struct buf words;

    if (t->queue == NULL)
        return;
    metric_add(&messages, 1);
    metric_observe(&latency, clock_monotonic() - t->began);
    buf_init(&words, IPC_TEXT);
    write_words(t, &words);
    ipc_send_txn_end(t->queue, &(struct msg_txn_end){t->id, flags, prepend, message_id, buf_str(&words)});
    buf_clear(&words);
    flow_wrote(t->filter, t->queue);
}

static void send_refusal(void *owner, unsigned code, struct str text)
{
    struct txn *t = owner;
    char id[MSGID_TEXT + 1];

    msgid_format(t->message.id, id);
    log_info("refused", "message=%s account=%" PRIu64 " code=%u text=%.*s", id, t->message.account,
        code, STR_ARG(text));
    judging_tell(t->judging);
    fail(t, code, text);
}

/* The channel to ask directory on, and the number of the question; NULL: it is not there, and the message has been told. */
static struct channel *begin_question(struct txn *t, uint64_t *id)
{
    struct filter *f = t->filter;
    struct channel *directory = role_peer(f->role, ROLE_DIRECTORY, 0);

    if (directory == NULL) {
        message_directory_gone(&t->message);
        return NULL;
    }
    *id = role_next_id(f->role);
    questions_add(&f->questions, &t->questions, t, *id, clock_monotonic());
    return directory;
}

static void ask_sender(void *owner, struct str address)
{
    struct txn *t = owner;
    struct channel *directory;
    uint64_t id;

    metric_add(&checks, 1);
    directory = begin_question(t, &id);
    if (directory != NULL)
        ipc_send_sender_ask(directory, &(struct msg_sender_ask){id, t->message.account, address});
}

static void ask_keys(void *owner, struct str domain)
{
    struct msg_dkim_keys_ask ask = {.domain = domain};
    struct channel *directory = begin_question(owner, &ask.id);

    if (directory != NULL)
        ipc_send_dkim_keys_ask(directory, &ask);
}

static void ask_signatures(void *owner, const struct msg_dkim_sign_ask *wanted)
{
    struct msg_dkim_sign_ask ask = *wanted;
    struct channel *directory = begin_question(owner, &ask.id);

    if (directory != NULL)
        ipc_send_dkim_sign_ask(directory, &ask);
}

static void wait_for_judge(void *owner)
{
    struct txn *t = owner;

    judging_ended(t->judging, clock_monotonic());
}

static const struct verdict *verdict(void *owner)
{
    struct txn *t = owner;

    return judging_verdict(t->judging);
}

static int64_t now(void *owner)
{
    (void)owner;
    return clock_now();
}

static uint64_t random_number(void *owner)
{
    uint64_t number;

    (void)owner;
    random_bytes(&number, sizeof number);
    return number;
}

static const struct message_world world = {send_chunk, send_end, send_refusal, ask_sender, ask_keys, ask_signatures, wait_for_judge,
    verdict, now, random_number};

/* Frees a transaction that has nothing more to do here. One that was ended waits for queue. */
static void settle(struct txn *t)
{
    if (t->source == NULL)
        txn_free(t);
    else
        count_held(t, message_held(&t->message) + judging_held(t->judging));
}

static void on_judged(void *owner)
{
    struct txn *t = owner;

    message_judged(&t->message);
}

static void after_judging(void *owner)
{
    settle(owner);
}

static const struct judging_owner judged = {on_judged, after_judging};

/* ---- from smtp ---- */

static struct txn *txn_new(struct filter *f, struct channel *from, struct channel *queue, const struct msg_txn_begin *m)
{
    struct txn *t = xcalloc(1, sizeof *t);

    t->filter = f;
    t->source = from;
    t->queue = queue;
    t->source_serial = channel_serial(from);
    t->source_id = m->id;
    t->id = role_next_id(f->role);
    t->began = clock_monotonic();
    list_init(&t->questions);
    list_add_last(&f->open, &t->link);
    map_add(&f->by_source, &t->by_source, source_hash(t->source_serial, t->source_id));
    map_add(&f->by_id, &t->by_id, map_hash_number(t->id));
    message_begin(&t->message, &world, t, &f->limits, f->hostname, m);
    t->judging = judging_begin(f, m, &judged, t);
    f->count++;
    metric_set(&open_txns, (int64_t)f->count);
    return t;
}

void transaction_on_begin(struct role *role, struct channel *from, const struct msg_txn_begin *m)
{
    struct filter *f = role_state(role);
    struct channel *queue = role_peer_for(role, ROLE_QUEUE, m->message);
    struct msg_txn_begin on = *m;
    struct txn *t;

    if (find_by_source(f, from, m->id) != NULL)
        return;
    if (queue == NULL) {
        answer(f, from, m->id, 451, STR("4.3.0 The queue is not available, try again later"));
        return;
    }
    if (f->count >= FILTER_OPEN_MAX || f->held > FILTER_HELD_MAX) {
        answer(f, from, m->id, 452, STR("4.3.1 Too many messages at once, try again later"));
        return;
    }
    t = txn_new(f, from, queue, m);
    on.id = t->id;
    ipc_send_txn_begin(queue, &on);
    flow_wrote(f, queue);
    message_set_judge(&t->message, judging_judge(t->judging));
}

/* Whose keys may seal it: those of the domain in whose name mail goes on, else those of the recipient's. */
static void goes_on(struct txn *t, struct str address)
{
    struct str local, domain;

    address_split(address, &local, &domain);
    message_goes_on(&t->message, role_config(t->filter->role)->forward.domain);
    message_goes_on(&t->message, domain);
}

void transaction_on_rcpt(struct role *role, struct channel *from, const struct msg_txn_rcpt *m)
{
    struct filter *f = role_state(role);
    struct txn *t = find_by_source(f, from, m->id);
    struct msg_txn_rcpt on = *m;

    if (t == NULL || t->queue == NULL)
        return;
    judging_rcpt(t->judging, m->address);
    reading_rcpt(f, &t->reading, m->address);
    if (m->forwards)
        goes_on(t, m->address);
    on.id = t->id;
    ipc_send_txn_rcpt(t->queue, &on);
    flow_wrote(f, t->queue);
}

void transaction_on_chunk(struct role *role, struct channel *from, const struct msg_txn_chunk *m)
{
    struct filter *f = role_state(role);
    struct txn *t = find_by_source(f, from, m->id);

    if (t == NULL)
        return;
    metric_add(&bytes, (int64_t)m->data.n);
    reading_add(t->reading, m->data);
    if (f->held > FILTER_HELD_MAX)
        message_give_way(&t->message);
    message_chunk(&t->message, m->data);
    settle(t);
}

void transaction_on_end(struct role *role, struct channel *from, const struct msg_txn_end *m)
{
    struct txn *t = find_by_source(role_state(role), from, m->id);

    if (t == NULL)
        return;
    message_end(&t->message, m->flags);
    settle(t);
}

void transaction_on_abort(struct role *role, struct channel *from, const struct msg_txn_abort *m)
{
    struct txn *t = find_by_source(role_state(role), from, m->id);

    if (t == NULL)
        return;
    if (t->queue != NULL)
        ipc_send_txn_abort(t->queue, &(struct msg_txn_abort){t->id});
    txn_free(t);
}

/* ---- from queue and directory ---- */

void transaction_on_done(struct role *role, struct channel *from, const struct msg_txn_done *m)
{
    struct filter *f = role_state(role);
    struct txn *t = find_by_id(f, m->id);

    if (m->code == 250) {
        channel_took(from, HANDOVER_ACCEPTED);
        f->accepted++;
    }
    if (t == NULL || t->queue != from) {
        f->unheard += m->code == 250;
        return;
    }
    if (t->source != NULL)
        answer(f, t->source, t->source_id, (unsigned)m->code, m->text);
    else
        f->unheard += m->code == 250;
    if (m->code == 250) {
        if (t->reading == NULL) /* no reports about reports */
            judging_tell(t->judging);
        reading_taken(&t->reading, t->message.id, judging_author(t->judging));
    }
    txn_free(t);
}

/* Whose question that was, which is answered now; NULL: nobody waits any more. */
static struct txn *end_question(struct filter *f, uint64_t id)
{
    struct question *q = questions_find(&f->questions, id);
    struct txn *t = q != NULL ? q->txn : NULL;

    if (q != NULL)
        questions_drop(&f->questions, q);
    return t;
}

void transaction_on_sender_reply(struct role *role, struct channel *from, const struct msg_sender_reply *m)
{
    struct txn *t = end_question(role_state(role), m->id);

    (void)from;
    if (t == NULL)
        return;
    message_sender(&t->message, m->allowed != 0, m->temporary != 0);
    settle(t);
}

void transaction_on_keys_reply(struct role *role, struct channel *from, const struct msg_dkim_keys_reply *m)
{
    struct txn *t = end_question(role_state(role), m->id);

    (void)from;
    if (t == NULL)
        return;
    message_keys(&t->message, m);
    settle(t);
}

void transaction_on_sign_reply(struct role *role, struct channel *from, const struct msg_dkim_sign_reply *m)
{
    struct txn *t = end_question(role_state(role), m->id);

    (void)from;
    if (t == NULL)
        return;
    metric_add(&signatures, !m->failed);
    message_signatures(&t->message, m);
    settle(t);
}

void transaction_give_up(struct filter *f, int64_t now)
{
    struct question *q;

    while ((q = questions_overdue(&f->questions, now - ANSWER_TIME)) != NULL) {
        struct txn *t = q->txn;

        questions_drop_all(&f->questions, &t->questions);
        message_directory_gone(&t->message);
        settle(t);
    }
}

void transaction_source_gone(struct filter *f, struct channel *c)
{
    LIST_EACH(&f->open, it) {
        struct txn *t = CONTAINER(it, struct txn, link);

        if (t->source != c)
            continue;
        if (t->queue != NULL)
            ipc_send_txn_abort(t->queue, &(struct msg_txn_abort){t->id});
        txn_free(t);
    }
}

void transaction_queue_gone(struct filter *f, struct channel *c)
{
    LIST_EACH(&f->open, it) {
        struct txn *t = CONTAINER(it, struct txn, link);

        if (t->queue != c)
            continue;
        t->queue = NULL;
        fail(t, 451, STR("4.3.0 The queue was interrupted, try again later"));
        txn_free(t);
    }
}

void transaction_directory_gone(struct filter *f)
{
    LIST_EACH(&f->open, it) {
        struct txn *t = CONTAINER(it, struct txn, link);

        if (list_empty(&t->questions))
            continue;
        questions_drop_all(&f->questions, &t->questions);
        message_directory_gone(&t->message);
        settle(t);
    }
}
