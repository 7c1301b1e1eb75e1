/* The filter: looks inside messages on their way from smtp to queue. It opens no files and talks to
 * nobody but its peers. */
#include "base/clock.h"
#include "filter.h"

#include <event2/event.h>

static void set_limits(struct filter *f)
{
    const struct config *config = role_config(f->role);

    f->limits.header_size = (size_t)config->limits.header_size;
    f->limits.received_fields = (unsigned)config->limits.received_fields;
}

/* Messages under way keep a view of the name, so the first one is kept for good. */
static void on_reload(struct role *role)
{
    set_limits(role_state(role));
    judgings_set_policy(role_state(role));
}

static void on_peer_up(struct role *role, struct channel *c)
{
    struct filter *f = role_state(role);

    flow_peer_up(f, c);
    if (channel_role(c) == ROLE_RESOLVER)
        judgings_resolver_up(f);
    if (channel_role(c) == ROLE_EVENTS)
        tally_peer_up(&f->tally);
}

static void on_event_ack(struct role *role, struct channel *from, const struct msg_event_ack *m)
{
    struct filter *f = role_state(role);

    (void)from;
    tally_acknowledged(&f->tally, m->seq);
}

static void directory_gone(struct filter *f)
{
    transaction_directory_gone(f);
    reading_directory_gone(f);
}

static void on_peer_gone(struct role *role, struct channel *c)
{
    struct filter *f = role_state(role);

    switch (channel_role(c)) {
    case ROLE_SMTP:
    case ROLE_EVENTS:
    case ROLE_WEB:
        transaction_source_gone(f, c);
        flow_source_gone(f);
        break;
    case ROLE_QUEUE:
        transaction_queue_gone(f, c);
        flow_queue_gone(f, c);
        break;
    case ROLE_DIRECTORY:
        if (channel_copy(c) == 0)
            directory_gone(f);
        break;
    case ROLE_SUPERVISOR:
    case ROLE_RESOLVER:
    case ROLE_FILTER:
    case ROLE_RELAY:
    case ROLE_ACCESS:
    case ROLE_MAILBOX:
    case ROLE_COUNT:
        break;
    }
}

static void on_timer(int fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    judgings_sweep(arg, clock_monotonic());
}

/* Something waits longer than this turn: wake up for it. */
static void on_turn(struct role *role)
{
    struct filter *f = role_state(role);
    int64_t next = judgings_next(f), in;
    struct timeval tv;

    tally_turn(&f->tally, role_peer(role, ROLE_EVENTS, 0));
    if (next == INT64_MAX || evtimer_pending(f->timer, NULL))
        return;
    in = next - clock_monotonic();
    in = in > 0 ? in : 0;
    tv = (struct timeval){.tv_sec = in / SECOND, .tv_usec = in % SECOND};
    event_add(f->timer, &tv);
}

/* smtp was drained before us: nobody waits for an answer any more. */
static void on_drain(struct role *role, int64_t within)
{
    (void)within;
    role_exit(role);
}

static void on_verify(struct role *role, struct verification *v)
{
    const struct filter *f = role_state(role);

    verify_equal(v, "250s of queue, and passed on or nobody left to hear", f->accepted, f->passed_on + f->unheard,
        "an answer was lost in filter: report this, with the log");
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    transaction_give_up(arg, clock_monotonic());
}

static void start_sweep(struct filter *f)
{
    struct timeval pause = {5, 0};

    f->sweep = event_new(role_base(f->role), -1, EV_PERSIST, on_sweep, f);
    if (f->sweep == NULL || event_add(f->sweep, &pause) != 0)
        fatal("filter: no timer");
}

static const struct handlers handlers = {
    .txn_begin = transaction_on_begin,
    .txn_rcpt = transaction_on_rcpt,
    .txn_chunk = transaction_on_chunk,
    .txn_end = transaction_on_end,
    .txn_abort = transaction_on_abort,
    .txn_done = transaction_on_done,
    .sender_reply = transaction_on_sender_reply,
    .dkim_keys_reply = transaction_on_keys_reply,
    .dkim_sign_reply = transaction_on_sign_reply,
    .dns_reply = judging_on_dns_reply,
    .event_ack = on_event_ack,
    .rcpt_reply = reading_on_rcpt_reply,
    .queue_state = flow_on_queue_state,
};

static const struct role_type filter_role = {
    .id = ROLE_FILTER,
    .handlers = &handlers,
    .sandbox = 0,
    .peer_up = on_peer_up,
    .peer_gone = on_peer_gone,
    .reload = on_reload,
    .drain = on_drain,
    .turn = on_turn,
    .verify = on_verify,
};

int main(int argc, char **argv)
{
    struct filter f = {0};

    f.role = role_begin(&filter_role, argc, argv);
    role_set_state(f.role, &f);
    f.hostname = str_dup(role_config(f.role)->hostname);
    set_limits(&f);
    list_init(&f.open);
    map_init(&f.by_source);
    map_init(&f.by_id);
    questions_init(&f.questions);
    start_sweep(&f);
    judgings_init(&f);
    readings_init(&f);
    tally_init(&f.tally, role_copy(f.role));
    f.timer = event_new(role_base(f.role), -1, 0, on_timer, &f);
    if (f.timer == NULL)
        fatal("out of memory");
    transaction_show_metrics();
    judgings_show_metrics();
    role_sandbox(f.role);
    return role_run(f.role);
}
