/* POP3 before login. See pop3_login.h. */
#include "pop3_login.h"
#include "base/err.h"
#include "sasl.h"

#include <stdlib.h>
#include <string.h>

enum state { READY, IN_AUTH, WAITING, OVER };

struct login {
    const struct login_world *world;
    void *arg;
    struct str hostname;
    unsigned flags;
    enum state state;
    bool utf8;
    bool skipping; /* the rest of an overlong line */
    bool by_sasl;  /* the login under way came with AUTH */
    unsigned errors, failures;
    struct str user; /* of USER, until PASS */
    struct sasl sasl;
};

static void send(struct login *l, const char *text)
{
    l->world->send(l->arg, str_of(text));
    l->world->send(l->arg, STR("\r\n"));
}

static void hang_up(struct login *l)
{
    l->state = OVER;
    l->world->close(l->arg);
}

static void fail(struct login *l, const char *text)
{
    if (++l->errors < POP3_LOGIN_ERRORS_MAX) {
        send(l, text);
        return;
    }
    send(l, "-ERR Too many errors, goodbye");
    hang_up(l);
}

static bool takes_passwords(const struct login *l)
{
    return l->flags & (LOGIN_SECURE | LOGIN_LOOPBACK);
}

/* ---- commands: `rest` is what follows the keyword and one blank ---- */

static void on_capa(struct login *l, struct str rest)
{
    struct buf out;

    (void)rest;
    buf_init(&out, 1024);
    buf_add(&out, STR("+OK Capability list follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
                      "PIPELINING\r\nEXPIRE NEVER\r\n"));
    if (takes_passwords(l))
        buf_add(&out, STR("USER\r\n"));
    buf_add(&out, STR("SASL"));
    sasl_list(&out, " ", "", l->flags);
    buf_add(&out, STR("\r\n"));
    if (l->flags & LOGIN_STARTTLS)
        buf_add(&out, STR("STLS\r\n"));
    buf_add(&out, takes_passwords(l) ? STR("UTF8 USER\r\n") : STR("UTF8\r\n"));
    buf_add(&out, STR("LANG\r\nIMPLEMENTATION Staffetta\r\n.\r\n"));
    l->world->send(l->arg, buf_str(&out));
    buf_clear(&out);
}

static void on_stls(struct login *l, struct str rest)
{
    if (rest.n > 0) {
        fail(l, "-ERR STLS takes no argument");
    } else if (l->flags & LOGIN_SECURE) {
        fail(l, "-ERR TLS is active already");
    } else if (!(l->flags & LOGIN_STARTTLS)) {
        fail(l, "-ERR TLS is not available here");
    } else if (l->utf8) { /* RFC 6856, section 2.1 */
        fail(l, "-ERR STLS comes before UTF8");
    } else {
        send(l, "+OK Begin TLS negotiation");
        l->state = WAITING;
        l->world->start_tls(l->arg);
    }
}

static bool usable_name(struct str s)
{
    return s.n > 0 && str_is_utf8(s) && str_find(s, 0) < 0;
}

static void on_user(struct login *l, struct str rest)
{
    str_free(&l->user);
    if (!takes_passwords(l)) {
        fail(l, "-ERR Passwords are taken with TLS only, use STLS first");
    } else if (!usable_name(rest)) {
        fail(l, "-ERR Not a user name");
    } else {
        l->user = str_dup(rest);
        send(l, "+OK Now the password");
    }
}

static void on_pass(struct login *l, struct str rest)
{
    struct buf data;

    if (!takes_passwords(l)) {
        fail(l, "-ERR [AUTH] Passwords are taken with TLS only, use STLS first");
        return;
    }
    if (l->user.n == 0) {
        fail(l, "-ERR USER comes first");
        return;
    }
    if (!usable_name(rest)) {
        fail(l, "-ERR [AUTH] Not a password");
        return;
    }
    buf_init(&data, 2 * POP3_LOGIN_LINE_MAX);
    buf_add_char(&data, 0);
    buf_add(&data, l->user);
    buf_add_char(&data, 0);
    buf_add(&data, rest);
    l->state = WAITING;
    l->by_sasl = false;
    l->world->auth_begin(l->arg, STR("USERPASS"), true, buf_str(&data));
    explicit_bzero(data.p, data.n);
    buf_clear(&data);
    str_free(&l->user);
}

/* AUTH alone lists the mechanisms, as clients older than CAPA expect. */
static void list_mechanisms(struct login *l)
{
    struct buf out;

    buf_init(&out, 512);
    buf_add(&out, STR("+OK Mechanisms follow\r\n"));
    sasl_list(&out, "", "\r\n", l->flags);
    buf_add(&out, STR(".\r\n"));
    l->world->send(l->arg, buf_str(&out));
    buf_clear(&out);
}

static void sasl_answer(struct login *l, enum sasl_result result)
{
    if (result != SASL_ASKED && result != SASL_COMPLETE)
        l->state = READY;
    switch (result) {
    case SASL_ASKED:
        return;
    case SASL_COMPLETE:
        l->state = OVER;
        l->world->open(l->arg, l->utf8 ? SESSION_UTF8 : 0, (struct str){0});
        return;
    case SASL_UNKNOWN:
        fail(l, "-ERR No such mechanism");
        return;
    case SASL_NEEDS_TLS:
        fail(l, "-ERR [AUTH] Passwords are taken with TLS only, use STLS first");
        return;
    case SASL_MALFORMED:
        fail(l, "-ERR Malformed response");
        return;
    case SASL_CANCELLED:
        fail(l, "-ERR Cancelled");
        return;
    }
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
    l->state = WAITING;
    l->by_sasl = true;
    sasl_answer(l, sasl_begin(&l->sasl, mechanism, has_initial, initial, l->flags));
}

static void on_utf8(struct login *l, struct str rest)
{
    if (rest.n > 0) {
        fail(l, "-ERR UTF8 takes no argument");
        return;
    }
    l->utf8 = true;
    send(l, "+OK UTF8 mode");
}

static void on_lang(struct login *l, struct str rest)
{
    rest = str_trim(rest);
    if (rest.n == 0)
        send(l, "+OK Language listing follows:\r\nen English\r\n.");
    else if (str_ieq(rest, STR("en")) || str_eq(rest, STR("*")))
        send(l, "+OK en Language changed");
    else
        fail(l, "-ERR No such language");
}

static void on_noop(struct login *l, struct str rest)
{
    (void)rest;
    send(l, "+OK");
}

static void on_quit(struct login *l, struct str rest)
{
    (void)rest;
    send(l, "+OK Goodbye");
    hang_up(l);
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
    return l->state == IN_AUTH || str_istarts(input, STR("AUTH ")) ? SASL_LINE_MAX : POP3_LOGIN_LINE_MAX;
}

static void too_long(struct login *l)
{
    if (l->state == IN_AUTH) {
        if (!l->sasl.acknowledge)
            l->world->auth_cancel(l->arg);
        l->state = READY;
    }
    fail(l, "-ERR Line too long");
}

/* A line with its end. */
static void take_line(struct login *l, struct str input, size_t n)
{
    struct str line = str_sub(input, 0, n - 1);

    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (l->skipping)
        l->skipping = false;
    else if (n > line_max(l, input))
        too_long(l);
    else if (l->state == IN_AUTH)
        l->state = WAITING, sasl_answer(l, sasl_line(&l->sasl, line));
    else
        command(l, line);
}

/* A block of commands asks for forty times as much output. */
static bool must_read_first(const struct login *l)
{
    return l->world->full != NULL && l->world->full(l->arg);
}

static size_t login_input(void *machine, struct str bytes)
{
    struct login *l = machine;
    size_t used = 0;

    while ((l->state == READY || l->state == IN_AUTH) && !must_read_first(l)) {
        struct str input = str_skip(bytes, used);
        ptrdiff_t end = str_find(input, '\n');

        if (end < 0 && input.n > 0 && (l->skipping || input.n >= line_max(l, input))) {
            if (!l->skipping)
                too_long(l);
            l->skipping = true;
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

static void login_secured(void *machine)
{
    struct login *l = machine;

    l->flags = (l->flags | LOGIN_SECURE) & ~(unsigned)LOGIN_STARTTLS;
    str_free(&l->user);
    l->skipping = false;
    if (l->state == WAITING)
        l->state = READY;
}

static void login_challenge(void *machine, struct str data)
{
    struct login *l = machine;

    if (l->state != WAITING || !l->by_sasl)
        return;
    l->state = IN_AUTH;
    sasl_send(&l->sasl, "+ ", data);
}

static void succeed(struct login *l, struct str data)
{
    if (l->by_sasl && data.n > 0) { /* POP3 has no success with data: one more round */
        l->sasl.acknowledge = true;
        l->state = IN_AUTH;
        sasl_send(&l->sasl, "+ ", data);
        return;
    }
    l->state = OVER;
    l->world->open(l->arg, l->utf8 ? SESSION_UTF8 : 0, (struct str){0});
}

static const char *const refusals[] = {
    [AUTH_OK] = "-ERR [AUTH] This login may not read mail",
    [AUTH_BAD_CREDENTIALS] = "-ERR [AUTH] Wrong user or password",
    [AUTH_DISABLED] = "-ERR [AUTH] This account is disabled",
    [AUTH_SLOW_DOWN] = "-ERR [SYS/TEMP] Too many attempts, try again later",
    [AUTH_BAD_REQUEST] = "-ERR Malformed response",
    [AUTH_TEMPFAIL] = "-ERR [SYS/TEMP] Logins are not possible now, try again later",
};

static void login_done(void *machine, const struct login_outcome *o)
{
    struct login *l = machine;
    bool known = (size_t)o->result < sizeof refusals / sizeof *refusals;

    if (l->state != WAITING && l->state != IN_AUTH)
        return;
    if (o->result == AUTH_OK && o->may_read) {
        succeed(l, o->data);
        return;
    }
    l->state = READY;
    send(l, refusals[known ? o->result : AUTH_TEMPFAIL]);
    if (++l->failures >= POP3_LOGIN_FAILURES_MAX)
        hang_up(l);
}

static void login_bye(void *machine, const char *why)
{
    struct login *l = machine;
    struct buf out;

    buf_init(&out, POP3_LOGIN_LINE_MAX);
    buf_addf(&out, "-ERR [SYS/TEMP] %s\r\n", why);
    l->world->send(l->arg, buf_str(&out));
    buf_clear(&out);
    l->state = OVER;
}

static bool login_waits(void *machine)
{
    struct login *l = machine;

    return l->state == WAITING || l->state == OVER;
}

static void login_greet(void *machine)
{
    struct login *l = machine;
    struct buf out;

    buf_init(&out, POP3_LOGIN_LINE_MAX);
    buf_addf(&out, "+OK %.*s POP3 server ready\r\n", STR_ARG(l->hostname));
    l->world->send(l->arg, buf_str(&out));
    buf_clear(&out);
}

static void *login_new(const struct login_world *world, void *arg, struct str hostname, unsigned flags)
{
    struct login *l = xcalloc(1, sizeof *l);

    l->world = world;
    l->arg = arg;
    l->hostname = str_dup(str_sub(hostname, 0, 255));
    l->flags = flags;
    l->sasl = (struct sasl){.world = world, .arg = arg};
    return l;
}

static void login_free(void *machine)
{
    struct login *l = machine;

    if (l == NULL)
        return;
    str_free(&l->hostname);
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
    .secured = login_secured,
    .challenge = login_challenge,
    .done = login_done,
    .bye = login_bye,
    .waits = login_waits,
};
