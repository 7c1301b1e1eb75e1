/* Final delivery. See delivery.h. */
#include "delivery.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "header_bits.h"
#include "summary.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    PREFIX_MAX = 2 * IPC_ADDRESS + 64, /* Return-Path and Delivered-To */
    DELIVERIES_MOST = 20000,
    WAITING_BYTES_MOST = 64 * 1024 * 1024, /* bodies kept while directory is asked */
    SUMMARIES_MOST = 32, /* made at a time, for they may take megabytes; what comes without is summarized when it is read */
};

struct delivery {
    struct waiter waiter;          /* for the sync */
    struct account_waiter asking;  /* for directory */
    struct map_node node;
    struct deliveries *all;
    uint64_t serial; /* of the queue's channel */
    unsigned shard;
    uint64_t id, message, account, n, size, flags;
    int64_t mark; /* by which a repetition is known */
    struct str sender, rcpt;
    struct str body;   /* our copy, while directory is asked */
    bool has_body;     /* it came with deliver_local */
    struct box *box;
    bool pulling;
    struct content_writer writer;
    struct header_bits scan;
    struct summary *summary; /* of what is pulled; NULL: none is made */
    uint64_t received; /* bytes of the body pulled so far */
    int64_t stored;    /* with the prefix */
    bool repeated;     /* it was there already */
    struct account_info info;
};

struct deliveries {
    struct role *role;
    struct boxes *boxes;
    struct accounts *accounts;
    struct map map; /* by id; of all channels */
    size_t waiting_bytes;
    size_t summaries;
    int64_t told, unheard; /* messages that are stored: queue was told, or gone */
};

static struct metric delivered = METRIC_COUNTER("staffetta_mailbox_delivered_total", "Messages stored.");
static struct metric delivered_bytes = METRIC_COUNTER("staffetta_mailbox_delivered_bytes_total",
    "Bytes of messages stored.");
static struct metric repeated = METRIC_COUNTER("staffetta_mailbox_repeated_total",
    "Deliveries answered without storing, because the message was there.");
static struct metric deferred = METRIC_COUNTER("staffetta_mailbox_deferred_total", "Deliveries to be tried again.");
static struct metric refused = METRIC_COUNTER("staffetta_mailbox_failed_total", "Deliveries refused for good.");
static struct metric pieces = METRIC_COUNTER("staffetta_mailbox_pieces_total",
    "Pieces of large bodies fetched from the queue.");

struct deliveries *deliveries_new(struct role *role, struct boxes *boxes, struct accounts *accounts)
{
    struct deliveries *all = xcalloc(1, sizeof *all);

    all->role = role;
    all->boxes = boxes;
    all->accounts = accounts;
    map_init(&all->map);
    metric_show(&delivered);
    metric_show(&repeated);
    metric_show(&deferred);
    metric_show(&refused);
    return all;
}

size_t deliveries_open(const struct deliveries *all)
{
    return all->map.count;
}

static struct delivery *find(struct deliveries *all, const struct channel *from, uint64_t id)
{
    for (struct map_node *n = map_find(&all->map, map_hash_number(id)); n != NULL; n = map_find_next(n)) {
        struct delivery *d = CONTAINER(n, struct delivery, node);

        if (d->id == id && d->serial == channel_serial(from))
            return d;
    }
    return NULL;
}

static void drop_body(struct delivery *d)
{
    d->all->waiting_bytes -= d->body.n;
    str_free(&d->body);
}

static void drop_summary(struct delivery *d)
{
    if (d->summary != NULL)
        d->all->summaries--;
    summary_free(d->summary);
    d->summary = NULL;
}

static void delivery_free(struct delivery *d)
{
    list_remove(&d->waiter.link);
    list_remove(&d->asking.link);
    map_remove(&d->all->map, &d->node);
    if (d->pulling)
        store_put_abort(d->box->store, &d->writer);
    if (d->box != NULL)
        box_leave(d->box);
    drop_body(d);
    drop_summary(d);
    str_free(&d->sender);
    str_free(&d->rcpt);
    free(d);
}

void deliveries_free(struct deliveries *all)
{
    if (all == NULL)
        return;
    for (struct map_node *n; (n = map_walk(&all->map, NULL)) != NULL;)
        delivery_free(CONTAINER(n, struct delivery, node));
    map_clear(&all->map);
    free(all);
}

/* ---- the answer ---- */

struct outcome {
    enum delivery_status status;
    enum delivery_reason reason;
    uint64_t code;
    const char *text;
};

static const struct outcome stored_outcome = {DELIVERY_DELIVERED, REASON_NONE, 250, "2.0.0 Delivered to the mailbox"};
static const struct outcome no_user = {DELIVERY_FAILED, REASON_NO_USER, 550, "5.1.1 No such user"};
static const struct outcome full = {DELIVERY_DEFERRED, REASON_MAILBOX_FULL, 452, "4.2.2 Mailbox full"};
static const struct outcome no_directory = {DELIVERY_DEFERRED, REASON_OTHER, 451,
    "4.3.0 The directory cannot be asked now"};
static const struct outcome no_storage = {DELIVERY_DEFERRED, REASON_OTHER, 452,
    "4.3.1 The mailbox cannot be written now"};
static const struct outcome busy = {DELIVERY_DEFERRED, REASON_LIMIT, 452, "4.3.2 Too many deliveries at once"};
static const struct outcome nonsense = {DELIVERY_DEFERRED, REASON_OTHER, 451, "4.3.5 The delivery was not understood"};

static void send_answer(struct channel *queue, uint64_t id, uint64_t n, const struct outcome *o)
{
    ipc_send_rcpt_done(queue, &(struct msg_rcpt_done){.id = id, .n = n, .status = o->status,
        .reason = o->reason, .code = o->code, .text = str_of(o->text)});
    channel_gave(queue, handover_of(o->status));
    ipc_send_deliver_done(queue, &(struct msg_deliver_done){id});
}

static struct channel *channel_of(const struct delivery *d)
{
    struct channel *queue = role_peer(d->all->role, ROLE_QUEUE, d->shard);

    return queue != NULL && channel_serial(queue) == d->serial ? queue : NULL;
}

static void count(const struct delivery *d, const struct outcome *o)
{
    if (o->status == DELIVERY_DELIVERED) {
        metric_add(d->repeated ? &repeated : &delivered, 1);
        if (!d->repeated)
            metric_add(&delivered_bytes, d->stored);
    } else {
        metric_add(o->status == DELIVERY_FAILED ? &refused : &deferred, 1);
    }
}

/* Answers the queue and forgets the delivery. */
static void finish(struct delivery *d, const struct outcome *o)
{
    struct channel *queue = channel_of(d);
    char id[MSGID_TEXT + 1];

    msgid_format(d->message, id);
    count(d, o);
    if (o->status == DELIVERY_DELIVERED)
        log_info("stored", "message=%s account=%" PRIu64 " to=%.*s size=%" PRId64 "%s%s", id, d->account,
            STR_ARG(d->rcpt), d->stored, d->flags & TXN_JUNK ? " junk=yes" : "", d->repeated ? " repeated=yes" : "");
    else
        log_info("not-stored", "message=%s account=%" PRIu64 " to=%.*s reply=%s", id, d->account,
            STR_ARG(d->rcpt), o->text);
    if (o->status == DELIVERY_DELIVERED)
        *(queue != NULL ? &d->all->told : &d->all->unheard) += 1;
    if (queue != NULL)
        send_answer(queue, d->id, d->n, o);
    delivery_free(d);
}

void deliveries_verify(const struct deliveries *all, struct verification *v)
{
    verify_equal(v, "messages stored or known, and queue told or gone", delivered.value + repeated.value,
        all->told + all->unheard, "a result was lost in mailbox: the message stays queued and is tried again");
}

static void on_flushed(struct waiter *w, bool stored, const struct err *err)
{
    struct delivery *d = CONTAINER(w, struct delivery, waiter);

    (void)err; /* logged once, for all that shared the transaction */
    if (d->box->removed && !stored)
        finish(d, &no_user);
    else
        finish(d, stored ? &stored_outcome : &no_storage);
}

/* ---- storing ---- */

/* An address as a part of a header field: nothing that could end the line. */
static void add_address(struct buf *out, struct str address)
{
    for (size_t i = 0; i < address.n; i++)
        buf_add_char(out, (unsigned char)address.p[i] < 0x20 || address.p[i] == 0x7f ? '?' : address.p[i]);
}

static void write_prefix(const struct delivery *d, struct buf *out)
{
    buf_add(out, STR("Return-Path: <"));
    add_address(out, d->sender);
    buf_add(out, STR(">\r\nDelivered-To: "));
    add_address(out, d->rcpt);
    buf_add(out, STR("\r\n"));
}

static bool fits(const struct delivery *d, uint64_t size)
{
    struct store_totals has = store_totals(d->box->store);
    uint64_t bytes = (uint64_t)has.bytes + d->box->promised_bytes, messages = (uint64_t)has.messages + d->box->promised_messages;

    if (d->info.quota_messages != 0 && messages >= d->info.quota_messages)
        return false;
    return d->info.quota_bytes == 0 ||
           (bytes <= d->info.quota_bytes && size <= d->info.quota_bytes - bytes);
}

/* The content is complete: makes it a message and lets the delivery wait for the sync. `whole`: all its bytes, or none when it came in
 * pieces. */
static void add_to_batch(struct delivery *d, int64_t content, int64_t size, struct str whole)
{
    struct store_delivery what = {.message = d->mark, .content = content, .size = size,
        .received = clock_now(), .junk = (d->flags & TXN_JUNK) != 0,
        .features = d->scan.has_8bit && (d->flags & TXN_SMTPUTF8) ? CONTENT_UTF8_HEADER : 0};
    struct err err = {0};

    d->stored = size;
    drop_body(d);
    box_batch(d->box, &d->waiter);
    if (!store_deliver(d->box->store, &what, &err))
        box_fail(d->box, &err);
    else if (whole.n > 0 && !what.junk) /* which may make a keyword */
        box_record(d->box, d->mark, whole);
}

static bool put_summary(struct delivery *d, struct summary *summary, int64_t content, struct err *err)
{
    struct content_info info;

    summary_end(summary, &info);
    return store_info_put(d->box->store, content, &info, err);
}

static bool put_whole(struct delivery *d, int64_t content, struct str bytes, struct err *err)
{
    struct summary *summary = summary_new();
    bool put;

    summary_add(summary, bytes);
    put = store_put(d->box->store, content, bytes, err) && put_summary(d, summary, content, err);
    summary_free(summary);
    return put;
}

static void store_whole(struct delivery *d, struct str body)
{
    struct buf bytes;
    int64_t content = (int64_t)msgid_new(), size;
    struct err err = {0};

    buf_init(&bytes, PREFIX_MAX + IPC_CHUNK);
    write_prefix(d, &bytes);
    header_bits_scan(&d->scan, buf_str(&bytes));
    header_bits_scan(&d->scan, body);
    buf_add(&bytes, body);
    size = (int64_t)bytes.n;
    if (!fits(d, bytes.n)) {
        finish(d, &full);
    } else if (bytes.failed) {
        finish(d, &nonsense);
    } else if (put_whole(d, content, buf_str(&bytes), &err)) {
        add_to_batch(d, content, size, buf_str(&bytes));
    } else {
        box_writing(d->box, &d->waiter);
        box_fail(d->box, &err);
    }
    buf_clear(&bytes);
}

static void ask_piece(struct delivery *d)
{
    struct channel *queue = channel_of(d);

    metric_add(&pieces, 1);
    if (queue == NULL)
        delivery_free(d);
    else
        ipc_send_body_ask(queue, &(struct msg_body_ask){d->id, d->received});
}

static void pull_begin(struct delivery *d)
{
    struct err err = {0};

    if (!fits(d, d->size)) {
        finish(d, &full);
        return;
    }
    box_writing(d->box, &d->waiter);
    if (!store_put_begin(d->box->store, &d->writer, (int64_t)msgid_new(), 0, &err)) {
        box_fail(d->box, &err);
        return;
    }
    d->pulling = true;
    if (d->all->summaries < SUMMARIES_MOST) {
        d->summary = summary_new();
        d->all->summaries++;
    }
    ask_piece(d);
}

static void pull_end(struct delivery *d)
{
    struct err err = {0};
    bool was;

    if (!store_was_delivered(d->box->store, d->mark, &was, &err)) {
        box_fail(d->box, &err);
    } else if (was) { /* by a delivery to another address of this account, meanwhile */
        d->repeated = true;
        d->pulling = false;
        store_put_abort(d->box->store, &d->writer);
        box_batch(d->box, &d->waiter);
    } else if (d->received != d->size) {
        finish(d, &nonsense);
    } else if (!fits(d, (uint64_t)d->writer.size)) {
        finish(d, &full);
    } else if (!store_put_end(d->box->store, &d->writer, &err) ||
               (d->summary != NULL && !put_summary(d, d->summary, d->writer.id, &err))) {
        box_fail(d->box, &err);
    } else {
        d->pulling = false;
        drop_summary(d);
        add_to_batch(d, d->writer.id, d->writer.size, STR(""));
    }
}

/* The first piece carries the prefix. */
static bool write_piece(struct delivery *d, struct str data, struct err *err)
{
    struct buf bytes;
    bool written;

    buf_init(&bytes, PREFIX_MAX + IPC_CHUNK);
    if (d->received == 0)
        write_prefix(d, &bytes);
    buf_add(&bytes, data);
    header_bits_scan(&d->scan, buf_str(&bytes));
    if (d->summary != NULL)
        summary_add(d->summary, buf_str(&bytes));
    written = store_put_piece(d->box->store, &d->writer, buf_str(&bytes), err);
    buf_clear(&bytes);
    return written;
}

void deliveries_chunk(struct deliveries *all, struct channel *from, const struct msg_body_chunk *m)
{
    struct delivery *d = find(all, from, m->id);
    struct err err = {0};

    if (d == NULL || !d->pulling || m->offset != d->received)
        return;
    if (m->data.n > d->size - d->received) {
        finish(d, &nonsense);
        return;
    }
    if (!box_begin(d->box, &err))
        return;
    box_touch(d->box);
    if (m->data.n == 0) {
        pull_end(d);
    } else if (!write_piece(d, m->data, &err)) {
        box_fail(d->box, &err);
    } else {
        d->received += m->data.n;
        ask_piece(d);
    }
}

/* The account is known to exist. */
static void store(struct delivery *d, struct str body)
{
    struct err err = {0};
    bool whole = d->has_body || d->size == 0, was;

    d->box = boxes_enter(d->all->boxes, (int64_t)d->account, &err);
    if (d->box == NULL) {
        log_warning("mailbox-open", "account=%" PRIu64 " reason=%s", d->account, err.text);
        finish(d, &no_storage);
        return;
    }
    if (!(whole ? box_begin_addition : box_begin)(d->box, &err)) {
        finish(d, &no_storage);
        return;
    }
    if (!store_was_delivered(d->box->store, d->mark, &was, &err)) {
        box_writing(d->box, &d->waiter);
        box_fail(d->box, &err);
    } else if (was) {
        d->repeated = true;
        box_batch(d->box, &d->waiter);
    } else if (whole) {
        store_whole(d, body);
    } else {
        pull_begin(d);
    }
}

static void on_account(struct account_waiter *w, const struct account_info *info)
{
    struct delivery *d = CONTAINER(w, struct delivery, asking);

    if (info == NULL) {
        finish(d, &no_directory);
    } else if (!info->found) {
        finish(d, &no_user);
    } else {
        d->info = *info;
        store(d, d->body);
    }
}

/* ---- a new one ---- */

static bool sane(const struct deliveries *all, const struct msg_deliver_local *m)
{
    return m->account > 0 && m->account <= INT64_MAX && m->message > 0 && m->message <= INT64_MAX &&
           m->size <= INT64_MAX / 2 && (m->body.n == 0 || m->body.n == m->size) &&
           m->account % role_copies(all->role) == role_copy(all->role);
}

/* Queue ids are made by several processes, which may at last make the same one twice; the time of arrival,
 * which stays with a message in the queue, tells the second message from a repetition of the first. */
static int64_t mark_of(const struct msg_deliver_local *m)
{
    return (int64_t)(m->message ^ (uint64_t)m->arrived * UINT64_C(0x9e3779b97f4a7c15));
}

static struct delivery *add(struct deliveries *all, struct channel *from, const struct msg_deliver_local *m)
{
    struct delivery *d = xcalloc(1, sizeof *d);

    d->waiter.done = on_flushed;
    d->asking.ready = on_account;
    d->all = all;
    d->serial = channel_serial(from);
    d->shard = channel_copy(from);
    d->id = m->id;
    d->message = m->message;
    d->mark = mark_of(m);
    d->account = m->account;
    d->n = m->n;
    d->size = m->size;
    d->flags = m->flags;
    d->has_body = m->body.n > 0;
    d->sender = str_dup(m->sender);
    d->rcpt = str_dup(m->rcpt);
    d->body = str_dup(m->body);
    all->waiting_bytes += m->body.n;
    map_add(&all->map, &d->node, map_hash_number(d->id));
    return d;
}

void deliveries_local(struct deliveries *all, struct channel *from, const struct msg_deliver_local *m)
{
    struct delivery *d;

    if (find(all, from, m->id) != NULL) {
        log_warning("bad-delivery", "id=%" PRIu64 " reason=the number is in use", m->id);
        return;
    }
    if (!sane(all, m)) {
        log_warning("bad-delivery", "id=%" PRIu64 " account=%" PRIu64, m->id, m->account);
        send_answer(from, m->id, m->n, &nonsense);
        return;
    }
    if (all->map.count >= DELIVERIES_MOST || all->waiting_bytes > WAITING_BYTES_MOST) {
        send_answer(from, m->id, m->n, &busy);
        return;
    }
    d = add(all, from, m);
    accounts_get(all->accounts, d->account, &d->asking);
}

void deliveries_peer_gone(struct deliveries *all, struct channel *queue)
{
    for (struct map_node *n = map_walk(&all->map, NULL), *next; n != NULL; n = next) {
        struct delivery *d = CONTAINER(n, struct delivery, node);

        next = map_walk(&all->map, n);
        if (d->serial == channel_serial(queue) && (d->pulling || d->box == NULL))
            delivery_free(d);
    }
}
