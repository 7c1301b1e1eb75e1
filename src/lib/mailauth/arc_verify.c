/* See arc_verify.h. A check is one signature, of a message or of a seal; the checks stand in the order in which they are
 * needed, the first `needed` of them decide about the chain. Each is WAITING for its key, then SIGNED (a message signature
 * that still needs the body), GOOD or BAD. All that is needed of the header is hashed at its end. The seals cover one
 * another, so one running hash serves all of them. */
#include "arc_verify.h"
#include "base/err.h"
#include "dkim_key.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum state { WAITING, SIGNED, GOOD, BAD };

struct check {
    enum state state;
    enum dkim_field_kind kind;
    unsigned instance;
    struct dkim_signature signature;
    unsigned char hash[DKIM_HASH];
    size_t body; /* number of its hash */
    char key_name[DNS_NAME_TEXT];
    struct dkim_verdict verdict; /* of a BAD one */
};

struct arc_verify {
    const struct arc_verify_world *world;
    void *owner;
    uint64_t now;
    struct dkim_header *header;
    struct dkim_body *body;
    struct dkim_key_cache *keys;
    struct arc_chain chain;
    struct str values[ARC_SETS_MAX][ARC_FIELDS]; /* owned */
    struct check *checks;
    size_t n, needed, held; /* held: by the values */
    size_t asked;
    bool asking, body_over, over;
    struct arc_outcome outcome;
};

static const char *const result_names[] = {[ARC_NONE] = "none", [ARC_PASS] = "pass", [ARC_FAIL] = "fail"};

const char *arc_result_name(enum arc_result result)
{
    return result_names[result];
}

struct arc_verify *arc_verify_new(const struct arc_verify_world *world, void *owner, uint64_t now_seconds)
{
    struct arc_verify *v = xcalloc(1, sizeof *v);

    *v = (struct arc_verify){.world = world, .owner = owner, .now = now_seconds, .header = dkim_header_new(),
        .body = dkim_body_new()};
    return v;
}

void arc_verify_free(struct arc_verify *v)
{
    if (v == NULL)
        return;
    for (size_t i = 0; i < ARC_SETS_MAX; i++)
        for (size_t kind = 0; kind < ARC_FIELDS; kind++)
            str_free(&v->values[i][kind]);
    dkim_header_free(v->header);
    dkim_body_free(v->body);
    free(v->checks);
    free(v);
}

size_t arc_verify_held(const struct arc_verify *v)
{
    return sizeof *v + v->held + (v->checks != NULL ? 2 * (size_t)v->chain.n * sizeof *v->checks : 0) + dkim_header_held(v->header) +
           dkim_body_held(v->body);
}

void arc_verify_use_keys(struct arc_verify *v, struct dkim_key_cache *keys)
{
    v->keys = keys;
}

void arc_verify_field(struct arc_verify *v, struct str field)
{
    if (v->header != NULL)
        dkim_header_add(v->header, field);
}

/* ---- the header ---- */

static EVP_MD_CTX *new_hash(void)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
        fatal("SHA-256 is not to be had");
    return md;
}

static void end_hash(EVP_MD_CTX *md, struct check *c)
{
    if (EVP_DigestFinal_ex(md, c->hash, NULL) != 1)
        fatal("SHA-256 failed");
    EVP_MD_CTX_free(md);
}

/* True: nothing is wrong. */
static bool is_good(struct check *c, struct dkim_verdict verdict)
{
    if (verdict.reason != NULL) {
        c->state = BAD;
        c->verdict = verdict;
    }
    return verdict.reason == NULL;
}

/* Reads the field; false: it is BAD already. */
static bool add_check(struct arc_verify *v, enum dkim_field_kind kind, unsigned instance, struct check **out)
{
    struct check *c = *out = &v->checks[v->n++];
    struct str value = v->values[instance - 1][kind == ARC_SEAL ? ARC_FIELD_SEAL : ARC_FIELD_MESSAGE];

    *c = (struct check){.kind = kind, .instance = instance};
    if (!is_good(c, dkim_signature_read(kind, value, &c->signature)) || !is_good(c, dkim_signature_check_time(&c->signature, v->now)))
        return false;
    if (dkim_signature_key_name(c->signature.selector, c->signature.domain, c->key_name))
        return true;
    return is_good(c, (struct dkim_verdict){DKIM_PERMERROR, "the key has no name that can be asked for"});
}

static void add_message_check(struct arc_verify *v, unsigned instance)
{
    size_t number = v->chain.fields[instance - 1][ARC_FIELD_MESSAGE];
    EVP_MD_CTX *md;
    struct check *c;

    if (!add_check(v, ARC_MESSAGE_SIGNATURE, instance, &c))
        return;
    if (!dkim_body_want(v->body, c->signature.body, c->signature.length, &c->body)) {
        (void)is_good(c, (struct dkim_verdict){DKIM_POLICY, "too many different hashes of the body"});
        return;
    }
    md = new_hash();
    dkim_header_hash(v->header, c->signature.names, c->signature.header, number, md);
    dkim_header_hash_own(dkim_header_field(v->header, number), c->signature.header, md);
    end_hash(md, c);
}

static void add_seal_check(struct arc_verify *v, unsigned instance, const EVP_MD_CTX *before)
{
    EVP_MD_CTX *md;
    struct check *c;

    if (!add_check(v, ARC_SEAL, instance, &c))
        return;
    md = EVP_MD_CTX_new();
    if (md == NULL || EVP_MD_CTX_copy_ex(md, before) != 1)
        fatal("SHA-256 failed");
    dkim_header_hash_own(dkim_header_field(v->header, v->chain.fields[instance - 1][ARC_FIELD_SEAL]), DKIM_RELAXED, md);
    end_hash(md, c);
}

/* From the oldest up, since each covers those before it; then turned round. */
static void add_seal_checks(struct arc_verify *v)
{
    EVP_MD_CTX *md = new_hash();
    size_t first = v->n;

    for (unsigned i = 1; i <= v->chain.n; i++) {
        dkim_header_hash_field(v->header, v->chain.fields[i - 1][ARC_FIELD_RESULTS], DKIM_RELAXED, md);
        dkim_header_hash_field(v->header, v->chain.fields[i - 1][ARC_FIELD_MESSAGE], DKIM_RELAXED, md);
        add_seal_check(v, i, md);
        dkim_header_hash_field(v->header, v->chain.fields[i - 1][ARC_FIELD_SEAL], DKIM_RELAXED, md);
    }
    EVP_MD_CTX_free(md);
    for (size_t low = first, high = v->n - 1; low < high; low++, high--) {
        struct check c = v->checks[low];

        v->checks[low] = v->checks[high];
        v->checks[high] = c;
    }
}

static size_t octets_of(const struct dkim_header *header)
{
    size_t n = 1;

    for (size_t i = 0; i < dkim_header_count(header); i++)
        n += dkim_header_field(header, i).n;
    return n;
}

/* A chain that is whole, as far as its structure goes. */
static void take_chain(struct arc_verify *v)
{
    size_t older = ARC_HASHED_MAX / octets_of(v->header);

    for (unsigned i = 1; i <= v->chain.n; i++)
        for (size_t kind = 0; kind < ARC_FIELDS; kind++) {
            v->values[i - 1][kind] = str_dup(dkim_header_value(v->header, v->chain.fields[i - 1][kind]));
            v->held += v->values[i - 1][kind].n;
        }
    v->checks = xcalloc(2 * (size_t)v->chain.n, sizeof *v->checks);
    add_message_check(v, v->chain.n);
    if (v->checks[0].state != BAD)
        add_seal_checks(v);
    v->needed = v->n;
    for (unsigned i = v->chain.n - 1; i > 0 && older > 0 && v->checks[v->n - 1].state != BAD; i--, older--)
        add_message_check(v, i);
}

/* ---- the result ---- */

static void fail(struct arc_verify *v, const char *reason, unsigned instance, bool dns_failed)
{
    v->outcome = (struct arc_outcome){.result = ARC_FAIL, .reason = reason, .instance = instance, .dns_failed = dns_failed};
}

static void check_bodies(struct arc_verify *v)
{
    for (size_t i = 0; i < v->n; i++) {
        struct check *c = &v->checks[i];

        if (c->state == SIGNED && is_good(c, dkim_signature_check_body(&c->signature, v->body, c->body)))
            c->state = GOOD;
    }
}

/* Everything needed is GOOD; of the older message signatures those down to the first that is not. */
static void pass(struct arc_verify *v)
{
    const struct check *newest = &v->checks[0];
    uint64_t length = dkim_body_length(v->body, newest->body);
    size_t i = v->needed;

    v->outcome = (struct arc_outcome){.result = ARC_PASS, .reason = "", .sets = v->chain.n, .oldest_pass = v->chain.n};
    while (i < v->n && v->checks[i].state == GOOD)
        v->outcome.oldest_pass = v->checks[i++].instance;
    if (v->outcome.oldest_pass == 1)
        v->outcome.oldest_pass = 0;
    if (newest->signature.has_length && newest->signature.length < length)
        v->outcome.unsigned_octets = length - newest->signature.length;
}

static const struct check *first_bad(const struct arc_verify *v)
{
    for (size_t i = 0; i < v->needed; i++)
        if (v->checks[i].state == BAD)
            return &v->checks[i];
    return NULL;
}

static void conclude(struct arc_verify *v)
{
    const struct check *bad = first_bad(v);

    if (v->chain.reason != NULL)
        fail(v, v->chain.reason, v->chain.instance, false);
    else if (bad != NULL)
        fail(v, bad->verdict.reason, bad->instance, bad->verdict.result == DKIM_TEMPERROR);
    else if (v->chain.present)
        pass(v);
    else
        v->outcome = (struct arc_outcome){.result = ARC_NONE, .reason = ""};
    v->over = true;
    v->world->done(v->owner);
}

/* The next check whose key is wanted; SIZE_MAX: no answer can change anything any more. */
static size_t next_question(const struct arc_verify *v)
{
    for (size_t i = 0; i < v->n; i++) {
        if (v->checks[i].state == BAD)
            return SIZE_MAX;
        if (v->checks[i].state == WAITING)
            return i;
    }
    return SIZE_MAX;
}

static void go_on(struct arc_verify *v)
{
    size_t next;

    if (v->asking || v->over)
        return;
    if (v->body_over)
        check_bodies(v);
    next = next_question(v);
    if (next != SIZE_MAX) {
        v->asking = true;
        v->asked = next;
        v->world->ask(v->owner, str_of(v->checks[next].key_name), DNS_TXT);
    } else if (v->body_over) {
        conclude(v);
    }
}

void arc_verify_header_end(struct arc_verify *v)
{
    arc_chain_read(v->header, &v->chain);
    if (v->chain.present && v->chain.reason == NULL)
        take_chain(v);
    dkim_header_free(v->header);
    v->header = NULL;
    go_on(v);
}

void arc_verify_body(struct arc_verify *v, struct str bytes)
{
    dkim_body_add(v->body, bytes);
}

void arc_verify_end(struct arc_verify *v)
{
    dkim_body_end(v->body);
    v->body_over = true;
    go_on(v);
}

/* ---- keys ---- */

static void take_answer(struct dkim_key_cache *keys, struct check *c, enum dns_status status, struct str records)
{
    const struct dkim_signature *s = &c->signature;
    struct dkim_verdict verdict;
    struct dkim_key *key = dkim_key_of_answer(keys, status, records, s, &verdict);

    if (!is_good(c, verdict))
        return;
    c->state = c->kind == ARC_SEAL ? GOOD : SIGNED;
    if (!dkim_key_verify(key, c->hash, str_from((const char *)s->bytes, s->bytes_n)))
        (void)is_good(c, (struct dkim_verdict){DKIM_FAIL, c->kind == ARC_SEAL ? "a seal is not right" : "the signature is not right"});
    dkim_key_free(key);
}

void arc_verify_answer(struct arc_verify *v, enum dns_status status, struct str records)
{
    struct str name;

    if (!v->asking)
        return;
    v->asking = false;
    name = str_of(v->checks[v->asked].key_name);
    for (size_t i = 0; i < v->n; i++)
        if (v->checks[i].state == WAITING && str_ieq(str_of(v->checks[i].key_name), name))
            take_answer(v->keys, &v->checks[i], status, records);
    go_on(v);
}

void arc_verify_give_up(struct arc_verify *v)
{
    v->asking = false;
    for (size_t i = 0; i < v->n; i++)
        if (v->checks[i].state == WAITING)
            (void)is_good(&v->checks[i], (struct dkim_verdict){DKIM_TEMPERROR, "DNS took too long for the key"});
    go_on(v);
}

/* ---- what came of it ---- */

const struct arc_outcome *arc_verify_outcome(const struct arc_verify *v)
{
    return &v->outcome;
}

struct arc_set arc_verify_set(const struct arc_verify *v, unsigned instance)
{
    struct arc_set set = {.domain = STR("")};

    for (size_t i = 0; i < v->needed; i++)
        if (v->checks[i].kind == ARC_SEAL && v->checks[i].instance == instance) {
            set.domain = v->checks[i].signature.domain;
            set.selector = v->checks[i].signature.selector;
        }
    (void)arc_read_instance(v->values[instance - 1][ARC_FIELD_RESULTS], &set.results);
    return set;
}
