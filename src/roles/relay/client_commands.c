/* MAIL and RCPT with the parameters that the server offers and the message needs: SIZE, BODY (RFC 6152,
 * 3030), SMTPUTF8 (6531), RET, ENVID, NOTIFY and ORCPT (3461), REQUIRETLS (8689), BY (2852),
 * MT-PRIORITY (6710). */
#include "client_private.h"

static bool any_utf8_rcpt(const struct client *c)
{
    for (size_t i = 0; i < c->txn.n; i++)
        if (!str_is_ascii(c->txn.rcpts[i]->address))
            return true;
    return false;
}

static void add_deliver_by(struct client *c, const struct client_message *m)
{
    int64_t seconds = m->by_seconds;

    if (!m->has_by || !client_has(c, EXT_DELIVERBY))
        return;
    seconds = seconds > 999999999 ? 999999999 : seconds < -999999999 ? -999999999 : seconds;
    buf_addf(&c->out, " BY=%lld;%s%s", (long long)seconds, m->flags & TXN_BY_RETURN ? "R" : "N",
        m->flags & TXN_BY_TRACE ? "T" : "");
}

static void add_mail_parameters(struct client *c, const struct client_message *m)
{
    bool eight = m->flags & TXN_8BITMIME || m->header_bits == BITS_EIGHT || m->body_bits == BITS_EIGHT;

    if (client_has(c, EXT_SIZE))
        buf_addf(&c->out, " SIZE=%llu", (unsigned long long)m->size);
    if (m->flags & TXN_BINARYMIME)
        buf_add(&c->out, STR(" BODY=BINARYMIME"));
    else if (eight && client_has(c, EXT_8BITMIME))
        buf_add(&c->out, STR(" BODY=8BITMIME"));
    if (client_has(c, EXT_SMTPUTF8) && (m->flags & TXN_SMTPUTF8 || !str_is_ascii(m->sender) || any_utf8_rcpt(c)))
        buf_add(&c->out, STR(" SMTPUTF8"));
    if (client_has(c, EXT_DSN) && m->flags & (TXN_RET_FULL | TXN_RET_HDRS))
        buf_addf(&c->out, " RET=%s", m->flags & TXN_RET_FULL ? "FULL" : "HDRS");
    if (client_has(c, EXT_DSN) && m->envid.n > 0)
        buf_addf(&c->out, " ENVID=%.*s", STR_ARG(m->envid));
    if (m->flags & TXN_REQUIRETLS || (m->protect && c->secure && client_has(c, EXT_REQUIRETLS)))
        buf_add(&c->out, STR(" REQUIRETLS"));
    add_deliver_by(c, m);
    if (client_has(c, EXT_MT_PRIORITY) && m->priority != 9 && m->priority <= 18)
        buf_addf(&c->out, " MT-PRIORITY=%d", (int)m->priority - 9);
}

void client_add_mail(struct client *c)
{
    const struct client_message *m = c->txn.message;

    buf_addf(&c->out, "MAIL FROM:<%.*s>", STR_ARG(m->sender));
    add_mail_parameters(c, m);
    buf_add(&c->out, STR("\r\n"));
    client_expect(c, EXPECT_MAIL, 0);
}

static void add_notify(struct buf *out, uint64_t notify)
{
    static const struct {
        uint64_t bit;
        const char *name;
    } names[] = {{NOTIFY_SUCCESS, "SUCCESS"}, {NOTIFY_FAILURE, "FAILURE"}, {NOTIFY_DELAY, "DELAY"}};
    const char *before = " NOTIFY=";

    if (notify & NOTIFY_NEVER) {
        buf_add(out, STR(" NOTIFY=NEVER"));
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!(notify & names[i].bit))
            continue;
        buf_addf(out, "%s%s", before, names[i].name);
        before = ",";
    }
}

void client_add_rcpt(struct client *c, size_t index)
{
    const struct client_rcpt *rcpt = c->txn.rcpts[index];

    buf_addf(&c->out, "RCPT TO:<%.*s>", STR_ARG(rcpt->address));
    if (client_has(c, EXT_DSN)) {
        add_notify(&c->out, rcpt->notify);
        if (rcpt->orcpt.n > 0)
            buf_addf(&c->out, " ORCPT=%.*s", STR_ARG(rcpt->orcpt));
    }
    buf_add(&c->out, STR("\r\n"));
    client_expect(c, EXPECT_RCPT, index);
}
