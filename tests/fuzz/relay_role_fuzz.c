/* The relay as a whole under strange peers, servers that do anything, dying processes and jumps of
 * time, in the world of the unit tests. Each byte is an act; the next ones say how. In the end the
 * world becomes friendly, and every recipient must have got one result (the world itself fails on a
 * second one), every delivery its end, and every connection must be gone. */
#include "../unit/relay_world.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ACTS = 60, DELIVERIES = 120 };

static struct {
    uint64_t id, rcpts;
    bool dropped;
} sent[DELIVERIES];
static size_t sent_n;
static struct str in;
static uint64_t next_n; /* of strange recipients: numbers are queue's business, and never used twice */

static const char *const domains[] = {"x.test", "y.test", "z.test", "two.test", "nowhere.test", "broken.test", "null.test",
    "quiet.test", "[192.0.2.1]", "[IPv6:2001:db8::3]", "b\xc3\xbc.test", "..", "me.test"};
static const char *const hosts[] = {"192.0.2.1", "192.0.2.2:587 192.0.2.1:25", "mx1.test:24", "[2001:db8::3]:25", "", "::::"};
static const char *const verbs[] = {"GREETING", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "END"};
static const char *const says[] = {"CLOSE", "HANG", "421 4.3.2 bye", "451 4.0.0 later", "452 4.5.3 many", "550 5.1.1 no", "552 big",
    "250 ok", "354 go", "220 hi", "334 ", "999 what", "nonsense"};
static const char *const offers[] = {"", "PIPELINING", "PIPELINING|STARTTLS", "STARTTLS|REQUIRETLS|PIPELINING|8BITMIME|SMTPUTF8",
    "AUTH PLAIN LOGIN SCRAM-SHA-256|STARTTLS", "SIZE 10|LIMITS RCPTMAX=1 MAILMAX=2|PIPELINING", "DSN|DELIVERBY 5|MT-PRIORITY"};

#define PICK(list) list[number() % (sizeof(list) / sizeof(list)[0])]

static uint8_t number(void)
{
    uint8_t b = in.n ? (uint8_t)in.p[0] : 0;

    in = str_skip(in, 1);
    return b;
}

static void deliver(void)
{
    static const char *const rcpts[] = {"a@x", "a@x b@x", "a@x b@x c@x d@x", "\xc3\xa4@x a@x"};
    static const char *const senders[] = {"s@me.test", "a@me.test", "b@me.test", ""};
    struct msg_deliver_remote m = world_message(PICK(domains));
    uint8_t people = number(), how;
    const char *who = rcpts[people % 4];

    m.sender = str_of(senders[people / 4 % 4]);
    how = number();

    if (sent_n == DELIVERIES)
        return;
    m.flags = (uint64_t)how << 1;
    if (how & 64)
        m.flags |= TXN_TLS_OPTIONAL;
    m.route = how & 1 ? number() % 4 : ROUTE_MX;
    m.tls = number() % 6;
    m.hosts = m.route ? str_of(PICK(hosts)) : (struct str){0};
    if (m.hosts.n)
        m.destination = m.hosts;
    m.credential = how & 128 ? 3 : 0;
    m.pool = how & 64 ? STR("m") : (struct str){0};
    m.deliver_by = how & 32 ? world.now + 10 * SECOND : 0;
    if (how & 16) {
        m.body = (struct str){0};
        m.size = world.big.n;
    }
    sent[sent_n].id = world_deliver(&m, who);
    sent[sent_n].dropped = false;
    sent[sent_n].rcpts = 1;
    for (const char *p = who; *p; p++)
        sent[sent_n].rcpts += *p == ' ';
    sent_n++;
}

static void strange_message(void)
{
    struct channel *from = role_peer(NULL, ROLE_QUEUE, 0);
    uint64_t id = sent_n ? sent[number() % sent_n].id : number();
    struct str bytes = str_sub(in, 0, number());
    uint8_t kind = number();

    switch (kind < 240 ? kind % 7 : 7 + kind % 2) {
    case 7:
        relay_handlers.deliver_stored(NULL, from, &(struct msg_deliver_stored){id});
        break;
    case 8:
        relay_handlers.told_stored(NULL, from, &(struct msg_told_stored){id});
        break;
    case 0:
        relay_handlers.deliver_go(NULL, from, &(struct msg_deliver_go){id});
        break;
    case 1:
        relay_handlers.deliver_rcpt(NULL, from, &(struct msg_deliver_rcpt){.id = id, .n = next_n++, .address = bytes});
        break;
    case 2:
        relay_handlers.body_chunk(NULL, from, &(struct msg_body_chunk){id, number(), bytes});
        break;
    case 3:
        relay_handlers.dns_reply(NULL, from, &(struct msg_dns_reply){.id = id, .status = number(), .records = bytes, .ttl = id});
        break;
    case 4:
        relay_handlers.secret_reply(NULL, from, &(struct msg_secret_reply){id, 1, bytes, bytes});
        break;
    case 5:
        relay_handlers.pools_reply(NULL, from, &(struct msg_pools_reply){id, bytes});
        break;
    default:
        relay_handlers.deliver_remote(NULL, from, &(struct msg_deliver_remote){.id = id, .domain = bytes});
    }
}

static void change_server(void)
{
    struct server *s = &world.servers[number() % world.server_n];
    uint8_t how = number();

    s->refuses = how & 1;
    s->silent = how & 2;
    s->broken_tls = how & 4;
    s->bad_certificate = how & 8;
    snprintf(s->offers, sizeof s->offers, "%s", PICK(offers));
}

static void add_rule(void)
{
    struct server *s = &world.servers[number() % world.server_n];
    struct rule *r = &s->rules[number() % WORLD_RULES];
    uint8_t times = number();

    *r = (struct rule){.times = times < 200 ? 1 + times % 4 : 99}; /* 99: it rests */
    snprintf(r->verb, sizeof r->verb, "%s", PICK(verbs));
    snprintf(r->says, sizeof r->says, "%s", PICK(says));
}

static void queue_ends(void)
{
    world_queue(false);
    world_queue(true);
    for (size_t i = 0; i < sent_n; i++)
        sent[i].dropped |= !world_has_result(sent[i].id, 0) || sent[i].rcpts > 1;
}

static void peers_change(void)
{
    uint8_t how = number();

    world.resolver_down = how & 1;
    world.directory_down = how & 2;
    world.no_secret = how & 4;
    world.big_ends = how & 8 ? 100 : 0;
    if (how & 16)
        world_events(world.events_down);
    if (!world.resolver_down)
        relay_peer_up(NULL, role_peer(NULL, ROLE_RESOLVER, 0));
    if (world.directory_down)
        world.directory_down = false, relay_peer_gone(NULL, role_peer(NULL, ROLE_DIRECTORY, 0)), world.directory_down = true;
}

static void act(void)
{
    switch (number() % 8) {
    case 0:
    case 1:
        deliver();
        break;
    case 2:
        strange_message();
        break;
    case 3:
        change_server();
        break;
    case 4:
        add_rule();
        break;
    case 5:
        world_pass((int64_t)number() * SECOND);
        break;
    case 6:
        if (number() & 7)
            world_time_out();
        else
            queue_ends();
        break;
    default:
        peers_change();
    }
    if (number() & 1)
        world_run();
}

static void become_friendly(void)
{
    world.resolver_down = world.directory_down = false;
    world_events(true);
    relay_peer_up(NULL, role_peer(NULL, ROLE_RESOLVER, 0));
    relay_peer_up(NULL, role_peer(NULL, ROLE_DIRECTORY, 0));
    for (size_t i = 0; i < world.server_n; i++) {
        memset(world.servers[i].rules, 0, sizeof world.servers[i].rules);
        world.servers[i].silent = world.servers[i].refuses = false;
    }
    for (int i = 0; i < 60 && world.relay.deliveries.count > 0; i++) {
        world_pass(61 * SECOND);
        world_time_out();
    }
}

/* Nothing rests for longer than a minute, whatever happened before. */
static void try_once_more(void)
{
    uint64_t id;

    world_pass(61 * SECOND);
    for (int i = 0; i < 2; i++) {
        id = world_send(i ? "x.test" : "z.test", "a@x");
        world_run();
        for (int wait = 0; wait < 60 && !world_has_result(id, 0); wait++)
            world_time_out();
        if (strstr(world_result(id, 0)->text, "not tried for ") != NULL)
            fail_msg("it still rests");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const policies[] = {NULL, "version: STSv1\nmode: enforce\nmx: mx1.test\nmx: mx3.test\nmax_age: 9999\n",
        "version: STSv1\nmode: testing\nmx: mx2.test\nmax_age: 9999\n", "no policy"};
    static const char *const tlsa[] = {"", "_25._tcp.mx1.test TLSA 3 1 1 good\n_25._tcp.mx2.test TLSA 1 1 1 good\n", "_25._tcp.mx3.test FAIL\n",
        "_25._tcp.mx4.test TLSA 3 0 1 good\n_mta-sts.x.test TXT v=STSv1; id=1;\n"};
    static char big[5000];
    uint8_t kind;

    in = (struct str){(const char *)data, size};
    sent_n = 0;
    next_n = 1000;
    memset(big, 'x', sizeof big);
    world_open("log_level = \"error\"\nrelay { connections = 6 }\n");
    kind = number();
    world.secure_zone = kind & 1;
    world.policy = policies[kind >> 1 & 3];
    snprintf(world.pools, sizeof world.pools, "m 198.51.100.1 1 a.me.test\nm 2001:db8::99 2 b.me.test\n");
    world.big = (struct str){big, sizeof big};
    snprintf(world.zone, sizeof world.zone,
        "x.test MX 10 mx1.test\nx.test MX 20 mx2.test\nmx1.test A 192.0.2.1\nmx2.test A 192.0.2.2\ny.test MX 10 mx2.test\n"
        "y.test MX 20 mx1.test\nz.test MX 10 mx3.test\nmx3.test AAAA 2001:db8::3\nmx3.test A 192.0.2.3\n"
        "two.test MX 10 mx4.test\nmx4.test A 192.0.2.1\nmx4.test A 192.0.2.2\nbroken.test FAIL\nnull.test MX 0 .\nquiet.test SILENT\n"
        "xn--b-eha.test A 192.0.2.1\nme.test A 192.0.2.1\n");
    snprintf(world.zone + strlen(world.zone), sizeof world.zone - strlen(world.zone), "%s", tlsa[kind >> 3 & 3]);
    world_server("192.0.2.1", "PIPELINING|STARTTLS");
    world_server("192.0.2.2", "PIPELINING");
    world_server("192.0.2.3", "");
    world_server("2001:db8::3", "PIPELINING|STARTTLS|8BITMIME");
    world_run();
    for (int i = 0; i < ACTS && in.n > 0; i++)
        act();
    become_friendly();
    for (size_t i = 0; i < sent_n; i++)
        for (uint64_t n = 0; n < sent[i].rcpts && !sent[i].dropped; n++)
            if (!world_has_result(sent[i].id, n))
                fail_msg("recipient %d of delivery %d got no result", (int)n, (int)sent[i].id);
    try_once_more();
    relay_peer_gone(NULL, role_peer(NULL, ROLE_QUEUE, 0));
    world_close();
    return 0;
}
