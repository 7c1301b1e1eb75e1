/* See dkim_sign.h. The hash of the signed fields is made once, at the end of the header; each key goes on from a copy
 * of it, when the body's hash is known, with the field it will be in. */
#include "dkim_sign.h"
#include "base/encode.h"
#include "base/err.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_OCTETS = 76, NAMES_MAX = 4096, FIELD_MAX = 16384, SAME_NAME_MAX = 20 };

/* What is signed where it is there (RFC 6376 5.4.1; List-Unsubscribe-Post: RFC 8058 4), and what is oversigned. */
static const struct {
    const char *name;
    bool oversigned;
} signed_names[] = {
    {"From", true}, {"Subject", true}, {"Date", true}, {"To", true}, {"Cc", false}, {"Sender", false},
    {"Reply-To", false}, {"Message-ID", false}, {"In-Reply-To", false}, {"References", false},
    {"MIME-Version", false}, {"Content-Type", false}, {"Content-Transfer-Encoding", false},
    {"Content-ID", false}, {"Content-Description", false}, {"Resent-Date", false}, {"Resent-From", false},
    {"Resent-Sender", false}, {"Resent-To", false}, {"Resent-Cc", false}, {"Resent-Message-ID", false},
    {"List-Id", false}, {"List-Help", false}, {"List-Unsubscribe", false}, {"List-Unsubscribe-Post", false},
    {"List-Subscribe", false}, {"List-Post", false}, {"List-Owner", false}, {"List-Archive", false},
};

struct dkim_sign {
    struct str domain; /* owned, as the selectors are */
    struct dkim_sign_key keys[DKIM_SIGN_KEYS_MAX];
    unsigned char hashes[DKIM_SIGN_KEYS_MAX][DKIM_HASH];
    size_t key_count;
    uint64_t time, expiry;
    struct dkim_header *header;
    struct dkim_body *body;
    size_t body_number;
    EVP_MD_CTX *fields;
    struct buf names; /* h= */
};

static bool are_names(struct str domain, const struct dkim_sign_key *keys, size_t key_count)
{
    char out[DNS_NAME_TEXT];

    if (key_count > DKIM_SIGN_KEYS_MAX)
        return false;
    for (size_t i = 0; i < key_count; i++)
        if (!dkim_signature_key_name(keys[i].selector, domain, out))
            return false;
    return dkim_is_domain(domain);
}

static void copy_keys(struct dkim_sign *s, const struct dkim_sign_key *keys, size_t key_count)
{
    s->key_count = key_count;
    for (size_t i = 0; i < key_count; i++)
        s->keys[i] = (struct dkim_sign_key){keys[i].algorithm, str_dup(keys[i].selector)};
}

struct dkim_sign *dkim_sign_new(struct str domain, const struct dkim_sign_key *keys, size_t key_count, uint64_t now_seconds,
    uint64_t lifetime)
{
    struct dkim_sign *s;

    if (!are_names(domain, keys, key_count))
        return NULL;
    s = xcalloc(1, sizeof *s);
    *s = (struct dkim_sign){.domain = str_dup(domain), .time = now_seconds,
        .expiry = lifetime > 0 ? now_seconds + lifetime : 0, .header = dkim_header_new(), .body = dkim_body_new(),
        .fields = EVP_MD_CTX_new()};
    if (s->fields == NULL || EVP_DigestInit_ex(s->fields, EVP_sha256(), NULL) != 1 ||
        !dkim_body_want(s->body, DKIM_RELAXED, UINT64_MAX, &s->body_number))
        fatal("SHA-256 is not to be had");
    copy_keys(s, keys, key_count);
    buf_init(&s->names, NAMES_MAX);
    return s;
}

bool dkim_sign_set_keys(struct dkim_sign *s, const struct dkim_sign_key *keys, size_t key_count)
{
    if (s->key_count > 0 || key_count == 0 || !are_names(s->domain, keys, key_count))
        return false;
    copy_keys(s, keys, key_count);
    return true;
}

void dkim_sign_free(struct dkim_sign *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->key_count; i++)
        str_free(&s->keys[i].selector);
    str_free(&s->domain);
    dkim_header_free(s->header);
    dkim_body_free(s->body);
    EVP_MD_CTX_free(s->fields);
    buf_clear(&s->names);
    free(s);
}

/* ---- the message ---- */

void dkim_sign_field(struct dkim_sign *s, struct str field)
{
    dkim_header_add(s->header, field);
}

/* False: there are more of an oversigned field than can be named. */
static bool choose_names(struct dkim_sign *s)
{
    for (size_t i = 0; i < sizeof signed_names / sizeof signed_names[0]; i++) {
        struct str name = str_of(signed_names[i].name);
        size_t count = dkim_header_count_of(s->header, name);

        if (count > SAME_NAME_MAX && signed_names[i].oversigned)
            return false;
        if (count > SAME_NAME_MAX)
            count = SAME_NAME_MAX;
        count += signed_names[i].oversigned ? 1 : 0;
        for (; count > 0; count--) {
            if (s->names.n > 0)
                buf_add_char(&s->names, ':');
            buf_add(&s->names, name);
        }
    }
    return !s->names.failed;
}

bool dkim_sign_header_end(struct dkim_sign *s)
{
    bool ok = !dkim_header_is_too_large(s->header) && dkim_header_count_of(s->header, STR("From")) > 0 && choose_names(s);

    if (ok)
        dkim_header_hash(s->header, buf_str(&s->names), DKIM_RELAXED, SIZE_MAX, s->fields);
    dkim_header_free(s->header);
    s->header = NULL;
    return ok;
}

void dkim_sign_body(struct dkim_sign *s, struct str bytes)
{
    dkim_body_add(s->body, bytes);
}

/* ---- the field ---- */

struct folder {
    struct buf *out;
    size_t line; /* octets of the line so far */
};

static void fold(struct folder *f)
{
    buf_add(f->out, STR("\r\n\t"));
    f->line = 1;
}

static void add(struct folder *f, struct str s)
{
    buf_add(f->out, s);
    f->line += s.n;
}

/* A tag that stays on one line. */
static void add_tag(struct folder *f, const char *name, struct str value)
{
    size_t n = strlen(name) + 1 + value.n + 1;

    if (f->line + 1 + n > LINE_MAX_OCTETS)
        fold(f);
    else
        add(f, STR(" "));
    add(f, str_of(name));
    add(f, STR("="));
    add(f, value);
    add(f, STR(";"));
}

static void add_number_tag(struct folder *f, const char *name, uint64_t number)
{
    struct buf text;

    buf_init(&text, 32);
    buf_add_number(&text, number);
    add_tag(f, name, buf_str(&text));
    buf_clear(&text);
}

static void add_names_tag(struct folder *f, struct str names)
{
    struct str name;

    fold(f);
    add(f, STR("h="));
    while (str_next(&names, ':', &name)) {
        if (f->line + name.n + 1 > LINE_MAX_OCTETS)
            fold(f);
        add(f, name);
        add(f, names.p == NULL ? STR(";") : STR(":"));
    }
}

static void add_base64(struct folder *f, struct str bytes)
{
    struct buf text;
    struct str rest;

    buf_init(&text, FIELD_MAX);
    base64_encode(&text, bytes);
    for (rest = buf_str(&text); rest.n > 0;) {
        size_t n = LINE_MAX_OCTETS - f->line;

        add(f, str_sub(rest, 0, n));
        rest = str_skip(rest, n < rest.n ? n : rest.n);
        if (rest.n > 0)
            fold(f);
    }
    buf_clear(&text);
}

static void write_field(const struct dkim_sign *s, size_t key, struct str signature, struct buf *out)
{
    struct folder f = {.out = out};

    add(&f, STR("DKIM-Signature:"));
    add_tag(&f, "v", STR("1"));
    add_tag(&f, "a", str_of(dkim_algorithm_name(s->keys[key].algorithm)));
    add_tag(&f, "c", STR("relaxed/relaxed"));
    add_tag(&f, "d", s->domain);
    add_tag(&f, "s", s->keys[key].selector);
    add_number_tag(&f, "t", s->time);
    if (s->expiry > 0)
        add_number_tag(&f, "x", s->expiry);
    add_names_tag(&f, buf_str(&s->names));
    fold(&f);
    add(&f, STR("bh="));
    add_base64(&f, str_from((const char *)dkim_body_hash(s->body, s->body_number), DKIM_HASH));
    add(&f, STR(";"));
    fold(&f);
    add(&f, STR("b="));
    add_base64(&f, signature);
}

static void hash_for(struct dkim_sign *s, size_t key)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    struct buf field;

    buf_init(&field, FIELD_MAX);
    write_field(s, key, STR(""), &field);
    if (md == NULL || field.failed || EVP_MD_CTX_copy_ex(md, s->fields) != 1)
        fatal("SHA-256 failed");
    dkim_header_hash_own(buf_str(&field), DKIM_RELAXED, md);
    if (EVP_DigestFinal_ex(md, s->hashes[key], NULL) != 1)
        fatal("SHA-256 failed");
    EVP_MD_CTX_free(md);
    buf_clear(&field);
}

void dkim_sign_end(struct dkim_sign *s)
{
    dkim_body_end(s->body);
    for (size_t i = 0; i < s->key_count; i++)
        hash_for(s, i);
}

const unsigned char *dkim_sign_hash(const struct dkim_sign *s, size_t key)
{
    return s->hashes[key];
}

void dkim_sign_write(const struct dkim_sign *s, size_t key, struct str signature, struct buf *out)
{
    write_field(s, key, signature, out);
    buf_add(out, STR("\r\n"));
}
