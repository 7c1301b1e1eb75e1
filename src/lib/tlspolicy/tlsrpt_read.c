/* See tlsrpt_read.h. */
#include "tlsrpt_read.h"
#include "base/buf.h"
#include "base/ip.h"

#include <jansson.h>
#include <string.h>
#include <time.h>

enum { VALUE = 255, NO_TIME = -1 };
#define COUNT_MAX INT64_C(1000000000000)

/* A copy that a database, a terminal and a table of tabs can take; empty for what is no string. */
static struct str keep(struct arena *arena, const json_t *value)
{
    size_t n = json_string_length(value) < VALUE ? json_string_length(value) : VALUE;
    char *copy = arena_alloc(arena, n + 1);

    if (copy == NULL)
        return (struct str){0};
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)json_string_value(value)[i];

        copy[i] = c < 0x20 || c > 0x7e ? '?' : (char)c;
    }
    return str_from(copy, n);
}

static struct str get(struct arena *arena, const json_t *object, const char *name)
{
    return keep(arena, json_object_get(object, name));
}

static uint64_t count_of(const json_t *object, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(object, name));

    return n > 0 && n <= COUNT_MAX ? (uint64_t)n : 0;
}

static bool digits(struct str text, size_t at, size_t n, int *value)
{
    uint64_t number;

    if (text.n < at + n || !str_to_u64(str_sub(text, at, at + n), 9999, &number))
        return false;
    *value = (int)number;
    return true;
}

/* "2026-11-22T00:00:00Z"; fractions are passed over, and another zone counts as UTC. */
static int64_t read_time(struct str text)
{
    struct tm tm = {0};

    if (!digits(text, 0, 4, &tm.tm_year) || !digits(text, 5, 2, &tm.tm_mon) || !digits(text, 8, 2, &tm.tm_mday) ||
        !digits(text, 11, 2, &tm.tm_hour) || !digits(text, 14, 2, &tm.tm_min) || !digits(text, 17, 2, &tm.tm_sec) || tm.tm_year < 1970)
        return NO_TIME;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return timegm(&tm);
}

static void add_line(struct tlsrpt_read *r, struct arena *arena, struct str source, struct str name, struct str type, struct str result,
    uint64_t sessions)
{
    size_t n = type.n + 1 + result.n;
    char ip_text[IP_TEXT], *text;
    struct ip ip;

    if (sessions == 0 || r->n == TLSRPT_LINES_MAX)
        return;
    text = arena_alloc(arena, n + 1);
    if (text == NULL)
        return;
    if (type.n > 0)
        memcpy(text, type.p, type.n);
    text[type.n] = ' ';
    if (result.n > 0)
        memcpy(text + type.n + 1, result.p, result.n);
    ip_text[0] = 0;
    if (ip_parse(source, &ip))
        ip_format(&ip, ip_text);
    r->lines[r->n] = (struct tlsrpt_line){arena_str(arena, str_of(ip_text)), name, str_from(text, n), sessions};
    if (r->lines[r->n].source.p != NULL)
        r->n++;
}

static void read_policy(struct tlsrpt_read *r, struct arena *arena, const json_t *one)
{
    const json_t *policy = json_object_get(one, "policy"), *summary = json_object_get(one, "summary");
    const json_t *failures = json_object_get(one, "failure-details");
    struct str type = get(arena, policy, "policy-type"), domain = get(arena, policy, "policy-domain");

    if (r->domain.n == 0) {
        r->domain = domain;
        r->policy = type;
    }
    if (!str_ieq(domain, r->domain))
        return; /* one report, one domain */
    add_line(r, arena, STR(""), domain, type, STR("successful"), count_of(summary, "total-successful-session-count"));
    if (json_array_size(failures) == 0)
        add_line(r, arena, STR(""), domain, type, STR("failed"), count_of(summary, "total-failure-session-count"));
    for (size_t i = 0; i < json_array_size(failures); i++) {
        const json_t *f = json_array_get(failures, i);

        add_line(r, arena, get(arena, f, "sending-mta-ip"), get(arena, f, "receiving-mx-hostname"), type, get(arena, f, "result-type"),
            count_of(f, "failed-session-count"));
    }
}

static const char *read_report(struct tlsrpt_read *r, struct arena *arena, const json_t *root)
{
    const json_t *policies = json_object_get(root, "policies"), *range = json_object_get(root, "date-range");

    r->reporter = get(arena, root, "organization-name");
    r->contact = get(arena, root, "contact-info");
    r->report_id = get(arena, root, "report-id");
    r->begins = read_time(get(arena, range, "start-datetime"));
    r->ends = read_time(get(arena, range, "end-datetime"));
    r->lines = arena_alloc(arena, TLSRPT_LINES_MAX * sizeof *r->lines);
    if (r->lines == NULL)
        return "no memory";
    for (size_t i = 0; i < json_array_size(policies); i++)
        read_policy(r, arena, json_array_get(policies, i));
    if (r->reporter.n == 0 || r->report_id.n == 0 || r->domain.n == 0)
        return "no name, report id or domain";
    if (r->begins == NO_TIME || r->ends < r->begins)
        return "no period";
    return r->n == 0 ? "no session" : NULL;
}

bool tlsrpt_read(struct str json, struct arena *arena, struct tlsrpt_read *out, const char **why)
{
    json_t *root;

    *out = (struct tlsrpt_read){0};
    *why = "too large";
    if (json.n > TLSRPT_JSON_MAX)
        return false;
    root = json_loadb(json.p, json.n, 0, NULL);
    *why = root == NULL ? "no JSON" : read_report(out, arena, root);
    json_decref(root);
    return *why == NULL;
}
