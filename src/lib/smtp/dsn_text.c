/* What a person learns from a report: who, why (in the remote's own words too), what to do. */
#include "smtp/dsn_text.h"

#include "mime/date.h"
#include "smtp/reply.h"

enum { LINE = 76, WORDS_MAX = 1500 };

/* In the order of severity: dsn_worst relies on it. */
static const struct {
    enum dsn_action action;
    const char *subject, *opening;
} kinds[] = {
    {DSN_FAILED, "Undelivered mail",
        "Your message could not be delivered to the addresses below. It will not be tried again."},
    {DSN_DELAYED, "Delayed mail",
        "Your message has not been delivered yet to the addresses below. This is only a notice: "
        "it is still being tried, and you need not send it again."},
    {DSN_EXPANDED, "Mail delivered to a list", "Your message was passed on as you can read below."},
    {DSN_RELAYED, "Mail passed on", "Your message was passed on as you can read below."},
    {DSN_DELIVERED, "Mail delivered", "Your message was delivered to the addresses below."},
};

static const struct {
    const char *why, *advice;
} reasons[] = {
    [REASON_NONE] = {"It was refused.", ""},
    [REASON_NO_USER] = {"There is no such address.",
        "Check the spelling of the address, or ask the recipient for the right one in another way."},
    [REASON_MAILBOX_FULL] = {"The recipient's mailbox is full.",
        "Tell the recipient in another way, and send the message again later."},
    [REASON_POLICY] = {"The recipient's server does not take this message from here.",
        "The words above may say which rule was broken. Give them to your administrator."},
    [REASON_RATE] = {"The recipient's server takes no more messages from here for the moment.",
        "Send the message again later. If this goes on, give the words above to your administrator."},
    [REASON_CONTENT] = {"The recipient's server does not like what is in the message.",
        "Change the message (links, attachments) and send it again."},
    [REASON_NETWORK] = {"The recipient's server could not be reached.",
        "Check the part of the address behind the @. Otherwise send the message again later."},
    [REASON_DNS] = {"No mail server was found for the recipient's domain.",
        "Check the part of the address behind the @: it may be misspelt or no longer exist."},
    [REASON_TLS] = {"The message may only travel encrypted, and the recipient's server could not do that.",
        "Give the words above to your administrator."},
    [REASON_PROTOCOL] = {"The recipient's server cannot take this kind of message.",
        "If the message has unusual addresses or encodings, send it in a simpler form."},
    [REASON_LIMIT] = {"The message is larger than the recipient's server allows.",
        "Send it without attachments or in smaller parts."},
    [REASON_EXPIRED] = {"It was tried for as long as possible.", "Send the message again later."},
    [REASON_OTHER] = {"The recipient's server refused it.",
        "The words above are all that is known. Your administrator may know more."},
};

void dsn_add_clean(struct buf *out, struct str text, size_t longest, bool utf8)
{
    bool keep = utf8 && str_is_utf8(text);

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        size_t control = str_control(str_skip(text, i));

        if (i >= longest && (c & 0xc0) != 0x80)
            return;
        buf_add_char(out, control > 0 ? ' ' : c > 0x7f && !keep ? '?' : (char)c);
        i += control > 0 ? control - 1 : 0;
    }
}

enum dsn_action dsn_worst(const struct dsn_report *r)
{
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t i = 0; i < r->n; i++)
            if (r->rcpts[i].action == kinds[k].action)
                return kinds[k].action;
    return DSN_FAILED;
}

static size_t kind_of(enum dsn_action action)
{
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (kinds[k].action == action)
            return k;
    return 0;
}

const char *dsn_subject(enum dsn_action action)
{
    return kinds[kind_of(action)].subject;
}

/* Writes text in lines of at most LINE octets where its words allow it, each behind `indent` blanks. */
static void add_wrapped(struct buf *out, struct str text, int indent)
{
    size_t column = 0;
    struct str word;

    while (str_next_word(&text, &word)) {
        if (column && column + word.n + 1 > LINE) {
            buf_add(out, STR("\r\n"));
            column = 0;
        }
        if (column == 0)
            buf_addf(out, "%*s", indent, "");
        else
            buf_add_char(out, ' ');
        column += column == 0 ? (size_t)indent + word.n : word.n + 1;
        buf_add(out, word);
    }
    buf_add(out, STR("\r\n"));
}

static void add_words(struct buf *out, const struct dsn_rcpt *rcpt, bool utf8)
{
    struct buf line;

    if (rcpt->text.n == 0 && rcpt->code == 0)
        return;
    buf_init(&line, 4 * WORDS_MAX);
    if (rcpt->host.n && rcpt->remote) {
        dsn_add_clean(&line, rcpt->host, 255, false);
        buf_add(&line, STR(" said: "));
    }
    if (rcpt->code && rcpt->remote)
        buf_addf(&line, "%u ", rcpt->code);
    dsn_add_clean(&line, rcpt->text, WORDS_MAX, utf8);
    add_wrapped(out, buf_str(&line), 6);
    buf_clear(&line);
}

static void add_time(struct buf *out, int indent, const char *before, int64_t time)
{
    char date[DATE_TEXT];
    struct buf line;

    date_format(time, date);
    buf_init(&line, 500);
    buf_addf(&line, "%s%s.", before, date);
    add_wrapped(out, buf_str(&line), indent);
    buf_clear(&line);
}

static const char *success_text(enum dsn_action action)
{
    switch (action) {
    case DSN_DELIVERED:
        return "The message is in the recipient's mailbox.";
    case DSN_RELAYED:
        return "The message was handed over to a server that sends no delivery reports of its own; "
               "you may hear nothing more.";
    case DSN_EXPANDED:
        return "The address is a list; the message was sent on to its members.";
    case DSN_FAILED:
    case DSN_DELAYED:
        break;
    }
    return "";
}

static void add_rcpt(struct buf *out, const struct dsn_rcpt *rcpt, bool utf8)
{
    enum delivery_reason reason;

    buf_add(out, STR("  <"));
    dsn_add_clean(out, rcpt->address, 1000, utf8);
    buf_add(out, STR(">\r\n"));
    if (rcpt->action != DSN_FAILED && rcpt->action != DSN_DELAYED) {
        add_wrapped(out, str_of(success_text(rcpt->action)), 6);
        buf_add(out, STR("\r\n"));
        return;
    }
    reason = reply_classify(rcpt->code < 400 ? 550 : rcpt->code, rcpt->text, STAGE_RCPT);
    add_wrapped(out, str_of(reasons[reason].why), 6);
    add_words(out, rcpt, utf8);
    if (rcpt->action == DSN_DELAYED && rcpt->retry_until)
        add_time(out, 6, "It will be tried until ", rcpt->retry_until);
    else if (rcpt->action == DSN_FAILED)
        add_wrapped(out, str_of(reasons[reason].advice), 6);
    buf_add(out, STR("\r\n"));
}

void dsn_write_text(struct buf *out, const struct dsn_report *r, bool utf8)
{
    enum dsn_action worst = dsn_worst(r);

    buf_add(out, STR("This is the mail server "));
    dsn_add_clean(out, r->hostname, 255, utf8);
    buf_add(out, STR(".\r\n\r\n"));
    add_wrapped(out, str_of(kinds[kind_of(worst)].opening), 0);
    buf_add(out, STR("\r\n"));
    for (size_t i = 0; i < r->n; i++)
        add_rcpt(out, &r->rcpts[i], utf8);
    if (r->queue_id.n) {
        buf_add(out, STR("Name this number when you ask your administrator: "));
        dsn_add_clean(out, r->queue_id, 100, false);
        buf_add(out, STR("\r\n"));
    }
    if (r->arrived)
        add_time(out, 0, "The message was taken in on ", r->arrived);
}
