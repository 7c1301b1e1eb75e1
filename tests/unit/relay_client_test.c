/* Conversations of the SMTP client machine. A script is a list of lines:
 *   "S line"   the server says this line (CRLF added); lines that follow each other come as one piece
 *   "C line"   the client must have said this line next
 *   "E words"  this must have happened next (see the world below)
 *   "-"        the client must have said nothing more
 * and words that do something: "connect", "tls" (comes up, not verified), "verified", "lost",
 * "timeout", "tls-fails", "begin", "body TEXT", "last TEXT", "quit". */
#include "roles/relay/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { MOST_RCPTS = 8 };

struct talk {
    struct client *client;
    struct client_settings settings;
    struct client_message message;
    struct client_rcpt rcpts[MOST_RCPTS], *list[MOST_RCPTS];
    size_t n;
    char said[8192], happened[8192];
    size_t said_n;
};

static void add_event(struct talk *t, const char *format, ...) PRINTF(2, 3);

static void add_event(struct talk *t, const char *format, ...)
{
    size_t used = strlen(t->happened);
    va_list args;

    va_start(args, format);
    vsnprintf(t->happened + used, sizeof t->happened - used, format, args);
    va_end(args);
}

static void on_send(void *owner, struct str bytes)
{
    struct talk *t = owner;

    assert_true(t->said_n + bytes.n < sizeof t->said);
    memcpy(t->said + t->said_n, bytes.p, bytes.n);
    t->said_n += bytes.n;
}

static void on_start_tls(void *owner)
{
    add_event(owner, "start-tls\n");
}

static void on_ready(void *owner)
{
    add_event(owner, "ready\n");
}

static void on_settled(void *owner, struct client_rcpt *rcpt, const struct client_outcome *o)
{
    static const char *const names[] = {"delivered", "relayed", "deferred", "failed"};

    add_event(owner, "%.*s %s%s %u %.*s\n", STR_ARG(rcpt->address), names[o->status], o->final ? "!" : "", o->code,
        STR_ARG(o->text));
}

static void on_want_body(void *owner)
{
    add_event(owner, "want-body\n");
}

static void on_done(void *owner)
{
    add_event(owner, "done\n");
}

static void on_failed(void *owner, const struct client_failure *f)
{
    add_event(owner, "gone%s%s%s %u %.*s\n", f->tls ? " tls" : "", f->busy ? " busy" : "",
        f->unsuitable ? " unsuitable" : "", f->outcome.code, STR_ARG(f->outcome.text));
}

static void on_wait(void *owner, enum client_wait what)
{
    (void)owner;
    (void)what;
}

static const struct client_world world = {
    on_send, on_start_tls, on_ready, on_settled, on_want_body, on_done, on_failed, on_wait};

static void drop_line(char *text)
{
    char *end = strchr(text, '\n');

    memmove(text, end + 1, strlen(end + 1) + 1);
}

static void expect_said(struct talk *t, const char *line)
{
    size_t n = strlen(line);
    char shown[600];

    snprintf(shown, sizeof shown, "%.*s", (int)t->said_n, t->said);
    if (t->said_n < n + 2 || memcmp(t->said, line, n) != 0 || memcmp(t->said + n, "\r\n", 2) != 0)
        fail_msg("expected \"%s\", client said \"%s\"", line, shown);
    t->said_n -= n + 2;
    memmove(t->said, t->said + n + 2, t->said_n);
}

static void expect_event(struct talk *t, const char *words)
{
    size_t n = strlen(words);

    if (strncmp(t->happened, words, n) != 0 || t->happened[n] != '\n')
        fail_msg("expected event \"%s\", got \"%s\"", words, t->happened);
    drop_line(t->happened);
}

static bool starts(const char *line, const char *word, const char **rest)
{
    size_t n = strlen(word);

    *rest = line + n;
    return strncmp(line, word, n) == 0;
}

static void act(struct talk *t, const char *line)
{
    const char *rest;

    if (strcmp(line, "connect") == 0)
        client_connected(t->client);
    else if (strcmp(line, "tls") == 0)
        client_secured(t->client, false);
    else if (strcmp(line, "verified") == 0)
        client_secured(t->client, true);
    else if (strcmp(line, "lost") == 0)
        client_lost(t->client, false, false, "reset");
    else if (strcmp(line, "timeout") == 0)
        client_lost(t->client, true, false, "");
    else if (strcmp(line, "tls-fails") == 0)
        client_lost(t->client, false, true, "bad");
    else if (strcmp(line, "begin") == 0)
        client_begin(t->client, &t->message, t->list, t->n);
    else if (strcmp(line, "quit") == 0)
        client_quit(t->client);
    else if (starts(line, "body ", &rest))
        client_body(t->client, str_of(rest), false);
    else if (starts(line, "last ", &rest))
        client_body(t->client, str_of(rest), true);
    else
        fail_msg("no such step: %s", line);
}

static void hear(struct talk *t, const char *const **at)
{
    char text[8192];
    size_t n = 0;
    const char *rest;

    for (; **at != NULL && starts(**at, "S ", &rest); ++*at)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s\r\n", rest);
    client_input(t->client, (struct str){text, n});
}

static void play(struct talk *t, const char *const *script)
{
    const char *rest;

    while (*script != NULL) {
        const char *line = *script;

        if (starts(line, "S ", &rest)) {
            hear(t, &script);
            continue;
        }
        if (starts(line, "C ", &rest) || strcmp(line, "C ") == 0)
            expect_said(t, rest);
        else if (starts(line, "E ", &rest))
            expect_event(t, rest);
        else if (strcmp(line, "-") == 0)
            assert_int_equal(t->said_n, 0);
        else
            act(t, line);
        script++;
    }
    if (t->said_n != 0)
        fail_msg("client said more: \"%.*s\"", (int)t->said_n, t->said);
    if (t->happened[0] != '\0')
        fail_msg("more happened: \"%s\"", t->happened);
}

static void start(struct talk *t)
{
    static const char *const names[] = {"a@x.test", "b@x.test", "c@x.test"};

    memset(t, 0, sizeof *t);
    t->settings = (struct client_settings){.tls = TLS_OPPORTUNISTIC, .hello = STR("me.test")};
    t->message = (struct client_message){.size = 7, .priority = 9, .sender = STR("s@y.test"), .body = STR("A: b\r\n\r\n.x\r\n"),
        .body_whole = true, .header_bits = BITS_SEVEN, .body_bits = BITS_SEVEN};
    for (size_t i = 0; i < 3; i++)
        t->rcpts[i].address = str_of(names[i]);
    for (size_t i = 0; i < MOST_RCPTS; i++)
        t->list[i] = &t->rcpts[i];
    t->n = 1;
}

static void run(struct talk *t, const char *const *script)
{
    t->client = client_new(&t->settings, &world, t);
    play(t, script);
    client_free(t->client);
}

#define SCRIPT(...) ((const char *const[]){__VA_ARGS__, NULL})
#define HELLO "connect", "S 220 hi", "C EHLO me.test"
#define CONTENT "C A: b", "C ", "C ..x", "C ."
#define RAW_CONTENT "C A: b", "C ", "C .x"

static void plain_one_by_one(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "-", "S 250 ok",
                "C RCPT TO:<a@x.test>", "-", "S 250 ok", "C DATA", "-", "S 354 go", CONTENT, "S 250 2.0.0 taken",
                "E a@x.test relayed 250 2.0.0 taken", "E done", "E ready", "quit", "C QUIT"));
}

static void helo_when_ehlo_is_unknown(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 500 what", "C HELO me.test", "S 250 x", "E ready"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 500 what", "C HELO me.test", "S 550 no", "E gone 550 5.0.0 no"));
}

static void pipelined(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.n = 2;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-SIZE 1000", "S 250 PIPELINING", "E ready", "begin",
                "C MAIL FROM:<s@y.test> SIZE=7", "C RCPT TO:<a@x.test>", "C RCPT TO:<b@x.test>", "C DATA", "-",
                "S 250 ok", "S 250 ok", "S 250 ok", "S 354 go", CONTENT, "S 250 ok", "E a@x.test relayed 250 2.0.0 ok",
                "E b@x.test relayed 250 2.0.0 ok", "E done", "E ready", "begin", "E done", "E ready"));
}

static void chunked_in_one_write(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-CHUNKING", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C BDAT 12 LAST", RAW_CONTENT, "S 250 ok", "S 250 ok", "S 250 ok",
                "E a@x.test relayed 250 2.0.0 ok", "E done", "E ready"));
}

static void some_recipients_are_refused(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.n = 3;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C RCPT TO:<b@x.test>", "C RCPT TO:<c@x.test>", "C DATA", "S 250 ok",
                "S 550 5.1.1 no user", "S 451 4.2.0 later", "S 250 ok", "S 354 go", "E a@x.test failed 550 5.1.1 no user",
                "E b@x.test deferred 451 4.2.0 later", CONTENT, "S 250 ok", "E c@x.test relayed 250 2.0.0 ok", "E done",
                "E ready"));
}

static void all_recipients_are_refused(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 550 5.1.1 no user", "S 503 none",
                "E a@x.test failed 550 5.1.1 no user", "E done", "C RSET", "S 250 ok", "E ready"));
    /* a server that takes DATA all the same gets an empty message */
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 550 5.1.1 no user", "S 354 go",
                "E a@x.test failed 550 5.1.1 no user", "C .", "S 554 nobody", "E done", "E ready"));
    /* without pipelining DATA is not said */
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "S 250 ok", "C RCPT TO:<a@x.test>",
                "S 550 no", "E a@x.test failed 550 5.0.0 no", "E done", "C RSET", "S 250 ok", "E ready"));
}

static void mail_is_refused(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 550 5.7.1 go away", "S 503 no", "S 503 no",
                "E a@x.test failed 550 5.7.1 go away", "E done", "E ready"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "S 451 4.7.1 greylisted",
                "E a@x.test deferred 451 4.7.1 greylisted", "E done", "E ready"));
    /* with the content on the wire already */
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-CHUNKING", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C BDAT 12 LAST", RAW_CONTENT, "S 451 later", "S 503 no", "S 503 no",
                "E a@x.test deferred 451 4.0.0 later", "E done", "E ready"));
}

static void verdict_on_the_content(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 250 ok", "S 354 go", CONTENT, "S 554 5.7.1 spam",
                "E a@x.test failed 554 5.7.1 spam", "E done", "E ready"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 250 ok", "S 451 4.3.0 disk",
                "E a@x.test deferred 451 4.3.0 disk", "E done", "C RSET", "S 250 ok", "E ready"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-CHUNKING", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C BDAT 12 LAST", RAW_CONTENT, "S 250 ok", "S 250 ok", "S 552 5.3.4 big",
                "E a@x.test failed 552 5.3.4 big", "E done", "C RSET", "S 250 ok", "E ready"));
}

static void too_many_recipients(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.n = 2;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C RCPT TO:<b@x.test>", "C DATA", "S 250 ok", "S 250 ok",
                "S 552 too many recipients", "S 354 go", CONTENT, "S 250 ok", "E a@x.test relayed 250 2.0.0 ok", "E done",
                "E ready"));
    assert_int_equal(t.rcpts[1].state, CLIENT_RCPT_OPEN);
    /* a full mailbox is not meant */
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 552 5.2.2 full", "S 503 none",
                "E a@x.test failed 552 5.2.2 full", "E done", "C RSET", "S 250 ok", "E ready"));
    /* the first one: 552 is temporary */
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 552 5.5.3 many", "S 503 none",
                "E a@x.test deferred 552 5.5.3 many", "E done", "C RSET", "S 250 ok", "E ready"));
}

static void greetings(void **state)
{
    static const struct {
        const char *says, *event;
    } cases[] = {
        {"S 421 busy", "E gone busy 421 4.0.0 busy"},
        {"S 450 4.7.1 slow", "E gone busy 450 4.7.1 slow"},
        {"S 554 blocked", "E gone 554 5.0.0 blocked"},
        {"S 521 no mail here", "E gone 521 5.0.0 no mail here"},
        {"S HTTP/1.1 200", "E gone 451 4.5.0 what the server says is no SMTP reply"},
    };
    struct talk t;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start(&t);
        run(&t, SCRIPT("connect", cases[i].says, cases[i].event));
    }
}

static void starttls(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "E start-tls", "tls", "C EHLO me.test",
                "S 250 x", "E ready"));
    /* refused: plain will do */
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 454 no", "E ready"));
    /* text after the answer is not read */
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "S 250 injected",
                "E gone tls 454 4.7.0 the server talks on before TLS"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "E start-tls", "tls-fails",
                "E gone tls 451 4.7.5 TLS failed while starting TLS: bad"));
    /* known not to work */
    start(&t);
    t.settings.plain_only = true;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "E ready"));
    start(&t);
    t.settings.tls = TLS_NONE;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "E ready"));
}

static void tls_that_is_required(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.settings.tls = TLS_REQUIRED;
    run(&t, SCRIPT(HELLO, "S 250 x", "E gone 450 4.7.10 Encryption needed: the server does not offer STARTTLS"));
    start(&t);
    t.settings.tls = TLS_REQUIRED;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 454 4.7.0 no", "E gone tls busy 454 4.7.0 no"));
    start(&t);
    t.settings.tls = TLS_IMPLICIT;
    run(&t, SCRIPT("connect", "E start-tls", "verified", "S 220 hi", "C EHLO me.test", "S 250 x", "E ready"));
}

static void requiretls(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.message.flags = TXN_REQUIRETLS;
    t.settings.require_tls = true;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "E start-tls", "verified",
                "C EHLO me.test", "S 250-x", "S 250 REQUIRETLS", "E ready", "begin",
                "C MAIL FROM:<s@y.test> REQUIRETLS", "S 250 ok", "C RCPT TO:<a@x.test>"));
    start(&t);
    t.message.flags = TXN_REQUIRETLS;
    t.settings.require_tls = true;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "E start-tls", "verified",
                "C EHLO me.test", "S 250 x", "E ready", "begin", "E gone unsuitable 550 5.7.30 REQUIRETLS support required"));
    start(&t);
    t.settings.require_tls = true;
    run(&t, SCRIPT(HELLO, "S 250 x",
                "E gone unsuitable 550 5.7.10 Encryption needed: the server does not offer STARTTLS"));
    /* TLS that nobody verified is not enough */
    start(&t);
    t.message.flags = TXN_REQUIRETLS;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "E start-tls", "tls",
                "C EHLO me.test", "S 250-x", "S 250 REQUIRETLS", "E ready", "begin",
                "E gone unsuitable 550 5.7.30 REQUIRETLS support required"));
}

static void logins(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.settings.has_login = true;
    t.settings.user = STR("u");
    t.settings.secret = STR("p");
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-AUTH LOGIN PLAIN", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "E start-tls",
                "tls", "C EHLO me.test", "S 250-x", "S 250 AUTH PLAIN LOGIN", "C AUTH PLAIN AHUAcA==", "S 235 ok",
                "E ready"));
    start(&t);
    t.settings.has_login = true;
    t.settings.auth_in_clear = true;
    t.settings.user = STR("u");
    t.settings.secret = STR("p");
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 AUTH LOGIN", "C AUTH LOGIN", "S 334 VXNlcm5hbWU6", "C dQ==",
                "S 334 UGFzc3dvcmQ6", "C cA==", "S 535 5.7.8 wrong", "E gone 535 5.7.8 wrong"));
    /* never in clear */
    start(&t);
    t.settings.has_login = true;
    t.settings.user = t.settings.secret = STR("p");
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 AUTH PLAIN", "E gone tls 454 4.7.0 the login is not sent without TLS"));
    start(&t);
    t.settings.has_login = t.settings.auth_in_clear = true;
    run(&t, SCRIPT(HELLO, "S 250 x", "E gone 454 4.7.0 login: the server offers no login mechanism we know"));
}

static void scram_must_prove_the_server(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.settings.has_login = t.settings.auth_in_clear = true;
    t.settings.user = STR("u");
    t.settings.secret = STR("p");
    t.client = client_new(&t.settings, &world, &t);
    play(&t, SCRIPT(HELLO));
    client_input(t.client, STR("250-x\r\n250 AUTH SCRAM-SHA-256 PLAIN\r\n"));
    assert_memory_equal(t.said, "AUTH SCRAM-SHA-256 biwsbj11LH", 29);
    t.said_n = 0;
    client_input(t.client, STR("235 2.7.0 welcome\r\n"));
    expect_event(&t, "gone 451 4.7.0 the server did not prove that it knows our login");
    client_free(t.client);
}

static void extensions_on_mail_and_rcpt(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.message.flags = TXN_8BITMIME | TXN_RET_HDRS | TXN_BY_TRACE;
    t.message.envid = STR("id+2B1");
    t.message.priority = 12;
    t.message.has_by = true;
    t.message.by_seconds = -5;
    t.rcpts[0].notify = NOTIFY_SUCCESS | NOTIFY_DELAY;
    t.rcpts[0].orcpt = STR("rfc822;o@x.test");
    t.rcpts[1].notify = NOTIFY_NEVER;
    t.n = 2;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-PIPELINING", "S 250-8BITMIME", "S 250-DSN", "S 250-SIZE",
                "S 250-MT-PRIORITY", "S 250 DELIVERBY", "E ready", "begin",
                "C MAIL FROM:<s@y.test> SIZE=7 BODY=8BITMIME RET=HDRS ENVID=id+2B1 BY=-5;NT MT-PRIORITY=3",
                "C RCPT TO:<a@x.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o@x.test",
                "C RCPT TO:<b@x.test> NOTIFY=NEVER", "C DATA", "S 250 ok", "S 250 ok", "S 250 ok", "S 354 go", CONTENT,
                "S 250 ok", "E a@x.test relayed 250 2.0.0 ok", "E b@x.test relayed 250 2.0.0 ok", "E done", "E ready"));
    assert_true(t.rcpts[0].dsn);
}

struct impossible {
    uint64_t flags;
    enum message_bits header, body;
    uint64_t size;
    bool has_by;
    int64_t by_seconds;
    const char *offers, *event;
};

static void what_the_server_cannot_take(void **state)
{
    static const struct impossible cases[] = {
        {0, BITS_SEVEN, BITS_EIGHT, 7, false, 0, "S 250 x",
            "E a@x.test failed 554 5.6.3 the message has 8-bit content, which the remote server does not take"},
        {TXN_BINARYMIME, BITS_SEVEN, BITS_EIGHT, 7, false, 0, "S 250 CHUNKING",
            "E a@x.test failed 554 5.6.3 the message has binary content, which the remote server does not take"},
        {TXN_SMTPUTF8, BITS_EIGHT, BITS_SEVEN, 7, false, 0, "S 250 8BITMIME",
            "E a@x.test failed 553 5.6.7 the message needs SMTPUTF8, which the remote server does not offer"},
        {0, BITS_SEVEN, BITS_SEVEN, 2000, false, 0, "S 250 SIZE 1000",
            "E a@x.test failed 552 5.3.4 the message is bigger than the remote server takes"},
        {TXN_BY_RETURN, BITS_SEVEN, BITS_SEVEN, 7, true, 60, "S 250 x",
            "E a@x.test failed 554 5.3.3 the remote server cannot promise to deliver in time (DELIVERBY)"},
        {TXN_BY_RETURN, BITS_SEVEN, BITS_SEVEN, 7, true, 60, "S 250 DELIVERBY 120",
            "E a@x.test failed 554 5.3.3 the remote server cannot promise to deliver in time (DELIVERBY)"},
        {TXN_BY_RETURN, BITS_SEVEN, BITS_SEVEN, 7, true, 0, "S 250 DELIVERBY",
            "E a@x.test failed 554 5.4.7 the time to deliver by has passed"},
    };
    struct talk t;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start(&t);
        t.message.flags = cases[i].flags;
        t.message.header_bits = cases[i].header;
        t.message.body_bits = cases[i].body;
        t.message.size = cases[i].size;
        t.message.has_by = cases[i].has_by;
        t.message.by_seconds = cases[i].by_seconds;
        run(&t, SCRIPT(HELLO, "S 250-x", cases[i].offers, "E ready", "begin", cases[i].event, "E done", "E ready"));
    }
}

static void utf8_addresses(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.n = 2;
    t.rcpts[0].address = STR("\xc3\xa4@x.test");
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 8BITMIME", "E ready", "begin",
                "E \xc3\xa4@x.test failed 553 5.6.7 the address needs SMTPUTF8, which the remote server does not offer",
                "C MAIL FROM:<s@y.test>", "S 250 ok", "C RCPT TO:<b@x.test>"));
    start(&t);
    t.rcpts[0].address = STR("\xc3\xa4@x.test");
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 SMTPUTF8", "E ready", "begin", "C MAIL FROM:<s@y.test> SMTPUTF8",
                "S 250 ok", "C RCPT TO:<\xc3\xa4@x.test>"));
    /* asked for, but not needed */
    start(&t);
    t.message.flags = TXN_SMTPUTF8;
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>"));
}

static void hostile_envelopes(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.rcpts[0].address = STR("a@x.test>\r\nDATA\r\n");
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "E a@x.test>\r", "E DATA\r", "E  failed 553 5.1.3 the address is not valid",
                "E done", "E ready"));
}

static void lost_at_each_step(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT("connect", "lost", "E gone 451 4.4.2 connection lost while connecting: reset"));
    start(&t);
    run(&t, SCRIPT(HELLO, "timeout", "E gone busy 451 4.4.2 time-out while EHLO"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "lost",
                "E gone 451 4.4.2 connection lost while MAIL: reset"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "S 250 ok", "C RCPT TO:<a@x.test>",
                "S 250 ok", "C DATA", "lost", "E gone 451 4.4.2 connection lost while RCPT: reset"));
    assert_int_equal(t.rcpts[0].state, CLIENT_RCPT_ACCEPTED);
}

static void lost_after_the_end(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "S 250 ok", "C RCPT TO:<a@x.test>",
                "S 250 ok", "C DATA", "S 354 go", CONTENT, "lost",
                "E a@x.test deferred! 451 4.4.2 no answer after the end of the message, it may arrive twice: reset",
                "E gone 451 4.4.2 connection lost while sending the message: reset"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "S 250 ok", "C RCPT TO:<a@x.test>",
                "S 250 ok", "C DATA", "S 354 go", CONTENT, "S 421 4.3.2 shutting down",
                "E a@x.test deferred 421 4.3.2 shutting down", "E gone busy 421 4.3.2 shutting down"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "S 250 ok", "C RCPT TO:<a@x.test>",
                "S 250 ok", "C DATA", "S 354 go", CONTENT, "S nonsense",
                "E a@x.test deferred! 451 4.4.2 no answer after the end of the message, it may arrive twice: the "
                "server's words make no sense",
                "E gone 451 4.5.0 what the server says is no SMTP reply"));
}

static void closed_while_idle(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.client = client_new(&t.settings, &world, &t);
    play(&t, SCRIPT(HELLO, "S 250-x", "S 250-PIPELINING", "S 250 CHUNKING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                 "C RCPT TO:<a@x.test>", "C BDAT 12 LAST", RAW_CONTENT, "S 250 ok", "S 250 ok", "S 250 ok",
                 "E a@x.test relayed 250 2.0.0 ok", "E done", "E ready"));
    t.list[0] = &t.rcpts[1];
    play(&t, SCRIPT("begin", "C MAIL FROM:<s@y.test>", "C RCPT TO:<b@x.test>", "C BDAT 12 LAST", RAW_CONTENT, "lost",
                 "E gone 451 4.4.2 connection lost while MAIL: reset"));
    assert_int_equal(t.rcpts[1].state, CLIENT_RCPT_OPEN);
    client_free(t.client);
}

static void goodbye_in_between(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "S 421 4.4.2 idle", "E gone busy 421 4.4.2 idle"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "S 250 what", "E gone 451 4.5.0 the server sent a reply to nothing"));
    start(&t);
    t.n = 2;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C RCPT TO:<b@x.test>", "C DATA", "S 250 ok", "S 550 no", "S 421 enough",
                "E a@x.test failed 550 5.0.0 no", "E gone busy 421 4.0.0 enough"));
}

static void big_bodies_are_pulled(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.message.body_whole = false;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 250 ok", "S 354 go", "E want-body", "body A: b\r",
                "E want-body", "body \n\r\n", "E want-body", "body .\r\n..", "E want-body", "last \r\nend", "C A: b", "C ",
                "C ..", "C ...", "C end", "C .", "S 250 ok", "E a@x.test relayed 250 2.0.0 ok", "E done", "E ready"));
    /* a verdict in the middle */
    start(&t);
    t.message.body_whole = false;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 250 ok", "S 354 go", "E want-body", "body x\r\n",
                "E want-body", "C x", "S 552 5.3.4 big", "E a@x.test failed 552 5.3.4 big", "E gone 552 5.3.4 big"));
}

static void line_ends_are_mended(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.message.body = STR("a\n.\nb\r.\r\r\nc\r");
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "S 250 ok", "C RCPT TO:<a@x.test>",
                "S 250 ok", "C DATA", "S 354 go", "C a", "C ..", "C b", "C ..", "C ", "C c", "C .", "S 250 ok",
                "E a@x.test relayed 250 2.0.0 ok", "E done", "E ready"));
}

static void binary_goes_in_pieces(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.message.flags = TXN_BINARYMIME;
    t.message.body_whole = false;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-PIPELINING", "S 250-BINARYMIME", "S 250 CHUNKING", "E ready", "begin",
                "C MAIL FROM:<s@y.test> BODY=BINARYMIME", "C RCPT TO:<a@x.test>", "-", "S 250 ok", "S 250 ok", "E want-body",
                "body ab\r\n", "C BDAT 4", "C ab", "S 250 ok", "E want-body", "last .\r\n", "C BDAT 3 LAST", "C .",
                "S 250 ok", "E a@x.test relayed 250 2.0.0 ok", "E done", "E ready"));
    start(&t);
    t.message.flags = TXN_BINARYMIME;
    t.message.body_whole = false;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-BINARYMIME", "S 250 CHUNKING", "E ready", "begin",
                "C MAIL FROM:<s@y.test> BODY=BINARYMIME", "S 250 ok", "C RCPT TO:<a@x.test>", "S 250 ok", "E want-body",
                "body ab\r\n", "C BDAT 4", "C ab", "S 451 4.3.0 disk", "E a@x.test deferred 451 4.3.0 disk", "E done",
                "C RSET", "S 250 ok", "E ready"));
}

static void lmtp_has_a_verdict_for_each(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.settings.lmtp = true;
    t.n = 3;
    run(&t, SCRIPT("connect", "S 220 hi", "C LHLO me.test", "S 250-x", "S 250-CHUNKING", "S 250 PIPELINING", "E ready",
                "begin", "C MAIL FROM:<s@y.test>", "C RCPT TO:<a@x.test>", "C RCPT TO:<b@x.test>", "C RCPT TO:<c@x.test>",
                "C DATA", "S 250 ok", "S 250 ok", "S 550 no", "S 250 ok", "S 354 go", "E b@x.test failed 550 5.0.0 no",
                CONTENT, "S 250 ok", "S 452 4.2.2 full", "E a@x.test relayed 250 2.0.0 ok",
                "E c@x.test deferred 452 4.2.2 full", "E done", "E ready"));
    start(&t);
    t.settings.lmtp = true;
    t.n = 2;
    run(&t, SCRIPT("connect", "S 220 hi", "C LHLO me.test", "S 250-x", "S 250 PIPELINING", "E ready", "begin",
                "C MAIL FROM:<s@y.test>", "C RCPT TO:<a@x.test>", "C RCPT TO:<b@x.test>", "C DATA", "S 250 ok",
                "S 250 ok", "S 250 ok", "S 354 go", CONTENT, "S 250 ok", "lost", "E a@x.test relayed 250 2.0.0 ok",
                "E b@x.test deferred! 451 4.4.2 no answer after the end of the message, it may arrive twice: reset",
                "E gone 451 4.4.2 connection lost while sending the message: reset"));
    start(&t);
    t.settings.lmtp = true;
    run(&t, SCRIPT("connect", "S 220 hi", "C LHLO me.test", "S 500 no", "E gone 500 5.0.0 no"));
}

static void limits_are_read(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.client = client_new(&t.settings, &world, &t);
    play(&t, SCRIPT(HELLO, "S 250-x", "S 250 LIMITS RCPTMAX=3 MAILMAX=5", "E ready"));
    assert_int_equal(client_rcpt_max(t.client), 3);
    assert_int_equal(client_mail_max(t.client), 5);
    client_free(t.client);
}

static void scanning(void **state)
{
    enum message_bits header, body;
    struct talk t;

    (void)state;
    message_scan(STR("A: b\r\n\r\nplain\r\n"), &header, &body);
    assert_int_equal(header, BITS_SEVEN);
    assert_int_equal(body, BITS_SEVEN);
    message_scan(STR("A: b\r\n\r\n\xc3\xa4\r\n"), &header, &body);
    assert_int_equal(header, BITS_SEVEN);
    assert_int_equal(body, BITS_EIGHT);
    message_scan(STR("A: \xc3\xa4\r\n\r\nx\r\n"), &header, &body);
    assert_int_equal(header, BITS_EIGHT);
    assert_int_equal(body, BITS_SEVEN);
    start(&t);
    t.client = client_new(&t.settings, &world, &t);
    play(&t, SCRIPT(HELLO, "S 250 x", "E ready"));
    assert_false(client_must_scan(t.client, &t.message));
    t.message.body_bits = BITS_UNKNOWN;
    assert_true(client_must_scan(t.client, &t.message));
    client_free(t.client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_one_by_one),
        cmocka_unit_test(helo_when_ehlo_is_unknown),
        cmocka_unit_test(pipelined),
        cmocka_unit_test(chunked_in_one_write),
        cmocka_unit_test(some_recipients_are_refused),
        cmocka_unit_test(all_recipients_are_refused),
        cmocka_unit_test(mail_is_refused),
        cmocka_unit_test(verdict_on_the_content),
        cmocka_unit_test(too_many_recipients),
        cmocka_unit_test(greetings),
        cmocka_unit_test(starttls),
        cmocka_unit_test(tls_that_is_required),
        cmocka_unit_test(requiretls),
        cmocka_unit_test(logins),
        cmocka_unit_test(scram_must_prove_the_server),
        cmocka_unit_test(extensions_on_mail_and_rcpt),
        cmocka_unit_test(what_the_server_cannot_take),
        cmocka_unit_test(utf8_addresses),
        cmocka_unit_test(hostile_envelopes),
        cmocka_unit_test(lost_at_each_step),
        cmocka_unit_test(lost_after_the_end),
        cmocka_unit_test(closed_while_idle),
        cmocka_unit_test(goodbye_in_between),
        cmocka_unit_test(big_bodies_are_pulled),
        cmocka_unit_test(line_ends_are_mended),
        cmocka_unit_test(binary_goes_in_pieces),
        cmocka_unit_test(lmtp_has_a_verdict_for_each),
        cmocka_unit_test(limits_are_read),
        cmocka_unit_test(scanning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
