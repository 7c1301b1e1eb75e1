/* DANE for SMTP (RFC 7672, on RFC 6698 and 7671): which TLSA records can be used, what their lookup means for a server,
 * and whether a certificate chain is one of those they name. Pure functions over DER; OpenSSL does the checking.
 *
 * Used are DANE-TA(2) and DANE-EE(3). PKIX-TA(0) and PKIX-EE(1) count as unusable (3.1.3). */
#pragma once
#include "dns/records.h"
#include "tlsrpt.h"

enum { DANE_RECORDS_MAX = 32, DANE_CHAIN_MAX = 16, DANE_NAMES_MAX = 4, DANE_OCTETS_MAX = 64 * 1024 };

struct dane_set {
    struct dns_tlsa records[DANE_RECORDS_MAX]; /* the usable ones, views into the answer; others beyond them are left out */
    size_t n;
    bool any; /* there were records, usable or not */
};
/* records as in dns_reply. */
void dane_read(struct str records, struct dane_set *set);

/* What the lookup of a server's TLSA records came to. */
enum dane_lookup { DANE_SECURE, DANE_INSECURE /* or proven absent */, DANE_FAILED /* bogus, SERVFAIL, silence */ };
enum dane_plan {
    DANE_OPPORTUNISTIC, /* DANE says nothing: MTA-STS may */
    DANE_ENCRYPT,       /* TLS without looking at the certificate, never clear text: all records are unusable */
    DANE_AUTHENTICATE,  /* TLS with a certificate that dane_verify takes */
    DANE_SKIP,          /* not this server now: the next one, or later */
};
enum dane_plan dane_plan(enum dane_lookup lookup, const struct dane_set *set); /* 2.2 */

/* What a certificate check of OpenSSL (X509_V_...) came to. */
enum tls_result dane_result_of(int error);

struct dane_verdict {
    enum tls_result result;  /* TLS_OK: the server is authenticated */
    const char *reason;      /* OpenSSL's words; "" for TLS_OK */
    int usage;               /* of the record that fits, 2 or 3; -1: none */
};
/* chain: what the server sent, its own certificate first, each DER. names: the TLSA base domain, then other names the server
 * may have (3.2.2), at most DANE_NAMES_MAX; they and the times of the certificates matter for DANE-TA(2) only. */
struct dane_verdict dane_verify(const struct dane_set *set, const struct str *chain, size_t chain_count, const struct str *names,
    size_t name_count, int64_t now_seconds);
