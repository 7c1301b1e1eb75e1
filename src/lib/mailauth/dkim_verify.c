/* See dkim_verify.h. A signature is DECIDED as soon as its result is known; until then it needs its key (WAITING),
 * and then its body (SIGNED: the signature itself is right). All that is needed of the header is hashed at its
 * end, so that the header can go then. */
#include "dkim_verify.h"
#include "base/err.h"
#include "dkim_key.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum state { WAITING, SIGNED, DECIDED };

struct one {
    enum state state;
    struct dkim_signature signature;
    struct dkim_outcome outcome;
    struct str value; /* owned: the outcome's views are into it */
    unsigned char hash[DKIM_HASH];
    size_t body;      /* number of its hash */
    bool urgent;
    char key_name[DNS_NAME_TEXT];
};

struct dkim_verify {
    const struct dkim_verify_world *world;
    void *owner;
    uint64_t now;
    struct dkim_header *header;
    struct dkim_body *body;
    struct dkim_key_cache *keys;
    struct one *all[DKIM_SIGNATURES_MAX];
    size_t n, not_looked_at;
    size_t held, hashed; /* by the signatures; octets of the header, for them */
    size_t asked; /* the signature whose key is being asked for */
    bool asking, body_over, over;
};

struct dkim_verify *dkim_verify_new(const struct dkim_verify_world *world, void *owner, uint64_t now_seconds)
{
    struct dkim_verify *v = xcalloc(1, sizeof *v);

    *v = (struct dkim_verify){.world = world, .owner = owner, .now = now_seconds, .header = dkim_header_new(),
        .body = dkim_body_new()};
    return v;
}

void dkim_verify_free(struct dkim_verify *v)
{
    if (v == NULL)
        return;
    for (size_t i = 0; i < v->n; i++) {
        str_free(&v->all[i]->value);
        free(v->all[i]);
    }
    dkim_header_free(v->header);
    dkim_body_free(v->body);
    free(v);
}

size_t dkim_verify_held(const struct dkim_verify *v)
{
    return sizeof *v + v->held + dkim_header_held(v->header) + dkim_body_held(v->body);
}

static void decide(struct one *one, enum dkim_result result, const char *reason)
{
    one->state = DECIDED;
    one->outcome.result = result;
    one->outcome.reason = reason;
}

/* True: nothing is wrong. */
static bool is_good(struct one *one, struct dkim_verdict verdict)
{
    if (verdict.reason != NULL)
        decide(one, verdict.result, verdict.reason);
    return verdict.reason == NULL;
}

/* ---- the header ---- */

void dkim_verify_use_keys(struct dkim_verify *v, struct dkim_key_cache *keys)
{
    v->keys = keys;
}

void dkim_verify_field(struct dkim_verify *v, struct str field)
{
    if (v->header != NULL)
        dkim_header_add(v->header, field);
}

static void hash_header(struct dkim_verify *v, struct one *one, size_t number)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
        fatal("SHA-256 is not to be had");
    v->hashed += dkim_header_hash(v->header, one->signature.names, one->signature.header, number, md);
    dkim_header_hash_own(dkim_header_field(v->header, number), one->signature.header, md);
    if (EVP_DigestFinal_ex(md, one->hash, NULL) != 1)
        fatal("SHA-256 failed");
    EVP_MD_CTX_free(md);
}

static void describe(struct one *one)
{
    const struct dkim_signature *s = &one->signature;

    one->outcome = (struct dkim_outcome){.reason = "", .domain = s->domain, .selector = s->selector, .identity = s->identity,
        .text = s->text, .algorithm = s->algorithm_text, .has_length = s->has_length};
}

static void take_signature(struct dkim_verify *v, size_t number)
{
    struct one *one = xcalloc(1, sizeof *one);
    struct dkim_verdict verdict;

    v->all[v->n++] = one;
    one->value = str_dup(dkim_header_value(v->header, number));
    v->held += sizeof *one + one->value.n;
    verdict = dkim_signature_read(DKIM_SIGNATURE, one->value, &one->signature);
    describe(one);
    if (!is_good(one, verdict) || !is_good(one, dkim_signature_check_time(&one->signature, v->now)))
        return;
    if (!dkim_signature_key_name(one->signature.selector, one->signature.domain, one->key_name))
        decide(one, DKIM_PERMERROR, "the key has no name that can be asked for");
    else if (!dkim_body_want(v->body, one->signature.body, one->signature.length, &one->body))
        decide(one, DKIM_POLICY, "too many different hashes of the body");
    else if (v->hashed > DKIM_HASHED_MAX)
        decide(one, DKIM_POLICY, "the signatures together cover too much");
    else
        hash_header(v, one, number);
    one->urgent = v->world->is_urgent != NULL && v->world->is_urgent(v->owner, one->signature.domain);
}

/* ---- the end ---- */

static void check_body(struct dkim_verify *v, struct one *one)
{
    const struct dkim_signature *s = &one->signature;
    uint64_t length = dkim_body_length(v->body, one->body);

    if (is_good(one, dkim_signature_check_body(s, v->body, one->body)))
        decide(one, DKIM_PASS, "");
    if (s->has_length && s->length < length)
        one->outcome.unsigned_octets = length - s->length;
}

static bool decide_all(struct dkim_verify *v)
{
    bool all = true;

    for (size_t i = 0; i < v->n; i++) {
        if (v->all[i]->state == SIGNED && v->body_over)
            check_body(v, v->all[i]);
        all &= v->all[i]->state == DECIDED;
    }
    return all;
}

/* The signature whose key is to be asked for next; the number of signatures: none is. */
static size_t next_waiting(const struct dkim_verify *v)
{
    size_t next = v->n;

    for (size_t i = 0; i < v->n; i++) {
        if (v->all[i]->state != WAITING)
            continue;
        if (v->all[i]->urgent)
            return i;
        if (next == v->n)
            next = i;
    }
    return next;
}

/* Asks for the next key, or ends. */
static void go_on(struct dkim_verify *v)
{
    size_t next;

    if (v->asking || v->over)
        return;
    next = next_waiting(v);
    if (next < v->n) {
        v->asking = true;
        v->asked = next;
        v->world->ask(v->owner, str_of(v->all[next]->key_name), DNS_TXT);
        return;
    }
    if (!v->body_over || !decide_all(v))
        return;
    v->over = true;
    v->world->done(v->owner);
}

void dkim_verify_header_end(struct dkim_verify *v)
{
    size_t count = dkim_header_count(v->header);

    for (size_t i = 0; i < count; i++) {
        if (!str_ieq(dkim_header_name(v->header, i), STR("DKIM-Signature")))
            continue;
        if (v->n == DKIM_SIGNATURES_MAX || dkim_header_is_too_large(v->header))
            v->not_looked_at++;
        else
            take_signature(v, i);
    }
    dkim_header_free(v->header);
    v->header = NULL;
    go_on(v);
}

void dkim_verify_body(struct dkim_verify *v, struct str bytes)
{
    dkim_body_add(v->body, bytes);
}

void dkim_verify_end(struct dkim_verify *v)
{
    dkim_body_end(v->body);
    v->body_over = true;
    go_on(v);
}

/* ---- keys ---- */

static void take_answer(struct dkim_key_cache *keys, struct one *one, enum dns_status status, struct str records)
{
    const struct dkim_signature *s = &one->signature;
    struct dkim_verdict verdict;
    struct dkim_key *key = dkim_key_of_answer(keys, status, records, s, &verdict);

    if (!is_good(one, verdict))
        return;
    one->outcome.key_bits = dkim_key_bits(key);
    one->outcome.testing = dkim_key_is_testing(key);
    one->state = SIGNED;
    if (!dkim_key_verify(key, one->hash, str_from((const char *)s->bytes, s->bytes_n)))
        decide(one, DKIM_FAIL, "the signature is not right");
    dkim_key_free(key);
}

void dkim_verify_answer(struct dkim_verify *v, enum dns_status status, struct str records)
{
    struct str name;

    if (!v->asking)
        return;
    v->asking = false;
    name = str_of(v->all[v->asked]->key_name);
    for (size_t i = 0; i < v->n; i++)
        if (v->all[i]->state == WAITING && str_ieq(str_of(v->all[i]->key_name), name))
            take_answer(v->keys, v->all[i], status, records);
    go_on(v);
}

void dkim_verify_give_up(struct dkim_verify *v)
{
    v->asking = false;
    for (size_t i = 0; i < v->n; i++)
        if (v->all[i]->state == WAITING)
            decide(v->all[i], DKIM_TEMPERROR, "DNS took too long for the key");
    go_on(v);
}

/* ---- what came of it ---- */

size_t dkim_verify_count(const struct dkim_verify *v)
{
    return v->n;
}

const struct dkim_outcome *dkim_verify_outcome(const struct dkim_verify *v, size_t number)
{
    return &v->all[number]->outcome;
}

size_t dkim_verify_not_looked_at(const struct dkim_verify *v)
{
    return v->not_looked_at;
}
