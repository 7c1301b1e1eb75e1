/* Log lines, events and counters of the queue. */
#include "story.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "queue.h"
#include "result.h"

#include <inttypes.h>
#include <stdio.h>

enum { EVENTS_PER_MESSAGE = 1000 }; /* recipients named in "accepted" events */

static struct metric verdicts[] = {
    [VERDICT_DELIVERED] = METRIC_COUNTER("staffetta_queue_delivered_total", "Recipients delivered into mailboxes."),
    [VERDICT_RELAYED] = METRIC_COUNTER("staffetta_queue_relayed_total", "Recipients taken by other servers."),
    [VERDICT_DISCARDED] = METRIC_COUNTER("staffetta_queue_discarded_total", "Recipients discarded by a route."),
    [VERDICT_EXPANDED] = METRIC_COUNTER("staffetta_queue_expanded_total", "Recipients replaced by those of an alias."),
    [VERDICT_DEFERRED] = METRIC_COUNTER("staffetta_queue_deferred_total", "Attempts that failed for now."),
    [VERDICT_FAILED] = METRIC_COUNTER("staffetta_queue_failed_total", "Recipients that failed for good."),
    [VERDICT_EXPIRED] = METRIC_COUNTER("staffetta_queue_expired_total",
        "Recipients given up at the end of their lifetime."),
};
static struct metric unreportable =
    METRIC_COUNTER("staffetta_queue_unreportable_total", "Failures of messages with the null sender: nobody is told.");

static const struct {
    const char *name;
    enum event_kind event;
} kinds[] = {
    [VERDICT_DELIVERED] = {"delivered", EVENT_DELIVERED}, [VERDICT_RELAYED] = {"relayed", EVENT_RELAYED},
    [VERDICT_DISCARDED] = {"discarded", EVENT_DISCARDED}, [VERDICT_EXPANDED] = {"expanded", EVENT_EXPANDED},
    [VERDICT_DEFERRED] = {"deferred", EVENT_DEFERRED}, [VERDICT_FAILED] = {"failed", EVENT_FAILED},
    [VERDICT_EXPIRED] = {"expired", EVENT_FAILED},
};

static void add_text(struct buf *b, const char *key, struct str value)
{
    if (value.n)
        json_str(b, key, value);
}

void story_accepted(struct queue *q, const struct message_row *m, const struct rcpt_row *rcpts, size_t n, struct str judged)
{
    char id[MSGID_TEXT + 1];

    msgid_format(m->id, id);
    for (size_t i = 0; i < n && i < EVENTS_PER_MESSAGE; i++) {
        struct buf *b = events_begin(q);

        if (i == 0) {
            add_text(b, "client", m->client);
            add_text(b, "helo", m->helo);
            add_text(b, "protocol", m->protocol);
            add_text(b, "tls", m->tls);
            add_text(b, "login", m->login);
            add_text(b, "judged", judged);
            json_int(b, "size", (int64_t)m->size);
            json_int(b, "recipients", (int64_t)n);
            json_str(b, "class", m->class == CLASS_BULK ? STR("bulk") : STR("transactional"));
            if (m->hold_until)
                json_time(b, "hold_until", m->hold_until);
        }
        events_end(q, EVENT_ACCEPTED, m->id, m->sender, rcpts[i].address, m->message_id);
    }
    log_info("accepted", "message=%s from=%.*s recipients=%zu first=%.*s size=%" PRIu64 " "
        "client=%.*s login=%.*s message_id=%.*s",
        id, STR_ARG(m->sender), n, STR_ARG(rcpts[0].address), m->size, STR_ARG(m->client), STR_ARG(m->login),
        STR_ARG(m->message_id));
}

static void verdict_details(struct buf *b, const struct verdict *v)
{
    static const char *const reasons[] = REASON_NAMES;

    if (v->info.code)
        json_int(b, "code", v->info.code);
    add_text(b, "text", v->info.text);
    add_text(b, "host", v->info.host);
    add_text(b, "ip", v->info.ip);
    add_text(b, "tls", v->info.tls);
    add_text(b, "tls_policy", v->info.policy);
    add_text(b, "source", v->info.source);
    add_text(b, "mail_from", v->rcpt->sender);
    if (v->info.reason != REASON_NONE)
        json_str(b, "reason", str_of(reasons[v->info.reason]));
    json_int(b, "attempt", (int64_t)v->rcpt->row.attempts + (v->info.kind != VERDICT_EXPIRED));
    if (v->info.kind == VERDICT_EXPIRED)
        json_bool(b, "expired", true);
    if (v->info.kind == VERDICT_DEFERRED)
        json_time(b, "next_attempt", v->attempt.due - clock_steady_ahead());
    if (v->info.kind == VERDICT_DELIVERED)
        add_text(b, "mailbox", v->rcpt->target);
    for (size_t i = 0; i < v->added_n && i < 20; i++) {
        char key[24] = "to";

        if (i > 0)
            snprintf(key, sizeof key, "to_%zu", i + 1);
        json_str(b, key, v->added[i].address);
    }
}

void story_verdict(struct queue *q, const struct verdict *v)
{
    const struct rcpt_row *r = &v->rcpt->row;
    const struct message_row *m = &v->rcpt->mail->row;
    struct buf *b = events_begin(q);
    char id[MSGID_TEXT + 1];

    metric_add(&verdicts[v->info.kind], 1);
    if (m->sender.n == 0 && (v->info.kind == VERDICT_FAILED || v->info.kind == VERDICT_EXPIRED))
        metric_add(&unreportable, 1);
    verdict_details(b, v);
    events_end(q, kinds[v->info.kind].event, r->message, m->sender, r->address, m->message_id);
    msgid_format(r->message, id);
    log_event(v->info.kind == VERDICT_FAILED || v->info.kind == VERDICT_EXPIRED ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
        kinds[v->info.kind].name,
        "message=%s to=%.*s from=%.*s attempt=%" PRIu64 " host=%.*s ip=%.*s tls=%.*s code=%u reply=%.*s", id,
        STR_ARG(r->address), STR_ARG(m->sender), r->attempts + 1, STR_ARG(v->info.host), STR_ARG(v->info.ip),
        STR_ARG(v->info.tls), v->info.code, STR_ARG(v->info.text));
}

void story_report(struct queue *q, const struct mail *mail, const struct message_row *report, bool delay, size_t rcpts)
{
    const struct message_row *m = &mail->row;
    struct buf *b = events_begin(q);
    char id[MSGID_TEXT + 1], about[MSGID_TEXT + 1];

    msgid_format(report->id, id);
    msgid_format(m->id, about);
    json_str(b, "report", str_of(id));
    json_int(b, "recipients", (int64_t)rcpts);
    events_end(q, delay ? EVENT_DELAY_NOTICE : EVENT_BOUNCED, m->id, m->sender, (struct str){0}, m->message_id);
    b = events_begin(q);
    json_str(b, "about", str_of(about));
    json_str(b, "protocol", report->protocol);
    json_int(b, "size", (int64_t)report->size);
    events_end(q, EVENT_ACCEPTED, report->id, (struct str){0}, m->sender, report->message_id);
    log_info(delay ? "delay-notice" : "report", "message=%s about=%s to=%.*s recipients=%zu", id, about,
        STR_ARG(m->sender), rcpts);
}

void story_command(struct queue *q, unsigned event, const struct rcpt_row *r, struct str sender, uint64_t uid)
{
    static const char *const names[] = EVENT_NAMES;
    struct buf *b = events_begin(q);
    char id[MSGID_TEXT + 1];

    json_int(b, "uid", (int64_t)uid);
    events_end(q, (enum event_kind)event, r->message, sender, r->address, (struct str){0});
    msgid_format(r->message, id);
    log_info(names[event], "message=%s to=%.*s uid=%" PRIu64, id, STR_ARG(r->address), uid);
}

void story_ended(struct queue *q, uint64_t message)
{
    events_begin(q);
    events_end(q, EVENT_DONE, message, (struct str){0}, (struct str){0}, (struct str){0});
}
