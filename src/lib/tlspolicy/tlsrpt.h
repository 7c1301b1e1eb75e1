/* TLSRPT (RFC 8460): the record that asks for reports, and the report of one day as JSON. Pure. */
#pragma once
#include "base/ip.h"
#include "policy_text.h"

/* What became of TLS with one server, in the words of 4.3. */
enum tls_result {
    TLS_OK,
    TLS_STARTTLS_NOT_SUPPORTED, TLS_CERTIFICATE_HOST_MISMATCH, TLS_CERTIFICATE_EXPIRED, TLS_CERTIFICATE_NOT_TRUSTED,
    TLS_VALIDATION_FAILURE,
    TLS_TLSA_INVALID, TLS_DNSSEC_INVALID, TLS_DANE_REQUIRED,
    TLS_STS_FETCH_ERROR, TLS_STS_POLICY_INVALID, TLS_STS_WEBPKI_INVALID,
};
const char *tls_result_name(enum tls_result result); /* "starttls-not-supported"; "" for TLS_OK */

/* ---- the record ---- */

enum { TLSRPT_URIS_MAX = 10, TLSRPT_URI_MAX = 1000 };
struct tlsrpt_record {
    struct str uris[TLSRPT_URIS_MAX]; /* "mailto:..." or "https://..."; others are left out. Views into the text */
    size_t n;
};
/* Reads the text of a record at "_smtp._tls.DOMAIN". False: it asks for nothing. */
bool tlsrpt_record_read(struct str text, struct tlsrpt_record *record);
/* The address of a "mailto:" (percent signs decoded, what follows '?' left out), canonical; false for another URI. */
bool tlsrpt_mail_address(struct str uri, struct buf *out);

/* ---- the report ---- */

enum tlsrpt_policy_type { TLSRPT_NO_POLICY, TLSRPT_STS, TLSRPT_TLSA };

struct tlsrpt_failure {
    enum tls_result result;
    struct ip sending, receiving;      /* family 0: not known */
    struct str mx, helo, reason;       /* empty: not known */
    uint64_t sessions;
};
struct tlsrpt_policy {
    enum tlsrpt_policy_type type;
    struct str domain;                 /* A-labels */
    const struct str *strings;         /* the policy's lines, or one TLSA record each */
    size_t string_count;
    const struct str *mx;              /* patterns of an MTA-STS policy */
    size_t mx_count;
    uint64_t successful, failed;       /* sessions */
    const struct tlsrpt_failure *failures;
    size_t failure_count;
};
struct tlsrpt_report {
    struct str organization, contact, id;
    int64_t start, end;                /* seconds */
    const struct tlsrpt_policy *policies;
    size_t policy_count;
};
/* Appends the report; text that is no UTF-8 has U+FFFD in it. False: it does not fit under out's ceiling. */
bool tlsrpt_write(const struct tlsrpt_report *report, struct buf *out);
