/* The resolver: answers the DNS questions of all roles through libunbound, validated and cached. It
 * talks to name servers only; files are read before the sandbox closes. */
#include "backend.h"
#include "lookup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "ipc/role.h"

#include <event2/event.h>

struct resolver {
    struct role *role;
    struct backend *backend;
    struct backend_files files;
    struct questions questions;
    struct lookups lookups;
    struct event *timer;
};

static const struct questions_limits limits = {
    .active = 1024, .all = 20000, .waiters = 50000, .within = 20 * SECOND};

static struct metric answers[] = {
    [DNS_OK] = METRIC_COUNTER_L("staffetta_resolver_answers_total", "status=\"ok\"", "DNS questions answered."),
    [DNS_NXDOMAIN] = METRIC_COUNTER_L("staffetta_resolver_answers_total", "status=\"nxdomain\"",
        "DNS questions answered."),
    [DNS_NODATA] = METRIC_COUNTER_L("staffetta_resolver_answers_total", "status=\"nodata\"", "DNS questions answered."),
    [DNS_SERVFAIL] = METRIC_COUNTER_L("staffetta_resolver_answers_total", "status=\"servfail\"",
        "DNS questions answered."),
    [DNS_TIMEOUT] = METRIC_COUNTER_L("staffetta_resolver_answers_total", "status=\"timeout\"",
        "DNS questions answered."),
    [DNS_BOGUS] = METRIC_COUNTER_L("staffetta_resolver_answers_total", "status=\"bogus\"", "DNS questions answered."),
};
static struct metric lookups = METRIC_COUNTER("staffetta_resolver_lookups_total",
    "Look-ups started; same questions share one.");
static struct metric open_questions = METRIC_GAUGE("staffetta_resolver_questions",
    "Questions being looked up or waiting.");
static struct metric latency = METRIC_HISTOGRAM("staffetta_resolver_seconds", "Time a look-up took.");

static void arm_timer(struct resolver *r)
{
    int64_t now = clock_monotonic();
    int64_t next = questions_expire(&r->questions, now);
    int64_t wait = next > now ? next - now : SECOND / 10;

    metric_set(&open_questions, (int64_t)r->questions.all.count);
    if (next == 0)
        event_del(r->timer);
    else if (!event_pending(r->timer, EV_TIMEOUT, NULL))
        event_add(r->timer, &(struct timeval){wait / SECOND, wait % SECOND});
}

static void on_timer(int fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    arm_timer(arg);
}

static bool start_lookup(void *world, struct question *q)
{
    struct resolver *r = world;

    metric_add(&lookups, 1);
    return backend_start(r->backend, q);
}

static void cancel_lookup(void *world, struct question *q)
{
    struct resolver *r = world;

    backend_cancel(r->backend, q);
}

static void send_answer(void *world, struct channel *to, const struct msg_dns_reply *reply)
{
    struct resolver *r = world;

    metric_add(&answers[reply->status], 1);
    if (to == NULL)
        lookups_answer(&r->lookups, reply);
    else
        ipc_send_dns_reply(to, reply);
}

static const struct questions_world world_calls = {start_lookup, cancel_lookup, send_answer};

static void on_answer(void *owner, struct question *q, const struct msg_dns_reply *reply)
{
    struct resolver *r = owner;

    metric_observe(&latency, limits.within - (q->deadline - clock_monotonic()));
    log_debug("dns", "name=%s type=%u status=%d text=%.*s", q->name, q->type, (int)reply->status,
        STR_ARG(reply->text));
    questions_answer(&r->questions, q, reply);
}

static void on_dns_ask(struct role *role, struct channel *from, const struct msg_dns_ask *ask)
{
    struct resolver *r = role_state(role);

    questions_ask(&r->questions, from, ask, clock_monotonic());
    arm_timer(r);
}

static void on_peer_gone(struct role *role, struct channel *peer)
{
    struct resolver *r = role_state(role);

    questions_peer_gone(&r->questions, peer);
    lookups_peer_gone(&r->lookups, peer);
}

static void on_control_ask(struct role *role, struct channel *from, const struct msg_control_ask *m)
{
    struct resolver *r = role_state(role);

    lookups_on_ask(&r->lookups, from, m);
}

static void on_control_cancel(struct role *role, struct channel *from, const struct msg_control_cancel *m)
{
    struct resolver *r = role_state(role);

    lookups_on_cancel(&r->lookups, from, m->id);
}

static void on_lookup(void *owner)
{
    arm_timer(owner);
}

static void on_verify(struct role *role, struct verification *v)
{
    const struct questions *qs = &((struct resolver *)role_state(role))->questions;

    verify_questions(v, "DNS questions that came, and answered, being looked up or their asker gone", &qs->book,
        questions_waiting(qs));
}

static bool open_backend(struct resolver *r, struct err *err)
{
    return backend_new(&r->backend, role_base(r->role), role_config(r->role), &r->files, on_answer, r, err);
}

/* New servers count from now on. The files cannot be read again from inside the sandbox. */
static void on_reload(struct role *role)
{
    struct resolver *r = role_state(role);
    struct backend *old = r->backend;
    struct err err = {0};

    questions_suspend(&r->questions);
    if (!open_backend(r, &err)) {
        log_error("reload", "reason=%s", err.text);
        r->backend = old;
    } else {
        backend_free(old);
    }
    questions_resume(&r->questions);
    arm_timer(r);
}

static void on_drain(struct role *role, int64_t within)
{
    (void)within;
    role_exit(role);
}

static const struct handlers handlers = {.dns_ask = on_dns_ask, .control_ask = on_control_ask, .control_cancel = on_control_cancel};
static const struct role_type resolver_role = {
    .id = ROLE_RESOLVER,
    .handlers = &handlers,
    .sandbox = SANDBOX_CONNECT,
    .peer_gone = on_peer_gone,
    .reload = on_reload,
    .drain = on_drain,
    .verify = on_verify,
};

int main(int argc, char **argv)
{
    struct resolver r = {0};
    struct err err = {0};

    r.role = role_begin(&resolver_role, argc, argv);
    role_set_state(r.role, &r);
    questions_init(&r.questions, &limits, &world_calls, &r);
    lookups_init(&r.lookups, r.role, &r.questions, on_lookup, &r);
    backend_files_read(&r.files, role_config(r.role));
    r.timer = event_new(role_base(r.role), -1, 0, on_timer, &r);
    if (r.timer == NULL || !open_backend(&r, &err))
        fatal("resolver: %s", err.text);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        metric_show(&answers[i]);
    metric_show(&latency);
    role_sandbox(r.role);
    return role_run(r.role);
}
