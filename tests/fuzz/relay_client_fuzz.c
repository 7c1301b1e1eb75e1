/* A hostile SMTP or LMTP server against the client machine. Byte 0 says what the session is like, byte
 * 1 what the message is like; the rest are the server's words, in pieces that end at each NUL. A piece
 * that begins with octet 1 is about our side: what the message is, and when the session is to end. The
 * promises of client.h are asserted: one verdict a recipient and transaction, nothing after `failed`,
 * and no argument of a command that ends it. */
#include "roles/relay/client.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RCPTS = 3, TRANSACTIONS = 4 };

struct run {
    struct client *client;
    struct client_message message;
    struct client_rcpt rcpts[RCPTS], *list[RCPTS];
    int settled[RCPTS];
    unsigned transactions, pieces;
    bool ready, secure_next, want_body, failed, open, verify;
    size_t sent;
    struct str rcpt;
};

/* MAIL and RCPT are lines that nothing in their arguments ends. */
static void check_envelope(struct str bytes)
{
    static const struct str next[] = {STR("MAIL FROM:<"), STR("RCPT TO:<"), STR("DATA\r\n"), STR("BDAT ")};
    struct str line;

    while (str_starts(bytes, next[0]) || str_starts(bytes, next[1])) {
        assert(str_next(&bytes, '\n', &line) && str_ends(line, STR(">\r")) + (str_find(line, ' ') > 0) > 0);
        assert(str_find(line, '\r') == (ptrdiff_t)line.n - 1);
        assert(bytes.n == 0 || str_starts(bytes, next[0]) || str_starts(bytes, next[1]) || str_starts(bytes, next[2]) ||
               str_starts(bytes, next[3]));
    }
}

static void on_send(void *owner, struct str bytes)
{
    struct run *r = owner;

    assert(!r->failed);
    r->sent += bytes.n;
    check_envelope(bytes);
}

static void on_start_tls(void *owner)
{
    ((struct run *)owner)->secure_next = true;
}

static void on_ready(void *owner)
{
    struct run *r = owner;

    assert(!r->failed && !r->open);
    r->ready = true;
}

static void on_settled(void *owner, struct client_rcpt *rcpt, const struct client_outcome *o)
{
    struct run *r = owner;
    size_t i = (size_t)(rcpt - r->rcpts);

    assert(!r->failed && r->open && i < RCPTS && rcpt->state == CLIENT_RCPT_SETTLED);
    assert(++r->settled[i] == 1);
    assert(o->text.n > 0 && (o->status == DELIVERY_RELAYED || o->reason != REASON_NONE));
    /* A yes means that the whole content was offered. */
    assert(o->status != DELIVERY_RELAYED || r->sent > 0);
}

static void on_want_body(void *owner)
{
    ((struct run *)owner)->want_body = true;
}

static void on_done(void *owner)
{
    struct run *r = owner;

    assert(r->open && !r->failed);
    r->open = false;
    r->want_body = false;
    for (size_t i = 0; i < RCPTS; i++)
        assert(r->rcpts[i].state != CLIENT_RCPT_ACCEPTED);
}

static void on_failed(void *owner, const struct client_failure *failure)
{
    struct run *r = owner;

    assert(!r->failed && failure->outcome.text.n > 0);
    r->failed = true;
}

static void on_wait(void *owner, enum client_wait what)
{
    (void)owner;
    (void)what;
}

static const struct client_world world = {
    on_send, on_start_tls, on_ready, on_settled, on_want_body, on_done, on_failed, on_wait};

static void begin(struct run *r)
{
    r->ready = false;
    r->open = true;
    r->pieces = 0;
    r->transactions++;
    for (size_t i = 0; i < RCPTS; i++) {
        r->rcpts[i] = (struct client_rcpt){.address = i == 2 ? STR("\xc3\xa4@x.test") : i == 1 && r->rcpt.n > 0 ? r->rcpt : STR("a@x.test"),
            .orcpt = STR("rfc822;a@x.test"), .notify = i};
        r->list[i] = &r->rcpts[i];
        r->settled[i] = 0;
    }
    if (client_must_scan(r->client, &r->message))
        message_scan(r->message.body, &r->message.header_bits, &r->message.body_bits);
    assert(client_rcpt_max(r->client) > 0);
    client_begin(r->client, &r->message, r->list, RCPTS);
}

/* Does what the machine asked for, as the shell would. */
static void follow(struct run *r)
{
    while (!r->failed) {
        if (r->secure_next) {
            r->secure_next = false;
            client_secured(r->client, r->verify);
        } else if (r->want_body) {
            r->want_body = false;
            r->pieces++;
            client_body(r->client, STR("A: b\r\n.x\r\n\r."), r->pieces == 3);
        } else if (r->ready && r->transactions < TRANSACTIONS) {
            begin(r);
        } else {
            break;
        }
    }
}

static struct client_settings settings_of(uint8_t b, struct run *r)
{
    static const enum route_tls modes[] = {TLS_OPPORTUNISTIC, TLS_NONE, TLS_REQUIRED, TLS_IMPLICIT};

    r->verify = b & 0x80;
    return (struct client_settings){.lmtp = b & 1, .tls = modes[b >> 1 & 3], .require_tls = b & 8,
        .auth_in_clear = true, .hello = STR("me.test"), .has_login = b & 16, .user = STR("u"), .secret = STR("p")};
}

/* Our side. */
static void turn(struct run *r, struct str piece)
{
    struct str text = str_skip(piece, 2);

    switch (piece.n < 2 ? 0 : piece.p[1]) {
    case 'q':
        if (r->ready || client_is_ready(r->client))
            client_quit(r->client);
        break;
    case 's':
        r->message.sender = text;
        break;
    case 'r':
        r->rcpt = text;
        break;
    case 'u':
        r->message.header_bits = r->message.body_bits = BITS_UNKNOWN;
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client_settings settings;
    struct run r = {0};
    struct str rest, piece;

    if (size < 2)
        return 0;
    settings = settings_of(data[0], &r);
    r.message = (struct client_message){.flags = (uint64_t)data[1] << 1, .size = 30, .priority = 9,
        .sender = STR("s@y.test"), .envid = STR("e"), .body = STR("A: b\r\n\r\n.x\n.\r\n"), .body_whole = data[1] & 1,
        .header_bits = BITS_SEVEN, .body_bits = data[0] & 32 ? BITS_EIGHT : BITS_SEVEN, .has_by = data[0] & 64,
        .by_seconds = 100};
    r.client = client_new(&settings, &world, &r);
    client_connected(r.client);
    follow(&r);
    rest = (struct str){(const char *)data + 2, size - 2};
    while (!r.failed && rest.n > 0 && str_next(&rest, '\0', &piece)) {
        if (piece.n > 0 && piece.p[0] == 1)
            turn(&r, piece);
        else
            client_input(r.client, piece);
        follow(&r);
    }
    if (!r.failed)
        client_lost(r.client, data[0] & 1, false, "end");
    assert(r.failed);
    client_free(r.client);
    return 0;
}
