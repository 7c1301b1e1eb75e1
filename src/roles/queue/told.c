/* Results that relay gave to the process before us, which did not live to store them: the messages are with
 * their servers, so their recipients are ended before they are tried again. */
#include "base/clock.h"
#include "base/log.h"
#include "dispatch.h"
#include "queue.h"
#include "result.h"

#include <inttypes.h>

/* Its row, when it is still there and ours; false when the database failed. */
static bool find(struct queue *q, const struct msg_rcpt_told *m, struct rcpt **r, struct err *err)
{
    struct rcpt_row row;
    struct mail *mail;
    bool found;

    *r = NULL;
    if (m->message > INT64_MAX || m->n > INT64_MAX)
        return true;
    if (!store_find_rcpt(q->store, m->message, m->n, &row, &found, err))
        return false;
    if (!found || !str_eq(row.address, m->address)) /* the number may be that of another by now */
        return true;
    if (!mail_get(q, m->message, &mail, err))
        return false;
    if (mail == NULL)
        return true;
    *r = rcpt_new(mail, &row);
    mail_unref(q, mail);
    return true;
}

static void store(struct queue *q, struct rcpt *r, const struct keeper *keeper, const struct msg_rcpt_told *m)
{
    struct outcome *o = outcome_new(r->mail);

    o->keeper = *keeper;
    outcome_add(q, o, r, &(struct verdict_info){.kind = verdict_of(m->status),
        .reason = m->reason <= REASON_OTHER ? (enum delivery_reason)m->reason : REASON_OTHER,
        .code = m->code < 1000 ? (unsigned)m->code : 0, .dsn = m->dsn != 0, .ours = m->host.n == 0, .text = m->text,
        .host = m->host, .ip = m->ip, .tls = m->tls, .source = m->source});
    outcome_submit(q, o);
}

void dispatch_on_told(struct role *role, struct channel *from, const struct msg_rcpt_told *m)
{
    struct queue *q = role_state(role);
    const struct keeper keeper = {.waits = true, .told = true, .copy = channel_copy(from),
        .serial = channel_serial(from), .id = m->id};
    struct err err = {0};
    struct rcpt *r;

    /* relay keeps it, and tells again when we offer this recipient */
    if (!find(q, m, &r, &err)) {
        log_error("told-failed", "message=%" PRIu64 " reason=%s", m->message, err.text);
        dispatch_count(q, from, m->status, false);
        return;
    }
    dispatch_count(q, from, m->status, r != NULL);
    if (r == NULL)
        keeper_release(q, &keeper);
    else
        store(q, r, &keeper, m);
}
