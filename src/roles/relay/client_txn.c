/* The transaction half of the SMTP client: MAIL, RCPT, DATA or BDAT, and who gets which verdict.
 *
 * With PIPELINING everything up to DATA is one write; with CHUNKING too, a content that is in memory
 * goes along in the same write (BDAT n LAST): the server then gives its verdict on the content only
 * for recipients it accepted, whatever it said before. Replies are taken in order; what comes next is
 * decided only when no reply is outstanding. */
#include "client_private.h"

#include <stdio.h>
#include <string.h>

static void advance(struct client *c);

void message_scan(struct str body, enum message_bits *header, enum message_bits *rest)
{
    ptrdiff_t end = str_ifind(str_sub(body, 0, IPC_CHUNK), STR("\r\n\r\n"));
    struct str head = end < 0 ? body : str_sub(body, 0, (size_t)end);

    *header = str_is_ascii(head) ? BITS_SEVEN : BITS_EIGHT;
    *rest = str_is_ascii(str_skip(body, head.n)) ? BITS_SEVEN : BITS_EIGHT;
}

bool client_must_scan(const struct client *c, const struct client_message *m)
{
    bool unknown = m->header_bits == BITS_UNKNOWN || m->body_bits == BITS_UNKNOWN;

    if (!unknown || m->flags & TXN_BINARYMIME)
        return false;
    return !client_has(c, EXT_8BITMIME) || (m->flags & TXN_SMTPUTF8 && !client_has(c, EXT_SMTPUTF8));
}

/* ---- verdicts ---- */

static void settle(struct client *c, struct client_rcpt *rcpt, const struct client_outcome *outcome)
{
    if (rcpt->state == CLIENT_RCPT_SETTLED)
        return;
    rcpt->state = CLIENT_RCPT_SETTLED;
    rcpt->dsn = outcome->status == DELIVERY_RELAYED && client_has(c, EXT_DSN) && !c->settings.lmtp;
    c->world->settled(c->owner, rcpt, outcome);
}

static void settle_all(struct client *c, const struct client_outcome *outcome)
{
    for (size_t i = 0; i < c->txn.n; i++)
        settle(c, c->txn.rcpts[i], outcome);
}

static void settle_accepted(struct client *c, const struct client_outcome *outcome)
{
    for (size_t i = 0; i < c->txn.n; i++)
        if (c->txn.rcpts[i]->state == CLIENT_RCPT_ACCEPTED)
            settle(c, c->txn.rcpts[i], outcome);
}

static struct client_outcome ours(enum delivery_reason reason, unsigned code, const char *text)
{
    return (struct client_outcome){.status = code >= 500 ? DELIVERY_FAILED : DELIVERY_DEFERRED, .reason = reason,
        .code = code, .text = str_of(text)};
}

void client_txn_lost(struct client *c, const char *why)
{
    struct client_outcome outcome = {.status = DELIVERY_DEFERRED, .reason = REASON_NETWORK, .code = 451, .final = true};
    char text[256];

    c->txn.ended = false;
    snprintf(text, sizeof text, "4.4.2 no answer after the end of the message, it may arrive twice: %.150s", why);
    outcome.text = str_of(text);
    settle_all(c, &outcome);
}

/* The transaction is over for us; the server may have to be told. */
static void finish(struct client *c)
{
    bool reset = c->txn.mail_accepted && !c->txn.over;

    /* Recipients that were accepted but got no verdict did not get the message. */
    for (size_t i = 0; i < c->txn.n; i++)
        if (c->txn.rcpts[i]->state == CLIENT_RCPT_ACCEPTED)
            c->txn.rcpts[i]->state = CLIENT_RCPT_OPEN;
    c->txn.open = false;
    c->messages++;
    c->world->done(c->owner);
    if (!reset) {
        client_become_ready(c);
        return;
    }
    buf_add(&c->out, STR("RSET\r\n"));
    client_expect(c, EXPECT_RSET, 0);
    client_flush(c);
    c->world->wait(c->owner, CLIENT_WAIT_REPLY);
}

void client_on_rset(struct client *c, size_t index)
{
    (void)index;
    if (c->reply.code / 100 == 2)
        client_become_ready(c);
    else
        client_fail_text(c, REASON_PROTOCOL, 451, "4.5.0 the server refuses RSET");
}

/* ---- what this server cannot take ---- */

static const struct {
    unsigned code;
    enum delivery_reason reason;
    const char *text;
} refusals[] = {
#define TOO_BIG 0
    {552, REASON_CONTENT, "5.3.4 the message is bigger than the remote server takes"},
#define NO_8BIT 1
    {554, REASON_CONTENT, "5.6.3 the message has 8-bit content, which the remote server does not take"},
#define NO_BINARY 2
    {554, REASON_CONTENT, "5.6.3 the message has binary content, which the remote server does not take"},
#define NO_UTF8 3
    {553, REASON_CONTENT, "5.6.7 the message needs SMTPUTF8, which the remote server does not offer"},
#define NO_BY 4
    {554, REASON_LIMIT, "5.3.3 the remote server cannot promise to deliver in time (DELIVERBY)"},
#define TOO_LATE 5
    {554, REASON_EXPIRED, "5.4.7 the time to deliver by has passed"},
};

/* Index into refusals, or -1. */
static int what_is_impossible(const struct client *c, const struct client_message *m)
{
    bool eight = m->header_bits == BITS_EIGHT || m->body_bits == BITS_EIGHT;
    bool unknown = m->body_bits == BITS_UNKNOWN && m->flags & TXN_8BITMIME;
    bool return_mode = m->has_by && m->flags & TXN_BY_RETURN;

    if (client_has(c, EXT_SIZE) && c->can.size > 0 && m->size > c->can.size)
        return TOO_BIG;
    if (m->flags & TXN_BINARYMIME && !(client_has(c, EXT_BINARYMIME) && client_has(c, EXT_CHUNKING)))
        return NO_BINARY;
    if (m->flags & TXN_SMTPUTF8 && !client_has(c, EXT_SMTPUTF8) && m->header_bits != BITS_SEVEN)
        return NO_UTF8;
    if (!str_is_ascii(m->sender) && !client_has(c, EXT_SMTPUTF8))
        return NO_UTF8;
    if (!(m->flags & TXN_BINARYMIME) && (eight || unknown) && !client_has(c, EXT_8BITMIME))
        return NO_8BIT;
    if (return_mode && m->by_seconds <= 0)
        return TOO_LATE;
    if (return_mode && (!client_has(c, EXT_DELIVERBY) || (uint64_t)m->by_seconds < c->can.deliver_by_min))
        return NO_BY;
    return -1;
}

/* A command's argument: no byte in it may end or split the command. */
static bool is_clean(struct str text, bool address)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char b = (unsigned char)text.p[i];

        if (b < 0x20 || b == 0x7f || (!address && b == ' '))
            return false;
    }
    return true;
}

static void refuse_impossible_rcpts(struct client *c)
{
    struct client_outcome utf8 = ours(refusals[NO_UTF8].reason, refusals[NO_UTF8].code,
        "5.6.7 the address needs SMTPUTF8, which the remote server does not offer");
    struct client_outcome broken = ours(REASON_OTHER, 553, "5.1.3 the address is not valid");

    for (size_t i = 0; i < c->txn.n; i++) {
        struct client_rcpt *rcpt = c->txn.rcpts[i];

        if (!is_clean(rcpt->address, true) || !is_clean(rcpt->orcpt, false))
            settle(c, rcpt, &broken);
        else if (!client_has(c, EXT_SMTPUTF8) && !str_is_ascii(rcpt->address))
            settle(c, rcpt, &utf8);
    }
}

/* False when the transaction is over already. */
static bool check_message(struct client *c)
{
    const struct client_message *m = c->txn.message;
    int refusal = what_is_impossible(c, m);

    if (m->flags & TXN_REQUIRETLS && !(c->secure && c->verified && client_has(c, EXT_REQUIRETLS))) {
        c->stage = STAGE_MAIL;
        client_fail(c, &(struct client_failure){.unsuitable = true,
                           .outcome = ours(REASON_TLS, 550, "5.7.30 REQUIRETLS support required")});
        return false;
    }
    if (refusal >= 0) {
        struct client_outcome outcome =
            ours(refusals[refusal].reason, refusals[refusal].code, refusals[refusal].text);

        settle_all(c, &outcome);
    } else if (!is_clean(m->sender, true) || !is_clean(m->envid, false)) {
        struct client_outcome outcome = ours(REASON_OTHER, 553, "5.1.7 the sender address is not valid");

        settle_all(c, &outcome);
    }
    refuse_impossible_rcpts(c);
    for (size_t i = 0; i < c->txn.n; i++)
        if (c->txn.rcpts[i]->state == CLIENT_RCPT_OPEN)
            return true;
    finish(c);
    return false;
}

/* ---- commands ---- */

static void expect_end(struct client *c)
{
    if (!c->settings.lmtp)
        client_expect(c, EXPECT_END, 0);
    for (size_t i = 0; c->settings.lmtp && i < c->txn.n; i++)
        if (c->txn.rcpts[i]->state == CLIENT_RCPT_ACCEPTED)
            client_expect(c, EXPECT_END, i);
    c->txn.ended = true;
    c->world->wait(c->owner, CLIENT_WAIT_END);
}

static void send_bdat(struct client *c, struct str bytes, bool last)
{
    buf_addf(&c->out, "BDAT %zu%s\r\n", bytes.n, last ? " LAST" : "");
    client_flush(c);
    if (bytes.n > 0)
        c->world->send(c->owner, bytes);
    if (last)
        expect_end(c);
    else
        client_expect(c, EXPECT_BDAT, 0);
}

/* DATA, or the first BDAT. */
static void send_content_command(struct client *c)
{
    c->txn.data_sent = true;
    if (!c->txn.chunking) {
        buf_add(&c->out, STR("DATA\r\n"));
        client_expect(c, EXPECT_DATA, 0);
        client_flush(c);
    } else if (c->txn.message->body_whole) {
        send_bdat(c, c->txn.message->body, true);
    } else {
        c->txn.content = true;
        c->world->want_body(c->owner);
    }
}

void client_begin(struct client *c, const struct client_message *message, struct client_rcpt **rcpts, size_t n)
{
    bool pipelining = client_has(c, EXT_PIPELINING);

    assert(c->ready && n > 0 && n <= CLIENT_RCPTS_MAX && client_expected(c) == 0);
    c->ready = false;
    c->txn = (struct transaction){.message = message, .rcpts = rcpts, .n = n, .open = true, .line_start = true,
        .reused = c->messages > 0};
    c->txn.chunking = message->flags & TXN_BINARYMIME ||
                      (message->body_whole && pipelining && client_has(c, EXT_CHUNKING) && !c->settings.lmtp);
    c->stage = STAGE_MAIL;
    if (!check_message(c))
        return;
    c->world->wait(c->owner, CLIENT_WAIT_REPLY);
    client_add_mail(c);
    if (pipelining) {
        for (size_t i = 0; i < n; i++)
            if (rcpts[i]->state == CLIENT_RCPT_OPEN)
                client_add_rcpt(c, i);
        c->txn.next = n;
    }
    if (pipelining && (!c->txn.chunking || (message->body_whole && !c->settings.lmtp)))
        send_content_command(c);
    client_flush(c);
}

/* ---- content ---- */

static void add_unstuffed(struct buf *out, struct transaction *t, struct str bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        char b = bytes.p[i];

        if (t->last_cr && b != '\n') {
            buf_add_char(out, '\n');
            t->line_start = true;
        }
        if (b == '\n' && !t->last_cr)
            buf_add_char(out, '\r');
        if (t->line_start && b == '.')
            buf_add_char(out, '.');
        buf_add_char(out, b);
        t->last_cr = b == '\r';
        t->line_start = b == '\n';
    }
}

/* Dot stuffing (RFC 5321 4.5.2). A bare CR or LF, which the queue should not hold, becomes a line end:
 * no server may see another end of the message than we mean. */
static void add_stuffed(struct buf *out, struct transaction *t, struct str bytes)
{
    while (bytes.n > 0) {
        const char *lf = memchr(bytes.p, '\n', bytes.n);
        size_t n = lf != NULL ? (size_t)(lf - bytes.p) + 1 : bytes.n;
        struct str line = str_sub(bytes, 0, n);
        bool plain = !t->last_cr && n >= 2 && lf != NULL && line.p[n - 2] == '\r' &&
                     memchr(line.p, '\r', n - 2) == NULL;

        if (!plain) {
            add_unstuffed(out, t, line);
        } else {
            if (t->line_start && line.p[0] == '.')
                buf_add_char(out, '.');
            buf_add(out, line);
            t->line_start = true;
        }
        bytes = str_skip(bytes, n);
    }
}

static void end_data(struct client *c)
{
    struct transaction *t = &c->txn;

    if (t->last_cr)
        buf_add_char(&c->out, '\n');
    else if (!t->line_start)
        buf_add(&c->out, STR("\r\n"));
    buf_add(&c->out, STR(".\r\n"));
    client_flush(c);
    expect_end(c);
}

void client_body(struct client *c, struct str bytes, bool last)
{
    if (c->dead || !c->txn.open || !c->txn.content || c->txn.ended)
        return;
    c->stage = STAGE_END;
    if (c->txn.chunking) {
        send_bdat(c, bytes, last);
        return;
    }
    while (bytes.n > 0) {
        struct str piece = str_sub(bytes, 0, IPC_CHUNK);

        add_stuffed(&c->out, &c->txn, piece);
        client_flush(c);
        bytes = str_skip(bytes, piece.n);
    }
    if (last)
        end_data(c);
    else
        c->world->want_body(c->owner);
}

/* ---- replies ---- */

/* Decides what comes next, once every reply is in. */
static void advance(struct client *c)
{
    struct transaction *t = &c->txn;

    if (client_expected(c) > 0 || c->dead)
        return;
    if (t->mail_refused) {
        finish(c);
        return;
    }
    while (t->next < t->n && t->rcpts[t->next]->state != CLIENT_RCPT_OPEN)
        t->next++;
    if (t->next < t->n) {
        client_add_rcpt(c, t->next++);
        client_flush(c);
    } else if (!t->data_sent && t->accepted > 0) {
        send_content_command(c);
    } else if (!t->data_sent || !t->content || t->ended) {
        finish(c);
    }
}

void client_on_mail(struct client *c, size_t index)
{
    (void)index;
    if (c->reply.code / 100 == 2) {
        c->txn.mail_accepted = true;
    } else {
        struct client_outcome outcome = client_outcome_of_reply(c, STAGE_MAIL);

        if (outcome.status == DELIVERY_RELAYED) {
            client_fail_text(c, REASON_PROTOCOL, 451, "4.5.0 the server's answer to MAIL makes no sense");
            return;
        }
        c->txn.mail_refused = true;
        settle_all(c, &outcome);
    }
    advance(c);
}

/* 452 and 552 after accepted recipients, or with the enhanced code for it: the rest of them go into
 * another transaction (RFC 5321 4.5.3.1.10). */
static bool is_too_many(const struct client *c)
{
    const struct enhanced *e = &c->reply.enhanced;

    return (c->reply.code == 452 || c->reply.code == 552) &&
           (e->class == 0 || (e->subject == 5 && e->detail == 3));
}

void client_on_rcpt(struct client *c, size_t index)
{
    struct client_rcpt *rcpt = c->txn.rcpts[index];
    struct client_outcome outcome;

    if (c->txn.mail_refused || rcpt->state == CLIENT_RCPT_SETTLED) {
        advance(c);
        return;
    }
    if (c->reply.code / 100 == 2) {
        rcpt->state = CLIENT_RCPT_ACCEPTED;
        c->txn.accepted++;
    } else if (c->reply.code / 100 == 3) {
        client_fail_text(c, REASON_PROTOCOL, 451, "4.5.0 the server's answer to RCPT makes no sense");
        return;
    } else if (!is_too_many(c) || c->txn.accepted == 0) {
        outcome = client_outcome_of_reply(c, STAGE_RCPT);
        if (is_too_many(c)) {
            outcome.status = DELIVERY_DEFERRED;
            outcome.reason = REASON_LIMIT;
        }
        settle(c, rcpt, &outcome);
    }
    advance(c);
}

/* 354: the content, or a lone dot when nobody is left to get it. */
static void start_content(struct client *c)
{
    c->txn.content = true;
    if (c->txn.accepted == 0) {
        buf_add(&c->out, STR(".\r\n"));
        client_flush(c);
        if (c->settings.lmtp)
            client_fail_text(c, REASON_PROTOCOL, 451, "4.5.0 the server takes DATA without recipients");
        else
            client_expect(c, EXPECT_END, 0);
    } else if (c->txn.message->body_whole) {
        client_body(c, c->txn.message->body, true);
    } else {
        c->world->wait(c->owner, CLIENT_WAIT_REPLY);
        c->world->want_body(c->owner);
    }
}

void client_on_data(struct client *c, size_t index)
{
    struct client_outcome outcome;

    (void)index;
    if (c->reply.code == 354) {
        start_content(c);
        return;
    }
    outcome = client_outcome_of_reply(c, STAGE_DATA);
    if (c->reply.code < 400) {
        client_fail_text(c, REASON_PROTOCOL, 451, "4.5.0 the server's answer to DATA makes no sense");
        return;
    }
    settle_accepted(c, &outcome);
    advance(c);
}

bool client_txn_early(struct client *c)
{
    struct client_outcome outcome;

    if (!c->txn.open || !c->txn.content || c->txn.ended || c->reply.code == 421)
        return false;
    outcome = client_outcome_of_reply(c, STAGE_DATA);
    settle_accepted(c, &outcome);
    return true;
}

/* A piece that is not the last one. */
void client_on_bdat(struct client *c, size_t index)
{
    struct client_outcome outcome;

    (void)index;
    if (c->reply.code / 100 == 2) {
        c->world->wait(c->owner, CLIENT_WAIT_REPLY);
        c->world->want_body(c->owner);
        return;
    }
    outcome = client_outcome_of_reply(c, STAGE_DATA);
    if (outcome.status == DELIVERY_RELAYED) {
        client_fail_text(c, REASON_PROTOCOL, 451, "4.5.0 the server's answer to BDAT makes no sense");
        return;
    }
    settle_accepted(c, &outcome);
    finish(c);
}

void client_on_end(struct client *c, size_t index)
{
    struct client_outcome outcome = client_outcome_of_reply(c, STAGE_END);

    if (c->reply.code / 100 == 3) {
        client_fail_text(c, REASON_PROTOCOL, 451, "4.5.0 the server's answer to the message makes no sense");
        return;
    }
    if (c->settings.lmtp)
        settle(c, c->txn.rcpts[index], &outcome);
    else
        settle_accepted(c, &outcome);
    if (client_expected(c) == 0) {
        c->txn.over = !c->txn.chunking || c->reply.code / 100 == 2;
        c->txn.ended = false;
    }
    if (c->reply.code == 421)
        client_fail(c, &(struct client_failure){.busy = true, .outcome = outcome});
    else if (client_expected(c) == 0)
        finish(c);
}
