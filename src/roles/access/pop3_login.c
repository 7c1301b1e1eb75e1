/* POP3 before login. See pop3_login.h. */
#include "pop3_login.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

struct login {
    struct login_common c;
    bool utf8;
    struct str user; /* of USER, until PASS */
};

static void fail(struct login *l, const char *text)
{
    if (++l->c.errors < LOGIN_ERRORS_MAX) {
        login_send(&l->c, text);
        return;
    }
    login_send(&l->c, "-ERR Too many errors, goodbye");
    login_hang_up(&l->c);
}

/* ---- commands: `rest` is what follows the keyword and one blank ---- */

static void on_capa(struct login *l, struct str rest)
{
    struct buf out;

    (void)rest;
    buf_init(&out, 1024);
    buf_add(&out, STR("+OK Capability list follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
                      "PIPELINING\r\nEXPIRE NEVER\r\n"));
    if (login_takes_passwords(&l->c))
        buf_add(&out, STR("USER\r\n"));
    buf_add(&out, STR("SASL"));
    sasl_list(&out, " ", "", l->c.flags);
    buf_add(&out, STR("\r\n"));
    if (l->c.flags & LOGIN_STARTTLS)
        buf_add(&out, STR("STLS\r\n"));
    buf_add(&out, login_takes_passwords(&l->c) ? STR("UTF8 USER\r\n") : STR("UTF8\r\n"));
    buf_add(&out, STR("LANG\r\nIMPLEMENTATION Staffetta\r\n.\r\n"));
    login_send_buf(&l->c, &out);
}

static void on_stls(struct login *l, struct str rest)
{
    if (rest.n > 0) {
        fail(l, "-ERR STLS takes no argument");
    } else if (l->c.flags & LOGIN_SECURE) {
        fail(l, "-ERR TLS is active already");
    } else if (!(l->c.flags & LOGIN_STARTTLS)) {
        fail(l, "-ERR TLS is not available here");
    } else if (l->utf8) { /* RFC 6856, section 2.1 */
        fail(l, "-ERR STLS comes before UTF8");
    } else {
        login_send(&l->c, "+OK Begin TLS negotiation");
        l->c.state = LOGIN_WAITING;
        l->c.world->start_tls(l->c.arg);
    }
}

static void on_user(struct login *l, struct str rest)
{
    str_free(&l->user);
    if (!login_takes_passwords(&l->c)) {
        fail(l, "-ERR Passwords are taken with TLS only, use STLS first");
    } else if (!login_usable(rest)) {
        fail(l, "-ERR Not a user name");
    } else {
        l->user = str_dup(rest);
        login_send(&l->c, "+OK Now the password");
    }
}

static void on_pass(struct login *l, struct str rest)
{
    if (!login_takes_passwords(&l->c)) {
        fail(l, "-ERR [AUTH] Passwords are taken with TLS only, use STLS first");
        return;
    }
    if (l->user.n == 0) {
        fail(l, "-ERR USER comes first");
        return;
    }
    if (!login_usable(rest)) {
        fail(l, "-ERR [AUTH] Not a password");
        return;
    }
    login_by_password(&l->c, l->user, rest);
    str_free(&l->user);
}

/* AUTH alone lists the mechanisms, as clients older than CAPA expect. */
static void list_mechanisms(struct login *l)
{
    struct buf out;

    buf_init(&out, 512);
    buf_add(&out, STR("+OK Mechanisms follow\r\n"));
    sasl_list(&out, "", "\r\n", l->c.flags);
    buf_add(&out, STR(".\r\n"));
    login_send_buf(&l->c, &out);
}

static void open_session(struct login *l)
{
    l->c.world->open(l->c.arg, l->utf8 ? SESSION_UTF8 : 0, (struct str){0});
}

static void sasl_answer(struct login *l, enum sasl_result result)
{
    static const char *const errors[] = {
        [SASL_UNKNOWN] = "-ERR No such mechanism",
        [SASL_NEEDS_TLS] = "-ERR [AUTH] Passwords are taken with TLS only, use STLS first",
        [SASL_MALFORMED] = "-ERR Malformed response",
        [SASL_CANCELLED] = "-ERR Cancelled",
    };

    if (result == SASL_COMPLETE)
        open_session(l);
    else if (result != SASL_ASKED)
        fail(l, errors[result]);
}

static void on_auth(struct login *l, struct str rest)
{
    struct str mechanism, initial, more;
    bool has_initial;

    if (!str_next_word(&rest, &mechanism)) {
        list_mechanisms(l);
        return;
    }
    has_initial = str_next_word(&rest, &initial);
    if (str_next_word(&rest, &more)) {
        fail(l, "-ERR Too many arguments");
        return;
    }
    sasl_answer(l, login_by_sasl(&l->c, mechanism, has_initial, initial));
}

static void on_utf8(struct login *l, struct str rest)
{
    if (rest.n > 0) {
        fail(l, "-ERR UTF8 takes no argument");
        return;
    }
    l->utf8 = true;
    login_send(&l->c, "+OK UTF8 mode");
}

static void on_lang(struct login *l, struct str rest)
{
    rest = str_trim(rest);
    if (rest.n == 0)
        login_send(&l->c, "+OK Language listing follows:\r\nen English\r\n.");
    else if (str_ieq(rest, STR("en")) || str_eq(rest, STR("*")))
        login_send(&l->c, "+OK en Language changed");
    else
        fail(l, "-ERR No such language");
}

static void on_noop(struct login *l, struct str rest)
{
    (void)rest;
    login_send(&l->c, "+OK");
}

static void on_quit(struct login *l, struct str rest)
{
    (void)rest;
    login_send(&l->c, "+OK Goodbye");
    login_hang_up(&l->c);
}

static void on_after_login(struct login *l, struct str rest)
{
    (void)rest;
    fail(l, "-ERR Log in first");
}

static const struct command {
    const char *keyword;
    void (*run)(struct login *l, struct str rest);
} commands[] = {
    {"CAPA", on_capa}, {"STLS", on_stls}, {"USER", on_user}, {"PASS", on_pass}, {"AUTH", on_auth},
    {"UTF8", on_utf8}, {"LANG", on_lang}, {"NOOP", on_noop}, {"QUIT", on_quit},
    {"STAT", on_after_login}, {"LIST", on_after_login}, {"RETR", on_after_login},
    {"DELE", on_after_login}, {"RSET", on_after_login}, {"TOP", on_after_login},
    {"UIDL", on_after_login}, {"LAST", on_after_login},
};

static void command(struct login *l, struct str line)
{
    ptrdiff_t blank = str_find(line, ' ');
    struct str keyword = blank < 0 ? line : str_sub(line, 0, (size_t)blank);
    struct str rest = blank < 0 ? (struct str){0} : str_skip(line, (size_t)blank + 1);

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (str_ieq(keyword, str_of(commands[i].keyword))) {
            commands[i].run(l, rest);
            return;
        }
    fail(l, "-ERR Unknown command");
}

/* ---- input ---- */

static size_t line_max(const struct login *l, struct str input)
{
    return l->c.state == LOGIN_IN_AUTH || str_istarts(input, STR("AUTH ")) ? SASL_LINE_MAX : POP3_LOGIN_LINE_MAX;
}

static void too_long(struct login *l)
{
    if (l->c.state == LOGIN_IN_AUTH)
        login_give_up(&l->c);
    fail(l, "-ERR Line too long");
}

/* A line with its end. */
static void take_line(struct login *l, struct str input, size_t n)
{
    struct str line = str_sub(input, 0, n - 1);

    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (l->c.skipping)
        l->c.skipping = false;
    else if (n > line_max(l, input))
        too_long(l);
    else if (l->c.state == LOGIN_IN_AUTH)
        sasl_answer(l, login_response(&l->c, line));
    else
        command(l, line);
}

static size_t login_input(void *machine, struct str bytes)
{
    struct login *l = machine;
    size_t used = 0;

    while (login_takes_input(&l->c)) {
        struct str input = str_skip(bytes, used);
        ptrdiff_t end = str_find(input, '\n');

        if (end < 0 && input.n > 0 && (l->c.skipping || input.n >= line_max(l, input))) {
            if (!l->c.skipping)
                too_long(l);
            l->c.skipping = true;
            return bytes.n;
        }
        if (end < 0)
            break;
        used += (size_t)end + 1;
        take_line(l, input, (size_t)end + 1);
    }
    return used;
}

/* ---- what the world says ---- */

static void on_secured(void *machine)
{
    struct login *l = machine;

    login_secured(machine);
    str_free(&l->user);
}

static const char *const refusals[] = {
    [AUTH_OK] = "-ERR [AUTH] This login may not read mail",
    [AUTH_BAD_CREDENTIALS] = "-ERR [AUTH] Wrong user or password",
    [AUTH_DISABLED] = "-ERR [AUTH] This account is disabled",
    [AUTH_SLOW_DOWN] = "-ERR [SYS/TEMP] Too many attempts, try again later",
    [AUTH_BAD_REQUEST] = "-ERR Malformed response",
    [AUTH_TEMPFAIL] = "-ERR [SYS/TEMP] Logins are not possible now, try again later",
};

static void on_done(void *machine, const struct login_outcome *o)
{
    struct login *l = machine;

    switch (login_judge(&l->c, o)) {
    case LOGIN_GRANTED:
        open_session(l);
        return;
    case LOGIN_REFUSED:
        login_send(&l->c, login_refusal(refusals, o->result));
        if (l->c.failures >= LOGIN_FAILURES_MAX)
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
    struct buf out;

    buf_init(&out, POP3_LOGIN_LINE_MAX);
    buf_addf(&out, "-ERR [SYS/TEMP] %s\r\n", why);
    login_send_buf(&l->c, &out);
    l->c.state = LOGIN_OVER;
}

static void login_greet(void *machine)
{
    struct login *l = machine;
    struct buf out;

    buf_init(&out, POP3_LOGIN_LINE_MAX);
    buf_addf(&out, "+OK %.*s POP3 server ready\r\n", STR_ARG(l->c.hostname));
    login_send_buf(&l->c, &out);
}

static void *login_new(const struct login_world *world, void *arg, struct str hostname, unsigned flags)
{
    struct login *l = xcalloc(1, sizeof *l);

    login_init(&l->c, world, arg, hostname, flags);
    return l;
}

static void login_free(void *machine)
{
    struct login *l = machine;

    if (l == NULL)
        return;
    login_clear(&l->c);
    str_free(&l->user);
    free(l);
}

const struct login_protocol pop3_login = {
    .name = "pop3",
    .session = SESSION_POP3,
    .service = "pop",
    .refusal = "-ERR [SYS/TEMP] Not now, try again later\r\n",
    .new = login_new,
    .free = login_free,
    .greet = login_greet,
    .input = login_input,
    .secured = on_secured,
    .challenge = login_challenge,
    .done = on_done,
    .bye = login_bye,
    .waits = login_waits,
};
