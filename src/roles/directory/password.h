/* Passwords: made into verifiers, checked against them. A check costs about 20 ms of Argon2id on
 * purpose; a password that was right is remembered for a few minutes as a keyed hash of (verifier,
 * password), so that a program that logs in for every message does not pay it each time. The memory
 * of it is bounded, cannot be turned back into a password, and is worthless once the password was
 * changed. */
#pragma once
#include "store.h"

enum {
    PASSWORD_MAX = 1024,         /* octets, before and after preparation */
    PASSWORD_ITERATIONS = 10000, /* of SCRAM */
    PASSWORD_REMEMBERED = 4096,  /* entries, 40 bytes each */
};

struct password_cache {
    uint8_t key[32];
    struct remembered {
        uint8_t tag[32];
        int64_t until; /* monotonic */
    } entries[PASSWORD_REMEMBERED];
};

void password_cache_init(struct password_cache *cache);
void password_cache_wipe(struct password_cache *cache);

/* Makes the verifier of a new password. False (bad input) when it is empty, too long, holds control
 * characters or what SASLprep (RFC 4013) forbids. */
MUST_CHECK bool password_make(struct str password, struct verifier *out, struct err *err);
/* Whether the password is the one. A verifier with an empty hash is that of nobody: it takes as
 * long and is never right. `now` is monotonic. */
bool password_check(
    struct password_cache *cache, const struct verifier *v, struct str password, int64_t now);
/* What SCRAM shows for a login that does not exist: always the same for the same name. */
void password_invent(const uint8_t secret[32], struct str name, struct verifier *out);
