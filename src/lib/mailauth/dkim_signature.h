/* The DKIM-Signature field (RFC 6376 3.5) as RFC 8301 (no rsa-sha1), RFC 8463 (Ed25519) and RFC 8616
 * (internationalised mail) have changed it, and the two fields of ARC made after it (RFC 8617 4.1). Pure views into
 * the field's value. */
#pragma once
#include "dkim_canon.h"
#include "dns/records.h"
#include "dkim_body.h"

/* The words of RFC 8601 2.7.1. */
enum dkim_result { DKIM_NONE, DKIM_PASS, DKIM_FAIL, DKIM_POLICY, DKIM_NEUTRAL, DKIM_TEMPERROR, DKIM_PERMERROR };
const char *dkim_result_name(enum dkim_result result); /* "pass" */

enum dkim_algorithm { DKIM_RSA_SHA256, DKIM_ED25519_SHA256 };
const char *dkim_algorithm_name(enum dkim_algorithm algorithm); /* "rsa-sha256" */

/* What is wrong and how it is called; reason NULL: nothing. Reasons are literals. */
struct dkim_verdict {
    enum dkim_result result;
    const char *reason;
};

enum dkim_field_kind { DKIM_SIGNATURE = 1, ARC_MESSAGE_SIGNATURE = 2, ARC_SEAL = 4 };
enum { ARC_SETS_MAX = 50 };

enum { DKIM_SIGNATURE_BYTES = 1024 }; /* of an RSA key of 8192 bits */

struct dkim_signature {
    enum dkim_algorithm algorithm;
    struct str algorithm_text;   /* a= as it is written */
    enum dkim_canon header, body; /* c=; without it simple, in fields of ARC relaxed, as the others that make them do */
    struct str domain, selector; /* d=, s= */
    struct str identity;         /* i=; empty: it is "@" and the domain */
    struct str names;            /* h= */
    struct str text;             /* b= as it is written, for header.b of RFC 8601 */
    bool has_length;
    uint64_t length;             /* l=; UINT64_MAX without one */
    uint64_t time, expiry;       /* t=, x= in seconds; 0: not given */
    unsigned instance;           /* i= of ARC, 1 to ARC_SETS_MAX */
    struct str chain_status;     /* cv=: none, pass or fail in any case */
    bool strict_identity;        /* the domain of i= is that of d=, not one below it */
    unsigned char body_hash[DKIM_HASH];
    unsigned char bytes[DKIM_SIGNATURE_BYTES];
    size_t bytes_n;
};

/* Reads what can be read even if something is wrong, so that a report can name the domain. Domain and selector are
 * names (maybe of U-labels) or empty; the other texts are as a stranger wrote them. */
struct dkim_verdict dkim_signature_read(enum dkim_field_kind kind, struct str value, struct dkim_signature *s);
/* Is the signature valid now (seconds)? */
struct dkim_verdict dkim_signature_check_time(const struct dkim_signature *s, uint64_t now);
/* After the end of the body, of which `number` is this signature's hash. */
struct dkim_verdict dkim_signature_check_body(const struct dkim_signature *s, const struct dkim_body *body, size_t number);
/* The name of the key record, A-labels for U-labels. False where there is none that can be asked for. */
bool dkim_signature_key_name(struct str selector, struct str domain, char out[DNS_NAME_TEXT]);
/* Shared with ARC. */
bool dkim_is_domain(struct str name);
