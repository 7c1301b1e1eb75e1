/* Filters of the queue commands. */
#include "filter.h"

#include "base/clock.h"
#include "base/msgid.h"
#include "ipc/args.h"
#include "smtp/address.h"

bool filter_glob(struct str pattern, struct str text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;

    while (t < text.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.n && ascii_lower(pattern.p[p]) == ascii_lower(text.p[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

bool filter_parse_span(struct str text, int64_t *span)
{
    static const struct {
        char unit;
        int64_t span;
    } units[] = {{'s', SECOND}, {'m', MINUTE}, {'h', HOUR}, {'d', DAY}};
    int64_t unit = SECOND;
    uint64_t n;

    for (size_t i = 0; text.n > 1 && i < sizeof units / sizeof units[0]; i++) {
        if (ascii_lower(text.p[text.n - 1]) == units[i].unit) {
            unit = units[i].span;
            text.n--;
            break;
        }
    }
    if (!str_to_u64(text, INT32_MAX, &n) || (int64_t)n > 36500 * DAY / unit)
        return false;
    *span = (int64_t)n * unit;
    return true;
}

static bool set_recipient(struct filter *f, struct str value)
{
    f->recipient = value;
    return value.n > 0;
}

/* "<>" or an empty value is the null sender. */
static bool set_sender(struct filter *f, struct str value)
{
    f->sender = str_eq(value, STR("<>")) ? (struct str){0} : value;
    f->has_sender = true;
    return true;
}

static bool set_domain(struct filter *f, struct str value)
{
    f->domain = value;
    return value.n > 0;
}

static bool set_reply(struct filter *f, struct str value)
{
    f->reply = value;
    return value.n > 0;
}

static bool set_class(struct filter *f, struct str value)
{
    f->class = str_ieq(value, STR("bulk")) ? CLASS_BULK : CLASS_TRANSACTIONAL;
    return f->class == CLASS_BULK || str_ieq(value, STR("transactional"));
}

static bool set_state(struct filter *f, struct str value)
{
    f->state = str_ieq(value, STR("held")) ? RCPT_HELD : str_ieq(value, STR("active")) ? FILTER_ACTIVE : RCPT_WAITING;
    return f->state != RCPT_WAITING || str_ieq(value, STR("waiting"));
}

static bool set_older(struct filter *f, struct str value)
{
    return filter_parse_span(value, &f->older_than);
}

static bool set_younger(struct filter *f, struct str value)
{
    return filter_parse_span(value, &f->younger_than);
}

static bool set_limit(struct filter *f, struct str value)
{
    return str_to_u64(value, INT64_MAX, &f->limit);
}

/* "ID" or "ID/N": the last row of the page before. */
static bool set_after(struct filter *f, struct str value)
{
    struct str id;

    str_next(&value, '/', &id);
    f->after_n = INT64_MAX;
    return msgid_parse(id, &f->after_message) && (value.n == 0 || str_to_u64(value, INT64_MAX, &f->after_n));
}

static const struct option {
    const char *name;
    bool selects;
    bool (*set)(struct filter *, struct str);
    const char *expected;
} options[] = {
    {"recipient", true, set_recipient, "recipient= expects an address, '*' for any characters"},
    {"sender", true, set_sender, "sender= expects an address, '*' for any characters, <> for the null sender"},
    {"domain", true, set_domain, "domain= expects the domain of recipients"},
    {"class", true, set_class, "class= expects transactional or bulk"},
    {"state", true, set_state, "state= expects waiting, held or active"},
    {"reply", true, set_reply, "reply= expects a part of the last reply"},
    {"older_than", true, set_older, "older_than= expects a time such as 30m, 4h or 5d"},
    {"younger_than", true, set_younger, "younger_than= expects a time such as 30m, 4h or 5d"},
    {"limit", false, set_limit, "limit= expects a number"},
    {"after", false, set_after, "after= expects the id and number of the last row, ID/N"},
    {"all", true, NULL, NULL},
};

/* "older-than" is "older_than". */
static bool same_name(struct str name, struct str option)
{
    if (name.n != option.n)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] != option.p[i] && !(name.p[i] == '-' && option.p[i] == '_'))
            return false;
    return true;
}

static const struct option *find_option(struct str name)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (same_name(name, str_of(options[i].name)))
            return &options[i];
    return NULL;
}

bool filter_parse(struct filter *f, struct str args, const char **why, struct str *word)
{
    struct str name, value, rest = args;

    *f = (struct filter){.class = FILTER_ANY, .state = FILTER_ANY};
    *word = args_word(args, 1);
    *why = "not a queue id";
    if (word->n > 0 && !msgid_parse(*word, &f->message))
        return false;
    f->selects = f->message != 0;
    while (args_next_option(&rest, &name, &value)) {
        const struct option *o = find_option(name);

        *word = name;
        *why = o == NULL ? "no such option" : o->expected;
        if (o == NULL || (o->set != NULL && !o->set(f, value)))
            return false;
        f->selects |= o->selects;
    }
    return true;
}

bool filter_matches_rcpt(const struct filter *f, const struct rcpt_row *r, bool active, int64_t now)
{
    int64_t age = now - msgid_time(r->message);
    struct str local, domain;

    if (f->message && r->message != f->message)
        return false;
    if (f->class != FILTER_ANY && (uint64_t)f->class != r->class)
        return false;
    if (f->state == FILTER_ACTIVE ? !active : f->state != FILTER_ANY && (uint64_t)f->state != r->state)
        return false;
    if ((f->older_than && age < f->older_than) || (f->younger_than && age > f->younger_than))
        return false;
    if (f->recipient.n && !filter_glob(f->recipient, r->address))
        return false;
    if (f->reply.n && str_ifind(r->reply, f->reply) < 0)
        return false;
    if (f->domain.n == 0)
        return true;
    address_split(r->address, &local, &domain);
    return filter_glob(f->domain, domain);
}

bool filter_matches_sender(const struct filter *f, struct str sender)
{
    return f->sender.n == 0 ? sender.n == 0 : filter_glob(f->sender, sender);
}
