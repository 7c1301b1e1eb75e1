/* The heart of the session: bytes become lines, lines become commands, the table of verbs says who
 * may say what and when. The verbs themselves are in greeting.c, envelope.c, transfer.c, auth.c and
 * xclient.c.
 *
 * States: CONNECT -> START (greeted) -> READY (EHLO) -> MAIL -> RCPT -> [BDAT ->] READY. STARTTLS and
 * XCLIENT lead back to START, RSET and the end of a message to READY. */
#include "private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- replies ---- */

void say(struct smtp_session *s, struct str text)
{
    s->world->send(s->w, text);
}

/* text may quote strangers: what is not printable ASCII becomes '?'. */
void reply(struct smtp_session *s, unsigned code, struct str text)
{
    char line[520];
    size_t n = (size_t)snprintf(line, sizeof line, "%u ", code);

    for (size_t i = 0; i < text.n && n < sizeof line - 2; i++)
        line[n++] = text.p[i] >= 0x20 && text.p[i] < 0x7f ? text.p[i] : '?';
    line[n++] = '\r';
    line[n++] = '\n';
    say(s, str_from(line, n));
}

void hang_up(struct smtp_session *s, unsigned code, struct str text)
{
    if (s->closing)
        return;
    reply(s, code, text);
    s->closing = true;
    s->wait = WAIT_NONE;
    s->world->close(s->w);
}

void refuse(struct smtp_session *s, unsigned code, struct str text)
{
    reply(s, code, text);
    if (++s->errors < s->set->errors || s->closing)
        return;
    note(s, SMTP_NOTE_CUT, STR("errors"), 421, STR("too many errors"));
    hang_up(s, 421, STR("4.7.0 Too many errors"));
}

void note(struct smtp_session *s, enum smtp_note kind, struct str subject, unsigned code, struct str text)
{
    s->world->note(s->w, kind, subject, code, text);
}

/* ---- life ---- */

struct smtp_session *smtp_new(const struct smtp_settings *settings, const struct smtp_client *client,
    const struct smtp_world *world, void *w)
{
    struct smtp_session *s = xcalloc(1, sizeof *s);

    s->set = settings;
    s->client = *client;
    s->world = world;
    s->w = w;
    s->state = AT_CONNECT;
    arena_init(&s->arena, TXN_MEMORY);
    return s;
}

void forget_transaction(struct smtp_session *s)
{
    if (s->open) {
        s->open = false;
        s->world->abort(s->w);
    }
    arena_clear(&s->arena);
    s->txn = (struct smtp_txn){0};
    s->asked = s->asked_orcpt = s->fault_text = (struct str){0};
    s->rcpts_refused = s->rcpts_taken = 0;
    s->fault_code = 0;
    s->charged = false;
    s->mode = MODE_COMMAND;
    if (s->state & AT_TXN)
        s->state = AT_READY;
}

void smtp_free(struct smtp_session *s)
{
    if (s == NULL)
        return;
    forget_transaction(s);
    cancel_login(s);
    str_free(&s->helo);
    str_free(&s->login);
    free(s);
}

void greet(struct smtp_session *s)
{
    char text[400];

    snprintf(text, sizeof text, "220 %.*s %s Staffetta\r\n", STR_ARG(s->set->hostname),
        s->set->service == SERVICE_LMTP ? "LMTP" : "ESMTP");
    s->state = AT_START;
    say(s, str_of(text));
}

void smtp_start(struct smtp_session *s)
{
    if (s->state != AT_CONNECT)
        return;
    if (s->set->greeting_delay > 0 && !s->client.trusted && s->set->service == SERVICE_MX) {
        s->wait = WAIT_GREETING;
        s->world->delay(s->w, s->set->greeting_delay);
    } else {
        greet(s);
    }
}

void smtp_resume(struct smtp_session *s)
{
    enum wait was = s->wait;

    if (s->closing || (was != WAIT_GREETING && was != WAIT_DELAY))
        return;
    s->wait = WAIT_NONE;
    if (was == WAIT_GREETING)
        greet(s);
    else
        auth_resume(s);
}

/* While the greeting is held back, input is wanted: it shows an early talker. */
bool smtp_waits(const struct smtp_session *s)
{
    return s->wait != WAIT_NONE && s->wait != WAIT_GREETING;
}

void smtp_secured(struct smtp_session *s, struct str text, bool bindings)
{
    s->secure = true;
    s->bindings = bindings;
    snprintf(s->tls, sizeof s->tls, "%.*s", STR_ARG(text));
    s->mode = MODE_COMMAND;
    note(s, SMTP_NOTE_TLS, (struct str){0}, 0, text);
}

static bool between_transactions(const struct smtp_session *s)
{
    return !(s->state & AT_TXN) && s->mode != MODE_BDAT && s->mode != MODE_DATA && s->wait != WAIT_DONE;
}

static void say_goodbye(struct smtp_session *s)
{
    hang_up(s, 421, STR("4.3.2 The server is going down, try again soon"));
}

void smtp_drain(struct smtp_session *s)
{
    s->draining = true;
    if (between_transactions(s) && s->mode != MODE_TLS)
        say_goodbye(s);
}

const struct smtp_client *smtp_client_of(const struct smtp_session *s)
{
    return &s->client;
}

const struct smtp_txn *smtp_txn_of(const struct smtp_session *s)
{
    return &s->txn;
}

struct str smtp_helo_of(const struct smtp_session *s)
{
    return s->helo;
}

bool is_submission(const struct smtp_session *s)
{
    if (s->account != 0 || s->set->service == SERVICE_LOCAL_SMTP)
        return true;
    return s->client.trusted && s->set->service != SERVICE_LMTP;
}

bool smtp_is_known(const struct smtp_session *s)
{
    return is_submission(s);
}

/* ---- small verbs ---- */

static void on_rset(struct smtp_session *s, struct str args)
{
    (void)args;
    forget_transaction(s);
    say(s, STR("250 2.0.0 Ok\r\n"));
}

static void on_noop(struct smtp_session *s, struct str args)
{
    (void)args;
    say(s, STR("250 2.0.0 Ok\r\n"));
}

static void on_quit(struct smtp_session *s, struct str args)
{
    (void)args;
    forget_transaction(s);
    hang_up(s, 221, STR("2.0.0 Bye"));
}

static void on_vrfy(struct smtp_session *s, struct str args)
{
    if (args.n == 0)
        refuse(s, 501, STR("5.5.4 Syntax: VRFY address"));
    else
        say(s, STR("252 2.5.2 Cannot tell, but will try to deliver\r\n"));
}

static void on_expn(struct smtp_session *s, struct str args)
{
    (void)args;
    refuse(s, 502, STR("5.5.1 EXPN is not offered"));
}

static void on_etrn(struct smtp_session *s, struct str args)
{
    (void)args;
    refuse(s, 502, STR("5.5.1 ETRN is not offered"));
}

static void on_starttls(struct smtp_session *s, struct str args)
{
    if (s->secure) {
        refuse(s, 503, STR("5.5.1 TLS is on already"));
    } else if (!s->set->starttls) { /* some clients (gsasl) send it before EHLO, others after HELO */
        refuse(s, 502, STR("5.5.1 STARTTLS is not offered"));
    } else if (args.n > 0) {
        refuse(s, 501, STR("5.5.4 STARTTLS takes no argument"));
    } else {
        say(s, STR("220 2.0.0 Ready to start TLS\r\n"));
        str_free(&s->helo); /* all that was learnt without TLS is forgotten (RFC 3207 4.2) */
        str_free(&s->login);
        s->account = 0;
        s->extended = false;
        s->state = AT_START;
        s->mode = MODE_TLS;
        s->world->start_tls(s->w);
    }
}

/* ---- who may say what, and when ---- */

enum need { NEED_NOTHING, NEED_LOGIN };

static const struct {
    enum smtp_verb verb;
    unsigned states;
    enum need need;
    void (*run)(struct smtp_session *s, struct str args);
} verbs[] = {
    {VERB_HELO, AT_GREETED, NEED_NOTHING, on_helo},
    {VERB_EHLO, AT_GREETED, NEED_NOTHING, on_ehlo},
    {VERB_LHLO, AT_GREETED, NEED_NOTHING, on_lhlo},
    {VERB_STARTTLS, AT_START | AT_READY, NEED_NOTHING, on_starttls},
    {VERB_AUTH, AT_READY, NEED_NOTHING, on_auth},
    {VERB_XCLIENT, AT_START | AT_READY, NEED_NOTHING, on_xclient},
    {VERB_MAIL, AT_READY, NEED_LOGIN, on_mail},
    {VERB_RCPT, AT_MAIL | AT_RCPT, NEED_LOGIN, on_rcpt},
    {VERB_DATA, AT_RCPT, NEED_LOGIN, on_data},
    {VERB_BDAT, AT_GREETED, NEED_NOTHING, on_bdat}, /* its bytes come in any state */
    {VERB_RSET, AT_GREETED, NEED_NOTHING, on_rset},
    {VERB_NOOP, AT_GREETED, NEED_NOTHING, on_noop},
    {VERB_QUIT, AT_GREETED, NEED_NOTHING, on_quit},
    {VERB_VRFY, AT_GREETED, NEED_LOGIN, on_vrfy},
    {VERB_EXPN, AT_GREETED, NEED_LOGIN, on_expn},
    {VERB_ETRN, AT_GREETED, NEED_NOTHING, on_etrn},
    {VERB_HELP, AT_GREETED, NEED_NOTHING, on_help},
};

/* What is missing, in the words of the protocol. */
static void out_of_order(struct smtp_session *s, enum smtp_verb verb)
{
    if (s->state == AT_START)
        refuse(s, 503, s->set->service == SERVICE_LMTP ? STR("5.5.1 Send LHLO first") : STR("5.5.1 Send EHLO first"));
    else if (s->state == AT_BDAT)
        refuse(s, 503, STR("5.5.1 The message is being sent with BDAT"));
    else if (verb == VERB_RCPT || s->state == AT_READY)
        refuse(s, 503, STR("5.5.1 Send MAIL first"));
    else if (verb == VERB_DATA && s->rcpts_refused > 0)
        refuse(s, 554, STR("5.5.1 No valid recipients"));
    else if (verb == VERB_DATA)
        refuse(s, 503, STR("5.5.1 Send RCPT first"));
    else
        refuse(s, 503, STR("5.5.1 A transaction is open, send RSET first"));
}

static bool may_proceed(const struct smtp_session *s, enum need need)
{
    return need == NEED_NOTHING || s->set->service != SERVICE_SUBMISSION || is_submission(s);
}

/* A web browser, or a TLS client at a port that starts in plain: no mail client, and what follows
 * could be somebody else's request used to speak SMTP through a browser. */
static bool is_foreign(struct str line)
{
    static const struct str words[] = {STR("GET "), STR("POST "), STR("HEAD "), STR("PUT "), STR("OPTIONS "),
        STR("CONNECT "), STR("DELETE "), STR("PATCH "), STR("TRACE "), STR("Host:"), STR("\x16\x03")};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (str_istarts(line, words[i]))
            return true;
    }
    return false;
}

static void unknown_command(struct smtp_session *s, struct str line)
{
    if (is_foreign(line)) {
        note(s, SMTP_NOTE_CUT, STR("foreign"), 421, STR("not SMTP"));
        hang_up(s, 421, STR("4.7.0 This is a mail server"));
        return;
    }
    refuse(s, 500, STR("5.5.2 Unknown command"));
    if (++s->unknown >= s->set->unknown_commands && !s->closing) {
        note(s, SMTP_NOTE_CUT, STR("unknown-commands"), 421, STR("too many unknown commands"));
        hang_up(s, 421, STR("4.7.0 Too many unknown commands"));
    }
}

static void run_command(struct smtp_session *s, struct str line)
{
    struct command c = command_parse(line);

    if (s->draining && between_transactions(s) && c.verb != VERB_QUIT) {
        say_goodbye(s);
        return;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (verbs[i].verb != c.verb)
            continue;
        if (!(verbs[i].states & s->state))
            out_of_order(s, c.verb);
        else if (!may_proceed(s, verbs[i].need))
            refuse(s, 530, STR("5.7.0 Authentication required"));
        else
            verbs[i].run(s, c.args);
        return;
    }
    unknown_command(s, line);
}

/* ---- lines ---- */

static void early_talker(struct smtp_session *s)
{
    note(s, SMTP_NOTE_CUT, STR("early-talker"), 554, STR("talked before the greeting"));
    hang_up(s, 554, STR("5.5.1 You talked before the greeting"));
}

/* A client that cannot know yet that PIPELINING is offered does not read replies. */
static bool talks_too_soon(const struct smtp_session *s, struct str line, bool more)
{
    return more && s->set->strict && !s->client.trusted && s->state == AT_START && line.n >= 4 &&
           (str_istarts(line, STR("EHLO")) || str_istarts(line, STR("HELO")));
}

static void too_long(struct smtp_session *s)
{
    if (s->mode == MODE_AUTH)
        cancel_login(s);
    s->mode = MODE_SKIP_LINE;
}

static size_t skip_line(struct smtp_session *s, struct str bytes)
{
    ptrdiff_t end = str_find(bytes, '\n');

    if (end < 0)
        return bytes.n;
    s->mode = MODE_COMMAND;
    refuse(s, 500, STR("5.5.2 Line too long"));
    return (size_t)end + 1;
}

static void run_line(struct smtp_session *s, struct str line, bool more)
{
    if (line.n == 0 || line.p[line.n - 1] != '\r') {
        if (s->mode == MODE_COMMAND && is_foreign(line))
            unknown_command(s, line);
        else if (s->mode == MODE_AUTH)
            auth_line(s, STR("*"));
        else
            refuse(s, 500, STR("5.5.2 Lines end with CR and LF"));
        return;
    }
    line.n--;
    if (s->mode == MODE_AUTH) {
        auth_line(s, line);
    } else if (talks_too_soon(s, line, more)) {
        note(s, SMTP_NOTE_CUT, STR("pipelining"), 503, STR("pipelining before the EHLO reply"));
        hang_up(s, 503, STR("5.5.1 You did not wait for the reply to EHLO"));
    } else {
        run_command(s, line);
    }
}

static size_t take_line(struct smtp_session *s, struct str bytes)
{
    size_t most = s->mode == MODE_AUTH ? LINE_MAX_AUTH : LINE_MAX_COMMAND;
    ptrdiff_t end;

    if (s->state == AT_CONNECT) {
        early_talker(s);
        return bytes.n;
    }
    /* AUTH may carry its initial response */
    if (s->mode == MODE_COMMAND && str_istarts(bytes, STR("AUTH ")))
        most = LINE_MAX_AUTH;
    end = str_find(str_sub(bytes, 0, most), '\n');
    if (end < 0 && bytes.n < most) {
        if (s->mode == MODE_COMMAND && str_starts(bytes, STR("\x16\x03")))
            unknown_command(s, bytes);
        return 0;
    }
    if (end < 0) {
        too_long(s);
        return most;
    }
    run_line(s, str_sub(bytes, 0, (size_t)end), bytes.n > (size_t)end + 1);
    return (size_t)end + 1;
}

static size_t take(struct smtp_session *s, struct str bytes)
{
    switch (s->mode) {
    case MODE_COMMAND:
    case MODE_AUTH:
        return take_line(s, bytes);
    case MODE_SKIP_LINE:
        return skip_line(s, bytes);
    case MODE_DATA:
        return take_data(s, bytes);
    case MODE_BDAT:
        return take_chunk(s, bytes);
    case MODE_TLS:
        break; /* plain text after STARTTLS: dropped */
    }
    return bytes.n;
}

/* A block of input can ask for fifty times as much output. */
static bool must_read_first(const struct smtp_session *s)
{
    return s->world->full != NULL && s->world->full(s->w);
}

size_t smtp_input(struct smtp_session *s, struct str bytes)
{
    size_t used = 0, n;

    while (used < bytes.n && !smtp_waits(s) && !s->closing && !must_read_first(s)) {
        n = take(s, str_skip(bytes, used));
        if (n == 0)
            break;
        used += n;
    }
    return s->closing ? bytes.n : used;
}
