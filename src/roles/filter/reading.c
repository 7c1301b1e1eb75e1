/* See reading.h. */
#include "reading.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "filter.h"
#include "mailauth/aggregate_read.h"
#include "mailauth/dmarc_author.h"
#include "mime/part.h"
#include "mime/transfer.h"
#include "mime/unpack.h"
#include "tlspolicy/tlsrpt_read.h"

#include <event2/event.h>
#include <stdlib.h>

enum { SLICE = 128 * 1024, PARTS = 4 * 1024 * 1024, LINES = 48 * 1024, TLS_KEPT = 8 * 1024 * 1024 };

#define ANSWER_TIME MINUTE /* of directory */

static struct metric reports = METRIC_COUNTER("staffetta_filter_reports_read_total", "Reports about our domains that were read.");
static struct metric unreadable = METRIC_COUNTER("staffetta_filter_reports_unreadable_total", "Attachments for auth.reports_to that are no report, or not about a domain of ours.");

enum kind { KIND_DMARC, KIND_TLS }; /* as in the table report_read */
enum step { READING_FIND, READING_UNPACK, READING_ASK };

struct reading {
    struct filter *filter;
    struct link link;
    struct buf raw;
    struct arena arena;
    struct mime_parser *parser;
    const struct mime_part *part; /* the last one looked at */
    bool begun;
    uint64_t message;
    char author[DNS_NAME_TEXT];
    enum step step;
    struct buf bytes; /* of the part, decoded */
    struct unpack unpack;
    struct aggregate_reader *reader; /* of DMARC; NULL: of TLS */
    struct buf json;
    struct arena tls_arena;
    struct tlsrpt_read tls;
    uint64_t question;
    struct str domain; /* still to be asked for: that of the report, then what is above it */
    int64_t asked;
};

static void go_on(struct filter *f);

static void wake(struct filter *f, int64_t in)
{
    struct timeval when = {in / SECOND, in % SECOND};

    event_add(f->readings.timer, &when);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    go_on(arg);
}

void readings_init(struct filter *f)
{
    list_init(&f->readings.list);
    f->readings.timer = event_new(role_base(f->role), -1, 0, on_timer, f);
    if (f->readings.timer == NULL)
        fatal("out of memory");
    metric_show(&reports);
    metric_show(&unreadable);
}

/* ---- while it passes ---- */

static bool is_for_reports(const struct filter *f, struct str address)
{
    struct str_list to = role_config(f->role)->auth.reports_to;

    for (size_t i = 0; i < to.n; i++)
        if (str_ieq(to.items[i], address))
            return true;
    return false;
}

void reading_rcpt(struct filter *f, struct reading **r, struct str address)
{
    if (*r != NULL || !is_for_reports(f, address) || f->readings.held > READING_HELD_MAX)
        return;
    *r = xcalloc(1, sizeof **r);
    (*r)->filter = f;
    buf_init(&(*r)->raw, READING_MAX);
    arena_init(&(*r)->arena, PARTS);
    (*r)->parser = mime_parser_new(&(*r)->arena);
}

void reading_add(struct reading *r, struct str bytes)
{
    size_t before;

    if (r == NULL)
        return;
    before = r->raw.capacity;
    buf_add(&r->raw, bytes);
    r->filter->readings.held += r->raw.capacity - before;
    mime_parser_add(r->parser, bytes);
}

static void end_report(struct reading *r)
{
    unpack_clear(&r->unpack);
    aggregate_reader_free(r->reader);
    r->reader = NULL;
    buf_clear(&r->bytes);
    buf_clear(&r->json);
    arena_clear(&r->tls_arena);
    r->question = 0;
    r->step = READING_FIND;
}

void reading_free(struct reading *r)
{
    if (r == NULL)
        return;
    list_remove(&r->link);
    end_report(r);
    if (r->parser != NULL)
        mime_parser_end(r->parser);
    r->filter->readings.held -= r->raw.capacity;
    buf_clear(&r->raw);
    arena_clear(&r->arena);
    free(r);
}

void reading_taken(struct reading **taken, uint64_t message, struct str author)
{
    struct reading *r = *taken;

    *taken = NULL;
    if (r == NULL)
        return;
    if (r->raw.failed) {
        log_info("report-not-read", "message=%llu reason=the message is larger than %d bytes", (unsigned long long)message, READING_MAX);
        metric_add(&unreadable, 1);
        reading_free(r);
        return;
    }
    r->message = message;
    dmarc_canonical_domain(author, r->author);
    list_add_last(&r->filter->readings.list, &r->link);
    wake(r->filter, 0);
}

/* ---- one attachment ---- */

static void give_up(struct reading *r, const char *why)
{
    char id[MSGID_TEXT + 1];

    msgid_format(r->message, id);
    log_info("report-not-read", "message=%s reason=%s", id, why);
    metric_add(&unreadable, 1);
    end_report(r);
    wake(r->filter, 0);
}

/* Reports are told by how they begin: types and names of attachments are not to be relied on. */
static bool looks_like_report(struct str bytes)
{
    struct str text = str_trim(str_sub(bytes, 0, 200));

    return str_starts(bytes, STR("\x1f\x8b")) || str_starts(bytes, STR("PK\x03\x04")) || str_starts(text, STR("<?xml")) ||
           str_starts(text, STR("{")) || str_starts(text, STR("<feedback")) || str_starts(text, STR("\xef\xbb\xbf<"));
}

static void decode(struct reading *r)
{
    struct mime_decoder decoder;

    buf_init(&r->bytes, READING_MAX);
    mime_decoder_init(&decoder, mime_encoding_of(r->part->encoding));
    mime_decoder_add(&decoder, str_sub(buf_str(&r->raw), r->part->body, r->part->end), &r->bytes);
    mime_decoder_end(&decoder, &r->bytes);
}

/* The next part that may be a report; the end of the message ends the reading. */
static void find(struct reading *r)
{
    struct filter *f = r->filter;

    if (!r->begun) {
        r->begun = true;
        r->part = mime_parser_end(r->parser);
        r->parser = NULL;
    } else if (r->part != NULL) {
        r->part = mime_part_next(r->part);
    }
    wake(f, 0);
    if (r->part == NULL) {
        reading_free(r);
        return;
    }
    if (r->part->first != NULL || r->part->end <= r->part->body)
        return;
    decode(r);
    if (r->bytes.failed || !looks_like_report(buf_str(&r->bytes))) {
        buf_clear(&r->bytes);
        return;
    }
    unpack_begin(&r->unpack, buf_str(&r->bytes), READING_XML_MAX);
    r->step = READING_UNPACK;
}

/* ---- whose domain ---- */

static void ask(struct reading *r)
{
    struct filter *f = r->filter;
    struct channel *directory = role_peer(f->role, ROLE_DIRECTORY, 0);
    struct buf address;

    r->step = READING_ASK;
    r->question = 0;
    r->asked = clock_monotonic();
    wake(f, ANSWER_TIME);
    if (directory == NULL)
        return; /* asked again in a minute */
    r->question = role_next_id(f->role);
    buf_init(&address, IPC_ADDRESS);
    buf_addf(&address, "postmaster@%.*s", STR_ARG(r->domain));
    ipc_send_rcpt_ask(directory, &(struct msg_rcpt_ask){.id = r->question, .address = buf_str(&address)});
    buf_clear(&address);
}

/* What it is about, by which of the two standards it may be. */
static void note_head(const struct reading *r, struct aggregate_head *head)
{
    const struct tlsrpt_read *t = &r->tls;

    if (r->reader != NULL)
        aggregate_reader_head(r->reader, head);
    else
        *head = (struct aggregate_head){.reporter = t->reporter, .contact = t->contact, .report_id = t->report_id, .domain = t->domain,
            .policy = t->policy, .begins = t->begins, .ends = t->ends};
}

/* The first byte tells which: "{" of JSON, or XML. NULL: it is taken, else why it is not. */
static const char *take(struct reading *r, struct str bytes, bool last)
{
    const char *why = "too large";

    if (r->reader == NULL && r->json.n == 0 && bytes.n > 0) {
        if (str_starts(str_trim(bytes), STR("{")))
            buf_init(&r->json, TLSRPT_JSON_MAX);
        else
            r->reader = aggregate_reader_new();
    }
    if (r->reader != NULL)
        return aggregate_reader_add(r->reader, bytes) && (!last || aggregate_reader_end(r->reader)) ? NULL : aggregate_reader_why(r->reader);
    buf_add(&r->json, bytes);
    if (r->json.failed || r->json.n == 0)
        return r->json.failed ? why : "empty";
    if (!last)
        return NULL;
    arena_init(&r->tls_arena, TLS_KEPT);
    return tlsrpt_read(buf_str(&r->json), &r->tls_arena, &r->tls, &why) ? NULL : why;
}

static void unpack(struct reading *r)
{
    struct aggregate_head head;
    enum unpack_result result;
    char room[16384];
    const char *why;
    size_t got;

    for (size_t done = 0; done < SLICE; done += got) {
        result = unpack_next(&r->unpack, room, sizeof room, &got);
        if (result == UNPACK_BAD || result == UNPACK_TOO_LARGE) {
            give_up(r, result == UNPACK_BAD ? "damaged, or packed in a way that is not known" : "too large for what it is packed in");
            return;
        }
        why = take(r, str_from(room, got), result == UNPACK_END);
        if (why != NULL) {
            give_up(r, why);
            return;
        }
        if (result == UNPACK_END) {
            note_head(r, &head);
            r->domain = head.domain;
            ask(r);
            return;
        }
    }
    wake(r->filter, 0);
}

/* ---- to events ---- */

static void tell_part(struct reading *r, const struct aggregate_head *head, struct buf *details)
{
    teller_add(&r->filter->tally.teller, &(struct msg_event){.time = clock_now(), .message = r->message, .kind = EVENT_REPORT,
        .sender = head->domain, .rcpt = head->report_id, .message_id = head->reporter, .details = buf_str(details)});
    buf_reset(details);
}

static void begin_part(const struct reading *r, const struct aggregate_head *head, size_t line, struct buf *details)
{
    buf_addf(details, "%d\t%lld\t%lld\t%.*s\t%s\t%.*s\t%zu\n", r->reader != NULL ? KIND_DMARC : KIND_TLS, (long long)head->begins,
        (long long)head->ends, STR_ARG(head->contact), r->author, STR_ARG(head->policy), line);
}

/* Walks the lines of either kind; n: how many there were. */
static bool next_line(const struct reading *r, const void **at, size_t n, struct aggregate_line *line)
{
    if (r->reader != NULL)
        return aggregate_reader_next(r->reader, at, line);
    if (n == r->tls.n)
        return false;
    *line = (struct aggregate_line){r->tls.lines[n].source, r->tls.lines[n].name, r->tls.lines[n].result, r->tls.lines[n].sessions};
    return true;
}

static void tell(struct reading *r)
{
    struct aggregate_head head;
    struct aggregate_line line;
    const void *at = NULL;
    struct buf details;
    size_t n = 0;

    note_head(r, &head);
    buf_init(&details, IPC_CHUNK);
    begin_part(r, &head, n, &details);
    while (next_line(r, &at, n, &line)) {
        if (details.n > LINES) {
            tell_part(r, &head, &details);
            begin_part(r, &head, n, &details);
        }
        buf_addf(&details, "%.*s\t%.*s\t%.*s\t%llu\n", STR_ARG(line.source), STR_ARG(line.name), STR_ARG(line.result),
            (unsigned long long)line.count);
        n++;
    }
    tell_part(r, &head, &details);
    buf_clear(&details);
    log_info("report-read", "kind=%s domain=%.*s reporter=%.*s id=%.*s lines=%zu", r->reader != NULL ? "dmarc" : "tls", STR_ARG(head.domain), STR_ARG(head.reporter),
        STR_ARG(head.report_id), n);
    metric_add(&reports, 1);
    end_report(r);
    wake(r->filter, 0);
}

static struct reading *first(const struct filter *f)
{
    struct link *link = list_first(&f->readings.list);

    return link == NULL ? NULL : CONTAINER(link, struct reading, link);
}

/* Ours is a domain when it, or one above it, is. */
void reading_on_rcpt_reply(struct role *role, struct channel *from, const struct msg_rcpt_reply *m)
{
    struct filter *f = role_state(role);
    struct reading *r = first(f);
    ptrdiff_t dot;

    (void)from;
    if (r == NULL || r->step != READING_ASK || r->question != m->id)
        return;
    r->question = 0;
    if (m->result == RCPT_TEMPFAIL)
        return; /* asked again in a minute */
    if (m->result != RCPT_REMOTE && m->result != RCPT_BACKUP) {
        tell(r);
        return;
    }
    dot = str_find(r->domain, '.');
    r->domain = dot < 0 ? STR("") : str_skip(r->domain, (size_t)dot + 1);
    if (str_find(r->domain, '.') < 0)
        give_up(r, "it is not about a domain of ours");
    else
        ask(r);
}

void reading_directory_gone(struct filter *f)
{
    struct reading *r = first(f);

    if (r != NULL)
        r->question = 0;
}

static void go_on(struct filter *f)
{
    struct reading *r = first(f);

    if (r == NULL)
        return;
    if (r->step == READING_FIND)
        find(r);
    else if (r->step == READING_UNPACK)
        unpack(r);
    else
        ask(r);
}
