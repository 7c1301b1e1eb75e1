/* EHLO and its kin: what this session offers depends on the listener, on TLS and on who is there. */
#include "private.h"

#include "base/clock.h"

#include <inttypes.h>

unsigned mechanisms(const struct smtp_session *s)
{
    unsigned offer = MECH_PLAIN | MECH_LOGIN | MECH_SCRAM_SHA_256;

    if (s->set->service != SERVICE_SUBMISSION || (!s->secure && !s->client.loopback))
        return 0;
    return s->secure && s->bindings ? offer | MECH_SCRAM_SHA_256_PLUS : offer;
}

unsigned offered(const struct smtp_session *s)
{
    unsigned offer = EXT_PIPELINING | EXT_SIZE | EXT_8BITMIME | EXT_BINARYMIME | EXT_CHUNKING | EXT_SMTPUTF8 |
                     EXT_DSN | EXT_ENHANCEDSTATUSCODES | EXT_LIMITS | EXT_DELIVERBY | EXT_MT_PRIORITY | EXT_VRFY |
                     EXT_HELP;

    if (!s->extended)
        return 0;
    if (s->set->starttls && !s->secure)
        offer |= EXT_STARTTLS;
    if (s->secure)
        offer |= EXT_REQUIRETLS;
    if (s->set->service == SERVICE_SUBMISSION || s->set->service == SERVICE_LOCAL_SMTP)
        offer |= EXT_FUTURERELEASE;
    if (mechanisms(s) != 0)
        offer |= EXT_AUTH;
    if (s->client.may_xclient)
        offer |= EXT_XCLIENT;
    return offer;
}

static void line_size(struct smtp_session *s, struct buf *out)
{
    buf_addf(out, "SIZE %" PRIu64, s->set->message_size);
}

static void line_limits(struct smtp_session *s, struct buf *out)
{
    buf_addf(out, "LIMITS RCPTMAX=%" PRIu64 " MAILMAX=%" PRIu64, s->set->recipients, s->set->messages_per_connection);
}

static void line_auth(struct smtp_session *s, struct buf *out)
{
    unsigned offer = mechanisms(s);

    buf_add(out, STR("AUTH"));
    for (unsigned bit = MECH_SCRAM_SHA_256_PLUS; bit != 0; bit >>= 1) { /* strongest first */
        if (offer & bit)
            buf_addf(out, " %s", mechanism_name(bit));
    }
}

static void line_hold(struct smtp_session *s, struct buf *out)
{
    char until[32];

    clock_format_utc(s->world->now(s->w) + HOLD_DAYS_MAX * DAY, until, sizeof until);
    /* RFC 4865 wants whole seconds: "2026-11-22T03:30:00Z" */
    buf_addf(out, "FUTURERELEASE %d %.19sZ", HOLD_DAYS_MAX * 86400, until);
}

static const struct {
    unsigned extension;
    const char *keyword;
    void (*write)(struct smtp_session *s, struct buf *out);
} keywords[] = {
    {EXT_PIPELINING, "PIPELINING", NULL},
    {EXT_SIZE, NULL, line_size},
    {EXT_8BITMIME, "8BITMIME", NULL},
    {EXT_BINARYMIME, "BINARYMIME", NULL},
    {EXT_CHUNKING, "CHUNKING", NULL},
    {EXT_SMTPUTF8, "SMTPUTF8", NULL},
    {EXT_DSN, "DSN", NULL},
    {EXT_STARTTLS, "STARTTLS", NULL},
    {EXT_AUTH, NULL, line_auth},
    {EXT_REQUIRETLS, "REQUIRETLS", NULL},
    {EXT_DELIVERBY, "DELIVERBY", NULL},
    {EXT_MT_PRIORITY, "MT-PRIORITY MIXER", NULL},
    {EXT_FUTURERELEASE, NULL, line_hold},
    {EXT_LIMITS, NULL, line_limits},
    {EXT_XCLIENT, "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT", NULL},
    {EXT_VRFY, "VRFY", NULL},
    {EXT_HELP, "HELP", NULL},
    {EXT_ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES", NULL},
};

static void write_keywords(struct smtp_session *s, struct buf *out)
{
    unsigned offer = offered(s), left = offer;

    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (!(offer & keywords[i].extension))
            continue;
        left &= ~keywords[i].extension;
        buf_add(out, left == 0 ? STR("250 ") : STR("250-"));
        if (keywords[i].write != NULL)
            keywords[i].write(s, out);
        else
            buf_add(out, str_of(keywords[i].keyword));
        buf_add(out, STR("\r\n"));
    }
}

/* A new greeting is also a RSET. */
static bool take_name(struct smtp_session *s, struct str args, bool extended)
{
    struct refusal no;
    struct str name;

    if (!command_parse_helo(args, &name, &no)) {
        refuse(s, no.code, str_of(no.text));
        return false;
    }
    forget_transaction(s);
    str_free(&s->helo);
    s->helo = str_dup(name);
    s->extended = extended;
    s->state = AT_READY;
    return true;
}

static void extended_greeting(struct smtp_session *s, struct str args)
{
    struct buf out;

    if (!take_name(s, args, true))
        return;
    buf_init(&out, 4096);
    buf_addf(&out, "250-%.*s\r\n", STR_ARG(s->set->hostname));
    write_keywords(s, &out);
    say(s, buf_str(&out));
    buf_clear(&out);
}

void on_ehlo(struct smtp_session *s, struct str args)
{
    if (s->set->service == SERVICE_LMTP)
        refuse(s, 500, STR("5.5.1 This is LMTP: send LHLO"));
    else
        extended_greeting(s, args);
}

void on_lhlo(struct smtp_session *s, struct str args)
{
    if (s->set->service != SERVICE_LMTP)
        refuse(s, 500, STR("5.5.1 This is SMTP: send EHLO"));
    else
        extended_greeting(s, args);
}

void on_helo(struct smtp_session *s, struct str args)
{
    if (s->set->service == SERVICE_LMTP)
        refuse(s, 500, STR("5.5.1 This is LMTP: send LHLO"));
    else if (take_name(s, args, false))
        reply(s, 250, s->set->hostname);
}

void on_help(struct smtp_session *s, struct str args)
{
    (void)args;
    say(s, STR("214-2.0.0 EHLO HELO LHLO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT\r\n"
               "214 2.0.0 See RFC 5321\r\n"));
}
