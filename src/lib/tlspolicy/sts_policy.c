/* See sts_policy.h. */
#include "sts_policy.h"
#include "smtp/address.h"

#include <string.h>

static const char *const mode_names[] = {[STS_NONE] = "none", [STS_TESTING] = "testing", [STS_ENFORCE] = "enforce"};

const char *sts_mode_name(enum sts_mode mode)
{
    return mode_names[mode];
}

/* ---- the record ---- */

static bool is_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_is_alnum(s.p[i]))
            return false;
    return s.n > 0 && s.n <= STS_ID_MAX;
}

bool sts_record_read(struct str text, struct sts_record *record)
{
    struct str rest, name, value;
    enum policy_text_next next;

    record->id[0] = '\0';
    if (!policy_text_begins(text, STR("v=STSv1"), &rest))
        return false;
    while ((next = policy_text_next(&rest, &name, &value)) == POLICY_TEXT_FIELD) {
        if (!str_eq(name, STR("id")) || record->id[0] != '\0')
            continue;
        if (!is_id(value))
            return false;
        memcpy(record->id, value.p, value.n);
        record->id[value.n] = '\0';
    }
    return next == POLICY_TEXT_END && record->id[0] != '\0';
}

enum policy_found sts_record_of(struct str records, struct sts_record *record)
{
    enum policy_found found;
    struct buf text;

    buf_init(&text, 8192);
    found = policy_text_choose(records, STR("v=STSv1"), &text);
    if (found == POLICY_FOUND && !sts_record_read(buf_str(&text), record))
        found = POLICY_BAD;
    buf_clear(&text);
    return found;
}

/* ---- the policy: its fields ---- */

struct reading {
    struct sts_policy *policy;
    bool version, mode, max_age; /* that were there */
};

static bool take_version(struct reading *r, struct str value)
{
    if (r->version)
        return true;
    r->version = true;
    return str_eq(value, STR("STSv1"));
}

static bool take_mode(struct reading *r, struct str value)
{
    if (r->mode)
        return true;
    for (size_t i = 0; i < sizeof mode_names / sizeof mode_names[0]; i++)
        if (str_eq(value, str_of(mode_names[i]))) {
            r->policy->mode = (enum sts_mode)i;
            r->mode = true;
        }
    return r->mode;
}

static bool take_max_age(struct reading *r, struct str value)
{
    uint64_t seconds;

    if (r->max_age)
        return true;
    if (value.n > 10 || !str_to_u64(value, UINT64_MAX, &seconds))
        return false;
    r->policy->max_age = seconds < STS_AGE_MAX ? (uint32_t)seconds : STS_AGE_MAX;
    r->max_age = true;
    return true;
}

static bool take_mx(struct reading *r, struct str value)
{
    r->policy->patterns++;
    return domain_is_valid(str_starts(value, STR("*.")) ? str_skip(value, 2) : value, false);
}

static const struct {
    const char *name, *bad;
    bool (*take)(struct reading *r, struct str value);
} fields[] = {
    {"version", "the version is not STSv1", take_version},
    {"mode", "the mode is none of enforce, testing and none", take_mode},
    {"max_age", "max_age is no number of seconds", take_max_age},
    {"mx", "a pattern in mx is no name", take_mx},
};

/* ---- the policy: its lines ---- */

/* Cuts a line into name and value; an empty line has neither. False: it is no field. */
static bool read_line(struct str line, struct str *name, struct str *value)
{
    ptrdiff_t colon;

    if (str_ends(line, STR("\r")))
        line.n--;
    *name = *value = STR("");
    while (line.n > 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
        line.n--;
    if (line.n == 0)
        return true;
    colon = str_find(line, ':');
    if (colon < 0)
        return false;
    *name = str_sub(line, 0, (size_t)colon);
    *value = str_trim(str_skip(line, (size_t)colon + 1));
    return policy_text_is_name(*name) && value->n > 0 && !str_has_control(*value) && str_is_utf8(*value);
}

static bool read_field(struct reading *r, struct str line, const char **why)
{
    struct str name, value;

    *why = "a line is no field";
    if (!read_line(line, &name, &value))
        return false;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (str_eq(name, str_of(fields[i].name))) {
            *why = fields[i].bad;
            return fields[i].take(r, value);
        }
    return true;
}

bool sts_policy_read(struct str text, struct sts_policy *policy, const char **why)
{
    struct reading r = {.policy = policy};
    struct str rest = text, line;

    *policy = (struct sts_policy){.text = text};
    *why = "the policy has over 64 KB";
    if (text.n > STS_POLICY_MAX)
        return false;
    while (str_next(&rest, '\n', &line))
        if (!read_field(&r, line, why))
            return false;
    *why = "a field is missing";
    return r.version && r.mode && r.max_age && (policy->patterns > 0 || policy->mode == STS_NONE);
}

/* ---- hosts ---- */

bool sts_policy_next_pattern(struct str *rest, struct str *pattern)
{
    struct str line, name;

    while (str_next(rest, '\n', &line))
        if (read_line(line, &name, pattern) && str_eq(name, STR("mx")))
            return true;
    return false;
}

static bool matches(struct str pattern, struct str host)
{
    ptrdiff_t dot;

    if (!str_starts(pattern, STR("*.")))
        return str_ieq(pattern, host);
    dot = str_find(host, '.');
    return dot > 0 && str_ieq(str_skip(host, (size_t)dot + 1), str_skip(pattern, 2));
}

bool sts_policy_allows(const struct sts_policy *policy, struct str host)
{
    struct str rest = policy->text, pattern;

    if (str_ends(host, STR(".")))
        host.n--;
    while (host.n > 0 && sts_policy_next_pattern(&rest, &pattern))
        if (matches(pattern, host))
            return true;
    return false;
}

bool sts_is_media_type(struct str content_type)
{
    ptrdiff_t semicolon = str_find(content_type, ';');

    return str_ieq(str_trim(str_sub(content_type, 0, semicolon < 0 ? content_type.n : (size_t)semicolon)), STR("text/plain"));
}
