/* See dkim_signature.h. Each tag has a reader in a table; the first that fails gives the verdict. What only
 * two tags together can show is looked at last. */
#include "dkim_signature.h"
#include "tag_list.h"

#include <idn2.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD_MAX = 24 * 3600 }; /* seconds a signer's clock may be ahead of ours */

static const char *const result_names[] = {
    [DKIM_NONE] = "none", [DKIM_PASS] = "pass", [DKIM_FAIL] = "fail", [DKIM_POLICY] = "policy",
    [DKIM_NEUTRAL] = "neutral", [DKIM_TEMPERROR] = "temperror", [DKIM_PERMERROR] = "permerror",
};
static const char *const algorithm_names[] = {[DKIM_RSA_SHA256] = "rsa-sha256", [DKIM_ED25519_SHA256] = "ed25519-sha256"};
static const struct dkim_verdict good = {DKIM_NONE, NULL};

const char *dkim_result_name(enum dkim_result result)
{
    return result_names[result];
}

const char *dkim_algorithm_name(enum dkim_algorithm algorithm)
{
    return algorithm_names[algorithm];
}

static struct dkim_verdict bad(const char *reason)
{
    return (struct dkim_verdict){DKIM_PERMERROR, reason};
}

/* What does not follow the grammar: "neutral" (RFC 8601 2.7.1). */
static struct dkim_verdict garbled(const char *reason)
{
    return (struct dkim_verdict){DKIM_NEUTRAL, reason};
}

/* ---- tags ---- */

static struct dkim_verdict read_version(struct str value, struct dkim_signature *s)
{
    (void)s;
    return str_eq(value, STR("1")) ? good : bad("unknown version of DKIM");
}

static struct dkim_verdict read_algorithm(struct str value, struct dkim_signature *s)
{
    s->algorithm_text = value;
    for (size_t i = 0; i < sizeof algorithm_names / sizeof algorithm_names[0]; i++)
        if (str_ieq(value, str_of(algorithm_names[i]))) {
            s->algorithm = (enum dkim_algorithm)i;
            return good;
        }
    return bad(str_ieq(value, STR("rsa-sha1")) ? "rsa-sha1 is no longer accepted" : "unknown algorithm");
}

static bool read_form(struct str word, enum dkim_canon *canon)
{
    *canon = str_ieq(word, STR("relaxed")) ? DKIM_RELAXED : DKIM_SIMPLE;
    return *canon == DKIM_RELAXED || str_ieq(word, STR("simple"));
}

static struct dkim_verdict read_canon(struct str value, struct dkim_signature *s)
{
    ptrdiff_t slash = str_find(value, '/');

    s->body = DKIM_SIMPLE;
    if (!read_form(str_sub(value, 0, slash < 0 ? value.n : (size_t)slash), &s->header) ||
        (slash >= 0 && !read_form(str_skip(value, (size_t)slash + 1), &s->body)))
        return bad("unknown canonical form");
    return good;
}

bool dkim_is_domain(struct str name)
{
    char out[DNS_NAME_TEXT];

    return str_find(name, '.') > 0 && dkim_signature_key_name(STR("s"), name, out);
}

static struct dkim_verdict read_domain(struct str value, struct dkim_signature *s)
{
    if (!dkim_is_domain(value))
        return garbled("d= is no domain");
    s->domain = value;
    return good;
}

static struct dkim_verdict read_selector(struct str value, struct dkim_signature *s)
{
    char out[DNS_NAME_TEXT];

    if (!dkim_signature_key_name(value, STR("d"), out))
        return garbled("s= is no selector");
    s->selector = value;
    return good;
}

static struct dkim_verdict read_body_hash(struct str value, struct dkim_signature *s)
{
    struct buf bytes;
    bool ok;

    buf_init(&bytes, DKIM_HASH + 4);
    ok = tag_read_base64(value, &bytes) && bytes.n == DKIM_HASH;
    if (ok)
        memcpy(s->body_hash, bytes.p, DKIM_HASH);
    buf_clear(&bytes);
    return ok ? good : garbled("bh= is no hash");
}

static struct dkim_verdict read_bytes(struct str value, struct dkim_signature *s)
{
    struct buf bytes;
    bool ok;

    s->text = value;
    buf_init(&bytes, DKIM_SIGNATURE_BYTES + 4);
    ok = tag_read_base64(value, &bytes) && bytes.n <= DKIM_SIGNATURE_BYTES;
    if (ok)
        memcpy(s->bytes, bytes.p, s->bytes_n = bytes.n);
    buf_clear(&bytes);
    return ok ? good : garbled("b= is no signature");
}

static bool is_name_list(struct str names, bool may_be_empty)
{
    struct str name;

    while (tag_next_item(&names, ':', &name)) {
        if (name.n == 0 && !may_be_empty)
            return false;
        for (size_t i = 0; i < name.n; i++)
            if (name.p[i] <= ' ' || name.p[i] > '~')
                return false;
    }
    return true;
}

static struct dkim_verdict read_names(struct str value, struct dkim_signature *s)
{
    s->names = value;
    if (!is_name_list(value, false))
        return garbled("h= is no list of fields");
    return tag_has_item(value, "from") ? good : bad("From is not signed");
}

/* Of a message signature of ARC: it and its items may be empty, and no seal may be in it (RFC 8617 4.1.2). */
static struct dkim_verdict read_arc_names(struct str value, struct dkim_signature *s)
{
    s->names = value;
    if (!is_name_list(value, true))
        return garbled("h= is no list of fields");
    return tag_has_item(value, "arc-seal") ? bad("h= names ARC-Seal") : good;
}

/* The fields of a seal are not the sealer's choice (RFC 8617 4.1.3). */
static struct dkim_verdict refuse_names(struct str value, struct dkim_signature *s)
{
    (void)value;
    (void)s;
    return bad("a seal with h=");
}

static struct dkim_verdict read_identity(struct str value, struct dkim_signature *s)
{
    s->identity = value;
    return str_rfind(value, '@') >= 0 ? good : garbled("i= is no identity");
}

static struct dkim_verdict read_length(struct str value, struct dkim_signature *s)
{
    s->has_length = true;
    return str_to_u64(value, UINT64_MAX - 1, &s->length) ? good : garbled("l= is no number");
}

static struct dkim_verdict read_instance(struct str value, struct dkim_signature *s)
{
    uint64_t number;

    if (value.n > 2 || !str_to_u64(value, ARC_SETS_MAX, &number) || number == 0)
        return garbled("i= is no instance");
    s->instance = (unsigned)number;
    return good;
}

static struct dkim_verdict read_chain_status(struct str value, struct dkim_signature *s)
{
    s->chain_status = value;
    return str_ieq(value, STR("none")) || str_ieq(value, STR("pass")) || str_ieq(value, STR("fail")) ? good
                                                                                              : garbled("cv= is no status");
}

static struct dkim_verdict read_query(struct str value, struct dkim_signature *s)
{
    (void)s;
    return tag_has_item(value, "dns/txt") ? good : bad("no known way to ask for the key");
}

static struct dkim_verdict read_time(struct str value, struct dkim_signature *s)
{
    return str_to_u64(value, UINT64_MAX, &s->time) ? good : garbled("t= is no time");
}

static struct dkim_verdict read_expiry(struct str value, struct dkim_signature *s)
{
    return str_to_u64(value, UINT64_MAX, &s->expiry) ? good : garbled("x= is no time");
}

enum { ANY = DKIM_SIGNATURE | ARC_MESSAGE_SIGNATURE | ARC_SEAL, WITH_BODY = DKIM_SIGNATURE | ARC_MESSAGE_SIGNATURE, ARC = ARC_MESSAGE_SIGNATURE | ARC_SEAL };

static const struct {
    const char *name;
    unsigned kinds;      /* of fields it means something in */
    const char *missing; /* what to say without it; NULL: it may be missing */
    struct dkim_verdict (*read)(struct str value, struct dkim_signature *s);
} tags[] = {
    {"d", ANY, "d= is missing", read_domain},
    {"s", ANY, "s= is missing", read_selector},
    {"b", ANY, "b= is missing", read_bytes},
    {"i", DKIM_SIGNATURE, NULL, read_identity},
    {"i", ARC, "i= is missing", read_instance},
    {"cv", ARC_SEAL, "cv= is missing", read_chain_status},
    {"v", DKIM_SIGNATURE, "v= is missing", read_version},
    {"a", ANY, "a= is missing", read_algorithm},
    {"c", WITH_BODY, NULL, read_canon},
    {"bh", WITH_BODY, "bh= is missing", read_body_hash},
    {"h", DKIM_SIGNATURE, "h= is missing", read_names},
    {"h", ARC_MESSAGE_SIGNATURE, "h= is missing", read_arc_names},
    {"h", ARC_SEAL, NULL, refuse_names},
    {"l", WITH_BODY, NULL, read_length},
    {"q", WITH_BODY, NULL, read_query},
    {"t", ANY, NULL, read_time},
    {"x", WITH_BODY, NULL, read_expiry},
};

static void add_labels(struct buf *out, struct str name);

/* ---- the whole ---- */

static bool is_below(struct str host, struct str domain)
{
    return host.n > domain.n && host.p[host.n - domain.n - 1] == '.' && str_ieq(str_skip(host, host.n - domain.n), domain);
}

/* One may be written in U-labels and the other in A-labels (RFC 8616 5): compared are the latter. */
static struct dkim_verdict check_identity(struct dkim_signature *s)
{
    struct buf host, domain;
    bool below;

    if (s->identity.n == 0)
        return good;
    buf_init(&host, 2048);
    buf_init(&domain, 2048);
    add_labels(&host, str_skip(s->identity, (size_t)(str_rfind(s->identity, '@') + 1)));
    add_labels(&domain, s->domain);
    s->strict_identity = str_ieq(buf_str(&host), buf_str(&domain));
    below = is_below(buf_str(&host), buf_str(&domain));
    buf_clear(&host);
    buf_clear(&domain);
    return s->strict_identity || below ? good : bad("i= is not inside d=");
}

struct dkim_verdict dkim_signature_read(enum dkim_field_kind kind, struct str value, struct dkim_signature *s)
{
    struct dkim_verdict first = good;
    struct tag_list list;

    *s = (struct dkim_signature){.length = UINT64_MAX, .strict_identity = true, .header = kind == DKIM_SIGNATURE ? DKIM_SIMPLE : DKIM_RELAXED,
        .body = kind == DKIM_SIGNATURE ? DKIM_SIMPLE : DKIM_RELAXED};
    if (!tag_list_read(value, &list))
        return garbled("the signature is no list of tags");
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        const struct tag *tag = tag_list_find(&list, tags[i].name);
        struct dkim_verdict verdict = good;

        if ((tags[i].kinds & kind) == 0)
            continue;
        if (tag != NULL)
            verdict = tags[i].read(tag->value, s);
        else if (tags[i].missing != NULL)
            verdict = bad(tags[i].missing);
        if (first.reason == NULL)
            first = verdict;
    }
    if (first.reason == NULL)
        first = check_identity(s);
    if (first.reason == NULL && s->expiry > 0 && s->expiry <= s->time)
        first = bad("x= is not after t=");
    return first;
}

struct dkim_verdict dkim_signature_check_time(const struct dkim_signature *s, uint64_t now)
{
    if (s->expiry > 0 && s->expiry < now)
        return (struct dkim_verdict){DKIM_POLICY, "the signature has expired"};
    if (s->time > now && s->time - now > AHEAD_MAX)
        return (struct dkim_verdict){DKIM_POLICY, "the signature is of the future"};
    return good;
}

struct dkim_verdict dkim_signature_check_body(const struct dkim_signature *s, const struct dkim_body *body, size_t number)
{
    if (s->has_length && s->length > dkim_body_length(body, number))
        return bad("l= counts more than the body has");
    if (memcmp(dkim_body_hash(body, number), s->body_hash, DKIM_HASH) != 0)
        return (struct dkim_verdict){DKIM_FAIL, "the body is not the one that was signed"};
    return good;
}

/* ---- the key's name ---- */

/* A name as DNS has it; "" for one that has no such form. */
static void add_labels(struct buf *out, struct str name)
{
    uint8_t *labels = NULL;
    char text[DNS_NAME_TEXT];

    if (str_is_ascii(name)) {
        buf_add(out, name);
        return;
    }
    if (name.n >= sizeof text)
        return;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    if (idn2_lookup_u8((const uint8_t *)text, &labels, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK)
        buf_add(out, str_of((const char *)labels));
    idn2_free(labels);
}

static bool is_host_name(struct str name)
{
    struct str label;

    while (str_next(&name, '.', &label)) {
        if (label.n == 0)
            return false;
        for (size_t i = 0; i < label.n; i++)
            if (!ascii_is_alnum(label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
                return false;
    }
    return true;
}

bool dkim_signature_key_name(struct str selector, struct str domain, char out[DNS_NAME_TEXT])
{
    struct buf name;
    bool ok;

    buf_init(&name, 2048);
    add_labels(&name, selector);
    buf_add(&name, STR("._domainkey."));
    add_labels(&name, domain);
    ok = !name.failed && name.n < DNS_NAME_TEXT && is_host_name(buf_str(&name)) && dns_name_can_be_asked(buf_str(&name));
    if (ok) {
        memcpy(out, name.p, name.n);
        out[name.n] = '\0';
    }
    buf_clear(&name);
    return ok;
}
