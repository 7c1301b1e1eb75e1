/* AUTH (RFC 4954): base64 and the dialogue are here, the secrets are in directory. Failures are
 * answered slower and slower; the count is per address, so a new connection does not help. */
#include "private.h"

#include "base/clock.h"
#include "base/encode.h"

#include <stdio.h>
#include <string.h>

enum { SLOWEST_SHIFT = 4 };

void cancel_login(struct smtp_session *s)
{
    if (s->mechanism[0] != 0 && !s->auth_last)
        s->world->auth_cancel(s->w);
    s->mechanism[0] = 0;
    s->auth_last = false;
}

static void stop(struct smtp_session *s, unsigned code, struct str text)
{
    cancel_login(s);
    refuse(s, code, text);
}

/* "=" stands for an initial response that is there but empty. */
static bool decode(struct str text, struct buf *out)
{
    buf_init(out, LINE_MAX_AUTH);
    return str_eq(text, STR("=")) || base64_decode(out, text);
}

static void forget_bytes(struct buf *secret)
{
    if (secret->p != NULL)
        explicit_bzero(secret->p, secret->capacity);
    buf_clear(secret);
}

static bool auth_is_possible(struct smtp_session *s)
{
    if (s->set->service != SERVICE_SUBMISSION || !s->extended)
        refuse(s, 502, STR("5.5.1 AUTH is not offered"));
    else if (mechanisms(s) == 0)
        refuse(s, 538, STR("5.7.11 Encryption is required: send STARTTLS first"));
    else if (s->account != 0)
        refuse(s, 503, STR("5.5.1 You are logged in already"));
    else
        return true;
    return false;
}

void on_auth(struct smtp_session *s, struct str args)
{
    struct str name, initial;
    struct buf data;
    unsigned bit;

    if (!auth_is_possible(s))
        return;
    if (!str_next_word(&args, &name)) {
        refuse(s, 501, STR("5.5.4 Syntax: AUTH mechanism [initial response]"));
        return;
    }
    initial = str_trim(args);
    bit = mechanism_from_name(name);
    if (!(bit & mechanisms(s))) {
        refuse(s, 504, STR("5.5.4 This mechanism is not offered"));
        return;
    }
    if (!decode(initial, &data)) {
        refuse(s, 501, STR("5.5.2 That is no base64"));
    } else {
        snprintf(s->mechanism, sizeof s->mechanism, "%s", mechanism_name(bit));
        s->wait = WAIT_AUTH;
        s->world->auth_begin(s->w, str_of(s->mechanism), initial.n > 0, buf_str(&data));
    }
    forget_bytes(&data);
}

static void challenge(struct smtp_session *s, struct str data)
{
    struct buf out;

    buf_init(&out, 32 * 1024);
    buf_add(&out, STR("334 "));
    base64_encode(&out, data);
    buf_add(&out, STR("\r\n"));
    say(s, buf_str(&out));
    buf_clear(&out);
    s->mode = MODE_AUTH;
}

void smtp_auth_challenge(struct smtp_session *s, struct str data)
{
    if (s->wait != WAIT_AUTH)
        return;
    s->wait = WAIT_NONE;
    challenge(s, data);
}

static void logged_in(struct smtp_session *s)
{
    s->account = s->next_account;
    s->mechanism[0] = 0;
    s->auth_last = false;
    note(s, SMTP_NOTE_LOGIN, s->login, 235, (struct str){0});
    say(s, STR("235 2.7.0 You are logged in\r\n"));
}

void auth_line(struct smtp_session *s, struct str line)
{
    struct buf data;

    s->mode = MODE_COMMAND;
    if (str_eq(line, STR("*"))) {
        stop(s, 501, STR("5.7.0 Login cancelled"));
    } else if (!decode(line, &data)) {
        stop(s, 501, STR("5.5.2 That is no base64"));
        forget_bytes(&data);
    } else if (s->auth_last) {
        if (data.n == 0)
            logged_in(s);
        else
            stop(s, 501, STR("5.5.2 An empty line was expected"));
        forget_bytes(&data);
    } else {
        s->wait = WAIT_AUTH;
        s->world->auth_step(s->w, buf_str(&data));
        forget_bytes(&data);
    }
}

/* ---- the end of an exchange ---- */

static void bad_login(struct smtp_session *s, struct str login)
{
    unsigned count = s->world->login_failed(s->w, &s->auth_banned);
    unsigned shift = count > SLOWEST_SHIFT ? SLOWEST_SHIFT : count > 0 ? count - 1 : 0;

    s->login_failures++;
    note(s, SMTP_NOTE_LOGIN_FAILED, login.n > 0 ? login : str_of(s->mechanism), 535, STR("wrong name or password"));
    s->mechanism[0] = 0;
    s->wait = WAIT_DELAY;
    s->world->delay(s->w, (SECOND / 2) << shift);
}

void auth_resume(struct smtp_session *s)
{
    refuse(s, 535, STR("5.7.8 Wrong name or password"));
    if (s->auth_banned || s->login_failures >= LOGIN_TRIES)
        hang_up(s, 421, STR("4.7.0 Too many failed logins, try again later"));
}

static void good_login(struct smtp_session *s, uint64_t account, struct str login, struct str data)
{
    s->next_account = account;
    str_free(&s->login);
    s->login = str_dup(login);
    if (data.n > 0) {
        s->auth_last = true;
        challenge(s, data);
    } else {
        logged_in(s);
    }
}

static const struct {
    enum auth_result result;
    unsigned code;
    struct str text;
} failures[] = {
    {AUTH_DISABLED, 525, STR("5.7.13 This account is disabled")},
    {AUTH_SLOW_DOWN, 454, STR("4.7.0 Too many failed logins, try again later")},
    {AUTH_BAD_REQUEST, 501, STR("5.5.2 That is not what the mechanism expects")},
    {AUTH_TEMPFAIL, 454, STR("4.7.0 Logins cannot be checked now, try again later")},
};

void smtp_auth_done(struct smtp_session *s, enum auth_result result, uint64_t account, unsigned rights,
    struct str login, struct str data)
{
    unsigned code = 454;
    struct str text = STR("4.7.0 Logins cannot be checked now, try again later");

    if (s->wait != WAIT_AUTH)
        return;
    s->wait = WAIT_NONE;
    if (result == AUTH_OK && account != 0 && (rights & AUTH_MAY_SEND)) {
        good_login(s, account, login, data);
        return;
    }
    if (result == AUTH_BAD_CREDENTIALS) {
        bad_login(s, login);
        return;
    }
    s->mechanism[0] = 0;
    if (result == AUTH_OK) {
        code = 550;
        text = STR("5.7.1 This login may not send mail");
    }
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        if (failures[i].result == result) {
            code = failures[i].code;
            text = failures[i].text;
        }
    }
    note(s, SMTP_NOTE_LOGIN_FAILED, login, code, text);
    refuse(s, code, text);
}
