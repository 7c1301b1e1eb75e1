/* The access role between a client, directory and mailbox, all strangers: u16 length, one byte for who
 * speaks (client, directory, mailbox) and what happens then, then the bytes or the frame. */
#include "../unit/access_world.h"
#include "base/log.h"
#include "roles/access/imap_login.h"
#include "roles/access/pop3_login.h"

#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MOST = 200, CLIENTS = 3 };

static int clients[CLIENTS];
static size_t current;

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
        access_peer_gone(NULL, world_directory);
        break;
    case 5:
        access_peer_gone(NULL, world_mailbox);
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

static void step(unsigned choice, struct str bytes)
{
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
