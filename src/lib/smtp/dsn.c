/* The frame of a delivery status report: header, three parts, boundaries; and the machine-readable
 * second part (RFC 3464 2). */
#include "smtp/dsn.h"

#include "mime/date.h"
#include "smtp/dsn_text.h"
#include "smtp/reply.h"
#include "smtp/xtext.h"

enum { TEXT_LONGEST = 800, SUBJECT_LONGEST = 400 };

static const char *const actions[] = {"failed", "delayed", "delivered", "relayed", "expanded"};

const char *dsn_action_name(enum dsn_action action)
{
    return (size_t)action < sizeof actions / sizeof *actions ? actions[action] : "failed";
}

bool dsn_needs_utf8(const struct dsn_report *r)
{
    if (r->original_utf8 || !str_is_ascii(r->to))
        return true;
    for (size_t i = 0; i < r->n; i++)
        if (!str_is_ascii(r->rcpts[i].address) || !str_is_ascii(r->rcpts[i].orcpt))
            return true;
    return false;
}

static void add_date(struct buf *out, const char *name, int64_t time)
{
    char date[DATE_TEXT];

    if (time == 0)
        return;
    date_format(time, date);
    buf_addf(out, "%s: %s\r\n", name, date);
}

/* The boundary: report_id is of letters and digits, and no line of the original can have been made
 * with knowledge of it. Characters that may not stand in one are left out. */
static void add_boundary(struct buf *out, const struct dsn_report *r)
{
    buf_add(out, STR("report-"));
    for (size_t i = 0; i < r->report_id.n && i < 50; i++)
        if (ascii_is_alnum(r->report_id.p[i]) || r->report_id.p[i] == '-')
            buf_add_char(out, r->report_id.p[i]);
}

static void add_separator(struct buf *out, const struct dsn_report *r, const char *end)
{
    buf_add(out, STR("\r\n--"));
    add_boundary(out, r);
    buf_addf(out, "%s\r\n", end);
}

static void add_message_id(struct buf *out, const struct dsn_report *r)
{
    buf_add(out, STR("Message-ID: <"));
    add_boundary(out, r);
    buf_add_char(out, '@');
    dsn_add_clean(out, r->hostname, 255, false);
    buf_add(out, STR(">\r\n"));
}

static void add_subject(struct buf *out, const struct dsn_report *r, bool utf8)
{
    struct str subject = str_trim(r->subject);

    buf_addf(out, "Subject: %s", dsn_subject(dsn_worst(r)));
    if (subject.n && subject.n <= SUBJECT_LONGEST) {
        buf_add(out, STR(": "));
        dsn_add_clean(out, subject, SUBJECT_LONGEST, utf8);
    }
    buf_add(out, STR("\r\n"));
}

static void add_header(struct buf *out, const struct dsn_report *r, bool utf8)
{
    add_date(out, "Date", r->now);
    buf_add(out, STR("From: Mail Delivery System <MAILER-DAEMON@"));
    dsn_add_clean(out, r->hostname, 255, utf8);
    buf_add(out, STR(">\r\nTo: <"));
    dsn_add_clean(out, r->to, 1000, utf8);
    buf_add(out, STR(">\r\n"));
    add_subject(out, r, utf8);
    add_message_id(out, r);
    if (r->message_id.n && r->message_id.n <= 500) {
        buf_add(out, STR("References: "));
        dsn_add_clean(out, r->message_id, 500, utf8);
        buf_add(out, STR("\r\n"));
    }
    buf_add(out, STR("Auto-Submitted: auto-replied\r\n"
                     "MIME-Version: 1.0\r\n"
                     "Content-Type: multipart/report; report-type="));
    buf_addf(out, "%s;\r\n\tboundary=\"", utf8 ? "global-delivery-status" : "delivery-status");
    add_boundary(out, r);
    buf_add(out, STR("\"\r\n"));
    if (utf8 || (r->full && r->original_8bit))
        buf_add(out, STR("Content-Transfer-Encoding: 8bit\r\n"));
    buf_add(out, STR("\r\nThis is a report of a mail server in MIME format (RFC 3464).\r\n"));
}

/* "rfc822; user@example.org" from ORCPT; a UTF-8 address stays in its ASCII armour where the report is
 * plain (RFC 6533 3). */
static void add_original_rcpt(struct buf *out, struct str orcpt, bool utf8)
{
    struct buf plain;
    struct str type;
    bool armoured;

    buf_init(&plain, 2000);
    if (orcpt_decode(&plain, orcpt, &type)) {
        armoured = !utf8 && str_ieq(type, STR("utf-8"));
        buf_add(out, STR("Original-Recipient: "));
        dsn_add_clean(out, type, 50, false);
        buf_add(out, STR("; "));
        dsn_add_clean(out, armoured ? str_skip(orcpt, type.n + 1) : buf_str(&plain), 1000, utf8);
        buf_add(out, STR("\r\n"));
    }
    buf_clear(&plain);
}

/* Status: what the words begin with, where that fits the action; else the general code of the action. */
static void add_status(struct buf *out, const struct dsn_rcpt *rcpt)
{
    struct str text = rcpt->text;
    struct enhanced e = {0};
    unsigned class = rcpt->action == DSN_FAILED ? 5 : rcpt->action == DSN_DELAYED ? 4 : 2;
    bool fits = enhanced_parse(&text, &e) &&
                (e.class == class || (rcpt->action == DSN_FAILED && e.class == 4));

    if (!fits)
        e = (struct enhanced){class, 0, 0};
    buf_addf(out, "Status: %u.%u.%u\r\n", e.class, e.subject, e.detail);
}

static void add_diagnostic(struct buf *out, const struct dsn_rcpt *rcpt)
{
    if (rcpt->text.n == 0 && rcpt->code == 0)
        return;
    buf_addf(out, "Diagnostic-Code: %s; ", rcpt->remote ? "smtp" : "x-staffetta");
    if (rcpt->code)
        buf_addf(out, "%u ", rcpt->code);
    dsn_add_clean(out, rcpt->text, TEXT_LONGEST, false);
    buf_add(out, STR("\r\n"));
}

static void add_rcpt(struct buf *out, const struct dsn_rcpt *rcpt, bool utf8)
{
    bool global = !str_is_ascii(rcpt->address);

    buf_add(out, STR("\r\n"));
    if (rcpt->orcpt.n)
        add_original_rcpt(out, rcpt->orcpt, utf8);
    buf_addf(out, "Final-Recipient: %s; ", global ? "utf-8" : "rfc822");
    dsn_add_clean(out, rcpt->address, 1000, utf8);
    buf_addf(out, "\r\nAction: %s\r\n", dsn_action_name(rcpt->action));
    add_status(out, rcpt);
    if (rcpt->host.n && rcpt->remote) {
        buf_add(out, STR("Remote-MTA: dns; "));
        dsn_add_clean(out, rcpt->host, 255, false);
        buf_add(out, STR("\r\n"));
    }
    add_diagnostic(out, rcpt);
    add_date(out, "Last-Attempt-Date", rcpt->last_attempt);
    if (rcpt->action == DSN_DELAYED)
        add_date(out, "Will-Retry-Until", rcpt->retry_until);
}

static void add_machine_part(struct buf *out, const struct dsn_report *r, bool utf8)
{
    struct buf envid;

    add_separator(out, r, "");
    buf_addf(out, "Content-Description: Delivery report\r\nContent-Type: message/%s\r\n",
        utf8 ? "global-delivery-status\r\nContent-Transfer-Encoding: 8bit" : "delivery-status");
    buf_add(out, STR("\r\nReporting-MTA: dns; "));
    dsn_add_clean(out, r->hostname, 255, false);
    buf_add(out, STR("\r\n"));
    buf_init(&envid, 500);
    if (r->envid.n && xtext_decode(&envid, r->envid)) {
        buf_add(out, STR("Original-Envelope-Id: "));
        dsn_add_clean(out, buf_str(&envid), 100, false);
        buf_add(out, STR("\r\n"));
    }
    buf_clear(&envid);
    add_date(out, "Arrival-Date", r->arrived);
    for (size_t i = 0; i < r->n; i++)
        add_rcpt(out, &r->rcpts[i], utf8);
}

static void add_text_part(struct buf *out, const struct dsn_report *r, bool utf8)
{
    add_separator(out, r, "");
    buf_addf(out, "Content-Description: Notification\r\nContent-Type: text/plain; charset=%s\r\n\r\n",
        utf8 ? "utf-8\r\nContent-Transfer-Encoding: 8bit" : "us-ascii");
    dsn_write_text(out, r, utf8);
}

static const char *original_type(const struct dsn_report *r)
{
    if (r->original_utf8)
        return r->full ? "message/global" : "message/global-headers";
    return r->full ? "message/rfc822" : "text/rfc822-headers";
}

void dsn_write_head(struct buf *out, const struct dsn_report *r)
{
    bool utf8 = dsn_needs_utf8(r);

    add_header(out, r, utf8);
    add_text_part(out, r, utf8);
    add_machine_part(out, r, utf8);
    add_separator(out, r, "");
    buf_addf(out, "Content-Description: Your message%s\r\nContent-Type: %s\r\n", r->full ? "" : " (header)",
        original_type(r));
    if (r->original_utf8 || (r->full && r->original_8bit))
        buf_add(out, STR("Content-Transfer-Encoding: 8bit\r\n"));
    buf_add(out, STR("\r\n"));
}

void dsn_write_tail(struct buf *out, const struct dsn_report *r)
{
    add_separator(out, r, "--");
}
