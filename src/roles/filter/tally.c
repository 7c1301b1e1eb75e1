/* See tally.h. */
#include "tally.h"
#include "base/clock.h"
#include "base/random.h"
#include "mailauth/aggregate.h"
#include "mailauth/dmarc_author.h"
#include "verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct metric dropped = METRIC_COUNTER("staffetta_filter_events_dropped_total",
    "Results for reports forgotten because the events role was away.");
static struct metric waiting = METRIC_GAUGE("staffetta_filter_events_waiting", "Results for reports not acknowledged yet.");

void tally_init(struct tally *t, unsigned copy)
{
    uint64_t number;

    teller_init(&t->teller, &dropped, &waiting);
    random_bytes(&number, sizeof number);
    snprintf(t->name, sizeof t->name, "filter-%u-%016" PRIx64, copy, number);
}

void tally_rcpt(struct tally_rcpts *rcpts, struct str address)
{
    ptrdiff_t at = str_rfind(address, '@');
    char domain[DNS_NAME_TEXT];

    if (rcpts->several || at < 0 || !dmarc_canonical_domain(str_skip(address, (size_t)at + 1), domain))
        return;
    if (rcpts->domain[0] == 0)
        memcpy(rcpts->domain, domain, sizeof domain);
    else
        rcpts->several = strcmp(rcpts->domain, domain) != 0;
}

/* ---- the row ---- */

static enum aggregate_action action_of(const struct dmarc_outcome *o, const struct verdict *v)
{
    enum dmarc_who who = str_eq(o->author, o->policy_domain) ? DMARC_DOMAIN : DMARC_SUBDOMAIN;

    if (v->action == VERDICT_REFUSE)
        return AGGREGATE_REJECT;
    if (v->action == VERDICT_JUNK)
        return AGGREGATE_QUARANTINE;
    return o->result == DMARC_RESULT_PASS && dmarc_choose_policy(&o->record, who) != DMARC_NONE ? AGGREGATE_PASS : AGGREGATE_NONE;
}

static bool is_below(struct str name, struct str domain)
{
    return name.n > domain.n && name.p[name.n - domain.n - 1] == '.' && str_ieq(str_skip(name, name.n - domain.n), domain);
}

/* The order in which a report wants them (RFC 9990 3.1.3): those that pass and are the author's own, that may be aligned,
 * others that pass, the rest. */
static unsigned rank(const struct dkim_outcome *o, struct str author)
{
    if (o->result != DKIM_PASS)
        return 3;
    if (str_ieq(o->domain, author))
        return 0;
    return is_below(o->domain, author) || is_below(author, o->domain) ? 1 : 2;
}

static void add_signatures(const struct judge *j, struct str author, struct aggregate_row *row)
{
    for (unsigned wanted = 0; wanted < 4; wanted++)
        for (size_t i = 0; i < judge_signatures(j); i++) {
            const struct dkim_outcome *o = judge_signature(j, i);

            if (rank(o, author) != wanted || o->domain.n == 0 || row->signature_count == AGGREGATE_SIGNATURES_MAX)
                continue;
            row->signatures[row->signature_count++] =
                (struct aggregate_signature){o->domain, o->selector, str_of(dkim_result_name(o->result))};
        }
}

static struct str canonical(struct str domain, char room[DNS_NAME_TEXT])
{
    return dmarc_canonical_domain(domain, room) ? str_of(room) : domain;
}

static void pack(const struct judge *j, const struct verdict *v, const struct tally_rcpts *rcpts, struct buf *out)
{
    const struct dmarc_outcome *o = judge_dmarc(j);
    struct aggregate_row row = {.action = action_of(o, v), .dkim_aligned = o->dkim_aligned, .spf_aligned = o->spf_aligned,
        .reason = v->reason, .header_from = o->author, .spf_result = str_of(spf_result_name(judge_spf(j)))};
    char client[IP_TEXT], sender[DNS_NAME_TEXT];
    struct buf comment;

    buf_init(&comment, 1024);
    buf_addf(&comment, "%s%s%.*s", v->why, v->sealer.n > 0 ? " d=" : "", STR_ARG(v->sealer));
    ip_format(judge_client(j), client);
    row.source = str_of(client);
    row.comment = buf_str(&comment);
    row.spf_domain = canonical(judge_spf_domain(j), sender);
    if (!judge_has_null_path(j))
        row.envelope_from = row.spf_domain;
    if (!rcpts->several)
        row.envelope_to = str_of(rcpts->domain);
    add_signatures(j, o->author, &row);
    aggregate_pack(&row, out);
    buf_clear(&comment);
}

/* The text of a record is what somebody wrote: it must be one line of characters that every database takes. */
static void add_record(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++)
        buf_add_char(out, text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : text.p[i]);
    buf_add_char(out, '\n');
}

void tally_message(struct tally *t, uint64_t message, const struct judge *j, const struct verdict *v, const struct tally_rcpts *rcpts)
{
    const struct dmarc_outcome *o = judge_dmarc(j);
    struct buf details;

    if (o == NULL || o->record.rua.n == 0 || (o->result != DMARC_RESULT_PASS && o->result != DMARC_RESULT_FAIL))
        return;
    buf_init(&details, DMARC_RECORD_MAX + 1 + AGGREGATE_ROW_MAX);
    add_record(o->record.text, &details);
    pack(j, v, rcpts, &details);
    if (!details.failed)
        teller_add(&t->teller, &(struct msg_event){.time = clock_now(), .message = message, .kind = EVENT_DMARC,
            .sender = o->policy_domain, .message_id = str_of(t->name), .details = buf_str(&details)});
    buf_clear(&details);
}

void tally_turn(struct tally *t, struct channel *events)
{
    teller_turn(&t->teller, events);
}

void tally_peer_up(struct tally *t)
{
    teller_peer_up(&t->teller);
}

void tally_acknowledged(struct tally *t, uint64_t seq)
{
    teller_acknowledged(&t->teller, seq);
}
