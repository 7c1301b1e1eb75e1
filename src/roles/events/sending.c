/* See sending.h. */
#include "sending.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/msgid.h"
#include "mime/date.h"
#include "received.h"

#include <event2/event.h>
#include <string.h>

enum { ROWS_A_TURN = 100, FORGET_STEP = 20, MESSAGE_MAX = 16 * 1024 * 1024, PIECE_MAX = 4 * 1024 * 1024, RECORD_MAX = 8192 };

#define DAY_S (DAY / SECOND)
#define LOOK_PAUSE (5 * SECOND)
#define ANSWER_TIME (2 * MINUTE) /* then the story of the message says what became of it */
#define FIRST_RETRY (15 * MINUTE)
#define SEND_FOR (3 * DAY)   /* after the end of the day */
#define ASK_FOR DAY          /* DNS, the same */
#define DELAY_LEAST (10 * MINUTE)
#define DELAY_SPREAD (2 * HOUR)

static struct metric sent = METRIC_COUNTER("staffetta_events_reports_sent_total", "Reports about mail of others handed to the queue.");
static struct metric given_up = METRIC_COUNTER("staffetta_events_reports_given_up_total", "Reports about mail of others that will not be sent.");

static void go_on(struct sending *s);

static void wake_in(struct sending *s, int64_t in)
{
    struct timeval when = {in / SECOND, in % SECOND};

    event_add(s->timer, &when);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    go_on(arg);
}

static void rest_for_now(struct sending *s)
{
    s->state = SENDING_IDLE;
    wake_in(s, LOOK_PAUSE);
}

/* The list of what is due, with nothing of the batch in a transaction; NULL: the disk takes nothing. */
static struct due *due_of(struct sending *s)
{
    batch_commit(s->batch);
    return batch_failing(s->batch) || s->batch->store == NULL ? NULL : store_due(s->batch->store);
}

/* False ends what is under way; it is tried again later. */
static bool wrote(struct sending *s, bool done, const struct err *err)
{
    if (done)
        return true;
    log_error("reports", "reason=%s", err->text);
    batch_store_failed(s->batch, err);
    return false;
}

/* ---- a domain's destinations ---- */

static void ask(void *owner, struct str name);
static void on_destination(void *owner);
static const struct report_destination_world destination_world = {ask, on_destination};

static void on_answer(struct dns_query *query, const struct msg_dns_reply *m)
{
    struct sending *s = query->owner;

    report_destination_answer(&s->destination, m->status <= DNS_BOGUS ? (enum dns_status)m->status : DNS_SERVFAIL, m->records);
}

static void ask(void *owner, struct str name)
{
    struct sending *s = owner;

    if (!dns_client_ask(&s->dns, &s->query, name, DNS_TXT, on_answer, s))
        report_destination_answer(&s->destination, DNS_NXDOMAIN, STR(""));
}

static void finish_plan(struct sending *s)
{
    struct due *due = due_of(s);
    bool later = s->unknown && clock_now() < (s->domain.day + 1) * DAY + ASK_FOR;
    struct err err = {0};

    s->state = SENDING_IDLE;
    if (due == NULL || !wrote(s, later ? due_postpone(due, &s->domain, &err)
                                       : due_plan(due, &s->domain, buf_str(&s->addresses), s->limits, clock_now(), &err), &err)) {
        rest_for_now(s);
        return;
    }
    wake_in(s, 0);
}

/* The next address of the record, or the end. */
static void plan_next(struct sending *s)
{
    struct dmarc_uri uri;
    struct buf address;

    if (s->destination.step != REPORT_OVER) { /* the resolver has been away too long */
        dns_client_cancel(&s->dns, &s->query);
        s->destination.step = REPORT_OVER;
        s->unknown = true;
    }
    buf_init(&address, DUE_ADDRESS - 1);
    while (s->count < SENDING_URIS_MAX && dmarc_next_uri(&s->rest, &uri)) {
        buf_reset(&address);
        if (!dmarc_uri_address(uri.uri, &address) || address.failed)
            continue;
        s->limit = uri.limit;
        report_destination_clear(&s->destination);
        report_destination_init(&s->destination, &destination_world, s, str_of(s->domain.domain), buf_str(&address));
        buf_clear(&address);
        report_destination_start(&s->destination);
        if (s->destination.step != REPORT_OVER)
            wake_in(s, ANSWER_TIME);
        return;
    }
    buf_clear(&address);
    finish_plan(s);
}

static void on_destination(void *owner)
{
    struct sending *s = owner;
    const struct report_destination *d = &s->destination;

    if (d->verdict == REPORT_WANTED) {
        buf_add(&s->addresses, buf_str(&d->address));
        buf_add_char(&s->addresses, 0);
        s->limits[s->count++] = s->limit;
    } else if (d->verdict == REPORT_NOT_KNOWN) {
        s->unknown = true;
    } else {
        log_info("report-not-wanted", "domain=%s address=%.*s reason=%s", s->domain.domain, STR_ARG(buf_str(&d->address)), d->reason);
    }
    wake_in(s, 0); /* not from inside its own call */
}

static void begin_plan(struct sending *s)
{
    struct dmarc_record record;

    dmarc_read(buf_str(&s->domain.record), &record);
    buf_reset(&s->rua);
    buf_add(&s->rua, record.rua);
    s->rest = buf_str(&s->rua);
    buf_reset(&s->addresses);
    s->count = 0;
    s->unknown = false;
    s->destination.step = REPORT_OVER;
    s->state = SENDING_PLANS;
    plan_next(s);
}

/* ---- a report ---- */

static struct str domain_of(struct str address)
{
    return str_skip(address, (size_t)(str_rfind(address, '@') + 1));
}

static struct aggregate_report describe(const struct sending *s)
{
    const struct config *c = role_config(s->role);
    struct str from = c->auth.report_from;

    return (struct aggregate_report){.organisation = c->auth.report_organisation.n > 0 ? c->auth.report_organisation : domain_of(from),
        .contact = c->auth.report_contact.n > 0 ? c->auth.report_contact : from, .submitter = domain_of(from),
        .domain = str_of(s->domain.domain), .record = buf_str(&s->domain.record), .begins = s->domain.day * DAY_S,
        .ends = (s->domain.day + 1) * DAY_S - 1, .left_out = s->domain.left_out};
}

static void add_row(void *owner, const struct aggregate_row *row, uint64_t count)
{
    struct sending *s = owner;

    aggregate_write_row(row, count, &s->piece);
}

static void stop_sending(struct sending *s)
{
    letter_clear(&s->letter);
    buf_clear(&s->message);
    buf_clear(&s->piece);
    s->filter = NULL;
    s->state = SENDING_IDLE;
}

static void settle(struct sending *s, enum due_state state, int64_t due_at, struct str reason)
{
    struct due *due = due_of(s);
    struct err err = {0};

    stop_sending(s);
    if (due == NULL || !wrote(s, due_set(due, &s->item, state, due_at, reason, &err), &err)) {
        rest_for_now(s);
        return;
    }
    if (state == DUE_SENT || state == DUE_GIVEN_UP)
        log_info(state == DUE_SENT ? "report-sent" : "report-given-up", "domain=%s address=%s day=%lld tries=%lld reason=%.*s", s->item.domain,
            s->item.destination, (long long)s->item.day, (long long)s->item.tries, STR_ARG(reason));
    metric_add(&sent, state == DUE_SENT);
    metric_add(&given_up, state == DUE_GIVEN_UP);
    wake_in(s, 0);
}

static void try_later(struct sending *s, struct str reason)
{
    int64_t now = clock_now(), shift = s->item.tries < 5 ? s->item.tries : 5;

    if (now > (s->item.day + 1) * DAY + SEND_FOR)
        settle(s, DUE_GIVEN_UP, now, reason);
    else
        settle(s, DUE_WAITS, now + (FIRST_RETRY << (shift > 0 ? shift - 1 : 0)), reason);
}

static void begin_report(struct sending *s, struct due *due)
{
    struct aggregate_report report;
    struct err err = {0};
    bool found;

    if (!wrote(s, due_domain_of(due, &s->item, &s->domain, &found, &err), &err)) {
        rest_for_now(s);
        return;
    }
    if (!found) {
        settle(s, DUE_GIVEN_UP, clock_now(), STR("what it would say is no longer there"));
        return;
    }
    report = describe(s);
    s->state = SENDING_COMPOSES;
    s->mark[0] = 0;
    letter_begin(&s->letter);
    buf_init(&s->piece, PIECE_MAX);
    aggregate_write_head(&report, &s->piece);
    wake_in(s, 0);
}

static void write_message(struct sending *s)
{
    struct aggregate_report report = describe(s);
    struct buf id, subject, file, words, message_id;
    char date[DATE_TEXT], mark[AGGREGATE_MARK];

    buf_init(&id, 1024);
    buf_init(&subject, 4096);
    buf_init(&file, 1024);
    buf_init(&words, 4096);
    buf_init(&message_id, 1024);
    aggregate_write_id(&report, &id);
    aggregate_write_file_name(&report, &file);
    buf_addf(&subject, "Report Domain: %.*s\r\n Submitter: %.*s\r\n Report-ID: <%.*s>", STR_ARG(report.domain), STR_ARG(report.submitter),
        STR_ARG(buf_str(&id)));
    date_format(report.begins * SECOND, date);
    buf_addf(&words, "What %.*s received in the name of %.*s on %.16s (UTC), as an\r\naggregate report of DMARC. Questions: %.*s\r\n",
        STR_ARG(report.submitter), STR_ARG(report.domain), date, STR_ARG(report.contact));
    aggregate_mark(str_of(s->item.destination), mark);
    buf_addf(&message_id, "%.*s.%s@%.*s", STR_ARG(str_sub(buf_str(&id), 0, (size_t)str_rfind(buf_str(&id), '@'))), mark,
        STR_ARG(report.submitter));
    buf_init(&s->message, MESSAGE_MAX);
    letter_write(&s->letter, &(struct letter_head){.from = role_config(s->role)->auth.report_from, .to = str_of(s->item.destination),
        .subject = buf_str(&subject), .message_id = buf_str(&message_id), .file_name = buf_str(&file), .type = STR("application/gzip"),
        .words = buf_str(&words), .multipart = STR("mixed"), .now = clock_now()}, &s->message);
    buf_clear(&id);
    buf_clear(&subject);
    buf_clear(&file);
    buf_clear(&words);
    buf_clear(&message_id);
}

/* ---- handing it over ---- */

static struct channel *some_filter(const struct sending *s)
{
    for (unsigned i = 0; i < role_peers(s->role, ROLE_FILTER); i++)
        if (role_peer(s->role, ROLE_FILTER, i) != NULL)
            return role_peer(s->role, ROLE_FILTER, i);
    return NULL;
}

static void begin_message(struct sending *s)
{
    struct str host = role_config(s->role)->hostname;
    char id[MSGID_TEXT + 1], date[DATE_TEXT];
    struct buf trace;

    msgid_format((uint64_t)s->item.message, id);
    date_format(clock_now(), date);
    buf_init(&trace, IPC_TEXT);
    buf_addf(&trace, "Received: by %.*s (reports)\r\n\tid %s for <%s>;\r\n\t%s\r\n", STR_ARG(host), id, s->item.destination, date);
    s->txn = role_next_id(s->role);
    ipc_send_txn_begin(s->filter, &(struct msg_txn_begin){.id = s->txn, .message = (uint64_t)s->item.message,
        .flags = TXN_SUBMISSION | TXN_LOCAL | TXN_NO_SENDER_CHECK | TXN_BULK, .priority = 9, .size = s->message.n,
        .protocol = STR("local"), .trace = buf_str(&trace)});
    ipc_send_txn_rcpt(s->filter, &(struct msg_txn_rcpt){.id = s->txn, .notify = NOTIFY_NEVER, .address = str_of(s->item.destination)});
    buf_clear(&trace);
    s->given = 0;
    s->state = SENDING_GIVES;
    wake_in(s, 0);
}

/* That it is handed over is on disk before it is: without an answer the story of its message says whether it was taken. */
static void hand_over(struct sending *s)
{
    struct due *due = due_of(s);
    struct err err = {0};

    s->filter = some_filter(s);
    if (s->item.size_limit > 0 && s->message.n > (uint64_t)s->item.size_limit) {
        settle(s, DUE_GIVEN_UP, clock_now(), STR("it is larger than its reader takes"));
        return;
    }
    s->item.message = (int64_t)msgid_new();
    s->item.tries++;
    if (s->filter == NULL || due == NULL ||
        !wrote(s, due_set(due, &s->item, DUE_HANDED, clock_now() + ANSWER_TIME, STR(""), &err), &err)) {
        stop_sending(s);
        rest_for_now(s);
        return;
    }
    begin_message(s);
}

static void compose(struct sending *s)
{
    struct due *due = due_of(s);
    struct err err = {0};
    size_t count = 0;

    if (due == NULL || !wrote(s, due_rows(due, &s->item, s->mark, ROWS_A_TURN, add_row, s, &count, &err), &err)) {
        stop_sending(s);
        rest_for_now(s);
        return;
    }
    if (count < ROWS_A_TURN)
        aggregate_write_end(&s->piece);
    letter_add(&s->letter, buf_str(&s->piece));
    buf_reset(&s->piece);
    if (count == ROWS_A_TURN) {
        wake_in(s, 0);
        return;
    }
    if (!letter_end(&s->letter)) {
        settle(s, DUE_GIVEN_UP, clock_now(), STR("it is too large"));
        return;
    }
    write_message(s);
    hand_over(s);
}

static void give(struct sending *s)
{
    struct str rest = str_skip(buf_str(&s->message), s->given);

    while (rest.n > 0 && channel_backlog(s->filter) <= CHANNEL_HIGH) {
        struct str piece = str_sub(rest, 0, IPC_CHUNK);

        ipc_send_txn_chunk(s->filter, &(struct msg_txn_chunk){s->txn, piece});
        s->given += piece.n;
        rest = str_skip(rest, piece.n);
    }
    if (rest.n > 0) {
        wake_in(s, SECOND / 50);
        return;
    }
    ipc_send_txn_end(s->filter, &(struct msg_txn_end){.id = s->txn});
    s->state = SENDING_WAITS;
    wake_in(s, ANSWER_TIME);
}

void sending_on_txn_done(struct sending *s, struct channel *from, const struct msg_txn_done *m)
{
    if (m->code == 250)
        channel_took(from, HANDOVER_ACCEPTED);
    if ((s->state != SENDING_GIVES && s->state != SENDING_WAITS) || s->filter != from || s->txn != m->id)
        return;
    if (m->code == 250)
        settle(s, DUE_SENT, clock_now(), STR(""));
    else if (m->code >= 500)
        settle(s, DUE_GIVEN_UP, clock_now(), m->text);
    else
        try_later(s, m->text);
}

/* ---- what is next ---- */

/* Not everybody's reports at midnight: each server, each day, at another time. */
static int64_t reports_begin(const struct sending *s, int64_t day)
{
    uint64_t spread = (str_stable_hash(role_config(s->role)->hostname) ^ (uint64_t)day * UINT64_C(0x9e3779b97f4a7c15)) >> 11;

    return (day + 1) * DAY + DELAY_LEAST + (int64_t)(spread % (uint64_t)DELAY_SPREAD);
}

/* Handed over, and no answer came: what does the story of the message say? */
static bool settle_unanswered(struct sending *s, struct due *due, struct err *err)
{
    bool found, taken;

    if (!due_unanswered(due, clock_now(), &s->item, &found, &taken, err))
        return false;
    return !found || due_set(due, &s->item, taken ? DUE_SENT : DUE_WAITS, clock_now(), STR(""), err);
}

static bool close_days(struct sending *s, struct due *due, struct err *err)
{
    int64_t now = clock_now(), day;
    bool found;

    if (!due_open_day(due, &day, &found, err))
        return false;
    return !found || day >= now / DAY || now < reports_begin(s, day) || due_close_day(due, day, err);
}

static bool keep_house(struct sending *s, struct due *due, struct err *err)
{
    int64_t now = clock_monotonic();

    if (s->woke == 0 || now - s->woke >= HOUR) {
        s->woke = now;
        if (!due_wake(due, err))
            return false;
    }
    if (s->forgot != 0 && now - s->forgot < MINUTE)
        return true;
    s->forgot = now;
    return due_forget(due, clock_now() / DAY, err) && received_forget(store_received(s->batch->store), clock_now() / DAY, FORGET_STEP, err);
}

static bool find_work(struct sending *s, struct due *due, struct err *err)
{
    bool found;

    if (!settle_unanswered(s, due, err) || !close_days(s, due, err) || !keep_house(s, due, err) ||
        !due_next_domain(due, &s->domain, &found, err))
        return false;
    if (found) {
        begin_plan(s);
        return true;
    }
    if (!due_next(due, clock_now(), &s->item, &found, err))
        return false;
    if (found && some_filter(s) != NULL)
        begin_report(s, due);
    else
        rest_for_now(s);
    return true;
}

static void look(struct sending *s)
{
    struct due *due = role_config(s->role)->auth.report_from.n > 0 && !role_draining(s->role) ? due_of(s) : NULL;
    struct err err = {0};

    if (due == NULL || !wrote(s, find_work(s, due, &err), &err))
        rest_for_now(s);
}

static void go_on(struct sending *s)
{
    switch (s->state) {
    case SENDING_IDLE:
        look(s);
        break;
    case SENDING_PLANS:
        plan_next(s);
        break;
    case SENDING_COMPOSES:
        compose(s);
        break;
    case SENDING_GIVES:
        give(s);
        break;
    case SENDING_WAITS: /* no answer: its story will tell */
        stop_sending(s);
        rest_for_now(s);
        break;
    }
}

/* ---- ---- */

static void send_question(void *world, const struct msg_dns_ask *question)
{
    struct sending *s = world;
    struct channel *resolver = role_peer(s->role, ROLE_RESOLVER, 0);

    if (resolver != NULL)
        ipc_send_dns_ask(resolver, question); /* else asked when it is there */
}

void sending_init(struct sending *s, struct role *role, struct batch *batch)
{
    *s = (struct sending){.role = role, .batch = batch};
    dns_client_init(&s->dns, send_question, s);
    s->dns.last_id = UINT64_C(1) << 62; /* others ask on the same channel */
    buf_init(&s->domain.record, RECORD_MAX);
    buf_init(&s->rua, RECORD_MAX);
    buf_init(&s->addresses, (size_t)SENDING_URIS_MAX * DUE_ADDRESS);
    s->timer = evtimer_new(role_base(role), on_timer, s);
    if (s->timer == NULL)
        fatal("out of memory");
    s->destination.step = REPORT_OVER;
    metric_show(&sent);
    metric_show(&given_up);
    wake_in(s, LOOK_PAUSE);
}

void sending_on_dns_reply(struct sending *s, const struct msg_dns_reply *m)
{
    dns_client_reply(&s->dns, m);
}

void sending_peer_up(struct sending *s, const struct channel *peer)
{
    if (channel_role(peer) == ROLE_RESOLVER)
        dns_client_resend(&s->dns);
}

void sending_peer_gone(struct sending *s, const struct channel *peer)
{
    if (s->filter != peer || (s->state != SENDING_GIVES && s->state != SENDING_WAITS))
        return;
    stop_sending(s);
    rest_for_now(s);
}
