/* Two IMAP clients, deliveries and time on a small mailbox, and a client of another account, ann, to whom some of it may be granted.
 * Each line of the input does something: "0...", "1..." and, of ann, "2..." are lines of the clients (CRLF is added), "@" gives turns, "#" commits and syncs, "!" delivers, "^0", "^1" and "^2" lose a
 * connection and make a new one, "~" makes turns short or long, "=N" is the limit of messages for clients that come from then on, "-" lets a transaction fail. What a client gets must be
 * well-formed, no number may be above what it was told exists, and the account must be sound at the end. */
#include "../unit/imap_cache.h"
#include "../unit/imap_world.h"
#include "base/log.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENTS = 3 };
static struct imap_cache caches[CLIENTS];

static void come(unsigned c)
{
    client_open_as(c, IMAP_WORLD_ACCOUNT + (c == 2));
}

static void hear(unsigned c)
{
    cache_feed(&caches[c], client_got(c));
    if (!imap_clients[c].open) {
        cache_lost(&caches[c]);
        caches[c].n = 0;
        come(c);
    }
}

static void say(unsigned c, struct str line)
{
    if (line.n > 2000 || caches[c].rest.n > 1 << 20)
        return;
    client_say_bytes(c, line);
    client_say(c, "\r\n");
    world_turn();
    world_turn();
}

static void lose(unsigned c)
{
    client_close(c);
    hear(c);
}

static void somebody_fails(void)
{
    struct err err = {0};

    err_set(&err, ERR_TEMPORARY, "somebody's storage failed");
    box_fail(world_box(), &err);
}

static void act(struct str line)
{
    char what = line.n > 0 ? line.p[0] : '@';

    switch (what) {
    case '0': case '1': case '2': say((unsigned)(what - '0'), str_skip(line, 1)); break;
    case '#': world_flush(); break;
    case '!': world_deliver(STR("A: b\r\nSubject: d\r\n\r\nx\r\n")); break;
    case '^': lose(line.n > 1 && line.p[1] > '0' && line.p[1] <= '2' ? (unsigned)(line.p[1] - '0') : 0); break;
    case '~': world_tick = world_tick == 0 ? 2000 : 0; break;
    case '-': somebody_fails(); break;
    case '=': world_message_limit = line.n > 1 && line.p[1] >= '0' && line.p[1] <= '9' ? line.p[1] - '0' : 0; break;
    default: world_turn();
    }
    for (unsigned c = 0; c < CLIENTS; c++)
        hear(c);
}

static void run(struct str input)
{
    unsigned actions = 0;

    while (input.n > 0 && actions++ < 60) {
        ptrdiff_t end = str_find(input, '\n');
        size_t n = end < 0 ? input.n : (size_t)end;

        act(str_sub(input, 0, n));
        input = str_skip(input, end < 0 ? n : n + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_set(LOG_LEVEL_ERROR, false);
    if (size > 16 * 1024)
        return 0;
    imap_world_open("imap_session_fuzz");
    world_fill(3);
    for (unsigned c = 0; c < CLIENTS; c++) {
        cache_init(&caches[c]);
        caches[c].lax = true;
        come(c);
    }
    run(str_from((const char *)data, size));
    world_tick = 0;
    world_flush();
    for (unsigned c = 0; c < CLIENTS; c++) {
        hear(c);
        cache_clear(&caches[c]);
    }
    if (imap_world_close() != 0)
        abort();
    return 0;
}
