/* See summary.h. */
#include "summary.h"
#include "base/clock.h"
#include "base/json.h"
#include "ipc/args.h"
#include "mailauth/dmarc_author.h"

enum { USUAL_DAYS = 7, MOST_DAYS = 400, USUAL_ROWS = 50, USAGE = 64, TEMPFAIL = 75, ROW = 8192 };

struct answer {
    struct channel *to;
    uint64_t id;
};

static void send_row(const struct answer *a, struct buf *row)
{
    json_close(row);
    if (!row->failed)
        ipc_send_control_row(a->to, &(struct msg_control_row){a->id, buf_str(row)});
    buf_clear(row);
}

static void send_sum(void *owner, const struct received_sum *sum)
{
    struct buf row;

    buf_init(&row, ROW);
    json_open(&row);
    json_str(&row, "kind", sum->is_tls ? STR("tls") : STR("dmarc"));
    json_str(&row, "domain", sum->domain);
    json_str(&row, "source", sum->source);
    json_str(&row, "name", sum->name);
    json_str(&row, "result", sum->result);
    json_int(&row, "messages", sum->messages);
    json_int(&row, "reports", sum->reports);
    send_row(owner, &row);
}

static void send_report(void *owner, const struct received_report *report)
{
    struct buf row;

    buf_init(&row, ROW);
    json_open(&row);
    json_time(&row, "begins", report->begins * SECOND);
    json_time(&row, "ends", report->ends * SECOND);
    json_str(&row, "kind", report->is_tls ? STR("tls") : STR("dmarc"));
    json_str(&row, "domain", report->domain);
    json_str(&row, "reporter", report->reporter);
    json_str(&row, "sender", report->sender);
    json_str(&row, "policy", report->policy);
    json_int(&row, "messages", report->messages);
    json_str(&row, "report_id", report->report_id);
    json_str(&row, "contact", report->contact);
    send_row(owner, &row);
}

/* The text of what is wrong, or NULL. */
static const char *read_args(struct str args, char domain[DNS_NAME_TEXT], uint64_t *days, uint64_t *limit)
{
    struct str at = args, name, value;

    domain[0] = 0;
    if (args_word(args, 1).n > 0 && !dmarc_canonical_domain(args_word(args, 1), domain))
        return "expected a domain";
    while (args_next_option(&at, &name, &value)) {
        if (str_eq(name, STR("days"))) {
            if (!str_to_u64(value, MOST_DAYS, days) || *days == 0)
                return "days: expected a number from 1 to 400";
        } else if (str_eq(name, STR("limit"))) {
            if (!str_to_u64(value, CONTROL_ROWS, limit) || *limit == 0)
                return "limit: expected a number from 1 to 200";
        } else {
            return "unknown option; expected days or limit";
        }
    }
    return NULL;
}

void summary_on_ask(struct received *received, struct channel *from, const struct msg_control_ask *m)
{
    uint64_t days = USUAL_DAYS, limit = USUAL_ROWS;
    struct answer answer = {from, m->id};
    struct msg_control_done done = {.id = m->id, .code = USAGE};
    char domain[DNS_NAME_TEXT];
    struct err err = {0};
    const char *why = read_args(m->args, domain, &days, &limit);
    bool show = str_eq(args_word(m->args, 0), STR("show")), ok;
    int64_t since = clock_now() / DAY - (int64_t)days;

    if (why == NULL && !show && !str_eq(args_word(m->args, 0), STR("list")))
        why = "expected show or list";
    if (why == NULL && show && domain[0] == 0)
        why = "show what? Expected a domain";
    if (why == NULL && received == NULL) {
        why = "the database of events cannot be opened now: the log says why";
        done.code = TEMPFAIL;
    }
    if (why == NULL) {
        ok = show ? received_sums(received, str_of(domain), since, (int64_t)limit, send_sum, &answer, &err)
                  : received_list(received, str_of(domain), since, (int64_t)limit, send_report, &answer, &err);
        done.code = ok ? 0 : TEMPFAIL;
        why = ok ? "" : err.text;
    }
    done.text = str_of(why);
    ipc_send_control_done(from, &done);
}
