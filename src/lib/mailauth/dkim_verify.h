/* The DKIM signatures of one message, verified while it streams past (RFC 6376 6): a pure machine.
 *
 *   fields --- dkim_verify_header_end ---> body --- dkim_verify_end ---> (questions open) ---> done
 *
 * Keys are asked for through `ask`, one question at a time, from the end of the header on; signatures whose key
 * has the same name share its answer; those of domains that are urgent are asked for first, so that no name server of a stranger
 * keeps them waiting. An answer comes in with dkim_verify_answer, whenever it comes. The owner
 * ends the wait with dkim_verify_give_up: temperror for what is still open.
 *
 * Bounded: DKIM_SIGNATURES_MAX are looked at, from the top; of the others only the number is known. When DKIM_HASHED_MAX octets
 * of the header were hashed for those above, a signature is not verified (policy). */
#pragma once
#include "dkim_body.h"
#include "dkim_header.h"
#include "dkim_signature.h"
#include "dkim_key_cache.h"
#include "ipc/messages.h"

enum { DKIM_SIGNATURES_MAX = 16, DKIM_HASHED_MAX = 2 * 1024 * 1024 };

struct dkim_verify;

struct dkim_verify_world {
    void (*ask)(void *owner, struct str name, unsigned type); /* TXT */
    void (*done)(void *owner); /* once, after dkim_verify_end: from inside it, dkim_verify_answer or .._give_up */
    bool (*is_urgent)(void *owner, struct str domain); /* asked at the end of the header; NULL: none is */
};

/* What became of one signature. The views are valid until dkim_verify_free; what the signature does not say, or
 * not in a form that can be read, is empty. Domain and selector are names; identity, text and algorithm are as a
 * stranger wrote them. */
struct dkim_outcome {
    enum dkim_result result;
    const char *reason;          /* in words; "" for pass */
    struct str domain, selector; /* header.d, header.s */
    struct str identity;         /* header.i; empty: "@" and the domain */
    struct str text;             /* b=, of which header.b shows the beginning */
    struct str algorithm;        /* header.a */
    unsigned key_bits;           /* 0: there is no key */
    bool testing;                /* the key says t=y */
    bool has_length;             /* l= is there: the body may have been added to */
    uint64_t unsigned_octets;    /* how much of the body l= leaves out */
};

struct dkim_verify *dkim_verify_new(const struct dkim_verify_world *world, void *owner, uint64_t now_seconds);
void dkim_verify_free(struct dkim_verify *v);
size_t dkim_verify_held(const struct dkim_verify *v); /* bytes of memory, about */
/* Keys of the messages before; they must live as long. Without it every key is made anew. */
void dkim_verify_use_keys(struct dkim_verify *v, struct dkim_key_cache *keys);
void dkim_verify_field(struct dkim_verify *v, struct str field); /* whole, in order */
void dkim_verify_header_end(struct dkim_verify *v);
void dkim_verify_body(struct dkim_verify *v, struct str bytes);
void dkim_verify_end(struct dkim_verify *v);
void dkim_verify_answer(struct dkim_verify *v, enum dns_status status, struct str records);
void dkim_verify_give_up(struct dkim_verify *v);

/* After done. */
size_t dkim_verify_count(const struct dkim_verify *v);
const struct dkim_outcome *dkim_verify_outcome(const struct dkim_verify *v, size_t number);
size_t dkim_verify_not_looked_at(const struct dkim_verify *v);
