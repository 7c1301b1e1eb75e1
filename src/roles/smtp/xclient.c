/* XCLIENT (Postfix's extension): a proxy in front of us says who its client is. Only for listed
 * networks. LOGIN is recorded, but gives no rights: those come from AUTH or from the address. */
#include "private.h"

#include <stdio.h>

struct xclient {
    struct smtp_client client;
    bool moved; /* the address changed */
    struct buf helo, login;
    bool has_helo, has_login;
};

static bool is_unknown(struct str value)
{
    return str_ieq(value, STR("[UNAVAILABLE]")) || str_ieq(value, STR("[TEMPUNAVAIL]"));
}

static bool take_nothing(struct xclient *x, struct str value)
{
    (void)x;
    (void)value;
    return true;
}

static bool take_addr(struct xclient *x, struct str value)
{
    if (is_unknown(value))
        return true;
    if (str_istarts(value, STR("IPV6:")))
        value = str_skip(value, 5);
    x->moved = true;
    return ip_parse(value, &x->client.ip);
}

static bool take_port(struct xclient *x, struct str value)
{
    uint64_t port;

    if (is_unknown(value))
        return true;
    if (!str_to_u64(value, UINT16_MAX, &port))
        return false;
    x->client.port = (uint16_t)port;
    return true;
}

static bool take_helo(struct xclient *x, struct str value)
{
    struct refusal no;
    struct str name;

    if (is_unknown(value))
        return true;
    if (!command_parse_helo(value, &name, &no))
        return false;
    buf_add(&x->helo, name);
    x->has_helo = true;
    return true;
}

static bool take_login(struct xclient *x, struct str value)
{
    x->has_login = true;
    if (is_unknown(value))
        return true;
    buf_add(&x->login, value);
    return str_is_utf8(value) && !str_has_control(value) && value.n <= IPC_NAME; /* xtext hides line ends */
}

static bool take_proto(struct xclient *x, struct str value)
{
    (void)x;
    return is_unknown(value) || str_ieq(value, STR("SMTP")) || str_ieq(value, STR("ESMTP")) ||
           str_ieq(value, STR("LMTP"));
}

static const struct {
    struct str name;
    bool (*take)(struct xclient *x, struct str value);
} attributes[] = {
    {STR("NAME"), take_nothing}, /* a name from DNS: we believe addresses only */
    {STR("REVERSE_NAME"), take_nothing},
    {STR("ADDR"), take_addr},
    {STR("PORT"), take_port},
    {STR("PROTO"), take_proto},
    {STR("HELO"), take_helo},
    {STR("LOGIN"), take_login},
    {STR("DESTADDR"), take_nothing},
    {STR("DESTPORT"), take_nothing},
};

static bool take_attribute(struct xclient *x, struct str name, struct str encoded)
{
    struct buf value;
    bool fine = false;

    buf_init(&value, IPC_ADDRESS);
    if (xtext_decode(&value, encoded)) {
        for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
            if (str_ieq(name, attributes[i].name))
                fine = attributes[i].take(x, buf_str(&value));
        }
    }
    buf_clear(&value);
    return fine;
}

static bool take_all(struct xclient *x, struct str args)
{
    struct str word, name;

    if (args.n == 0)
        return false;
    while (str_next_word(&args, &word)) {
        ptrdiff_t is = str_find(word, '=');

        if (is <= 0)
            return false;
        name = str_sub(word, 0, (size_t)is);
        if (!take_attribute(x, name, str_skip(word, (size_t)is + 1)))
            return false;
    }
    return true;
}

static void apply(struct smtp_session *s, struct xclient *x)
{
    if (x->moved || x->client.port != s->client.port) {
        s->client = x->client;
        s->world->client_changed(s->w, &s->client);
    }
    str_free(&s->helo);
    if (x->has_helo)
        s->helo = str_dup(buf_str(&x->helo));
    if (x->has_login) {
        str_free(&s->login);
        s->login = str_dup(buf_str(&x->login));
    }
    s->account = 0;
    s->extended = false;
    forget_transaction(s);
    greet(s);
}

void on_xclient(struct smtp_session *s, struct str args)
{
    struct xclient x = {.client = s->client};

    if (!s->client.may_xclient) {
        refuse(s, 550, STR("5.7.0 XCLIENT is not allowed from your address"));
        return;
    }
    buf_init(&x.helo, IPC_NAME);
    buf_init(&x.login, IPC_NAME);
    if (take_all(&x, args) && !x.helo.failed && !x.login.failed)
        apply(s, &x);
    else
        refuse(s, 501, STR("5.5.4 Malformed XCLIENT attribute"));
    buf_clear(&x.helo);
    buf_clear(&x.login);
}
