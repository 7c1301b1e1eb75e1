/* IMAP before login. See imap_login.h. */
#include "imap_login.h"
#include "base/err.h"
#include "imap/input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct login {
    struct login_common c;
    struct imap_input input;
    struct arena arena;
    struct imap_command command;
    char tag[IMAP_TAG_MAX]; /* of the command under way */
    size_t tag_length;
};

/* ---- answers ---- */

static void keep_tag(struct login *l, struct str tag)
{
    l->tag_length = tag.n;
    if (tag.n > 0)
        memcpy(l->tag, tag.p, tag.n);
}

static struct str tag_of(const struct login *l)
{
    return str_from(l->tag, l->tag_length);
}

/* The tagged answer; an untagged one where no tag was understood. */
static void answer(struct login *l, const char *text)
{
    l->c.world->send(l->c.arg, l->tag_length > 0 ? tag_of(l) : STR("*"));
    l->c.world->send(l->c.arg, STR(" "));
    login_send(&l->c, text);
}

static void fail(struct login *l, const char *text)
{
    answer(l, text);
    if (++l->c.errors < LOGIN_ERRORS_MAX)
        return;
    login_send(&l->c, "* BYE Too many errors");
    login_hang_up(&l->c);
}

static void add_capabilities(const struct login *l, struct buf *out)
{
    buf_add(out, STR("CAPABILITY IMAP4rev2 IMAP4rev1 ID ENABLE LITERAL- SASL-IR"));
    if (l->c.flags & LOGIN_STARTTLS)
        buf_add(out, STR(" STARTTLS"));
    if (!login_takes_passwords(&l->c))
        buf_add(out, STR(" LOGINDISABLED"));
    sasl_list(out, " AUTH=", "", l->c.flags);
}

/* ---- commands ---- */

static void on_capability(struct login *l)
{
    struct buf out;

    buf_init(&out, 1024);
    buf_add(&out, STR("* "));
    add_capabilities(l, &out);
    buf_add(&out, STR("\r\n"));
    login_send_buf(&l->c, &out);
    answer(l, "OK That is what there is before login");
}

static void on_noop(struct login *l)
{
    answer(l, "OK Done");
}

static void on_id(struct login *l)
{
    login_send(&l->c, "* ID (\"name\" \"Staffetta\")");
    answer(l, "OK Pleased to meet you");
}

static void on_logout(struct login *l)
{
    login_send(&l->c, "* BYE Logging out");
    answer(l, "OK Goodbye");
    login_hang_up(&l->c);
}

static void on_starttls(struct login *l)
{
    if (l->c.flags & LOGIN_SECURE) {
        fail(l, "BAD TLS is active already");
    } else if (!(l->c.flags & LOGIN_STARTTLS)) {
        fail(l, "BAD TLS is not available here");
    } else {
        answer(l, "OK Begin TLS negotiation");
        l->c.state = LOGIN_WAITING;
        l->c.world->start_tls(l->c.arg);
    }
}

static void on_login(struct login *l)
{
    struct str user = l->command.login.user, password = l->command.login.password;

    if (!login_takes_passwords(&l->c)) {
        fail(l, "NO [PRIVACYREQUIRED] Passwords are taken with TLS only, use STARTTLS first");
        return;
    }
    if (!login_usable(user) || !login_usable(password)) {
        fail(l, "NO [AUTHENTICATIONFAILED] Not a user and a password");
        return;
    }
    login_by_password(&l->c, user, password);
}

static void sasl_answer(struct login *l, enum sasl_result result)
{
    static const char *const errors[] = {
        [SASL_UNKNOWN] = "NO [CANNOT] No such mechanism",
        [SASL_NEEDS_TLS] = "NO [PRIVACYREQUIRED] Passwords are taken with TLS only, use STARTTLS first",
        [SASL_MALFORMED] = "BAD Malformed response",
        [SASL_CANCELLED] = "BAD Cancelled",
    };

    if (result == SASL_COMPLETE)
        l->c.world->open(l->c.arg, 0, tag_of(l));
    else if (result != SASL_ASKED)
        fail(l, errors[result]);
}

static void on_authenticate(struct login *l)
{
    const struct imap_login *c = &l->command.login;

    sasl_answer(l, login_by_sasl(&l->c, c->mechanism, c->has_initial, c->initial));
}

static void (*const verbs[IMAP_VERB_COUNT])(struct login *l) = {
    [IMAP_CAPABILITY] = on_capability, [IMAP_NOOP] = on_noop, [IMAP_ID] = on_id, [IMAP_LOGOUT] = on_logout,
    [IMAP_STARTTLS] = on_starttls, [IMAP_LOGIN] = on_login, [IMAP_AUTHENTICATE] = on_authenticate,
};

/* What the command held may have been a password: it is overwritten before anybody answers. */
static void on_command(struct login *l)
{
    const char *why = NULL;
    bool known = imap_command_parse(imap_input_command(&l->input), true, &l->arena, &l->command, &why);
    char text[200];

    keep_tag(l, l->command.tag);
    if (known && verbs[l->command.verb] != NULL) {
        verbs[l->command.verb](l);
    } else {
        snprintf(text, sizeof text, "BAD %s", known ? "Log in first" : why);
        fail(l, text);
    }
    imap_input_wipe(&l->input);
    imap_input_done(&l->input);
    arena_wipe(&l->arena);
}

/* Why this literal is not taken; NULL: it is. */
static const char *refusal(const struct login *l)
{
    struct str tag, rest;
    enum imap_verb verb;
    bool uid;

    if (!imap_command_verb(imap_input_command(&l->input), &tag, &uid, &verb, &rest))
        return "BAD Unknown command";
    if (verb == IMAP_LOGIN && !login_takes_passwords(&l->c))
        return "NO [PRIVACYREQUIRED] Passwords are taken with TLS only, use STARTTLS first";
    if (verb != IMAP_LOGIN && verb != IMAP_ID)
        return verbs[verb] != NULL ? "BAD A literal is not expected here" : "BAD Log in first";
    return imap_input_literal(&l->input)->size > IMAP_LOGIN_LITERAL_MAX ? "BAD [TOOBIG] The literal is too large" : NULL;
}

static void on_literal(struct login *l)
{
    const char *why = refusal(l);

    if (why != NULL) {
        keep_tag(l, imap_input_tag(&l->input));
        imap_input_refuse(&l->input);
        fail(l, why);
        return;
    }
    if (imap_input_literal(&l->input)->synchronizing)
        login_send(&l->c, "+ Go on");
    imap_input_take(&l->input);
}

static void on_too_long(struct login *l)
{
    keep_tag(l, imap_input_tag(&l->input));
    imap_input_wipe(&l->input);
    imap_input_done(&l->input);
    fail(l, "BAD The command is too long");
}

/* ---- input ---- */

static void response_too_long(struct login *l)
{
    login_give_up(&l->c);
    fail(l, "BAD The response is too long");
}

/* A line inside AUTHENTICATE, or what is left of one that was too long. False: it is not whole. */
static bool take_line(struct login *l, struct str *bytes)
{
    ptrdiff_t end = str_find(*bytes, '\n');
    size_t n = end < 0 ? bytes->n : (size_t)end + 1;
    struct str line = str_sub(*bytes, 0, n - (end >= 0));
    bool skipped = l->c.skipping;

    if (end < 0 && !skipped && n < SASL_LINE_MAX)
        return false;
    *bytes = str_skip(*bytes, n);
    l->c.skipping = end < 0;
    if (skipped)
        return true;
    if (n >= SASL_LINE_MAX) {
        response_too_long(l);
        return true;
    }
    if (str_ends(line, STR("\r")))
        line.n--;
    sasl_answer(l, login_response(&l->c, line));
    return true;
}

static bool take_command(struct login *l, struct str *bytes)
{
    switch (imap_input_next(&l->input, bytes)) {
    case IMAP_INPUT_COMMAND:
        on_command(l);
        return true;
    case IMAP_INPUT_LITERAL:
        on_literal(l);
        return true;
    case IMAP_INPUT_TOO_LONG:
        on_too_long(l);
        return true;
    case IMAP_INPUT_BYTES: /* nothing is streamed here */
    case IMAP_INPUT_STREAMED:
    case IMAP_INPUT_MORE:
        break;
    }
    return false;
}

static size_t login_input(void *machine, struct str bytes)
{
    struct login *l = machine;
    struct str rest = bytes;
    bool whole = true;

    while (whole && rest.n > 0 && login_takes_input(&l->c))
        whole = l->c.state == LOGIN_IN_AUTH || l->c.skipping ? take_line(l, &rest) : take_command(l, &rest);
    return bytes.n - rest.n;
}

/* ---- what the world says ---- */

/* RFC 5530 */
static const char *const refusals[] = {
    [AUTH_OK] = "NO [AUTHORIZATIONFAILED] This login may not read mail",
    [AUTH_BAD_CREDENTIALS] = "NO [AUTHENTICATIONFAILED] Wrong user or password",
    [AUTH_DISABLED] = "NO [CONTACTADMIN] This account is disabled",
    [AUTH_SLOW_DOWN] = "NO [LIMIT] Too many attempts, try again later",
    [AUTH_BAD_REQUEST] = "BAD Malformed response",
    [AUTH_TEMPFAIL] = "NO [UNAVAILABLE] Logins are not possible now, try again later",
};

static void on_done(void *machine, const struct login_outcome *o)
{
    struct login *l = machine;

    switch (login_judge(&l->c, o)) {
    case LOGIN_GRANTED:
        l->c.world->open(l->c.arg, 0, tag_of(l));
        return;
    case LOGIN_REFUSED:
        answer(l, login_refusal(refusals, o->result));
        if (l->c.failures < LOGIN_FAILURES_MAX)
            return;
        login_send(&l->c, "* BYE Too many failed logins");
        login_hang_up(&l->c);
        return;
    case LOGIN_LATE:
    case LOGIN_ACKNOWLEDGE:
        return;
    }
}

static void login_bye(void *machine, const char *why)
{
    struct login *l = machine;

    l->c.world->send(l->c.arg, STR("* BYE [UNAVAILABLE] "));
    login_send(&l->c, why);
    l->c.state = LOGIN_OVER;
}

static void login_greet(void *machine)
{
    struct login *l = machine;
    struct buf out;

    buf_init(&out, 2048);
    buf_add(&out, STR("* OK ["));
    add_capabilities(l, &out);
    buf_addf(&out, "] %.*s IMAP server ready\r\n", STR_ARG(l->c.hostname));
    login_send_buf(&l->c, &out);
}

static void *login_new(const struct login_world *world, void *arg, struct str hostname, unsigned flags)
{
    struct login *l = xcalloc(1, sizeof *l);

    login_init(&l->c, world, arg, hostname, flags);
    imap_input_init(&l->input);
    imap_input_limit(&l->input, IMAP_LOGIN_LINE_MAX, IMAP_LOGIN_COMMAND_MAX);
    arena_init(&l->arena, 16 * IMAP_LOGIN_COMMAND_MAX);
    return l;
}

static void login_free(void *machine)
{
    struct login *l = machine;

    if (l == NULL)
        return;
    login_clear(&l->c);
    imap_input_wipe(&l->input);
    imap_input_clear(&l->input);
    arena_wipe(&l->arena);
    free(l);
}

const struct login_protocol imap_login = {
    .name = "imap",
    .session = SESSION_IMAP,
    .service = "imap",
    .refusal = "* BYE [UNAVAILABLE] Not now, try again later\r\n",
    .timeout = "* BYE Nothing was said for too long\r\n",
    .new = login_new,
    .free = login_free,
    .greet = login_greet,
    .input = login_input,
    .secured = login_secured,
    .challenge = login_challenge,
    .done = on_done,
    .bye = login_bye,
    .waits = login_waits,
};
