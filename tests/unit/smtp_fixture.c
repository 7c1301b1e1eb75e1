#include "smtp_fixture.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void on_send(void *w, struct str bytes)
{
    buf_add(&((struct bench *)w)->out, bytes);
}

static void on_close(void *w)
{
    ((struct bench *)w)->closed = true;
}

static void on_start_tls(void *w)
{
    ((struct bench *)w)->tls_asked = true;
}

static void on_delay(void *w, int64_t span)
{
    struct bench *b = w;

    b->delayed = span;
    if (!b->wait_for_resume)
        smtp_resume(b->s);
}

static int64_t on_now(void *w)
{
    return ((struct bench *)w)->now;
}

static bool on_spend(void *w, enum smtp_budget what)
{
    struct bench *b = w;

    return what == SMTP_BUDGET_MESSAGES ? !b->over_messages : !b->over_recipients;
}

static unsigned on_login_failed(void *w, bool *banned)
{
    struct bench *b = w;

    *banned = b->ban;
    return ++b->failures;
}

static void on_ask_rcpt(void *w, uint64_t account, bool first, bool bounce, struct str address)
{
    static const struct {
        struct str part;
        enum rcpt_result result;
        struct str text;
    } known[] = {{STR("unknown@"), RCPT_UNKNOWN, STR("5.1.1 No such user")}, {STR("disabled@"), RCPT_DISABLED, STR("")},
        {STR("limited@"), RCPT_LIMITED, STR("")}, {STR("slow@"), RCPT_TEMPFAIL, STR("")},
        {STR("odd@"), RCPT_UNKNOWN, STR("2.0.0 lies\r\n250 more")}, {STR("@remote.example"), RCPT_REMOTE, STR("")},
        {STR("@backup.example"), RCPT_BACKUP, STR("")}};
    unsigned flags = (str_starts(address, STR("forwards@")) ? SMTP_RCPT_FORWARDS : 0u) | (str_starts(address, STR("junk@")) ? SMTP_RCPT_JUNK : 0u);
    struct bench *b = w;

    (void)account;
    b->asked_rcpt++;
    b->bounces += bounce;
    b->charged += first;
    if (str_starts(address, STR("silent@")))
        return;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (str_starts(address, known[i].part) || str_ends(address, known[i].part)) {
            smtp_rcpt_answer(b->s, known[i].result, 0, known[i].text);
            return;
        }
    }
    smtp_rcpt_answer(b->s, RCPT_LOCAL, flags, STR(""));
}

static void on_ask_sender(void *w, uint64_t account, struct str address)
{
    struct bench *b = w;

    assert_int_equal(account, 7);
    if (!str_starts(address, STR("silent@")))
        smtp_sender_answer(b->s, str_eq(address, STR("user@mine.example")), str_starts(address, STR("slow@")));
}

static const struct {
    const char *password;
    enum auth_result result;
    unsigned rights;
} passwords[] = {{"good", AUTH_OK, AUTH_MAY_SEND | AUTH_MAY_READ}, {"disabled", AUTH_DISABLED, 0},
    {"wait", AUTH_SLOW_DOWN, 0}, {"odd", AUTH_BAD_REQUEST, 0}, {"broken", AUTH_TEMPFAIL, 0},
    {"readonly", AUTH_OK, AUTH_MAY_READ}};

static void judge(struct bench *b, struct str password, struct str last)
{
    if (str_eq(password, STR("silent")))
        return;
    for (size_t i = 0; i < sizeof passwords / sizeof passwords[0]; i++) {
        if (str_eq(password, str_of(passwords[i].password))) {
            smtp_auth_done(b->s, passwords[i].result, 7, passwords[i].rights, STR("user@mine.example"), last);
            return;
        }
    }
    smtp_auth_done(b->s, AUTH_BAD_CREDENTIALS, 0, 0, STR("user@mine.example"), STR(""));
}

/* PLAIN: "\0user\0password"; every other mechanism: a challenge, then the password. */
static void on_auth_begin(void *w, struct str mechanism, bool has_initial, struct str initial)
{
    struct bench *b = w;

    if (!str_eq(mechanism, STR("PLAIN")) || !has_initial)
        smtp_auth_challenge(b->s, str_eq(mechanism, STR("PLAIN")) ? STR("") : STR("challenge"));
    else
        judge(b, str_skip(initial, (size_t)str_rfind(initial, 0) + 1), STR(""));
}

static void on_auth_step(void *w, struct str data)
{
    if (data.n > 0 && data.p[0] == 0)
        judge(w, str_skip(data, (size_t)str_rfind(data, 0) + 1), STR(""));
    else
        judge(w, data, STR("v=proof"));
}

static void on_auth_cancel(void *w)
{
    ((struct bench *)w)->cancelled++;
}

static uint64_t on_offer(void *w, struct str *why)
{
    struct bench *b = w;

    *why = STR("4.3.1 Disk is nearly full");
    return b->queue_full ? 0 : 1234567890123;
}

static bool on_begin(void *w, const struct smtp_txn *t)
{
    struct bench *b = w;

    if (b->no_filter)
        return false;
    b->begun++;
    b->txn = *t;
    buf_reset(&b->content);
    buf_reset(&b->envelope);
    buf_reset(&b->trace);
    buf_add(&b->trace, t->trace);
    buf_addf(&b->envelope, "from=%.*s", STR_ARG(t->sender));
    for (const struct smtp_rcpt *r = t->first; r != NULL; r = r->next)
        buf_addf(&b->envelope, " to=%.*s notify=%u orcpt=%.*s", STR_ARG(r->address), r->notify, STR_ARG(r->orcpt));
    for (const struct smtp_rcpt *r = t->first; r != NULL; r = r->next)
        if (r->forwards)
            buf_addf(&b->envelope, " forwards=%.*s", STR_ARG(r->address));
    buf_addf(&b->envelope, " envid=%.*s login=%.*s client=%.*s helo=%.*s protocol=%.*s", STR_ARG(t->envid),
        STR_ARG(t->login), STR_ARG(t->client), STR_ARG(t->helo), STR_ARG(t->protocol));
    assert_false(b->envelope.failed);
    return true;
}

static void on_chunk(void *w, struct str data)
{
    buf_add(&((struct bench *)w)->content, data);
}

static void on_end(void *w)
{
    struct bench *b = w;

    b->ended++;
    if (!b->silent_filter)
        smtp_txn_done(b->s, b->verdict, str_of(b->verdict_text));
}

static void on_abort(void *w)
{
    ((struct bench *)w)->aborted++;
}

static void on_note(void *w, enum smtp_note n, struct str subject, unsigned code, struct str text)
{
    struct bench *b = w;

    (void)subject;
    (void)text;
    b->notes[n]++;
    b->note_code = code;
}

static void on_client_changed(void *w, struct smtp_client *client)
{
    (void)w;
    client->trusted = client->ip.family == 4 && client->ip.bytes[0] == 10;
    client->loopback = ip_is_loopback(&client->ip);
}

static const struct smtp_world world = {
    .send = on_send,
    .close = on_close,
    .start_tls = on_start_tls,
    .delay = on_delay,
    .now = on_now,
    .spend = on_spend,
    .login_failed = on_login_failed,
    .ask_rcpt = on_ask_rcpt,
    .ask_sender = on_ask_sender,
    .auth_begin = on_auth_begin,
    .auth_step = on_auth_step,
    .auth_cancel = on_auth_cancel,
    .offer = on_offer,
    .begin = on_begin,
    .chunk = on_chunk,
    .end = on_end,
    .abort = on_abort,
    .note = on_note,
    .client_changed = on_client_changed,
};

void bench_init(struct bench *b, enum service service)
{
    memset(b, 0, sizeof *b);
    b->set = (struct smtp_settings){.service = service, .hostname = STR("mail.test"), .starttls = true,
        .message_size = 100000, .recipients = 5, .errors = 20, .unknown_commands = 10, .messages_per_connection = 50};
    b->client.port = 4321;
    if (service != SERVICE_LOCAL_SMTP)
        ip_parse(STR("192.0.2.1"), &b->client.ip);
    b->now = 1795318200 * SECOND; /* Sun, 22 Nov 2026 */
    b->verdict = 250;
    b->verdict_text = "2.0.0 queued";
    buf_init(&b->out, 1 << 20);
    buf_init(&b->content, 1 << 24);
    buf_init(&b->trace, 1 << 16);
    buf_init(&b->envelope, 1 << 20);
}

void bench_start(struct bench *b)
{
    b->s = smtp_new(&b->set, &b->client, &world, b);
    smtp_start(b->s);
    buf_reset(&b->out);
}

void bench_clear(struct bench *b)
{
    smtp_free(b->s);
    buf_clear(&b->out);
    buf_clear(&b->content);
    buf_clear(&b->trace);
    buf_clear(&b->envelope);
}

size_t bench_feed(struct bench *b, struct str bytes)
{
    size_t all = 0, used;

    while (bytes.n > 0 && (used = smtp_input(b->s, bytes)) > 0) {
        bytes = str_skip(bytes, used);
        all += used;
    }
    return all;
}

/* Lines "250 ..." are ends of replies, "250-..." are not. */
static size_t replies_in(struct str text)
{
    struct str line;
    size_t n = 0;

    while (text.n > 0 && str_next(&text, '\n', &line)) {
        assert_true(line.n > 4 && line.p[line.n - 1] == '\r' && ascii_is_digit(line.p[0]));
        n += line.p[3] == ' ';
    }
    return n;
}

void converse_at(struct bench *b, const struct turn *turns, const char *file, int line)
{
    char text[20000];

    for (; turns->say != NULL; turns++) {
        int n = snprintf(text, sizeof text, "%s\r\n", turns->say);
        size_t expected = turns->expect != NULL;

        buf_reset(&b->out);
        bench_feed(b, str_from(text, (size_t)n));
        if (replies_in(buf_str(&b->out)) == expected && (!expected || str_starts(buf_str(&b->out), str_of(turns->expect))))
            continue;
        print_error("said: %s\nexpected: %s\ngot: %.*s\n", turns->say, expected ? turns->expect : "nothing",
            STR_ARG(buf_str(&b->out)));
        _fail(file, line);
    }
}

void exchange_at(struct bench *b, struct str bytes, const char *replies, const char *file, int line)
{
    buf_reset(&b->out);
    bench_feed(b, bytes);
    if (str_eq(buf_str(&b->out), str_of(replies)))
        return;
    print_error("expected: %s\ngot: %.*s\n", replies, STR_ARG(buf_str(&b->out)));
    _fail(file, line);
}

void bench_secure(struct bench *b)
{
    converse(b, {"EHLO c.example", "250"}, {"STARTTLS", "220 2.0.0"});
    assert_true(b->tls_asked);
    smtp_secured(b->s, STR("TLSv1.3 TLS_AES_256_GCM_SHA384"), true);
    converse(b, {"EHLO c.example", "250"});
}

void bench_login(struct bench *b)
{
    bench_secure(b);
    converse(b, {"AUTH PLAIN AHVzZXIAZ29vZA==", "235 2.7.0"}); /* \0user\0good */
}

bool holds(const struct buf *text, const char *part)
{
    return str_ifind(buf_str(text), str_of(part)) >= 0;
}
