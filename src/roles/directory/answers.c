/* Questions with one answer each: recipients, senders, destinations, secrets, pools, accounts. */
#include "directory.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

#include <inttypes.h>

/* Accounts removed within this time are told to every mailbox copy that comes up. */
static const int64_t remember_removed = 30 * DAY;
enum { REMOVED_AT_ONCE = 1000 };

static struct metric rcpts = METRIC_COUNTER("staffetta_directory_rcpt_questions_total", "Recipients asked about.");
static struct metric unknown = METRIC_COUNTER("staffetta_directory_rcpt_unknown_total", "Recipients of local domains that do not exist.");
static struct metric limited = METRIC_COUNTER("staffetta_directory_rcpt_limited_total", "Recipients refused because the sender is over a limit.");
static struct metric resolves = METRIC_COUNTER("staffetta_directory_resolve_questions_total", "Destinations asked for.");
static struct metric troubles = METRIC_COUNTER("staffetta_directory_database_errors_total", "Questions the database failed at.");

static void trouble(const char *question, const struct err *err)
{
    metric_add(&troubles, 1);
    log_error("database", "question=%s error=%s", question, err->text);
}

/* Another process (a command while no server was thought to run) may have written: looked at ten times a second. */
static struct lookup *fresh(struct directory *d)
{
    int64_t now = clock_monotonic(), version = 0;
    struct stmt *s;

    if (now - d->checked < SECOND / 10)
        return &d->lookup;
    d->checked = now;
    s = store_stmt(&d->store, SQL_DATA_VERSION);
    if (stmt_row(s))
        version = column_int(s, 0);
    if (!stmt_done(s, NULL) || version != d->lookup.changes)
        lookup_changed(&d->lookup);
    d->lookup.changes = version;
    return &d->lookup;
}

void on_rcpt_ask(struct role *role, struct channel *from, const struct msg_rcpt_ask *m)
{
    struct directory *d = role_state(role);
    enum rcpt_result result;
    struct buf text;

    buf_init(&text, IPC_TEXT);
    result = lookup_rcpt(fresh(d), m->address, (int64_t)(m->account & INT64_MAX), m->first != 0, clock_monotonic(), &text);
    metric_add(&rcpts, 1);
    if (result == RCPT_UNKNOWN)
        metric_add(&unknown, 1);
    if (result == RCPT_LIMITED)
        metric_add(&limited, 1);
    if (result == RCPT_TEMPFAIL)
        metric_add(&troubles, 1);
    ipc_send_rcpt_reply(from, &(struct msg_rcpt_reply){m->id, result, buf_str(&text)});
    buf_clear(&text);
}

void on_sender_ask(struct role *role, struct channel *from, const struct msg_sender_ask *m)
{
    struct directory *d = role_state(role);
    struct err err = {0};
    bool allowed = false, done;

    done = lookup_sender(fresh(d), (int64_t)(m->account & INT64_MAX), m->address, &allowed, &err);
    if (!done)
        trouble("sender", &err);
    ipc_send_sender_reply(from, &(struct msg_sender_reply){m->id, done && allowed, !done});
}

void on_resolve_ask(struct role *role, struct channel *from, const struct msg_resolve_ask *m)
{
    struct directory *d = role_state(role);
    struct resolved r;

    resolved_init(&r);
    metric_add(&resolves, 1);
    lookup_resolve(fresh(d), m->address, m->sender, m->class == 1, &r);
    if (r.result == RESOLVE_TEMPFAIL)
        metric_add(&troubles, 1);
    ipc_send_resolve_reply(from,
        &(struct msg_resolve_reply){.id = m->id, .result = r.result, .account = (uint64_t)r.account,
            .address = name_str(&r.address), .targets = buf_str(&r.targets), .route = r.kind, .tls = r.tls,
            .hosts = buf_str(&r.hosts), .credential = (uint64_t)r.credential, .pool = name_str(&r.pool),
            .text = buf_str(&r.text)});
    resolved_clear(&r);
}

void on_secret_ask(struct role *role, struct channel *from, const struct msg_secret_ask *m)
{
    struct directory *d = role_state(role);
    struct err err = {0};
    struct route route;
    bool found = false;

    if (!store_get_route_id(&d->store, (int64_t)(m->credential & INT64_MAX), &route, &found, &err))
        trouble("secret", &err);
    found = found && route.login.n > 0;
    ipc_send_secret_reply(from,
        &(struct msg_secret_reply){.id = m->id, .found = found, .user = found ? name_str(&route.login) : STR(""),
            .secret = found ? name_str(&route.secret) : STR("")});
}

/* ---- pools: relay gets the whole list, again whenever it changes (id 0 then) ---- */

static bool write_pools(struct directory *d, struct buf *out, struct err *err)
{
    struct stmt *s = store_stmt(&d->store, SQL_POOL_LIST);

    stmt_str(s, STR(""));
    stmt_str(s, STR(""));
    stmt_int(s, INT32_MAX);
    while (stmt_row(s)) {
        buf_addf(out, "%.*s %.*s %" PRId64 " ", STR_ARG(column_str(s, 0)), STR_ARG(column_str(s, 1)), column_int(s, 2));
        buf_addf(out, "%.*s\n", STR_ARG(column_str(s, 3)));
    }
    return stmt_done(s, err);
}

static void send_pools(struct directory *d, struct channel *to, uint64_t id)
{
    struct err err = {0};
    struct buf pools;

    buf_init(&pools, IPC_LIST);
    if (!write_pools(d, &pools, &err))
        trouble("pools", &err);
    else
        ipc_send_pools_reply(to, &(struct msg_pools_reply){id, buf_str(&pools)});
    buf_clear(&pools);
}

void on_pools_ask(struct role *role, struct channel *from, const struct msg_pools_ask *m)
{
    send_pools(role_state(role), from, m->id);
}

void answers_pools_changed(struct directory *d)
{
    for (unsigned i = 0; i < role_peers(d->role, ROLE_RELAY); i++) {
        struct channel *c = role_peer(d->role, ROLE_RELAY, i);

        if (c != NULL)
            send_pools(d, c, 0);
    }
}

/* ---- accounts ---- */

void on_account_ask(struct role *role, struct channel *from, const struct msg_account_ask *m)
{
    struct directory *d = role_state(role);
    struct err err = {0};
    struct account a;
    bool found;

    /* "Not found" would throw mail away; while the database fails there is no answer, and mailbox asks again. */
    if (!store_get_account_id(&d->store, (int64_t)(m->account & INT64_MAX), &a, &found, &err)) {
        trouble("account", &err);
        return;
    }
    ipc_send_account_reply(from,
        &(struct msg_account_reply){.id = m->id, .account = m->account, .found = found,
            .quota_bytes = found ? (uint64_t)a.quota_bytes : 0, .quota_messages = found ? (uint64_t)a.quota_messages : 0,
            .address = found ? name_str(&a.address) : STR("")});
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
        trouble("removed accounts", &err);
    do {
        s = store_stmt(&d->store, SQL_REMOVED_LIST);
        stmt_int(s, last);
        stmt_int(s, REMOVED_AT_ONCE);
        for (rows = 0; stmt_row(s); rows++) {
            last = column_int(s, 0);
            ipc_send_account_changed(c, &(struct msg_account_changed){(uint64_t)last, true});
        }
        if (!stmt_done(s, &err))
            trouble("removed accounts", &err);
    } while (rows == REMOVED_AT_ONCE && channel_backlog(c) < 32 * CHANNEL_HIGH);
}
