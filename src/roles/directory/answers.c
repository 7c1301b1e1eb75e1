/* Questions with one answer each: recipients, senders, destinations, secrets, pools, accounts.
 *
 * When the database fails, recipients, senders and destinations are answered with "try again". The
 * other three answers have no word for that, and "there is none" would be a lie that costs mail:
 * those questions are kept and tried again every second until they can be answered or their channel
 * ends. */
#include "directory.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "smtp/address.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Accounts removed within this time are told to every mailbox copy that comes up. */
static const int64_t remember_removed = 30 * DAY;
enum { REMOVED_AT_ONCE = 1000, UNANSWERED_MAX = 20000, RETRIES = 200 /* a second */ };

static struct metric rcpts =
    METRIC_COUNTER("staffetta_directory_rcpt_questions_total", "Recipients asked about.");
static struct metric unknown = METRIC_COUNTER(
    "staffetta_directory_rcpt_unknown_total", "Recipients of local domains that do not exist.");
static struct metric limited = METRIC_COUNTER("staffetta_directory_rcpt_limited_total",
    "Recipients refused because the sender is over a limit.");
static struct metric resolves =
    METRIC_COUNTER("staffetta_directory_resolve_questions_total", "Destinations asked for.");
static struct metric troubles = METRIC_COUNTER(
    "staffetta_directory_database_errors_total", "Questions the database failed at.");

/* A damaged page may be asked for a thousand times a second: the same reason is told once a minute. */
void answers_trouble(struct directory *d, const char *question, const struct err *err)
{
    int64_t now = clock_monotonic();

    metric_add(&troubles, 1);
    if (d->trouble.at != 0 && now - d->trouble.at < MINUTE && strcmp(d->trouble.text, err->text) == 0) {
        d->trouble.more++;
        return;
    }
    log_error("database", "question=%s error=%s untold_before=%lld", question, err->text, (long long)d->trouble.more);
    d->trouble.at = now;
    d->trouble.more = 0;
    memcpy(d->trouble.text, err->text, sizeof d->trouble.text);
}

/* Another process (a command while no server was thought to run) may have written: looked at ten
 * times a second. */
struct lookup *answers_fresh(struct directory *d)
{
    int64_t now = clock_monotonic(), version = 0;

    if (now - d->checked < SECOND / 10)
        return &d->lookup;
    d->checked = now;
    if (!db_data_version(d->store.db, &version, NULL) || version != d->lookup.changes)
        lookup_changed(&d->lookup);
    d->lookup.changes = version;
    return &d->lookup;
}

void on_rcpt_ask(struct role *role, struct channel *from, const struct msg_rcpt_ask *m)
{
    struct directory *d = role_state(role);
    struct rcpt_said said;
    enum rcpt_result result;

    d->books[BOOK_RCPT].came++;
    buf_init(&said.text, IPC_TEXT);
    lookup_rcpt(answers_fresh(d), &(struct rcpt_question){.address = m->address, .account = (int64_t)(m->account & INT64_MAX),
        .first = m->first != 0, .bounce = m->bounce != 0, .now = clock_monotonic()}, &said);
    result = said.result;
    metric_add(&rcpts, 1);
    if (result == RCPT_UNKNOWN)
        metric_add(&unknown, 1);
    if (result == RCPT_LIMITED)
        metric_add(&limited, 1);
    if (result == RCPT_TEMPFAIL)
        answers_trouble(d, "recipient", &d->lookup.trouble);
    d->books[BOOK_RCPT].answered++;
    ipc_send_rcpt_reply(from, &(struct msg_rcpt_reply){m->id, result, said.forwards, said.junk, buf_str(&said.text)});
    buf_clear(&said.text);
}

void on_sender_ask(struct role *role, struct channel *from, const struct msg_sender_ask *m)
{
    struct directory *d = role_state(role);
    struct err err = {0};
    bool allowed = false, done;

    d->books[BOOK_SENDER].came++;
    done = lookup_sender(answers_fresh(d), (int64_t)(m->account & INT64_MAX), m->address, &allowed, &err);
    if (!done)
        answers_trouble(d, "sender", &err);
    d->books[BOOK_SENDER].answered++;
    ipc_send_sender_reply(from, &(struct msg_sender_reply){m->id, done && allowed, !done});
}

void on_resolve_ask(struct role *role, struct channel *from, const struct msg_resolve_ask *m)
{
    struct directory *d = role_state(role);
    struct resolved r;

    d->books[BOOK_DESTINATION].came++;
    resolved_init(&r);
    metric_add(&resolves, 1);
    lookup_resolve(answers_fresh(d), &(struct resolve_question){.address = m->address, .sender = m->sender, .original = m->original,
        .class = m->class == 1, .expanded = m->expanded != 0, .submitted = m->submitted != 0}, &r);
    if (r.result == RESOLVE_TEMPFAIL && d->lookup.trouble.kind != ERR_NONE)
        answers_trouble(d, "destination", &d->lookup.trouble);
    d->books[BOOK_DESTINATION].answered++;
    ipc_send_resolve_reply(from, &(struct msg_resolve_reply){.id = m->id,
                                     .result = r.result,
                                     .account = (uint64_t)r.account,
                                     .address = name_str(&r.address),
                                     .targets = buf_str(&r.targets),
                                     .route = r.kind,
                                     .tls = r.tls,
                                     .hosts = buf_str(&r.hosts),
                                     .credential = (uint64_t)r.credential,
                                     .pool = name_str(&r.pool),
                                     .sender = name_str(&r.sender),
                                     .text = buf_str(&r.text)});
    resolved_clear(&r);
}

void on_domain_ask(struct role *role, struct channel *from, const struct msg_domain_ask *m)
{
    struct directory *d = role_state(role);
    struct err err = {0};
    struct domain domain;
    bool found = false, done = true;
    const char *why;
    struct buf name;

    d->books[BOOK_DOMAIN].came++;
    buf_init(&name, IPC_NAME);
    if (domain_write(m->domain, &name, &why) && !name.failed && name.n > 0 && name.p[0] != '[')
        done = store_get_domain(&d->store, buf_str(&name), &domain, &found, &err);
    if (!done)
        answers_trouble(d, "domain", &err);
    found = found && domain.local && domain.enabled;
    d->books[BOOK_DOMAIN].answered++;
    ipc_send_domain_reply(from, &(struct msg_domain_reply){m->id, !done, done && found ? buf_str(&name) : STR("")});
    buf_clear(&name);
}

/* ---- questions that are asked until they are answered ---- */

typedef bool answer_fn(struct directory *d, struct channel *to, uint64_t id, int64_t subject);

struct unanswered {
    struct link link;
    struct channel *from;
    answer_fn *answer;
    uint64_t id;
    int64_t subject;
};

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct directory *d = arg;
    size_t tries = d->unanswered_count < RETRIES ? d->unanswered_count : RETRIES;
    struct link *first;

    (void)fd;
    (void)what;
    while (tries-- > 0 && (first = list_first(&d->unanswered)) != NULL) {
        struct unanswered *u = CONTAINER(first, struct unanswered, link);

        list_remove(first);
        if (u->answer(d, u->from, u->id, u->subject)) {
            d->books[BOOK_STANDING].answered++;
            d->unanswered_count--;
            free(u);
        } else {
            list_add_last(&d->unanswered, first); /* one damaged row must not keep the others waiting */
        }
    }
}

void answers_open(struct directory *d)
{
    struct timeval second = {1, 0};

    list_init(&d->unanswered);
    d->retry = event_new(role_base(d->role), -1, EV_PERSIST, on_retry, d);
    if (d->retry == NULL || event_add(d->retry, &second) != 0)
        fatal("answers: no timer");
}

void answers_peer_gone(struct directory *d, struct channel *c)
{
    LIST_EACH(&d->unanswered, it)
    {
        struct unanswered *u = CONTAINER(it, struct unanswered, link);

        if (u->from != c)
            continue;
        d->books[BOOK_STANDING].gone++;
        list_remove(it);
        d->unanswered_count--;
        free(u);
    }
}

int64_t answers_under_way(const struct directory *d)
{
    int64_t n = 0;

    LIST_EACH(&d->unanswered, it)
        n++;
    return n;
}

static void answer_surely(
    struct directory *d, struct channel *from, answer_fn *answer, uint64_t id, uint64_t subject)
{
    struct unanswered *u;

    d->books[BOOK_STANDING].came++;
    if (answer(d, from, id, (int64_t)(subject & INT64_MAX))) {
        d->books[BOOK_STANDING].answered++;
        return;
    }
    if (d->unanswered_count >= UNANSWERED_MAX)
        fatal("the database cannot be read, and %d questions wait", UNANSWERED_MAX);
    u = xcalloc(1, sizeof *u);
    *u = (struct unanswered){
        .from = from, .answer = answer, .id = id, .subject = (int64_t)(subject & INT64_MAX)};
    list_add_last(&d->unanswered, &u->link);
    d->unanswered_count++;
}

static bool answer_secret(struct directory *d, struct channel *to, uint64_t id, int64_t credential)
{
    struct err err = {0};
    struct route route;
    bool found;

    if (!store_get_route_id(&d->store, credential, &route, &found, &err)) {
        answers_trouble(d, "secret", &err);
        return false;
    }
    found = found && route.login.n > 0;
    ipc_send_secret_reply(to, &(struct msg_secret_reply){.id = id,
                                  .found = found,
                                  .user = found ? name_str(&route.login) : STR(""),
                                  .secret = found ? name_str(&route.secret) : STR("")});
    return true;
}

void on_secret_ask(struct role *role, struct channel *from, const struct msg_secret_ask *m)
{
    answer_surely(role_state(role), from, answer_secret, m->id, m->credential);
}

/* ---- pools: relay gets the whole list, again whenever it changes (id 0 then) ---- */

static bool write_pools(struct directory *d, struct buf *out, struct err *err)
{
    struct stmt *s = store_stmt(&d->store, SQL_POOL_LIST);

    stmt_str(s, STR(""));
    stmt_str(s, STR(""));
    stmt_int(s, INT32_MAX);
    while (stmt_row(s)) {
        buf_addf(out, "%.*s %.*s %" PRId64 " ", STR_ARG(column_str(s, 0)),
            STR_ARG(column_str(s, 1)), column_int(s, 2));
        buf_addf(out, "%.*s\n", STR_ARG(column_str(s, 3)));
    }
    return stmt_done(s, err);
}

static bool answer_pools(struct directory *d, struct channel *to, uint64_t id, int64_t unused)
{
    struct err err = {0};
    struct buf pools;
    bool done;

    (void)unused;
    buf_init(&pools, IPC_LIST);
    done = write_pools(d, &pools, &err);
    if (done)
        ipc_send_pools_reply(to, &(struct msg_pools_reply){id, buf_str(&pools)});
    else
        answers_trouble(d, "pools", &err);
    buf_clear(&pools);
    return done;
}

void on_pools_ask(struct role *role, struct channel *from, const struct msg_pools_ask *m)
{
    answer_surely(role_state(role), from, answer_pools, m->id, 0);
}

void answers_pools_changed(struct directory *d)
{
    for (unsigned i = 0; i < role_peers(d->role, ROLE_RELAY); i++) {
        struct channel *c = role_peer(d->role, ROLE_RELAY, i);

        if (c != NULL)
            answer_surely(d, c, answer_pools, 0, 0);
    }
}

/* ---- accounts ---- */

static bool answer_account(struct directory *d, struct channel *to, uint64_t id, int64_t account)
{
    struct err err = {0};
    struct account a;
    bool found;

    if (!store_get_account_id(&d->store, account, &a, &found, &err)) {
        answers_trouble(d, "account", &err);
        return false;
    }
    ipc_send_account_reply(to, &(struct msg_account_reply){.id = id,
                                   .account = (uint64_t)account,
                                   .found = found,
                                   .quota_bytes = found ? (uint64_t)a.quota_bytes : 0,
                                   .quota_messages = found ? (uint64_t)a.quota_messages : 0,
                                   .address = found ? name_str(&a.address) : STR("")});
    return true;
}

void on_account_ask(struct role *role, struct channel *from, const struct msg_account_ask *m)
{
    answer_surely(role_state(role), from, answer_account, m->id, m->account);
}

void answers_account_changed(struct directory *d, int64_t account, bool removed)
{
    for (unsigned i = 0; i < role_peers(d->role, ROLE_MAILBOX); i++) {
        struct channel *c = role_peer(d->role, ROLE_MAILBOX, i);

        if (c != NULL)
            ipc_send_account_changed(c, &(struct msg_account_changed){(uint64_t)account, removed});
    }
}

/* What this copy missed while it was down. */
void answers_mailbox_up(struct directory *d, struct channel *c)
{
    struct stmt *s = store_stmt(&d->store, SQL_REMOVED_SWEEP);
    struct err err = {0};
    int64_t last = 0, rows;

    stmt_int(s, clock_now() - remember_removed);
    if (!stmt_run(s, &err))
        answers_trouble(d, "removed accounts", &err);
    do {
        s = store_stmt(&d->store, SQL_REMOVED_LIST);
        stmt_int(s, last);
        stmt_int(s, REMOVED_AT_ONCE);
        for (rows = 0; stmt_row(s); rows++) {
            last = column_int(s, 0);
            ipc_send_account_changed(c, &(struct msg_account_changed){(uint64_t)last, true});
        }
        if (!stmt_done(s, &err))
            answers_trouble(d, "removed accounts", &err);
    } while (rows == REMOVED_AT_ONCE && channel_backlog(c) < 128 * CHANNEL_HIGH);
}
