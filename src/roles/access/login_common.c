/* What the machines before login have in common. See login_common.h. */
#include "login_common.h"

#include <string.h>

/* ---- the machine ---- */

void login_init(struct login_common *c, const struct login_world *world, void *arg, struct str hostname, unsigned flags)
{
    *c = (struct login_common){.world = world, .arg = arg, .hostname = str_dup(str_sub(hostname, 0, 255)), .flags = flags};
    c->sasl = (struct sasl){.world = world, .arg = arg};
}

void login_clear(struct login_common *c)
{
    str_free(&c->hostname);
}

void login_send(struct login_common *c, const char *text)
{
    c->world->send(c->arg, str_of(text));
    c->world->send(c->arg, STR("\r\n"));
}

void login_send_buf(struct login_common *c, struct buf *out)
{
    c->world->send(c->arg, buf_str(out));
    buf_clear(out);
}

void login_hang_up(struct login_common *c)
{
    c->state = LOGIN_OVER;
    c->world->close(c->arg);
}

bool login_takes_passwords(const struct login_common *c)
{
    return c->flags & (LOGIN_SECURE | LOGIN_LOOPBACK);
}

bool login_usable(struct str s)
{
    return s.n > 0 && str_is_utf8(s) && str_find(s, 0) < 0;
}

bool login_takes_input(const struct login_common *c)
{
    return (c->state == LOGIN_READY || c->state == LOGIN_IN_AUTH) && (c->world->full == NULL || !c->world->full(c->arg));
}

/* ---- asking directory ---- */

void login_by_password(struct login_common *c, struct str user, struct str password)
{
    struct buf data;

    buf_init(&data, user.n + password.n + 2);
    buf_add_char(&data, 0);
    buf_add(&data, user);
    buf_add_char(&data, 0);
    buf_add(&data, password);
    c->state = LOGIN_WAITING;
    c->by_sasl = false;
    c->world->auth_begin(c->arg, STR("USERPASS"), true, buf_str(&data));
    explicit_bzero(data.p, data.n);
    buf_clear(&data);
}

static enum sasl_result settle(struct login_common *c, enum sasl_result result)
{
    if (result == SASL_COMPLETE)
        c->state = LOGIN_OVER;
    else if (result != SASL_ASKED)
        c->state = LOGIN_READY;
    return result;
}

enum sasl_result login_by_sasl(struct login_common *c, struct str mechanism, bool has_initial, struct str initial)
{
    c->state = LOGIN_WAITING;
    c->by_sasl = true;
    return settle(c, sasl_begin(&c->sasl, mechanism, has_initial, initial, c->flags));
}

enum sasl_result login_response(struct login_common *c, struct str line)
{
    c->state = LOGIN_WAITING;
    return settle(c, sasl_line(&c->sasl, line));
}

void login_give_up(struct login_common *c)
{
    if (!c->sasl.acknowledge)
        c->world->auth_cancel(c->arg);
    c->state = LOGIN_READY;
}

/* ---- what directory and the connection say ---- */

enum login_verdict login_judge(struct login_common *c, const struct login_outcome *o)
{
    if (c->state != LOGIN_WAITING && c->state != LOGIN_IN_AUTH)
        return LOGIN_LATE;
    if (o->result != AUTH_OK || !o->may_read) {
        c->state = LOGIN_READY;
        c->failures++;
        return LOGIN_REFUSED;
    }
    if (c->by_sasl && o->data.n > 0) { /* neither protocol has a success with data: one more round */
        c->sasl.acknowledge = true;
        c->state = LOGIN_IN_AUTH;
        sasl_send(&c->sasl, "+ ", o->data);
        return LOGIN_ACKNOWLEDGE;
    }
    c->state = LOGIN_OVER;
    return LOGIN_GRANTED;
}

const char *login_refusal(const char *const texts[], enum auth_result result)
{
    return texts[result <= AUTH_TEMPFAIL ? result : AUTH_TEMPFAIL];
}

void login_secured(void *machine)
{
    struct login_common *c = machine;

    c->flags = (c->flags | LOGIN_SECURE) & ~(unsigned)LOGIN_STARTTLS;
    c->skipping = false;
    if (c->state == LOGIN_WAITING)
        c->state = LOGIN_READY;
}

void login_challenge(void *machine, struct str data)
{
    struct login_common *c = machine;

    if (c->state != LOGIN_WAITING || !c->by_sasl)
        return;
    c->state = LOGIN_IN_AUTH;
    sasl_send(&c->sasl, "+ ", data);
}

bool login_waits(void *machine)
{
    const struct login_common *c = machine;

    return c->state == LOGIN_WAITING || c->state == LOGIN_OVER;
}
