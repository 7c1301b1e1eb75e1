/* AUTH exchanges of smtp and access. Each is keyed by (channel, id), lives at most two minutes, and
 * there are at most EXCHANGES_MAX of one channel. A failure is answered after a pause that grows
 * with the failures of that address and login; until then the exchange stays and counts, so that
 * guessing in parallel gains nothing. */
#include "directory.h"
#include "login.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { EXCHANGES_MAX = 5000 };
static const int64_t exchange_time = 2 * MINUTE;

static struct metric succeeded =
    METRIC_COUNTER_L("staffetta_directory_logins_total", "result=\"ok\"", "Logins by result.");
static struct metric failed =
    METRIC_COUNTER_L("staffetta_directory_logins_total", "result=\"failed\"", "Logins by result.");
static struct metric refused =
    METRIC_COUNTER_L("staffetta_directory_logins_total", "result=\"refused\"", "Logins by result.");
static struct metric open_exchanges =
    METRIC_GAUGE("staffetta_directory_exchanges", "Login exchanges that are open.");
static struct metric duration =
    METRIC_HISTOGRAM("staffetta_directory_login_seconds", "Time spent on one step of a login.");

struct exchange {
    struct map_node node;
    struct link link;
    struct directory *d;
    struct channel *channel;
    uint64_t id;
    struct sasl *sasl; /* NULL once the verdict is known and waits */
    struct event *later;
    enum auth_result verdict;
    int64_t begun;
    char service[17], client[65];
};

static const char *const result_texts[] = {
    [AUTH_OK] = "2.7.0 Authentication succeeded",
    [AUTH_BAD_CREDENTIALS] = "5.7.8 Authentication failed: check user name and password",
    [AUTH_DISABLED] = "5.7.8 This login is switched off, or may not be used here",
    [AUTH_SLOW_DOWN] = "4.7.0 Too many failed logins, try again later",
    [AUTH_BAD_REQUEST] = "5.5.2 The authentication exchange was malformed",
    [AUTH_TEMPFAIL] = "4.7.0 Authentication is not possible now, try again later",
};

static uint64_t key_of(struct channel *c, uint64_t id)
{
    return map_hash_number(channel_serial(c) * UINT64_C(0x9e3779b97f4a7c15) ^ id);
}

static struct exchange *find(struct directory *d, struct channel *c, uint64_t id)
{
    struct map_node *node = map_find(&d->exchanges, key_of(c, id));

    for (; node != NULL; node = map_find_next(node)) {
        struct exchange *e = CONTAINER(node, struct exchange, node);

        if (e->channel == c && e->id == id)
            return e;
    }
    return NULL;
}

static void end(struct exchange *e)
{
    map_remove(&e->d->exchanges, &e->node);
    list_remove(&e->link);
    if (e->later != NULL)
        event_free(e->later);
    sasl_free(e->sasl);
    metric_set(&open_exchanges, (int64_t)e->d->exchanges.count);
    free(e);
}

/* Its asker does not want to know any more. */
static void give_up(struct exchange *e)
{
    e->d->books[BOOK_LOGIN].gone++;
    end(e);
}

static void answer(struct directory *d, struct channel *to, uint64_t id, enum auth_result result)
{
    d->books[BOOK_LOGIN].answered++;
    ipc_send_auth_done(to,
        &(struct msg_auth_done){.id = id, .result = result, .text = str_of(result_texts[result])});
}

/* The address that failures are counted by: none for a neighbour, which may stand for many people. */
static struct str counted(const struct directory *d, struct str client)
{
    struct ip ip;

    return ip_parse(client, &ip) && config_exempts(d->lookup.config, &ip) ? (struct str){0} : client;
}

/* ---- the world of an exchange ---- */

static enum sasl_state world_find(void *arg, struct str name, struct sasl_login *out)
{
    struct exchange *e = arg;
    struct err err = {0};
    struct name key;

    login_key(name, &key);
    if (throttle_refuses(&e->d->throttle, counted(e->d, str_of(e->client)), name_str(&key), clock_monotonic()))
        return SASL_REFUSED;
    if (login_find(&e->d->store, e->d->secret, name, out, &err))
        return SASL_MORE;
    answers_trouble(e->d, "login", &err);
    return SASL_TROUBLE;
}

static bool world_check(void *arg, const struct verifier *v, struct str password)
{
    struct exchange *e = arg;

    return password_check(&e->d->passwords, v, password, clock_monotonic());
}

/* ---- verdicts ---- */

static void on_later(evutil_socket_t fd, short what, void *arg)
{
    struct exchange *e = arg;

    (void)fd;
    (void)what;
    answer(e->d, e->channel, e->id, e->verdict);
    end(e);
}

/* Answers after a pause, and keeps the place of the exchange until then. */
static void fail_later(struct exchange *e, enum auth_result result, int64_t pause)
{
    struct timeval wait = {pause / SECOND, pause % SECOND};

    e->verdict = result;
    sasl_free(e->sasl);
    e->sasl = NULL;
    e->later = evtimer_new(role_base(e->d->role), on_later, e);
    if (e->later == NULL || evtimer_add(e->later, &wait) != 0)
        fatal("auth: no timer");
}

static void log_failure(const struct exchange *e, const char *why)
{
    log_warning("login-failed", "service=%s login=%.*s client=%s reason=%s", e->service,
        STR_ARG(sasl_typed_name(e->sasl)), e->client, why);
}

static void on_wrong(struct exchange *e)
{
    struct name key;
    int64_t pause;

    login_key(sasl_typed_name(e->sasl), &key);
    pause = throttle_failed(&e->d->throttle, counted(e->d, str_of(e->client)), name_str(&key), clock_monotonic());
    metric_add(&failed, 1);
    log_failure(e, "wrong name or password");
    fail_later(e, AUTH_BAD_CREDENTIALS, pause);
}

static void on_right(struct exchange *e, struct str data)
{
    const struct sasl_login *login = sasl_login(e->sasl);
    struct name key;
    bool may =
        login->rights & (str_eq(str_of(e->service), STR("smtp")) ? AUTH_MAY_SEND : AUTH_MAY_READ);

    if (!login->enabled || !may) {
        metric_add(&failed, 1);
        log_failure(e, login->enabled ? "this login may only send" : "switched off");
        answer(e->d, e->channel, e->id, AUTH_DISABLED);
    } else {
        metric_add(&succeeded, 1);
        login_key(sasl_typed_name(e->sasl), &key);
        throttle_succeeded(&e->d->throttle, counted(e->d, str_of(e->client)), name_str(&key), clock_monotonic());
        log_debug("login", "service=%s login=%s client=%s", e->service, login->name.p, e->client);
        e->d->books[BOOK_LOGIN].answered++;
        ipc_send_auth_done(e->channel, &(struct msg_auth_done){.id = e->id,
                                           .result = AUTH_OK,
                                           .account = (uint64_t)login->principal,
                                           .rights = login->rights,
                                           .login = name_str(&login->name),
                                           .data = data,
                                           .text = str_of(result_texts[AUTH_OK])});
    }
    end(e);
}

static void act(struct exchange *e, enum sasl_state state, struct str out)
{
    switch (state) {
    case SASL_MORE:
        ipc_send_auth_challenge(e->channel, &(struct msg_auth_challenge){e->id, out});
        return;
    case SASL_RIGHT:
        on_right(e, out);
        return;
    case SASL_WRONG:
        on_wrong(e);
        return;
    case SASL_REFUSED:
        metric_add(&refused, 1);
        log_failure(e, "too many failures");
        answer(e->d, e->channel, e->id, AUTH_SLOW_DOWN);
        break;
    case SASL_MALFORMED:
        metric_add(&failed, 1);
        answer(e->d, e->channel, e->id, AUTH_BAD_REQUEST);
        break;
    case SASL_TROUBLE:
        answer(e->d, e->channel, e->id, AUTH_TEMPFAIL);
        break;
    }
    end(e);
}

static void step(struct exchange *e, struct str data)
{
    int64_t begun = clock_monotonic();
    enum sasl_state state;
    struct buf out;

    buf_init(&out, SASL_DATA_MAX);
    state = sasl_step(e->sasl, data, &out);
    if (out.failed)
        state = SASL_MALFORMED;
    metric_observe(&duration, clock_monotonic() - begun);
    act(e, state, buf_str(&out));
    buf_clear(&out);
}

/* ---- messages ---- */

static bool too_many(struct directory *d, struct channel *c)
{
    size_t n = 0;

    if (d->exchanges.count < EXCHANGES_MAX)
        return false;
    LIST_EACH(&d->exchange_order, it)
    n += CONTAINER(it, struct exchange, link)->channel == c;
    return n >= EXCHANGES_MAX;
}

static void keep(char *out, size_t size, struct str text)
{
    size_t n = text.n < size - 1 ? text.n : size - 1;

    if (n > 0)
        memcpy(out, text.p, n);
    out[n] = 0;
}

void on_auth_begin(struct role *role, struct channel *from, const struct msg_auth_begin *m)
{
    struct directory *d = role_state(role);
    struct exchange *e = find(d, from, m->id);
    struct sasl_world world = {.find = world_find, .check = world_check};

    d->books[BOOK_LOGIN].came++;
    if (e != NULL) /* one id, two exchanges: the front is confused, none of them is to be trusted */
        give_up(e);
    if (throttle_refuses(&d->throttle, counted(d, m->client), (struct str){0}, clock_monotonic())) {
        metric_add(&refused, 1);
        answer(d, from, m->id, AUTH_SLOW_DOWN);
        return;
    }
    if (too_many(d, from)) {
        answer(d, from, m->id, AUTH_TEMPFAIL);
        return;
    }
    e = xcalloc(1, sizeof *e);
    world.arg = e;
    e->sasl = sasl_new(d->sasl, &world, m->mechanism, m->tls_unique, m->tls_exporter);
    if (e->sasl == NULL) {
        free(e);
        answer(d, from, m->id, AUTH_BAD_REQUEST);
        return;
    }
    e->d = d;
    e->channel = from;
    e->id = m->id;
    e->begun = clock_monotonic();
    keep(e->service, sizeof e->service, m->service);
    keep(e->client, sizeof e->client, m->client);
    map_add(&d->exchanges, &e->node, key_of(from, m->id));
    list_add_last(&d->exchange_order, &e->link);
    metric_set(&open_exchanges, (int64_t)d->exchanges.count);
    step(e, m->has_initial ? m->initial : (struct str){0});
}

void on_auth_step(struct role *role, struct channel *from, const struct msg_auth_step *m)
{
    struct exchange *e = find(role_state(role), from, m->id);

    if (e != NULL && e->sasl != NULL)
        step(e, m->data);
}

void on_auth_cancel(struct role *role, struct channel *from, const struct msg_auth_cancel *m)
{
    struct exchange *e = find(role_state(role), from, m->id);

    if (e != NULL)
        give_up(e);
}

int64_t auth_under_way(const struct directory *d)
{
    int64_t n = 0;

    LIST_EACH(&d->exchange_order, it)
        n++;
    return n;
}

void auth_peer_gone(struct directory *d, struct channel *c)
{
    LIST_EACH(&d->exchange_order, it)
    {
        struct exchange *e = CONTAINER(it, struct exchange, link);

        if (e->channel == c)
            give_up(e);
    }
}

/* The list is in order of age, so the first young one ends the walk. */
static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    struct directory *d = arg;
    int64_t oldest = clock_monotonic() - exchange_time;

    (void)fd;
    (void)what;
    LIST_EACH(&d->exchange_order, it)
    {
        struct exchange *e = CONTAINER(it, struct exchange, link);

        if (e->begun > oldest)
            return;
        answer(e->d, e->channel, e->id, AUTH_BAD_REQUEST);
        end(e);
    }
}

void auth_open(struct directory *d)
{
    const struct config *c = role_config(d->role);
    struct timeval every = {5, 0};

    metric_show(&succeeded);
    metric_show(&failed);
    metric_show(&refused);
    metric_show(&duration);
    map_init(&d->exchanges);
    list_init(&d->exchange_order);
    password_cache_init(&d->passwords);
    throttle_init(&d->throttle, c->limits.login_failures, c->limits.ban_time);
    d->sasl = sasl_library_new();
    d->sweep = event_new(role_base(d->role), -1, EV_PERSIST, on_sweep, d);
    if (d->sweep == NULL || event_add(d->sweep, &every) != 0)
        fatal("auth: no timer");
}
