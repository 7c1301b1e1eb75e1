/* The access role between a client, directory and mailbox, all strangers: u16 length, one byte for who
 * speaks (client, directory, mailbox), what happens then and what happened before, then the bytes or the
 * frame. */
#include "../unit/access_world.h"
#include "base/log.h"
#include "roles/access/imap_login.h"
#include "roles/access/pop3_login.h"

#include <event2/event.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MOST = 200, CLIENTS = 3 };

static int clients[CLIENTS];
static size_t current;
static struct channel *directory, *mailbox;

static void connect_client(const char *ip)
{
    current = (current + 1) % CLIENTS;
    if (clients[current] >= 0)
        close(clients[current]);
    clients[current] = world_connect(ip);
}

static void listen_client(void)
{
    char sink[65536];

    while (recv(clients[current], sink, sizeof sink, MSG_DONTWAIT) > 0)
        ;
}

static void dispatch(struct channel *from, struct str frame)
{
    const char *why = NULL;

    if (from != NULL)
        (void)ipc_dispatch(NULL, from, channel_role(from), ROLE_ACCESS, &access_handlers, frame, &why);
}

static void goes(struct channel *peer)
{
    if (peer != NULL) /* else it is away already */
        access_peer_gone(NULL, peer);
}

static void act(unsigned choice)
{
    switch (choice) {
    case 1:
        connect_client("127.0.0.1");
        break;
    case 2:
        connect_client("192.0.2.1");
        break;
    case 3: /* the next connections come to the other listener, and another client speaks */
        world_protocol = world_protocol == &pop3_login ? &imap_login : &pop3_login;
        current = (current + 1) % CLIENTS;
        break;
    case 4:
        goes(world_directory);
        break;
    case 5:
        goes(world_mailbox);
        break;
    case 6:
        world_backlog = CHANNEL_HIGH + 1;
        break;
    case 7:
        world_drained();
        break;
    default:
        listen_client();
        break;
    }
}

enum { TIMERS_MOST = 64, SECONDS_PASSED = 20 };

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

/* So many seconds later: failed logins are answered, for one. */
static void pass_time(void)
{
    timers.n = 0;
    evutil_gettimeofday(&timers.until, NULL);
    timers.until.tv_sec += SECONDS_PASSED;
    event_base_foreach_event(role_base(NULL), note_timer, NULL);
    for (size_t i = 0; i < timers.n; i++)
        event_active(timers.due[i], EV_TIMEOUT, 1);
    world_run();
}

static void happen(unsigned choice)
{
    switch (choice) {
    case 1:
        pass_time();
        break;
    case 2:
        world_listener.tls_mode = LISTEN_TLS_IMPLICIT;
        break;
    case 3:
        world_mailbox = NULL;
        break;
    case 4:
        world_directory = NULL;
        break;
    case 5:
        world_mailbox = mailbox;
        world_directory = directory;
        break;
    case 6:
        connect_client("203.0.113.9");
        break;
    case 7:
        client_show_metrics();
        break;
    default:
        break;
    }
}

static void step(unsigned choice, struct str bytes)
{
    happen(choice >> 5);
    if ((choice & 3) == 1)
        dispatch(world_directory, bytes);
    else if ((choice & 3) == 2)
        dispatch(world_mailbox, bytes);
    else if (bytes.n > 0)
        (void)!send(clients[current], bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    world_run();
    act(choice >> 2 & 7);
    buf_reset(&world_asked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};
    struct network proxies[] = {{{4, {192, 0, 2, 0}}, 24}};

    log_set(LOG_LEVEL_ERROR, false);
    world_open();
    directory = world_directory;
    mailbox = world_mailbox;
    world_config.limits.connections_per_address = 2;
    world_listener.proxies = (struct network_list){proxies, 1};
    for (size_t i = 0; i < CLIENTS; i++)
        clients[i] = -1;
    connect_client("127.0.0.1");
    for (int i = 0; i < STEPS_MOST && input.n >= 3; i++) {
        size_t n = (size_t)(unsigned char)input.p[0] | (size_t)(unsigned char)input.p[1] << 8;

        if (clients[current] < 0)
            connect_client("127.0.0.1");
        step((unsigned char)input.p[2], str_sub(str_skip(input, 3), 0, n));
        input = str_skip(input, 3 + n);
    }
    world_close();
    for (size_t i = 0; i < CLIENTS; i++)
        if (clients[i] >= 0)
            close(clients[i]);
    return 0;
}
