/* The session half of the SMTP client: greeting, EHLO, TLS, login, and which handler a reply belongs
 * to. The server is hostile until proven otherwise: replies nobody asked for, broken ones and bytes
 * sent along with the answer to STARTTLS end the session. */
#include "client_private.h"
#include "base/encode.h"

#include <sodium.h>
#include <stdlib.h>

enum { OUT_MAX = 1024 * 1024, HELLO_MAX = 512, LOGIN_MAX = 1024 };

static void on_greeting(struct client *c, size_t index);
static void on_ehlo(struct client *c, size_t index);
static void on_helo(struct client *c, size_t index);
static void on_starttls(struct client *c, size_t index);
static void on_auth(struct client *c, size_t index);
static void on_quit(struct client *c, size_t index);

static const struct {
    enum smtp_stage stage;
    void (*handle)(struct client *c, size_t index);
} expected[EXPECT_KINDS] = {
    [EXPECT_GREETING] = {STAGE_CONNECT, on_greeting},
    [EXPECT_EHLO] = {STAGE_EHLO, on_ehlo},
    [EXPECT_HELO] = {STAGE_EHLO, on_helo},
    [EXPECT_STARTTLS] = {STAGE_TLS, on_starttls},
    [EXPECT_AUTH] = {STAGE_AUTH, on_auth},
    [EXPECT_MAIL] = {STAGE_MAIL, client_on_mail},
    [EXPECT_RCPT] = {STAGE_RCPT, client_on_rcpt},
    [EXPECT_DATA] = {STAGE_DATA, client_on_data},
    [EXPECT_BDAT] = {STAGE_DATA, client_on_bdat},
    [EXPECT_END] = {STAGE_END, client_on_end},
    [EXPECT_RSET] = {STAGE_MAIL, client_on_rset},
    [EXPECT_QUIT] = {STAGE_END, on_quit},
};

struct client *client_new(const struct client_settings *settings, const struct client_world *world, void *owner)
{
    struct client *c = xcalloc(1, sizeof *c);

    c->settings = *settings;
    c->world = world;
    c->owner = owner;
    reply_init(&c->reply);
    buf_init(&c->out, OUT_MAX);
    buf_init(&c->text, OUTCOME_TEXT);
    buf_init(&c->hello, HELLO_MAX);
    buf_init(&c->user, LOGIN_MAX);
    buf_init(&c->secret, LOGIN_MAX);
    buf_add(&c->hello, settings->hello);
    buf_add(&c->user, settings->user);
    buf_add(&c->secret, settings->secret);
    return c;
}

static void wipe(struct buf *b)
{
    if (b->p != NULL)
        sodium_memzero(b->p, b->capacity);
    buf_clear(b);
}

void client_free(struct client *c)
{
    if (c == NULL)
        return;
    login_free(c->login);
    reply_clear(&c->reply);
    wipe(&c->secret);
    buf_clear(&c->user);
    buf_clear(&c->hello);
    wipe(&c->out);
    buf_clear(&c->text);
    free(c);
}

size_t client_expected(const struct client *c)
{
    return c->tail - c->head;
}

void client_expect(struct client *c, enum expect_kind kind, size_t index)
{
    assert(client_expected(c) < EXPECT_MAX);
    c->queue[c->tail++ % EXPECT_MAX] = (struct expect){kind, index};
}

void client_flush(struct client *c)
{
    assert(!c->out.failed);
    if (c->out.n > 0 && !c->dead)
        c->world->send(c->owner, buf_str(&c->out));
    buf_reset(&c->out);
}

void client_fail(struct client *c, struct client_failure *failure)
{
    if (c->dead)
        return;
    if (c->txn.open && c->txn.ended)
        client_txn_lost(c, "the server's words make no sense");
    c->dead = true;
    c->ready = false;
    failure->stage = c->stage;
    c->world->failed(c->owner, failure);
}

void client_fail_text(struct client *c, enum delivery_reason reason, unsigned code, const char *text)
{
    client_fail(c,
        &(struct client_failure){.tls = reason == REASON_TLS,
            .outcome = {code >= 500 ? DELIVERY_FAILED : DELIVERY_DEFERRED, reason, code, false, false, str_of(text)}});
}

struct client_outcome client_outcome_of_reply(struct client *c, enum smtp_stage stage)
{
    unsigned code = c->reply.code;
    struct client_outcome outcome = {.code = code, .remote = true};

    outcome.status = code < 400 ? DELIVERY_RELAYED : code < 500 ? DELIVERY_DEFERRED : DELIVERY_FAILED;
    buf_reset(&c->text);
    if (c->reply.enhanced.class == 0)
        buf_addf(&c->text, "%u.0.0 ", code / 100);
    reply_words(&c->reply, OUTCOME_TEXT - 16, &c->text);
    outcome.text = buf_str(&c->text);
    if (code >= 400)
        outcome.reason = reply_classify(code, outcome.text, stage);
    return outcome;
}

/* The server ends the session by its reply (421, a 4xx or 5xx where we cannot go on). Other servers
 * may still take the mail; a refusal of the whole session is no verdict on a recipient. */
static void fail_by_reply(struct client *c, bool tls)
{
    struct client_failure failure = {.tls = tls};

    failure.outcome = client_outcome_of_reply(c, c->stage);
    failure.busy = c->reply.code < 500;
    if (c->reply.code != 521 && c->reply.code != 556)
        failure.outcome.status = DELIVERY_DEFERRED;
    client_fail(c, &failure);
}

static void protocol_error(struct client *c, const char *text)
{
    client_fail_text(c, REASON_PROTOCOL, 451, text);
}

static void say_hello(struct client *c, const char *verb, enum expect_kind kind)
{
    c->stage = STAGE_EHLO;
    buf_addf(&c->out, "%s %.*s\r\n", verb, STR_ARG(buf_str(&c->hello)));
    client_expect(c, kind, 0);
    client_flush(c);
    c->world->wait(c->owner, CLIENT_WAIT_REPLY);
}

static void ehlo(struct client *c)
{
    say_hello(c, c->settings.lmtp ? "LHLO" : "EHLO", EXPECT_EHLO);
}

void client_connected(struct client *c)
{
    if (c->settings.tls == TLS_IMPLICIT && !c->secure) {
        c->stage = STAGE_TLS;
        c->world->start_tls(c->owner);
        return;
    }
    c->stage = STAGE_CONNECT;
    client_expect(c, EXPECT_GREETING, 0);
    c->world->wait(c->owner, CLIENT_WAIT_REPLY);
}

void client_secured(struct client *c, bool verified)
{
    if (c->dead || c->secure)
        return;
    c->secure = true;
    c->verified = verified;
    if (!c->greeted)
        client_connected(c);
    else
        ehlo(c);
}

static void on_greeting(struct client *c, size_t index)
{
    (void)index;
    if (c->reply.code / 100 != 2) {
        fail_by_reply(c, false);
        return;
    }
    c->greeted = true;
    ehlo(c);
}

void client_become_ready(struct client *c)
{
    c->ready = true;
    c->world->wait(c->owner, CLIENT_WAIT_NONE);
    c->world->ready(c->owner);
}

static void start_login(struct client *c)
{
    struct err err = {0};

    c->stage = STAGE_AUTH;
    if (!c->secure && !c->settings.auth_in_clear) {
        client_fail_text(c, REASON_TLS, 454, "4.7.0 the login is not sent without TLS");
        return;
    }
    if (!login_new(&c->login, c->can.mechanisms, buf_str(&c->user), buf_str(&c->secret), &err)) {
        buf_reset(&c->text);
        buf_addf(&c->text, "4.7.0 login: %s", err.text);
        client_fail(c, &(struct client_failure){.outcome = {DELIVERY_DEFERRED, REASON_OTHER, 454, false, false,
                           buf_str(&c->text)}});
        return;
    }
    buf_addf(&c->out, "AUTH %s", login_mechanism(c->login));
    buf_add_char(&c->out, ' ');
    if (!login_initial(c->login, &c->out))
        c->out.n--;
    buf_add(&c->out, STR("\r\n"));
    client_expect(c, EXPECT_AUTH, 0);
    client_flush(c);
    c->world->wait(c->owner, CLIENT_WAIT_REPLY);
}

/* What TLS the settings ask for and the session does not have yet. */
static bool tls_is_needed(const struct client *c)
{
    return c->settings.require_tls || c->settings.tls == TLS_REQUIRED || c->settings.tls == TLS_VERIFIED ||
           c->settings.tls == TLS_IMPLICIT;
}

static void after_ehlo(struct client *c)
{
    bool wanted = c->settings.tls != TLS_NONE || c->settings.require_tls;

    if (!c->secure && wanted && !c->settings.plain_only && c->can.extensions & EXT_STARTTLS) {
        c->stage = STAGE_TLS;
        buf_add(&c->out, STR("STARTTLS\r\n"));
        client_expect(c, EXPECT_STARTTLS, 0);
        client_flush(c);
        c->world->wait(c->owner, CLIENT_WAIT_REPLY);
    } else if (!c->secure && tls_is_needed(c)) {
        c->stage = STAGE_TLS;
        client_fail(c,
            &(struct client_failure){.unsuitable = c->settings.require_tls,
                .outcome = {c->settings.require_tls ? DELIVERY_FAILED : DELIVERY_DEFERRED, REASON_TLS,
                    c->settings.require_tls ? 550 : 450, false, false,
                    c->settings.require_tls
                        ? STR("5.7.10 Encryption needed: the server does not offer STARTTLS")
                        : STR("4.7.10 Encryption needed: the server does not offer STARTTLS")}});
    } else if (c->settings.has_login && c->login == NULL) {
        start_login(c);
    } else {
        client_become_ready(c);
    }
}

static void on_ehlo(struct client *c, size_t index)
{
    (void)index;
    capabilities_clear(&c->can);
    if (c->reply.code / 100 == 2) {
        reply_capabilities(&c->reply, &c->can);
        after_ehlo(c);
    } else if (c->reply.code >= 500 && !c->settings.lmtp && !c->secure) {
        say_hello(c, "HELO", EXPECT_HELO);
    } else {
        fail_by_reply(c, false);
    }
}

static void on_helo(struct client *c, size_t index)
{
    (void)index;
    if (c->reply.code / 100 == 2)
        after_ehlo(c);
    else
        fail_by_reply(c, false);
}

static void on_starttls(struct client *c, size_t index)
{
    (void)index;
    if (c->reply.code / 100 == 2) {
        c->world->start_tls(c->owner);
    } else if (tls_is_needed(c)) {
        fail_by_reply(c, true);
    } else {
        c->settings.plain_only = true;
        after_ehlo(c);
    }
}

static void on_auth(struct client *c, size_t index)
{
    struct str text = buf_str(&c->reply.text), line = {0};
    struct err err = {0};

    (void)index;
    if (c->reply.code == 334) {
        (void)reply_next_line(&text, &line);
        if (!login_step(c->login, line, &c->out, &err)) {
            buf_reset(&c->out);
            protocol_error(c, "4.7.0 the server's part of the login makes no sense");
            return;
        }
        buf_add(&c->out, STR("\r\n"));
        client_expect(c, EXPECT_AUTH, 0);
        client_flush(c);
    } else if (c->reply.code / 100 == 2 && login_is_complete(c->login)) {
        client_become_ready(c);
    } else if (c->reply.code / 100 == 2) {
        protocol_error(c, "4.7.0 the server did not prove that it knows our login");
    } else {
        fail_by_reply(c, false);
    }
}

static void on_quit(struct client *c, size_t index)
{
    (void)index;
    client_fail_text(c, REASON_NONE, 221, "2.0.0 closed");
}

/* A reply to nothing: 421 says goodbye, an error in the middle of the content is an early verdict. */
static void on_unasked(struct client *c)
{
    if (c->reply.code >= 400 && client_txn_early(c))
        fail_by_reply(c, false);
    else if (c->reply.code == 421)
        fail_by_reply(c, false);
    else
        protocol_error(c, "4.5.0 the server sent a reply to nothing");
}

/* One whole reply. */
static void on_reply(struct client *c)
{
    struct expect e;

    if (client_expected(c) == 0) {
        on_unasked(c);
        return;
    }
    e = c->queue[c->head++ % EXPECT_MAX];
    c->stage = expected[e.kind].stage;
    c->txn.replied = true;
    if (c->reply.code == 421 && e.kind != EXPECT_END && e.kind != EXPECT_QUIT) {
        c->txn.ended = false; /* it says that nothing was taken */
        fail_by_reply(c, false);
        return;
    }
    expected[e.kind].handle(c, e.index);
}

void client_input(struct client *c, struct str bytes)
{
    while (bytes.n > 0 && !c->dead) {
        size_t used = 0;
        enum reply_state state = reply_feed(&c->reply, bytes, &used);

        bytes = str_skip(bytes, used);
        if (state == REPLY_BAD) {
            buf_reset(&c->text);
            buf_addf(&c->text, "4.5.0 %s", c->reply.why);
            client_fail(c, &(struct client_failure){.outcome = {DELIVERY_DEFERRED, REASON_PROTOCOL, 451, false,
                               false, buf_str(&c->text)}});
        } else if (state == REPLY_DONE) {
            bool starting = c->head < c->tail && c->queue[c->head % EXPECT_MAX].kind == EXPECT_STARTTLS &&
                            c->reply.code / 100 == 2;

            if (starting && bytes.n > 0)
                client_fail_text(c, REASON_TLS, 454, "4.7.0 the server talks on before TLS");
            else
                on_reply(c);
            if (!c->dead && client_expected(c) > 0)
                c->world->wait(c->owner, c->txn.open && c->txn.ended ? CLIENT_WAIT_END : CLIENT_WAIT_REPLY);
        }
    }
}

/* REQUIRETLS: the sender is told at once when no server has TLS that will do (RFC 8689 4.2.1). */
static void no_tls_for_good(struct client *c, struct client_failure *failure, const char *why)
{
    buf_reset(&c->text);
    buf_addf(&c->text, "5.7.10 Encryption needed: TLS failed: %s", why);
    failure->unsuitable = true;
    failure->outcome = (struct client_outcome){DELIVERY_FAILED, REASON_TLS, 550, false, false, buf_str(&c->text)};
}

void client_lost(struct client *c, bool timed_out, bool handshake, const char *why)
{
    static const char *const stages[] = {"connecting", "EHLO", "starting TLS", "logging in", "MAIL", "RCPT", "DATA",
        "sending the message"};
    bool reused = c->txn.open && !c->txn.replied && c->txn.reused && !timed_out;
    struct client_failure failure = {.tls = handshake, .busy = timed_out};

    if (c->dead)
        return;
    if (reused)
        c->txn.ended = false; /* closed while it was idle: nothing was read */
    if (c->txn.open && c->txn.ended)
        client_txn_lost(c, why);
    buf_reset(&c->text);
    buf_addf(&c->text, "%s %s while %s%s%s", timed_out ? "4.4.2" : handshake ? "4.7.5" : "4.4.2",
        timed_out ? "time-out" : handshake ? "TLS failed" : "connection lost", stages[c->stage],
        why[0] ? ": " : "", why);
    failure.outcome = (struct client_outcome){DELIVERY_DEFERRED, handshake ? REASON_TLS : REASON_NETWORK, 451, false,
        false, buf_str(&c->text)};
    if (handshake && !timed_out && c->settings.require_tls)
        no_tls_for_good(c, &failure, why);
    c->txn.ended = false;
    client_fail(c, &failure);
}

void client_quit(struct client *c)
{
    if (c->dead)
        return;
    c->ready = false;
    buf_add(&c->out, STR("QUIT\r\n"));
    client_expect(c, EXPECT_QUIT, 0);
    client_flush(c);
    c->world->wait(c->owner, CLIENT_WAIT_REPLY);
}

bool client_is_past_end(const struct client *c)
{
    return !c->dead && c->txn.open && c->txn.ended;
}

bool client_is_ready(const struct client *c)
{
    return c->ready && !c->dead;
}

bool client_is_secure(const struct client *c, bool *verified)
{
    *verified = c->verified;
    return c->secure;
}

uint64_t client_rcpt_max(const struct client *c)
{
    uint64_t most = CLIENT_RCPTS_MAX;

    if (c->can.extensions & EXT_LIMITS && c->can.rcpt_max > 0 && c->can.rcpt_max < most)
        most = c->can.rcpt_max;
    return most;
}

uint64_t client_mail_max(const struct client *c)
{
    return c->can.extensions & EXT_LIMITS ? c->can.mail_max : 0;
}
