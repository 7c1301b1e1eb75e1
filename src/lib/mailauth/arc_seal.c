/* See arc_seal.h. What the seal covers of older sets is hashed at the end of the header, so that the header can go then. */
#include "arc_seal.h"
#include "base/err.h"
#include "dkim_write.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum { FIELD_MAX = 32 * 1024 };

enum step { STREAMING, MESSAGE, SEAL, SEALED };

struct arc_seal {
    struct str domain, selector; /* owned */
    enum dkim_algorithm algorithm;
    uint64_t time;
    enum step step;
    struct dkim_header *header;
    struct dkim_body *body;
    size_t body_number;
    struct buf names;         /* h= */
    EVP_MD_CTX *fields;       /* those of h= */
    EVP_MD_CTX *older;        /* the sets there are */
    bool present, whole;      /* there is a chain; its structure is right */
    unsigned instance;        /* of the set that is made */
    enum arc_result chain;
    unsigned char hash[DKIM_HASH];
    struct buf results, message, seal; /* the fields, without their line end */
};

static EVP_MD_CTX *new_hash(void)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
        fatal("SHA-256 is not to be had");
    return md;
}

struct arc_seal *arc_seal_new(struct str domain, struct str selector, enum dkim_algorithm algorithm, uint64_t now_seconds)
{
    struct arc_seal *s = xcalloc(1, sizeof *s);

    *s = (struct arc_seal){.time = now_seconds, .header = dkim_header_new(), .body = dkim_body_new(), .fields = new_hash(), .older = new_hash()};
    if (domain.n > 0 && !arc_seal_set_key(s, domain, selector, algorithm)) {
        arc_seal_free(s);
        return NULL;
    }
    if (!dkim_body_want(s->body, DKIM_RELAXED, UINT64_MAX, &s->body_number))
        fatal("no room for the hash of a body");
    buf_init(&s->names, DKIM_NAMES_MAX);
    buf_init(&s->results, FIELD_MAX);
    buf_init(&s->message, FIELD_MAX);
    buf_init(&s->seal, FIELD_MAX);
    return s;
}

bool arc_seal_set_key(struct arc_seal *s, struct str domain, struct str selector, enum dkim_algorithm algorithm)
{
    char name[DNS_NAME_TEXT];

    if (!dkim_is_domain(domain) || !dkim_signature_key_name(selector, domain, name))
        return false;
    str_free(&s->domain);
    str_free(&s->selector);
    s->domain = str_dup(domain);
    s->selector = str_dup(selector);
    s->algorithm = algorithm;
    return true;
}

void arc_seal_free(struct arc_seal *s)
{
    if (s == NULL)
        return;
    str_free(&s->domain);
    str_free(&s->selector);
    dkim_header_free(s->header);
    dkim_body_free(s->body);
    EVP_MD_CTX_free(s->fields);
    EVP_MD_CTX_free(s->older);
    buf_clear(&s->names);
    buf_clear(&s->results);
    buf_clear(&s->message);
    buf_clear(&s->seal);
    free(s);
}

/* ---- the message ---- */

void arc_seal_field(struct arc_seal *s, struct str field)
{
    dkim_header_add(s->header, field);
}

static void hash_older(struct arc_seal *s, const struct arc_chain *chain)
{
    for (unsigned i = 0; i < chain->n; i++)
        for (size_t kind = 0; kind < ARC_FIELDS; kind++)
            dkim_header_hash_field(s->header, chain->fields[i][kind], DKIM_RELAXED, s->older);
}

bool arc_seal_header_end(struct arc_seal *s)
{
    struct arc_chain chain;
    bool ok;

    arc_chain_read(s->header, &chain);
    s->present = chain.present;
    s->whole = chain.reason == NULL;
    s->instance = chain.n + 1;
    ok = !chain.broken && chain.n < ARC_SETS_MAX && dkim_choose_names(s->header, true, &s->names);
    if (ok)
        dkim_header_hash(s->header, buf_str(&s->names), DKIM_RELAXED, SIZE_MAX, s->fields);
    if (ok && s->whole)
        hash_older(s, &chain);
    dkim_header_free(s->header);
    s->header = NULL;
    return ok;
}

void arc_seal_body(struct arc_seal *s, struct str bytes)
{
    dkim_body_add(s->body, bytes);
}

void arc_seal_end(struct arc_seal *s)
{
    dkim_body_end(s->body);
}

/* ---- the fields ---- */

static void begin_field(const struct arc_seal *s, struct dkim_writer *w, struct buf *out, const char *name)
{
    buf_reset(out);
    dkim_write_begin(w, out, name);
    dkim_write_number(w, "i", s->instance);
    dkim_write_tag(w, "a", str_of(dkim_algorithm_name(s->algorithm)));
}

static void end_field(const struct arc_seal *s, struct dkim_writer *w)
{
    dkim_write_tag(w, "d", s->domain);
    dkim_write_tag(w, "s", s->selector);
    dkim_write_number(w, "t", s->time);
}

static void write_message(struct arc_seal *s, struct str signature)
{
    struct dkim_writer w;

    begin_field(s, &w, &s->message, "ARC-Message-Signature:");
    dkim_write_tag(&w, "c", STR("relaxed/relaxed"));
    end_field(s, &w);
    dkim_write_names(&w, buf_str(&s->names));
    dkim_write_body_hash(&w, dkim_body_hash(s->body, s->body_number));
    dkim_write_signature(&w, signature);
}

static void write_seal(struct arc_seal *s, struct str signature)
{
    struct dkim_writer w;

    begin_field(s, &w, &s->seal, "ARC-Seal:");
    dkim_write_tag(&w, "cv", str_of(arc_result_name(s->chain)));
    end_field(s, &w);
    dkim_write_signature(&w, signature);
}

/* The hash of what `before` has read, of this set's fields in `more`, and of the field itself. */
static void make_hash(struct arc_seal *s, const EVP_MD_CTX *before, const struct buf *const more[2], const struct buf *own)
{
    EVP_MD_CTX *md = new_hash();
    struct buf canonical;

    if (before != NULL && EVP_MD_CTX_copy_ex(md, before) != 1)
        fatal("SHA-256 failed");
    for (size_t i = 0; i < 2 && more[i] != NULL; i++) {
        buf_init(&canonical, FIELD_MAX + 2);
        dkim_canon_field(DKIM_RELAXED, buf_str(more[i]), &canonical);
        buf_add(&canonical, STR("\r\n"));
        if (EVP_DigestUpdate(md, canonical.p, canonical.n) != 1)
            fatal("SHA-256 failed");
        buf_clear(&canonical);
    }
    dkim_header_hash_own(buf_str(own), DKIM_RELAXED, md);
    if (EVP_DigestFinal_ex(md, s->hash, NULL) != 1)
        fatal("SHA-256 failed");
    EVP_MD_CTX_free(md);
}

bool arc_seal_begin(struct arc_seal *s, enum arc_result chain, struct str results)
{
    ptrdiff_t colon = str_find(results, ':');

    if (s->domain.n == 0 || (chain == ARC_NONE) == s->present || (chain == ARC_PASS && !s->whole) || colon < 0)
        return false;
    s->chain = chain;
    buf_addf(&s->results, "ARC-Authentication-Results: i=%u; ", s->instance);
    buf_add(&s->results, str_trim(str_skip(results, (size_t)colon + 1)));
    write_message(s, STR(""));
    if (s->results.failed || s->message.failed)
        return false;
    make_hash(s, s->fields, (const struct buf *const[2]){NULL}, &s->message);
    s->step = MESSAGE;
    return true;
}

const unsigned char *arc_seal_hash(const struct arc_seal *s)
{
    return s->step == MESSAGE || s->step == SEAL ? s->hash : NULL;
}

/* The seal of a chain that failed covers its own set only (5.1.2). */
void arc_seal_sign(struct arc_seal *s, struct str signature)
{
    const EVP_MD_CTX *older = s->chain == ARC_FAIL ? NULL : s->older;

    if (s->step == MESSAGE) {
        write_message(s, signature);
        write_seal(s, STR(""));
        make_hash(s, older, (const struct buf *const[2]){&s->results, &s->message}, &s->seal);
        s->step = SEAL;
    } else if (s->step == SEAL) {
        write_seal(s, signature);
        s->step = SEALED;
    }
}

void arc_seal_write(const struct arc_seal *s, struct buf *out)
{
    const struct buf *const fields[] = {&s->seal, &s->message, &s->results};

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        buf_add(out, buf_str(fields[i]));
        buf_add(out, STR("\r\n"));
    }
}
