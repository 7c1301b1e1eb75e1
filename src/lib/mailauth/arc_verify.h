/* The Authenticated Received Chain of one message, verified while it streams past (RFC 8617 5.2): a pure machine.
 *
 *   fields --- arc_verify_header_end ---> body --- arc_verify_end ---> (questions open) ---> done
 *
 * Keys are asked for as dkim_verify.h does it: first that of the newest message signature, then those of the seals from
 * the newest down, then those of older message signatures, from which "oldest-pass" comes. Nothing is asked for any more
 * as soon as the result is known. All failures are lasting ones (5.2.1): also of DNS, though the outcome says so.
 *
 * Bounded: ARC_SETS_MAX sets; of older message signatures as many as the header can be hashed for with ARC_HASHED_MAX
 * octets. */
#pragma once
#include "arc_chain.h"
#include "dkim_key_cache.h"
#include "ipc/messages.h"

enum { ARC_HASHED_MAX = 4 * 1024 * 1024 };

struct arc_verify;

struct arc_verify_world {
    void (*ask)(void *owner, struct str name, unsigned type); /* TXT */
    void (*done)(void *owner); /* once, after arc_verify_end: from inside it, arc_verify_answer or .._give_up */
};

enum arc_result { ARC_NONE, ARC_PASS, ARC_FAIL };
const char *arc_result_name(enum arc_result result); /* "pass" */

struct arc_outcome {
    enum arc_result result;
    const char *reason;       /* in words; "" for none and pass */
    unsigned instance;        /* the set in which it failed; 0: not known, or it did not */
    unsigned sets;            /* of a chain that passed */
    unsigned oldest_pass;     /* of a chain that passed (6): the oldest set whose message signature still fits, 0: all fit */
    bool dns_failed;          /* it failed only because DNS did */
    uint64_t unsigned_octets; /* how much of the body l= of the newest message signature leaves out */
};

/* One set of a chain that passed; views are valid until arc_verify_free. */
struct arc_set {
    struct str domain, selector; /* of who sealed it */
    struct str results;          /* what it found: authserv-id and results, for auth_results_read_head */
};

struct arc_verify *arc_verify_new(const struct arc_verify_world *world, void *owner, uint64_t now_seconds);
void arc_verify_free(struct arc_verify *v);
size_t arc_verify_held(const struct arc_verify *v); /* bytes of memory, about */
/* Keys of the messages before; they must live as long. Without it every key is made anew. */
void arc_verify_use_keys(struct arc_verify *v, struct dkim_key_cache *keys);
void arc_verify_field(struct arc_verify *v, struct str field); /* whole, in order */
void arc_verify_header_end(struct arc_verify *v);
void arc_verify_body(struct arc_verify *v, struct str bytes);
void arc_verify_end(struct arc_verify *v);
void arc_verify_answer(struct arc_verify *v, enum dns_status status, struct str records);
void arc_verify_give_up(struct arc_verify *v);

/* After done. */
const struct arc_outcome *arc_verify_outcome(const struct arc_verify *v);
/* instance: 1 to outcome.sets. */
struct arc_set arc_verify_set(const struct arc_verify *v, unsigned instance);
