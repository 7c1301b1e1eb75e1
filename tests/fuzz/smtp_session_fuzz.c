/* A whole SMTP session. The first byte chooses the listener and who is there, the second how the input
 * is split and whether answers come at once or later; the rest is what the client sends. Checked: every
 * reply is well-formed, filter sees a proper order of begin, chunks and end or abort, and content never
 * holds what the rules forbid. */
#include "base/clock.h"
#include "roles/smtp/session.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum pending { NOTHING, RCPT, SENDER, AUTH, DELAY, DONE };

struct fuzz {
    struct smtp_session *s;
    bool late, closed, open, binary, tls;
    enum pending pending;
    size_t line; /* of replies: place in the present line */
    char last;
    unsigned steps;
};

static void settle(struct fuzz *f);

static void check_reply(void *w, struct str bytes)
{
    struct fuzz *f = w;

    assert(!f->closed);
    for (size_t i = 0; i < bytes.n; i++) {
        char c = bytes.p[i];

        assert(f->line >= 3 || ascii_is_digit(c));
        assert(f->line != 3 || c == ' ' || c == '-');
        assert((c == '\n') == (f->last == '\r'));
        assert(c == '\r' || c == '\n' || (c >= 0x20 && c < 0x7f));
        f->line = c == '\n' ? 0 : f->line + 1;
        f->last = c;
    }
    assert(f->line == 0);
}

static void on_close(void *w)
{
    ((struct fuzz *)w)->closed = true;
}

static void on_start_tls(void *w)
{
    ((struct fuzz *)w)->tls = true;
}

static void ask(struct fuzz *f, enum pending what)
{
    assert(f->pending == NOTHING);
    f->pending = what;
    if (!f->late)
        settle(f);
}

static void on_delay(void *w, int64_t span)
{
    (void)span;
    ask(w, DELAY);
}

static int64_t on_now(void *w)
{
    (void)w;
    return 1795318200 * SECOND;
}

static bool on_spend(void *w, enum smtp_budget what)
{
    (void)what;
    return ((struct fuzz *)w)->steps++ % 64 != 63;
}

static unsigned on_login_failed(void *w, bool *banned)
{
    *banned = false;
    return ++((struct fuzz *)w)->steps;
}

static void on_ask_rcpt(void *w, uint64_t account, bool first, bool bounce, struct str address)
{
    (void)bounce;
    (void)account;
    (void)first;
    assert(address.n > 0 && address.n <= IPC_ADDRESS);
    ask(w, RCPT);
}

static void on_ask_sender(void *w, uint64_t account, struct str address)
{
    assert(account != 0 && address.n <= IPC_ADDRESS);
    ask(w, SENDER);
}

static void on_auth_begin(void *w, struct str mechanism, bool has_initial, struct str initial)
{
    (void)has_initial;
    assert(mechanism.n > 0 && initial.n <= 16384);
    ask(w, AUTH);
}

static void on_auth_step(void *w, struct str data)
{
    assert(data.n <= 16384);
    ask(w, AUTH);
}

static void on_auth_cancel(void *w)
{
    struct fuzz *f = w;

    if (f->pending == AUTH)
        f->pending = NOTHING;
}

static uint64_t on_offer(void *w, struct str *why)
{
    (void)why;
    return ((struct fuzz *)w)->steps++ % 32 != 31;
}

/* The Received field is one: its lines are folded, and nothing in it is a control character. */
static void check_trace(struct str trace)
{
    assert(str_starts(trace, STR("Received: ")) && str_ends(trace, STR("\r\n")));
    assert(str_is_utf8(trace));
    for (size_t i = 0; i < trace.n; i++) {
        if (i + 2 < trace.n && str_starts(str_skip(trace, i), STR("\r\n\t")))
            i += 2;
        else
            assert(i + 2 == trace.n ? str_eq(str_skip(trace, i++), STR("\r\n")) : str_control(str_skip(trace, i)) == 0);
    }
}

static bool on_begin(void *w, const struct smtp_txn *t)
{
    struct fuzz *f = w;
    size_t n = 0;

    assert(!f->open && t->rcpts > 0 && t->message != 0);
    for (const struct smtp_rcpt *r = t->first; r != NULL; r = r->next)
        n++;
    assert(n == t->rcpts);
    check_trace(t->trace);
    f->binary = (t->flags & TXN_BINARYMIME) != 0;
    f->open = f->steps++ % 16 != 15;
    return f->open;
}

static void on_chunk(void *w, struct str data)
{
    struct fuzz *f = w;

    assert(f->open && data.n > 0 && data.n <= IPC_CHUNK);
    assert(f->binary || memchr(data.p, 0, data.n) == NULL);
}

static void on_end(void *w)
{
    struct fuzz *f = w;

    assert(f->open);
    ask(f, DONE);
}

static void on_abort(void *w)
{
    struct fuzz *f = w;

    assert(f->open);
    f->open = false;
    if (f->pending == DONE)
        f->pending = NOTHING;
}

static void on_note(void *w, enum smtp_note note, struct str subject, unsigned code, struct str text)
{
    (void)w;
    (void)note;
    (void)subject;
    (void)code;
    (void)text;
}

static void on_client_changed(void *w, struct smtp_client *client)
{
    (void)w;
    client->trusted = false;
}

static const struct smtp_world world = {
    .send = check_reply,
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

static void settle_auth(struct fuzz *f, unsigned turn)
{
    if (turn % 4 == 0)
        smtp_auth_done(f->s, AUTH_OK, 7, AUTH_MAY_SEND, STR("user"), STR(""));
    else if (turn % 4 == 1)
        smtp_auth_done(f->s, AUTH_OK, 7, AUTH_MAY_SEND, STR("user"), STR("last"));
    else if (turn % 4 == 2)
        smtp_auth_done(f->s, (enum auth_result)(turn / 4 % (AUTH_TEMPFAIL + 1)), 0, 0, STR(""), STR(""));
    else
        smtp_auth_challenge(f->s, STR("challenge"));
}

/* Answers what is asked; the number of the step decides how. */
static void settle(struct fuzz *f)
{
    enum pending what = f->pending;
    unsigned turn = f->steps++;

    f->pending = NOTHING;
    switch (what) {
    case NOTHING:
        break;
    case RCPT:
        smtp_rcpt_answer(f->s, (enum rcpt_result)(turn % 3 == 0 ? turn / 3 % (RCPT_TEMPFAIL + 1) : RCPT_LOCAL), turn % 4, STR("5.1.1 odd\r\nreply"));
        break;
    case SENDER:
        smtp_sender_answer(f->s, turn % 4 != 0, turn % 5 == 0);
        break;
    case AUTH:
        settle_auth(f, turn);
        break;
    case DELAY:
        smtp_resume(f->s);
        break;
    case DONE:
        f->open = false;
        smtp_txn_done(f->s, turn % 7 == 0 ? 550 : 250, STR("2.0.0 queued"));
        break;
    }
}

static struct smtp_settings settings_of(uint8_t choice)
{
    static const enum service services[] = {SERVICE_MX, SERVICE_SUBMISSION, SERVICE_LMTP, SERVICE_LOCAL_SMTP};

    return (struct smtp_settings){.service = services[choice % 4], .hostname = STR("mail.test"),
        .starttls = (choice & 4) != 0, .strict = (choice & 8) != 0, .message_size = 2000, .recipients = 10, .errors = 50,
        .unknown_commands = 50, .messages_per_connection = 20, .greeting_delay = choice & 16 ? SECOND : 0};
}

static void run(struct fuzz *f, struct str input, size_t piece)
{
    size_t have = 0, used;

    while (input.n > 0 && !f->closed) {
        have = have + piece < input.n ? have + piece : input.n;
        used = smtp_input(f->s, str_sub(input, 0, have));
        assert(used <= have);
        assert(used > 0 || have == 0 || have < 20000 || smtp_waits(f->s));
        if (f->tls) { /* the rest of what was read is dropped */
            f->tls = false;
            smtp_secured(f->s, STR("TLSv1.3 X"), true);
        }
        input = str_skip(input, used);
        have -= used;
        if (f->pending != NOTHING)
            settle(f);
        else if (used == 0 && have == input.n)
            break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = {0};
    struct smtp_settings settings;
    struct smtp_client client = {.port = 1};

    if (size < 2)
        return 0;
    settings = settings_of(data[0]);
    client.trusted = (data[0] & 32) != 0;
    client.loopback = (data[0] & 64) != 0;
    client.may_xclient = (data[0] & 128) != 0;
    f.late = (data[1] & 1) != 0;
    ip_parse(STR("192.0.2.1"), &client.ip);
    f.s = smtp_new(&settings, &client, &world, &f);
    smtp_start(f.s);
    if (f.pending == DELAY && (data[1] & 2))
        settle(&f);
    run(&f, str_from((const char *)data + 2, size - 2), 1 + (size_t)(data[1] >> 2) * 7);
    if (data[1] & 2)
        smtp_drain(f.s);
    smtp_free(f.s);
    assert(!f.open);
    return 0;
}
