/* MAIL and RCPT: the envelope, and who may send what to whom. */
#include "private.h"

#include "base/clock.h"

/* Words with an enhanced code of the right class: "5.1.1 no such user". */
static bool is_reply_text(struct str text, unsigned code)
{
    return text.n > 4 && text.p[0] == (char)('0' + code / 100) && text.p[1] == '.';
}

/* ---- MAIL ---- */

static bool hold_is_fine(struct smtp_session *s, const struct mail_command *m)
{
    int64_t until = s->world->now(s->w) + HOLD_DAYS_MAX * DAY;

    return m->hold_for <= HOLD_DAYS_MAX * 86400 && m->hold_until <= until;
}

/* What can be said against the command itself, before anybody is asked; code 0 for nothing. */
static struct refusal objection(struct smtp_session *s, struct str args, struct mail_command *m)
{
    struct refusal no;

    if (!command_parse_mail(args, offered(s), m, &no))
        return no;
    if (m->size > s->set->message_size)
        return (struct refusal){552, "5.3.4 The message is larger than this server takes"};
    if (!hold_is_fine(s, m))
        return (struct refusal){501, "5.5.4 The release time is too far away"};
    if (!s->world->spend(s->w, SMTP_BUDGET_MESSAGES))
        return (struct refusal){450, "4.7.1 Too many messages from your address in the last hour"};
    return (struct refusal){0, NULL};
}

static bool mail_is_fine(struct smtp_session *s, struct str args, struct mail_command *m)
{
    struct refusal no = objection(s, args, m);

    if (no.code == 0)
        return true;
    refuse(s, no.code, str_of(no.text));
    note(s, SMTP_NOTE_MAIL_REFUSED, args, no.code, str_of(no.text));
    return false;
}

/* Strangers cannot get ahead of others (RFC 6710 5.1). */
static void set_priority(struct smtp_session *s, const struct mail_command *m)
{
    s->txn.priority = m->priority;
    if (m->priority > NEUTRAL_PRIORITY && !is_submission(s))
        s->txn.priority = NEUTRAL_PRIORITY;
}

static void set_times(struct smtp_session *s, const struct mail_command *m)
{
    int64_t now = s->world->now(s->w);

    if (m->hold_for > 0)
        s->txn.hold_until = now + (int64_t)m->hold_for * SECOND;
    else if (m->hold_until > now)
        s->txn.hold_until = m->hold_until;
    if (m->has_by)
        s->txn.deliver_by = now + m->by_seconds * SECOND;
}

static bool set_sender(struct smtp_session *s, const struct mail_command *m)
{
    struct buf text;
    const char *why = NULL;
    bool fine;

    buf_init(&text, ADDRESS_TEXT_MAX);
    fine = address_write(&m->sender, &text, &why);
    s->txn.sender = arena_str(&s->arena, buf_str(&text));
    s->txn.envid = arena_str(&s->arena, m->envid);
    buf_clear(&text);
    if (!fine || s->txn.sender.p == NULL || s->txn.envid.p == NULL) {
        refuse(s, 501, STR("5.1.7 Malformed sender address"));
        return false;
    }
    return true;
}

static bool offer_message(struct smtp_session *s)
{
    struct str why = {0};

    s->txn.message = s->world->offer(s->w, &why);
    if (s->txn.message != 0)
        return true;
    if (!is_reply_text(why, 452)) /* queue's and filter's words bring their code with them */
        why = STR("4.3.1 No message can be taken now, try again later");
    refuse(s, str_starts(why, STR("4.3.1 ")) ? 452 : 451, why);
    return false;
}

static void mail_taken(struct smtp_session *s, bool lowered)
{
    s->state = AT_MAIL;
    if (lowered)
        say(s, STR("250 2.3.6 Ok, with the usual priority\r\n"));
    else
        say(s, STR("250 2.1.0 Ok\r\n"));
}

void on_mail(struct smtp_session *s, struct str args)
{
    struct mail_command m;

    if (s->messages >= s->set->messages_per_connection) {
        hang_up(s, 421, STR("4.7.0 Too many messages in one connection"));
        return;
    }
    forget_transaction(s);
    if (!mail_is_fine(s, args, &m) || !set_sender(s, &m) || !offer_message(s)) {
        forget_transaction(s);
        return;
    }
    s->txn.flags = m.flags;
    if (is_submission(s))
        s->txn.flags |= TXN_SUBMISSION | (s->account == 0 ? TXN_NO_SENDER_CHECK : 0);
    if (s->set->service == SERVICE_LOCAL_SMTP)
        s->txn.flags |= TXN_LOCAL;
    if (s->set->service == SERVICE_LMTP)
        s->txn.flags |= TXN_LMTP;
    s->txn.size = m.size;
    s->txn.account = s->account;
    set_priority(s, &m);
    set_times(s, &m);
    if (s->account != 0 && s->txn.sender.n > 0) {
        s->wait = WAIT_SENDER;
        s->world->ask_sender(s->w, s->account, s->txn.sender);
        return;
    }
    mail_taken(s, m.priority != s->txn.priority);
}

void smtp_sender_answer(struct smtp_session *s, bool allowed, bool temporary)
{
    if (s->wait != WAIT_SENDER)
        return;
    s->wait = WAIT_NONE;
    if (!temporary && allowed) {
        mail_taken(s, false);
        return;
    }
    note(s, SMTP_NOTE_MAIL_REFUSED, s->txn.sender, temporary ? 451 : 553, STR("sender of an account"));
    if (temporary)
        refuse(s, 451, STR("4.3.0 The sender cannot be checked now, try again later"));
    else
        refuse(s, 553, STR("5.7.1 This sender address does not belong to your account"));
    forget_transaction(s);
}

/* ---- RCPT ---- */

/* Nobody gets through this server to others unless he is known: logged in with the right to send, of
 * a listed network, or a user of this machine. */
static bool may_relay(const struct smtp_session *s)
{
    return is_submission(s);
}

/* Of a stranger; what another server took, and hands on by LMTP, is not refused for it any more. */
static bool is_bounce(const struct smtp_session *s)
{
    return s->txn.sender.n == 0 && !is_submission(s) && s->set->service != SERVICE_LMTP;
}

static bool is_known(const struct smtp_session *s, struct str address)
{
    for (const struct smtp_rcpt *r = s->txn.first; r != NULL; r = r->next) {
        if (str_eq(r->address, address))
            return true;
    }
    return false;
}

static bool set_asked(struct smtp_session *s, const struct rcpt_command *r)
{
    struct buf text;
    const char *why = NULL;
    bool fine;

    buf_init(&text, ADDRESS_TEXT_MAX);
    if (r->rcpt.domain.n == 0 && s->set->postmaster.n > 0) {
        buf_add(&text, s->set->postmaster);
        fine = true;
    } else {
        fine = address_write(&r->rcpt, &text, &why);
    }
    s->asked = arena_str(&s->arena, buf_str(&text));
    s->asked_orcpt = arena_str(&s->arena, r->orcpt);
    s->asked_notify = r->notify;
    buf_clear(&text);
    if (!fine)
        refuse(s, 501, STR("5.1.3 Malformed recipient address"));
    else if (s->asked.p == NULL || s->asked_orcpt.p == NULL)
        refuse(s, 452, STR("4.5.3 Too many recipients"));
    else
        return true;
    return false;
}

void on_rcpt(struct smtp_session *s, struct str args)
{
    unsigned flags = s->txn.flags & TXN_SMTPUTF8 ? ADDRESS_UTF8 : 0;
    struct rcpt_command r;
    struct refusal no;
    bool first = !s->charged;

    s->rcpts_refused++; /* until it is taken */
    if (s->txn.rcpts >= s->set->recipients) {
        refuse(s, 452, STR("4.5.3 Too many recipients"));
    } else if (!command_parse_rcpt(args, offered(s), flags, &r, &no)) {
        refuse(s, no.code, str_of(no.text));
    } else if (!set_asked(s, &r)) {
        return;
    } else if (is_known(s, s->asked)) {
        s->rcpts_taken++;
        say(s, STR("250 2.1.5 Ok, once is enough\r\n"));
    } else if (!s->world->spend(s->w, SMTP_BUDGET_RECIPIENTS)) {
        refuse(s, 450, STR("4.7.1 Too many recipients from your address in the last hour"));
    } else {
        s->charged = true;
        s->wait = WAIT_RCPT;
        s->world->ask_rcpt(s->w, s->account, first, is_bounce(s), s->asked);
    }
}

static void take_recipient(struct smtp_session *s, unsigned flags)
{
    struct smtp_rcpt *r = arena_alloc(&s->arena, sizeof *r);

    if (r == NULL) {
        refuse(s, 452, STR("4.5.3 Too many recipients"));
        return;
    }
    *r = (struct smtp_rcpt){.notify = s->asked_notify, .forwards = flags & SMTP_RCPT_FORWARDS, .address = s->asked, .orcpt = s->asked_orcpt};
    if (s->txn.first == NULL)
        s->txn.first = r;
    else
        s->txn.last->next = r;
    s->txn.last = r;
    if (flags & SMTP_RCPT_JUNK)
        s->txn.flags |= TXN_JUNK;
    s->txn.rcpts++;
    s->rcpts_taken++;
    s->rcpts_refused--;
    s->state = AT_RCPT;
    say(s, STR("250 2.1.5 Ok\r\n"));
}

static const struct {
    enum rcpt_result result;
    unsigned code;
    struct str text;
    bool own_text; /* directory's words may replace ours */
} refusals[] = {
    {RCPT_REMOTE, 550, STR("5.7.1 Relaying denied"), false},
    {RCPT_UNKNOWN, 550, STR("5.1.1 No such user here"), true},
    {RCPT_DISABLED, 550, STR("5.2.1 This mailbox is disabled"), true},
    {RCPT_LIMITED, 450, STR("4.7.1 Too many recipients, try again later"), true},
    {RCPT_TEMPFAIL, 451, STR("4.3.0 The recipient cannot be checked now, try again later"), true},
};

void smtp_rcpt_answer(struct smtp_session *s, enum rcpt_result result, unsigned flags, struct str text)
{
    if (s->wait != WAIT_RCPT)
        return;
    s->wait = WAIT_NONE;
    if (result == RCPT_LOCAL || result == RCPT_BACKUP || (result == RCPT_REMOTE && may_relay(s))) {
        take_recipient(s, flags);
        return;
    }
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (refusals[i].result != result)
            continue;
        if (!refusals[i].own_text || !is_reply_text(text, refusals[i].code))
            text = refusals[i].text;
        note(s, SMTP_NOTE_RCPT_REFUSED, s->asked, refusals[i].code, text);
        refuse(s, refusals[i].code, text);
        return;
    }
    refuse(s, 451, STR("4.3.0 The recipient cannot be checked now, try again later"));
}
