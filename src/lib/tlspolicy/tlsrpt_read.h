/* TLS reports of others (RFC 8460 4) read: jansson takes the JSON apart, this what we keep of it. Pure and bounded: a text of
 * TLSRPT_JSON_MAX, TLSRPT_LINES_MAX lines; values are printable ASCII, cut at 255. */
#pragma once
#include "base/arena.h"

enum { TLSRPT_JSON_MAX = 2 * 1024 * 1024, TLSRPT_LINES_MAX = 5000 };

struct tlsrpt_line {
    struct str source; /* address of the server that sent; empty: of all */
    struct str name;   /* of ours that took it, or the domain */
    struct str result; /* "sts successful", "tlsa certificate-expired" */
    uint64_t sessions;
};

struct tlsrpt_read {
    struct str reporter, contact, report_id, domain, policy; /* policy: the types, "sts" */
    int64_t begins, ends; /* seconds */
    struct tlsrpt_line *lines;
    size_t n;
};

/* The arena gets everything. False: it is no report that can be used; *why says why. */
bool tlsrpt_read(struct str json, struct arena *arena, struct tlsrpt_read *out, const char **why);
