/* The smtp role as a receiver: any frames from its peers, between any bytes of its clients, in any order,
 * with peers that die and come back. Input: a list of steps, each a byte that says what happens, a length
 * byte, and so many bytes of text or frame. The server must not crash, and must send only what it may.
 * Bytes from AROUND are about the process itself: its configuration, time, its end. */
#include "../unit/smtp_world.h"

#include "base/clock.h"
#include "base/log.h"

#include <event2/event.h>
#include <signal.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step { CLIENT_TALKS, FRAME, FRAME_TO_LAST_ID, PEER_DIES, PEER_RETURNS, HANG_UP, SWEEP, STEPS };
enum { CLIENTS = 2 };

enum around { AROUND = 0xf0, RELOADED = AROUND, TIME_PASSES, TOLD_TO_DRAIN };
enum { CONFIGS = 6, TIMERS_MOST = 64 };

static const char config[] = "hostname = \"mail.test\"\nrelay_networks = {\"192.0.2.0/24\"}\n"
                             "listen \"x\" { service = \"submission\" address = {\"127.0.0.1\"} }\n";

#define LISTEN(service, limits, more)                                                              \
    "hostname = \"mail.test\"\nlimits { login_failures = 2 connections_per_address = 1 messages_per_address = 2 "   \
    "recipients_per_address = 3 " limits " }\nlisten \"x\" { service = \"" service "\" address = {\"127.0.0.1\"} " more " }\n"

/* What a reload makes of the server, by the length of the step. */
static const struct {
    const char *text;
    enum service service;
} configs[CONFIGS] = {
    {config, SERVICE_SUBMISSION},
    {LISTEN("mx", "", "xclient_from = {\"127.0.0.1\"}"), SERVICE_MX},
    {LISTEN("lmtp", "", ""), SERVICE_LMTP},
    {LISTEN("mx", "", "proxy_from = {\"127.0.0.1\"}"), SERVICE_MX},
    {LISTEN("submission", "", "proxy_from = {\"127.0.0.1\"}"), SERVICE_SUBMISSION},
    {LISTEN("mx", "greeting_delay = \"1s\"", "proxy_from = {\"127.0.0.1\"}"), SERVICE_MX},
};

static struct channel *peer(struct role *role, uint8_t which)
{
    struct channel *all[] = {
        &role->directory[0], &role->directory[1], &role->filter[0], &role->filter[1], &role->events};

    return all[which % 5];
}

/* A malformed frame ends the real process: here it is passed over. */
static void frame(struct role *role, struct channel *from, struct str bytes)
{
    const char *why;

    if (from->up)
        (void)!ipc_dispatch(role, from, from->peer, ROLE_SMTP, &smtp_handlers, bytes, &why);
}

/* Well-formed answers with the ids in use, which blind bytes would hardly ever hit. */
static void answer(struct role *role, struct str bytes)
{
    uint8_t kind = bytes.n > 0 ? (uint8_t)bytes.p[0] : 0, value = bytes.n > 1 ? (uint8_t)bytes.p[1] : 0;
    struct str text = str_skip(bytes, 2);
    struct buf out;

    for (uint8_t i = 0; i < 5; i++)
        world_sent(role, peer(role, i)); /* learns the ids */
    buf_init(&out, 1 << 16);
    if (kind % 5 == 0)
        ipc_encode_rcpt_reply(&out, &(struct msg_rcpt_reply){role->last_ask, value % 9, value & 1, value / 2 & 1, text});
    else if (kind % 5 == 1)
        ipc_encode_sender_reply(&out, &(struct msg_sender_reply){role->last_ask, value & 1, value & 2});
    else if (kind % 5 == 2)
        ipc_encode_auth_challenge(&out, &(struct msg_auth_challenge){role->last_ask, text});
    else if (kind % 5 == 3)
        ipc_encode_auth_done(&out, &(struct msg_auth_done){.id = role->last_ask, .result = value % 7, .account = 1,
                                       .rights = 3, .login = STR("u"), .data = value & 8 ? text : STR("")});
    else
        ipc_encode_txn_done(&out, &(struct msg_txn_done){role->last_txn, value & 1 ? 250 : 100u + value * 4, text});
    for (uint8_t i = 0; i < 4; i++)
        frame(role, peer(role, kind % 5 == 4 ? 2 + i % 2 : i % 2), str_skip(buf_str(&out), 4));
    buf_clear(&out);
}

static void run_step(struct role *role, int *fds, enum step step, uint8_t which, struct str bytes)
{
    struct channel *c = peer(role, which);

    switch (step) {
    case CLIENT_TALKS:
        world_write(role, fds[which % CLIENTS], bytes);
        break;
    case FRAME:
        frame(role, c, bytes);
        break;
    case FRAME_TO_LAST_ID:
        answer(role, bytes);
        break;
    case PEER_DIES:
        if (c->up)
            world_drop(role, c);
        break;
    case PEER_RETURNS:
        c->up = true;
        c->backlog = which & 16 ? CHANNEL_HIGH + 1 : 0;
        if (c->drained != NULL)
            c->drained(role, c);
        break;
    case HANG_UP:
        close(fds[which % CLIENTS]);
        fds[which % CLIENTS] = world_connect(role);
        break;
    case SWEEP:
        server_sweep(&role->server);
        break;
    case STEPS:
        break;
    }
    world_turn(role);
}

static void reload(struct role *role, size_t n)
{
    world_reload(role, configs[n % CONFIGS].text);
    if (role->server.door_count > 0)
        role->server.doors[0].service = configs[n % CONFIGS].service;
}

static struct timers {
    struct event *due[TIMERS_MOST];
    size_t n;
    struct timeval until;
} timers;

static int note_timer(const struct event_base *base, const struct event *e, void *arg)
{
    struct timeval at;

    (void)base, (void)arg;
    if (event_get_fd(e) < 0 && event_pending(e, EV_TIMEOUT, &at) && evutil_timercmp(&at, &timers.until, <) &&
        timers.n < TIMERS_MOST)
        timers.due[timers.n++] = (struct event *)(uintptr_t)e;
    return 0;
}

/* What is due within so many minutes comes now, and what is asked was asked that much earlier. */
static void pass_time(struct role *role, size_t minutes)
{
    LIST_EACH(&role->server.crowd.members, it) {
        struct client *c = CONTAINER(it, struct client, member.link);

        if (c->since != 0)
            c->since -= (int64_t)minutes * MINUTE;
    }
    timers.n = 0;
    evutil_gettimeofday(&timers.until, NULL);
    timers.until.tv_sec += (time_t)minutes * 60;
    event_base_foreach_event(role->base, note_timer, NULL);
    for (size_t i = 0; i < timers.n; i++)
        event_active(timers.due[i], EV_TIMEOUT, 1);
}

static void happen(struct role *role, uint8_t what, size_t n)
{
    if (what == RELOADED)
        reload(role, n);
    else if (what == TIME_PASSES)
        pass_time(role, n);
    else if (what == TOLD_TO_DRAIN)
        server_drain(&role->server, 1000000);
    world_turn(role);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct role *role;
    int fds[CLIENTS];
    size_t at = 0;

    signal(SIGPIPE, SIG_IGN);
    log_set(LOG_LEVEL_ERROR, false);
    role = world_new(config);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = world_connect(role);
    for (int i = 0; at + 2 <= size && i < 100; i++) {
        uint8_t what = data[at];
        size_t n = data[at + 1], left = size - at - 2;

        n = n < left ? n : left;
        if (what >= AROUND)
            happen(role, what, n);
        else
            run_step(role, fds, (enum step)(what % STEPS), what / STEPS, str_from((const char *)data + at + 2, n));
        at += 2 + n;
    }
    server_drain(&role->server, 1000000);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    world_turn(role);
    world_free(role);
    return 0;
}
