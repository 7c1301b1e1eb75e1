/* See arc_chain.h. */
#include "arc_chain.h"
#include "tag_list.h"

static const struct {
    const char *name;
    const char *missing, *twice, *unreadable;
} kinds[ARC_FIELDS] = {
    [ARC_FIELD_RESULTS] = {"ARC-Authentication-Results", "no ARC-Authentication-Results", "two ARC-Authentication-Results",
        "an ARC-Authentication-Results without instance"},
    [ARC_FIELD_MESSAGE] = {"ARC-Message-Signature", "no ARC-Message-Signature", "two ARC-Message-Signature",
        "an ARC-Message-Signature without instance"},
    [ARC_FIELD_SEAL] = {"ARC-Seal", "no ARC-Seal", "two ARC-Seal", "an ARC-Seal without instance"},
};

/* ---- instances ---- */

/* Blanks, folding and comments (RFC 5322 3.2.2); nested comments are counted. A comment without end takes all. */
static struct str skip_cfws(struct str s)
{
    size_t depth = 0, i = 0;

    for (; i < s.n; i++) {
        if (s.p[i] == '(')
            depth++;
        else if (depth > 0 && s.p[i] == ')')
            depth--;
        else if (depth > 0 && s.p[i] == '\\')
            i++;
        else if (depth == 0 && !tag_is_blank(s.p[i]))
            break;
    }
    return str_skip(s, i);
}

static unsigned read_position(struct str digits)
{
    uint64_t number;

    return digits.n <= 2 && str_to_u64(digits, ARC_SETS_MAX, &number) ? (unsigned)number : 0;
}

unsigned arc_read_instance(struct str value, struct str *rest)
{
    struct str digits;
    size_t n = 0;

    value = skip_cfws(value);
    if (!str_starts(value, STR("i")))
        return 0;
    value = skip_cfws(str_skip(value, 1));
    if (!str_starts(value, STR("=")))
        return 0;
    value = skip_cfws(str_skip(value, 1));
    while (n < value.n && ascii_is_digit(value.p[n]))
        n++;
    digits = str_sub(value, 0, n);
    value = skip_cfws(str_skip(value, n));
    if (!str_starts(value, STR(";")))
        return 0;
    *rest = str_skip(value, 1);
    return read_position(digits);
}

static unsigned instance_of(enum arc_field kind, struct str value)
{
    struct tag_list list;
    struct str rest;

    if (kind == ARC_FIELD_RESULTS)
        return arc_read_instance(value, &rest);
    return tag_list_read(value, &list) ? read_position(tag_list_value(&list, "i")) : 0;
}

/* ---- sets ---- */

/* The first thing found wrong is the one that is told. */
static void blame(struct arc_chain *chain, const char *reason, unsigned instance)
{
    if (chain->reason != NULL)
        return;
    chain->reason = reason;
    chain->instance = instance;
}

static void take(struct arc_chain *chain, enum arc_field kind, size_t number, struct str value)
{
    unsigned instance = instance_of(kind, value);

    chain->present = true;
    if (instance == 0) {
        blame(chain, kinds[kind].unreadable, 0);
        return;
    }
    if (instance > chain->n)
        chain->n = instance;
    if (chain->fields[instance - 1][kind] != SIZE_MAX)
        blame(chain, kinds[kind].twice, instance);
    else
        chain->fields[instance - 1][kind] = number;
}

static struct str status_of(const struct dkim_header *header, const struct arc_chain *chain, unsigned instance)
{
    size_t number = chain->fields[instance - 1][ARC_FIELD_SEAL];
    struct tag_list list;

    if (number == SIZE_MAX || !tag_list_read(dkim_header_value(header, number), &list))
        return STR("");
    return tag_list_value(&list, "cv");
}

/* 5.2, steps 2 and 3. */
static void check_sets(const struct dkim_header *header, struct arc_chain *chain)
{
    chain->broken = chain->n > 0 && str_ieq(status_of(header, chain, chain->n), STR("fail"));
    if (chain->broken) {
        chain->reason = "the chain was broken before";
        chain->instance = chain->n;
        return;
    }
    for (unsigned i = 1; i <= chain->n && chain->reason == NULL; i++) {
        for (size_t kind = 0; kind < ARC_FIELDS; kind++)
            if (chain->fields[i - 1][kind] == SIZE_MAX)
                blame(chain, kinds[kind].missing, i);
        if (!str_ieq(status_of(header, chain, i), i == 1 ? STR("none") : STR("pass")))
            blame(chain, i == 1 ? "the first seal does not say cv=none" : "a later seal does not say cv=pass", i);
    }
}

void arc_chain_read(const struct dkim_header *header, struct arc_chain *chain)
{
    size_t count = dkim_header_count(header);

    *chain = (struct arc_chain){.n = 0};
    for (size_t i = 0; i < ARC_SETS_MAX; i++)
        for (size_t kind = 0; kind < ARC_FIELDS; kind++)
            chain->fields[i][kind] = SIZE_MAX;
    for (size_t i = 0; i < count; i++)
        for (size_t kind = 0; kind < ARC_FIELDS; kind++)
            if (str_ieq(dkim_header_name(header, i), str_of(kinds[kind].name)))
                take(chain, (enum arc_field)kind, i, dkim_header_value(header, i));
    if (chain->present && dkim_header_is_too_large(header))
        blame(chain, "the header is too large", 0);
    check_sets(header, chain);
}
