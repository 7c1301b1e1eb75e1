/* See spf_record.h. */
#include "spf_record.h"
#include "spf_macro.h"

#include <arpa/inet.h>
#include <string.h>

enum { BITS4 = 32, BITS6 = 128 };

const char *spf_result_name(enum spf_result result)
{
    static const char *const names[] = {"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"};

    return names[result];
}

bool spf_is_record(struct str text)
{
    static const struct str version = STR("v=spf1");

    return str_istarts(text, version) && (text.n == version.n || text.p[version.n] == ' ');
}

/* ---- prefix lengths ---- */

/* Cuts "/NUMBER" (or "//NUMBER") off the end of *s; leaves *bits where there is none. False: a number
 * that is none. */
static bool cut_bits(struct str *s, struct str slashes, unsigned most, unsigned *bits)
{
    size_t digits = 0;
    unsigned n = 0;

    while (digits < s->n && s->p[s->n - 1 - digits] >= '0' && s->p[s->n - 1 - digits] <= '9')
        digits++;
    if (s->n < digits + slashes.n || !str_eq(str_sub(*s, s->n - digits - slashes.n, s->n - digits), slashes))
        return true;
    if (digits == 0 || digits > 3 || (digits > 1 && s->p[s->n - digits] == '0'))
        return false;
    for (size_t i = s->n - digits; i < s->n; i++)
        n = n * 10 + (unsigned)(s->p[i] - '0');
    if (n > most)
        return false;
    *bits = n;
    *s = str_sub(*s, 0, s->n - digits - slashes.n);
    return true;
}

static bool cut_dual(struct str *s, struct spf_term *term)
{
    return cut_bits(s, STR("//"), BITS6, &term->bits6) && cut_bits(s, STR("/"), BITS4, &term->bits4);
}

/* ---- the rest of a mechanism: from its ':' or '/' on ---- */

static bool read_domain(struct str s, struct spf_term *term)
{
    term->domain = s;
    return spf_is_domain_spec(s);
}

/* [":" domain-spec] */
static bool read_optional(struct str s, struct spf_term *term)
{
    return s.n == 0 || (s.p[0] == ':' && read_domain(str_skip(s, 1), term));
}

static bool read_nothing(struct str s, struct spf_term *term)
{
    (void)term;
    return s.n == 0;
}

static bool read_required(struct str s, struct spf_term *term)
{
    return s.n > 0 && s.p[0] == ':' && read_domain(str_skip(s, 1), term);
}

static bool read_dual(struct str s, struct spf_term *term)
{
    return cut_dual(&s, term) && read_optional(s, term);
}

static bool read_network(struct str s, struct spf_term *term, uint8_t family)
{
    char text[IP_TEXT + 1];

    if (s.n < 2 || s.p[0] != ':' ||
        !cut_bits(&s, STR("/"), family == 4 ? BITS4 : BITS6, family == 4 ? &term->bits4 : &term->bits6))
        return false;
    s = str_skip(s, 1);
    if (s.n >= sizeof text || memchr(s.p, '\0', s.n) != NULL)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    term->ip.family = family;
    return inet_pton(family == 4 ? AF_INET : AF_INET6, text, term->ip.bytes) == 1;
}

static bool read_ip4(struct str s, struct spf_term *term)
{
    return read_network(s, term, 4);
}

static bool read_ip6(struct str s, struct spf_term *term)
{
    return read_network(s, term, 6);
}

static const struct mechanism {
    struct str name;
    enum spf_kind kind;
    bool (*read)(struct str rest, struct spf_term *term);
} mechanisms[] = {
    {STR("all"), SPF_ALL, read_nothing},
    {STR("include"), SPF_INCLUDE, read_required},
    {STR("a"), SPF_A, read_dual},
    {STR("mx"), SPF_MX, read_dual},
    {STR("ptr"), SPF_PTR, read_optional},
    {STR("ip4"), SPF_IP4, read_ip4},
    {STR("ip6"), SPF_IP6, read_ip6},
    {STR("exists"), SPF_EXISTS, read_required},
};

/* ---- terms ---- */

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name(struct str s)
{
    if (s.n == 0 || !is_alpha(s.p[0]))
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!is_alpha(s.p[i]) && !(s.p[i] >= '0' && s.p[i] <= '9') && (s.p[i] == '\0' || strchr("-_.", s.p[i]) == NULL))
            return false;
    return true;
}

static bool read_modifier(struct str name, struct str value, struct spf_term *term)
{
    if (!is_name(name))
        return false;
    if (str_ieq(name, STR("redirect")) || str_ieq(name, STR("exp"))) {
        term->kind = str_ieq(name, STR("exp")) ? SPF_EXP : SPF_REDIRECT;
        return read_domain(value, term);
    }
    term->kind = SPF_UNKNOWN;
    return spf_is_macro_string(value);
}

static size_t find_any(struct str s, const char *stops)
{
    size_t n = 0;

    while (n < s.n && (s.p[n] == '\0' || strchr(stops, s.p[n]) == NULL))
        n++;
    return n;
}

static bool read_mechanism(struct str word, struct spf_term *term)
{
    static const char qualifiers[] = "+-~?";
    static const enum spf_result results[] = {SPF_PASS, SPF_FAIL, SPF_SOFTFAIL, SPF_NEUTRAL};
    const char *q = word.p[0] != '\0' ? strchr(qualifiers, word.p[0]) : NULL;
    size_t end;

    term->result = q != NULL ? results[q - qualifiers] : SPF_PASS;
    word = str_skip(word, q != NULL);
    end = find_any(word, ":/");
    for (size_t i = 0; i < sizeof mechanisms / sizeof mechanisms[0]; i++)
        if (str_ieq(str_sub(word, 0, end), mechanisms[i].name)) {
            term->kind = mechanisms[i].kind;
            return mechanisms[i].read(str_skip(word, end), term);
        }
    return false;
}

enum spf_next spf_next_term(struct str *rest, struct spf_term *term)
{
    struct str word;
    size_t end;
    bool ok;

    *term = (struct spf_term){.bits4 = BITS4, .bits6 = BITS6};
    while (rest->n > 0 && rest->p[0] == ' ')
        *rest = str_skip(*rest, 1);
    if (rest->n == 0)
        return SPF_NEXT_END;
    word = str_sub(*rest, 0, find_any(*rest, " "));
    *rest = str_skip(*rest, word.n);
    term->word = word;
    end = find_any(word, "=:/");
    if (end < word.n && word.p[end] == '=')
        ok = read_modifier(str_sub(word, 0, end), str_skip(word, end + 1), term);
    else
        ok = read_mechanism(word, term);
    return ok ? SPF_NEXT_TERM : SPF_NEXT_BAD;
}

bool spf_read(struct str text, struct spf_record *record)
{
    struct str rest = str_skip(text, 6);
    struct spf_term term;
    enum spf_next next;

    *record = (struct spf_record){.terms = rest};
    while ((next = spf_next_term(&rest, &term)) == SPF_NEXT_TERM) {
        struct str *modifier = term.kind == SPF_REDIRECT ? &record->redirect : term.kind == SPF_EXP ? &record->exp : NULL;

        if (modifier != NULL && modifier->n > 0)
            return false; /* twice (6) */
        if (modifier != NULL)
            *modifier = term.domain;
    }
    return next == SPF_NEXT_END;
}
