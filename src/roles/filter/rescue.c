/* See rescue.h. */
#include "rescue.h"
#include "mailauth/auth_results_read.h"
#include "mailauth/dmarc_author.h"

static bool is_author(struct str value, struct str author)
{
    char canonical[DNS_NAME_TEXT];

    return dmarc_canonical_domain(value, canonical) && str_eq(str_of(canonical), author);
}

/* Does this result name the author in its header.from? */
static bool is_about(const struct auth_statement *s, struct str author)
{
    struct auth_property property;
    struct str rest = s->rest;
    struct buf value;
    bool about = false;

    buf_init(&value, AUTH_RESULTS_FIELD_MAX);
    while (!about && auth_results_next_property(&rest, &property, &value) == AUTH_RESULTS_NEXT)
        about = str_ieq(property.ptype, STR("header")) && str_ieq(property.property, STR("from")) && is_author(buf_str(&value), author);
    buf_clear(&value);
    return about;
}

static bool says_pass(struct str results, struct str author)
{
    struct auth_statement s;
    unsigned version;
    struct str rest;
    struct buf id;
    bool readable;

    buf_init(&id, AUTH_RESULTS_FIELD_MAX);
    readable = auth_results_read_head(results, &id, &version, &rest);
    buf_clear(&id);
    while (readable && auth_results_next(&rest, &s) == AUTH_RESULTS_NEXT)
        if (str_ieq(s.method, STR("dmarc")) && str_ieq(s.result, STR("pass")) && is_about(&s, author))
            return true;
    return false;
}

bool rescue_by_seal(const struct judge *j, const struct domain_list *trusted, struct str author, struct str *sealer)
{
    const struct arc_outcome *o = judge_arc(j);

    if (o->result != ARC_PASS || o->unsigned_octets > 0)
        return false;
    for (unsigned i = o->sets; i > 0; i--) {
        struct arc_set set = judge_arc_set(j, i);

        if (!domain_list_holds(trusted, set.domain))
            return false;
        if (says_pass(set.results, author)) {
            *sealer = set.domain;
            return true;
        }
    }
    return false;
}
