/* The Received field (RFC 5321 4.4, RFC 3848, RFC 6531 4.3):
 *
 *   Received: from mx.example ([192.0.2.1])
 *   	by mail.example with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384)
 *   	id 0F8Q2ZK4T3V5W for <user@example.org>; Sun, 22 Nov 2026 03:30:00 +0000
 *
 * "for" only with a single recipient: nobody learns of the others. The address of somebody who has
 * logged in is his own business: the field then has no "from", and `staffetta trace` knows it. */
#include "private.h"

#include "mime/date.h"

#include <stdio.h>

static void write_from(struct smtp_session *s, struct buf *out)
{
    char ip[IP_TEXT];

    if (s->account != 0 || s->client.ip.family == 0)
        return;
    ip_format(&s->client.ip, ip);
    buf_add(out, STR("from "));
    for (size_t i = 0; i < s->helo.n; i++) /* said before anybody knew that the message is no UTF-8 one */
        buf_add_char(out, (unsigned char)s->helo.p[i] < 0x80 || s->txn.flags & TXN_SMTPUTF8 ? s->helo.p[i] : '?');
    buf_addf(out, " ([%s%s])\r\n\t", s->client.ip.family == 6 ? "IPv6:" : "", ip);
}

struct str protocol_name(const struct smtp_session *s)
{
    /* utf8, lmtp, secure, authenticated */
    static const struct str names[2][2][2][2] = {
        {{{STR("ESMTP"), STR("ESMTPA")}, {STR("ESMTPS"), STR("ESMTPSA")}},
            {{STR("LMTP"), STR("LMTPA")}, {STR("LMTPS"), STR("LMTPSA")}}},
        {{{STR("UTF8SMTP"), STR("UTF8SMTPA")}, {STR("UTF8SMTPS"), STR("UTF8SMTPSA")}},
            {{STR("UTF8LMTP"), STR("UTF8LMTPA")}, {STR("UTF8LMTPS"), STR("UTF8LMTPSA")}}},
    };

    if (!s->extended)
        return STR("SMTP");
    return names[(s->txn.flags & TXN_SMTPUTF8) != 0][s->set->service == SERVICE_LMTP][s->secure][s->account != 0];
}

void write_trace(struct smtp_session *s, struct buf *out)
{
    char id[MSGID_TEXT + 1], date[DATE_TEXT];

    msgid_format(s->txn.message, id);
    date_format(s->world->now(s->w), date);
    buf_add(out, STR("Received: "));
    write_from(s, out);
    buf_addf(out, "by %.*s", STR_ARG(s->set->hostname));
    if (s->set->service == SERVICE_LOCAL_SMTP)
        buf_addf(out, " (local user %u)", s->client.uid);
    buf_addf(out, " with %.*s", STR_ARG(protocol_name(s)));
    if (s->secure)
        buf_addf(out, " (%s)", s->tls);
    buf_addf(out, "\r\n\tid %s", id);
    if (s->txn.rcpts == 1)
        buf_addf(out, " for <%.*s>", STR_ARG(s->txn.first->address));
    buf_addf(out, ";\r\n\t%s\r\n", date);
}
