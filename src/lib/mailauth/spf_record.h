/* The grammar of SPF records (RFC 7208 4.6.1, 5, 6, 7.1, 12). Pure views into the record. */
#pragma once
#include "base/ip.h"
#include "base/str.h"

/* RFC 7208 2.6; the names are those of RFC 8601 2.7.2. */
enum spf_result { SPF_NONE, SPF_NEUTRAL, SPF_PASS, SPF_FAIL, SPF_SOFTFAIL, SPF_TEMPERROR, SPF_PERMERROR };
const char *spf_result_name(enum spf_result result); /* "pass" */

enum spf_kind {
    SPF_ALL, SPF_INCLUDE, SPF_A, SPF_MX, SPF_PTR, SPF_IP4, SPF_IP6, SPF_EXISTS, /* mechanisms */
    SPF_REDIRECT, SPF_EXP, SPF_UNKNOWN,                                         /* modifiers */
};

struct spf_term {
    enum spf_kind kind;
    struct str word;        /* all of it, as it is written */
    enum spf_result result; /* of a mechanism that matches: its qualifier */
    struct str domain;      /* domain-spec, unexpanded; empty: the current domain */
    struct ip ip;           /* ip4, ip6: family 4 or 6, also for ::ffff:192.0.2.1 */
    unsigned bits4, bits6;  /* prefix lengths */
};

/* Does the text of a TXT record begin with this version? (4.5) */
bool spf_is_record(struct str text);

enum spf_next { SPF_NEXT_TERM, SPF_NEXT_END, SPF_NEXT_BAD };
/* Cuts the next term off *rest, which begins as the text behind "v=spf1". */
enum spf_next spf_next_term(struct str *rest, struct spf_term *term);
struct spf_record {
    struct str terms;         /* what stands behind "v=spf1" */
    struct str redirect, exp; /* domain-specs of these modifiers, wherever they stand; empty: none */
};

/* False for a syntax error anywhere (4.6). Views into `text`, for which spf_is_record. */
bool spf_read(struct str text, struct spf_record *record);
