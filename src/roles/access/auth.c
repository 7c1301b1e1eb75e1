/* Logging in through directory: which copy is asked, the pause after a failure, the bans. */
#include "access.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

#include <event2/event.h>
#include <inttypes.h>

enum {
    DELAY_FIRST_MS = 200, /* doubled with each failure of the address */
    DELAY_MOST_MS = 5000,
};

static struct metric logins = METRIC_COUNTER("staffetta_access_logins_total", "Logins.");
static struct metric failed = METRIC_COUNTER("staffetta_access_login_failures_total", "Failed logins.");

static struct channel *asked_channel(const struct client *c, enum role_id peer)
{
    struct channel *channel = role_peer(c->access->role, peer, c->copy);

    return channel != NULL && channel_serial(channel) == c->serial ? channel : NULL;
}

void auth_cancel(struct client *c)
{
    struct channel *directory = c->authenticating ? asked_channel(c, ROLE_DIRECTORY) : NULL;

    c->access->logins.gone += c->authenticating;
    if (directory != NULL)
        ipc_send_auth_cancel(directory, &(struct msg_auth_cancel){c->id});
    client_asked_nothing(c);
}

/* The first copy answers look-ups, the others check passwords; of those that are up, one by id. */
static struct channel *auth_channel(struct access *a, uint64_t id)
{
    unsigned copies = role_peers(a->role, ROLE_DIRECTORY), checkers = copies > 1 ? copies - 1 : copies;
    unsigned first = copies > 1 ? 1 : 0;

    for (unsigned i = 0; i < checkers; i++) {
        struct channel *c = role_peer(a->role, ROLE_DIRECTORY, first + (unsigned)((id + i) % checkers));

        if (c != NULL)
            return c;
    }
    return role_peer(a->role, ROLE_DIRECTORY, 0);
}

static void refuse_for_now(struct client *c)
{
    c->access->logins.gone += c->authenticating;
    client_asked_nothing(c);
    c->protocol->done(c->machine, &(struct login_outcome){.result = AUTH_TEMPFAIL});
}

void auth_begin(struct client *c, struct str mechanism, bool has_initial, struct str initial)
{
    struct channel *directory = auth_channel(c->access, role_next_id(c->access->role));
    char unique[128], exporter[32], address[IP_TEXT];
    size_t unique_n = 0;
    bool has_exporter;

    if (directory == NULL) {
        refuse_for_now(c);
        return;
    }
    if (!conn_tls_unique(c->conn, unique, sizeof unique, &unique_n))
        unique_n = 0;
    has_exporter = conn_tls_exporter(c->conn, exporter);
    ip_format(&c->ip, address);
    client_ask(c, directory);
    c->authenticating = true;
    c->access->logins.came++;
    ipc_send_auth_begin(directory, &(struct msg_auth_begin){.id = c->id, .service = str_of(c->protocol->service),
        .mechanism = mechanism, .has_initial = has_initial, .initial = initial, .client = str_of(address),
        .tls_unique = {unique, unique_n}, .tls_exporter = {exporter, has_exporter ? sizeof exporter : 0}});
}

void auth_step(struct client *c, struct str data)
{
    struct channel *directory = asked_channel(c, ROLE_DIRECTORY);

    if (directory == NULL || !c->authenticating)
        refuse_for_now(c);
    else
        ipc_send_auth_step(directory, &(struct msg_auth_step){c->id, data});
}

/* ---- what directory says ---- */

void auth_challenge(struct client *c, struct str data)
{
    if (c->state != CLIENT_LOGIN || !c->authenticating)
        return;
    c->protocol->challenge(c->machine, data);
    client_resume(c);
}

static void answer_late(evutil_socket_t fd, short what, void *arg)
{
    struct client *c = arg;

    (void)fd;
    (void)what;
    if (c->state != CLIENT_LOGIN)
        return;
    c->protocol->done(c->machine, &c->late);
    if (c->state == CLIENT_LOGIN)
        client_resume(c);
}

/* How many failures of the address count; those of a neighbour are directory's business, by login. */
static unsigned count_failure(const struct client *c)
{
    const struct config *config = role_config(c->access->role);

    return client_exempt(c) ? 1
                            : limit_login_failed(c->access->limits, &c->ip, (uint64_t)config->limits.login_failures,
                                  config->limits.ban_time, clock_monotonic());
}

/* Each failure of an address doubles the pause before the answer. */
static void login_failed(struct client *c, enum auth_result result)
{
    unsigned failures = count_failure(c);
    int64_t pause = DELAY_FIRST_MS;
    struct timeval when;

    for (unsigned i = 1; i < failures && pause < DELAY_MOST_MS; i++)
        pause *= 2;
    if (pause > DELAY_MOST_MS)
        pause = DELAY_MOST_MS;
    metric_add(&failed, 1);
    c->late = (struct login_outcome){.result = result};
    if (c->delay == NULL)
        c->delay = evtimer_new(role_base(c->access->role), answer_late, c);
    when.tv_sec = pause / 1000;
    when.tv_usec = pause % 1000 * 1000;
    evtimer_add(c->delay, &when);
}

static void login_succeeded(struct client *c, const struct msg_auth_done *m)
{
    char tls[128] = "", address[IP_TEXT];

    metric_add(&logins, 1);
    c->account = m->account;
    c->logged_in = clock_monotonic();
    str_free(&c->login);
    c->login = str_dup(m->login);
    conn_tls_text(c->conn, tls, sizeof tls);
    ip_format(&c->ip, address);
    log_info("login", "client=%s login=%.*s account=%" PRIu64 " protocol=%s tls=%s", address, STR_ARG(m->login),
        m->account, c->protocol->name, *tls ? tls : "none");
}

void auth_done(struct client *c, const struct msg_auth_done *m)
{
    bool may_read = (m->rights & AUTH_MAY_READ) && m->account != 0;
    bool counts = m->result == AUTH_BAD_CREDENTIALS || m->result == AUTH_DISABLED;
    char address[IP_TEXT];

    if (c->state != CLIENT_LOGIN || !c->authenticating)
        return;
    c->access->logins.answered++;
    client_asked_nothing(c);
    if (m->result == AUTH_OK && may_read) {
        login_succeeded(c, m);
    } else {
        ip_format(&c->ip, address);
        log_warning("login-failed", "client=%s login=%.*s result=%" PRIu64 " reason=%.*s", address,
            STR_ARG(m->login), m->result, STR_ARG(m->text));
    }
    if (counts) {
        login_failed(c, (enum auth_result)m->result);
        return;
    }
    c->protocol->done(c->machine, &(struct login_outcome){(enum auth_result)m->result, may_read, m->data});
    if (c->state == CLIENT_LOGIN)
        client_resume(c);
}

void auth_directory_gone(struct client *c)
{
    if (c->state != CLIENT_LOGIN || !c->authenticating)
        return;
    refuse_for_now(c);
    if (c->state == CLIENT_LOGIN)
        client_resume(c);
}
