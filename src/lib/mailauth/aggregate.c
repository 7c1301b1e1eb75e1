/* See aggregate.h. The order of elements is that of the schema's sequences (RFC 9990, appendix A). */
#include "aggregate.h"
#include "base/clock.h"

#include <openssl/evp.h>
#include <string.h>
#include <time.h>

enum { FIELDS = 11 };

const char *aggregate_action_name(enum aggregate_action action)
{
    static const char *const names[] = {"none", "pass", "quarantine", "reject"};

    return names[action];
}

const char *aggregate_reason_name(enum aggregate_reason reason)
{
    static const char *const names[] = {"", "local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder"};

    return names[reason];
}

/* ---- a row as text ---- */

static void add_value(struct buf *out, struct str value, char end)
{
    value = str_sub(value, 0, AGGREGATE_VALUE_MAX);
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        buf_add_char(out, c < 0x20 || c > 0x7e ? '?' : (char)c);
    }
    buf_add_char(out, end);
}

void aggregate_pack(const struct aggregate_row *r, struct buf *out)
{
    add_value(out, r->source, '\t');
    buf_addf(out, "%d\t%d\t%d\t%d\t", (int)r->action, r->dkim_aligned, r->spf_aligned, (int)r->reason);
    add_value(out, r->comment, '\t');
    add_value(out, r->header_from, '\t');
    add_value(out, r->envelope_from, '\t');
    add_value(out, r->envelope_to, '\t');
    add_value(out, r->spf_domain, '\t');
    add_value(out, r->spf_result, '\n');
    for (size_t i = 0; i < r->signature_count && i < AGGREGATE_SIGNATURES_MAX; i++) {
        add_value(out, r->signatures[i].domain, '\t');
        add_value(out, r->signatures[i].selector, '\t');
        add_value(out, r->signatures[i].result, '\n');
    }
}

/* Cuts the line at the tabs; false unless there are exactly n values. */
static bool cut(struct str line, struct str *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ptrdiff_t tab = str_find(line, '\t');

        if ((tab < 0) != (i + 1 == n))
            return false;
        values[i] = tab < 0 ? line : str_sub(line, 0, (size_t)tab);
        line = str_skip(line, values[i].n + 1);
    }
    return true;
}

static bool next_line(struct str *text, struct str *line)
{
    ptrdiff_t end = str_find(*text, '\n');

    if (end < 0)
        return false;
    *line = str_sub(*text, 0, (size_t)end);
    *text = str_skip(*text, (size_t)end + 1);
    return true;
}

static bool read_numbers(const struct str *v, struct aggregate_row *r)
{
    uint64_t action, dkim, spf, reason;

    if (!str_to_u64(v[1], AGGREGATE_ACTIONS - 1, &action) || !str_to_u64(v[2], 1, &dkim) || !str_to_u64(v[3], 1, &spf) ||
        !str_to_u64(v[4], AGGREGATE_REASONS - 1, &reason))
        return false;
    r->action = (enum aggregate_action)action;
    r->dkim_aligned = dkim != 0;
    r->spf_aligned = spf != 0;
    r->reason = (enum aggregate_reason)reason;
    return true;
}

bool aggregate_unpack(struct str text, struct aggregate_row *r)
{
    struct str line, v[FIELDS];

    *r = (struct aggregate_row){0};
    if (!next_line(&text, &line) || !cut(line, v, FIELDS) || !read_numbers(v, r))
        return false;
    r->source = v[0];
    r->comment = v[5];
    r->header_from = v[6];
    r->envelope_from = v[7];
    r->envelope_to = v[8];
    r->spf_domain = v[9];
    r->spf_result = v[10];
    while (text.n > 0) {
        struct aggregate_signature *s = &r->signatures[r->signature_count];
        struct str w[3];

        if (r->signature_count == AGGREGATE_SIGNATURES_MAX || !next_line(&text, &line) || !cut(line, w, 3))
            return false;
        *s = (struct aggregate_signature){w[0], w[1], w[2]};
        r->signature_count++;
    }
    return true;
}

void aggregate_mark(struct str packed, char mark[AGGREGATE_MARK])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (EVP_Digest(packed.p, packed.n, hash, &n, EVP_sha256(), NULL) != 1)
        fatal("SHA-256 is not to be had");
    for (size_t i = 0; i < (AGGREGATE_MARK - 1) / 2; i++) {
        mark[2 * i] = digits[hash[i] >> 4];
        mark[2 * i + 1] = digits[hash[i] & 15];
    }
    mark[AGGREGATE_MARK - 1] = 0;
}

/* ---- names ---- */

void aggregate_write_id(const struct aggregate_report *r, struct buf *out)
{
    time_t begins = (time_t)r->begins;
    struct tm tm;

    gmtime_r(&begins, &tm);
    buf_addf(out, "%04d-%02d-%02d.%.*s@%.*s", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, STR_ARG(r->domain), STR_ARG(r->submitter));
}

void aggregate_write_file_name(const struct aggregate_report *r, struct buf *out)
{
    buf_addf(out, "%.*s!%.*s!%lld!%lld.xml.gz", STR_ARG(r->submitter), STR_ARG(r->domain), (long long)r->begins, (long long)r->ends);
}

/* ---- XML ---- */

/* No character that XML does not have; what is no ASCII is not in values that come here (aggregate_pack), but may be in those
 * of the configuration. */
static void add_text(struct buf *out, struct str text)
{
    bool utf8 = str_is_utf8(text);

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c == '&')
            buf_add(out, STR("&amp;"));
        else if (c == '<')
            buf_add(out, STR("&lt;"));
        else if (c == '>')
            buf_add(out, STR("&gt;"));
        else
            buf_add_char(out, c < 0x20 || c == 0x7f || (c > 0x7f && !utf8) ? '?' : (char)c);
    }
}

static void element(struct buf *out, const char *name, struct str text)
{
    buf_addf(out, "<%s>", name);
    add_text(out, text);
    buf_addf(out, "</%s>\n", name);
}

static void number(struct buf *out, const char *name, int64_t n)
{
    buf_addf(out, "<%s>%lld</%s>\n", name, (long long)n, name);
}

static void write_metadata(const struct aggregate_report *r, struct buf *out)
{
    struct buf text;

    buf_init(&text, 1024);
    aggregate_write_id(r, &text);
    buf_add(out, STR("<report_metadata>\n"));
    element(out, "org_name", r->organisation);
    element(out, "email", r->contact);
    element(out, "report_id", buf_str(&text));
    buf_add(out, STR("<date_range>\n"));
    number(out, "begin", r->begins);
    number(out, "end", r->ends);
    buf_add(out, STR("</date_range>\n"));
    if (r->left_out > 0) {
        buf_reset(&text);
        buf_addf(&text, "%llu messages are not in this report: there were too many different results", (unsigned long long)r->left_out);
        element(out, "error", buf_str(&text));
    }
    element(out, "generator", STR("Staffetta"));
    buf_add(out, STR("</report_metadata>\n"));
    buf_clear(&text);
}

static void write_request(struct buf *out, const char *name, const struct dmarc_request *request)
{
    if (request->present && request->valid)
        element(out, name, str_of(dmarc_policy_name(request->policy)));
}

/* What the record does not say has its default (RFC 9990 3.1.1.5). */
static void write_policy(const struct aggregate_report *r, struct buf *out)
{
    static const struct {
        enum dmarc_failure_option option;
        char letter;
    } options[] = {{DMARC_FO_ALL, '0'}, {DMARC_FO_ANY, '1'}, {DMARC_FO_DKIM, 'd'}, {DMARC_FO_SPF, 's'}};
    struct dmarc_record record;
    char fo[8];
    size_t n = 0;

    dmarc_read(r->record, &record);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (record.fo & options[i].option) {
            fo[n++] = ':';
            fo[n++] = options[i].letter;
        }
    buf_add(out, STR("<policy_published>\n"));
    element(out, "domain", r->domain);
    element(out, "p", str_of(dmarc_policy_name(dmarc_choose_policy(&record, DMARC_DOMAIN))));
    write_request(out, "sp", &record.sp);
    write_request(out, "np", &record.np);
    element(out, "adkim", record.dkim_strict ? STR("s") : STR("r"));
    element(out, "aspf", record.spf_strict ? STR("s") : STR("r"));
    element(out, "discovery_method", STR("treewalk"));
    if (n > 0)
        element(out, "fo", str_from(fo + 1, n - 1));
    element(out, "testing", record.testing ? STR("y") : STR("n"));
    buf_add(out, STR("</policy_published>\n"));
}

void aggregate_write_head(const struct aggregate_report *r, struct buf *out)
{
    buf_add(out, STR("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">\n<version>1.0</version>\n"));
    write_metadata(r, out);
    write_policy(r, out);
}

static void write_evaluated(const struct aggregate_row *row, struct buf *out)
{
    buf_add(out, STR("<policy_evaluated>\n"));
    element(out, "disposition", str_of(aggregate_action_name(row->action)));
    element(out, "dkim", row->dkim_aligned ? STR("pass") : STR("fail"));
    element(out, "spf", row->spf_aligned ? STR("pass") : STR("fail"));
    if (row->reason != AGGREGATE_NO_REASON) {
        buf_add(out, STR("<reason>\n"));
        element(out, "type", str_of(aggregate_reason_name(row->reason)));
        if (row->comment.n > 0)
            element(out, "comment", row->comment);
        buf_add(out, STR("</reason>\n"));
    }
    buf_add(out, STR("</policy_evaluated>\n"));
}

static void write_results(const struct aggregate_row *row, struct buf *out)
{
    buf_add(out, STR("<auth_results>\n"));
    for (size_t i = 0; i < row->signature_count; i++) {
        buf_add(out, STR("<dkim>\n"));
        element(out, "domain", row->signatures[i].domain);
        element(out, "selector", row->signatures[i].selector);
        element(out, "result", row->signatures[i].result);
        buf_add(out, STR("</dkim>\n"));
    }
    if (row->spf_result.n > 0) {
        buf_add(out, STR("<spf>\n"));
        element(out, "domain", row->spf_domain);
        element(out, "scope", STR("mfrom"));
        element(out, "result", row->spf_result);
        buf_add(out, STR("</spf>\n"));
    }
    buf_add(out, STR("</auth_results>\n"));
}

void aggregate_write_row(const struct aggregate_row *row, uint64_t count, struct buf *out)
{
    buf_add(out, STR("<record>\n<row>\n"));
    element(out, "source_ip", row->source);
    number(out, "count", (int64_t)count);
    write_evaluated(row, out);
    buf_add(out, STR("</row>\n<identifiers>\n"));
    element(out, "header_from", row->header_from);
    element(out, "envelope_from", row->envelope_from);
    if (row->envelope_to.n > 0)
        element(out, "envelope_to", row->envelope_to);
    buf_add(out, STR("</identifiers>\n"));
    write_results(row, out);
    buf_add(out, STR("</record>\n"));
}

void aggregate_write_end(struct buf *out)
{
    buf_add(out, STR("</feedback>\n"));
}
