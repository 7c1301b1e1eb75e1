/* What the world sees of a certificate: whom it is for, until when, who signed it, and the digest that a TLSA record has. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum { OUTSIDE_NAMES = 50, OUTSIDE_NAME = 256 };

struct outside_certificate {
    bool there;
    bool self_signed;
    int64_t not_before, not_after;  /* wall time, microseconds */
    unsigned char spki[32];         /* SHA-256 of the public key: TLSA 3 1 1 */
    char names[OUTSIDE_NAMES][OUTSIDE_NAME]; /* DNS names, lower case; of too many the first ones */
    size_t name_count;
    char issuer[OUTSIDE_NAME];      /* its organization, else its name, printable */
};

/* Reads the first certificate of a PEM chain. */
MUST_CHECK bool outside_certificate_read(struct str pem, struct outside_certificate *out, struct err *err);
/* All certificates of a PEM chain as DER, in its order; those that do not fit into `room` or the arena are left out. */
size_t outside_certificate_chain(struct str pem, struct arena *arena, struct str *out, size_t room);
/* Is it for this name? "*." stands for one label (RFC 6125 6.4.3). */
bool outside_certificate_covers(const struct outside_certificate *c, struct str name);
/* What a CAA record calls the authority that signed it; NULL: not known, or itself. */
const char *outside_certificate_caa(const struct outside_certificate *c);
