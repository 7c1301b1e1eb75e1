/* Writes the Authentication-Results field (RFC 8601 2.2). No value can leave its place: what is no token, address or
 * domain is written as a quoted string; control characters and what is no UTF-8 become '?'; a value over
 * AUTH_RESULTS_VALUE_MAX octets is cut and ends with "...". No line is over 998 octets (RFC 5322 2.1.1).
 *
 * Order: auth_results_begin, then for each result auth_results_add and its properties, then auth_results_end. The typed
 * functions below do it for the methods there are; a property whose value is empty is left out. */
#pragma once
#include "base/buf.h"
#include "base/ip.h"
#include "dmarc.h"
#include "iprev.h"
#include "spf_record.h"

enum {
    AUTH_RESULTS_VALUE_MAX = 300,
    AUTH_RESULTS_FIELD_MAX = 16 * 1024, /* results that do not fit are left out whole */
};

struct auth_results {
    struct buf text;
    size_t line;      /* octets on the last line */
    size_t last;      /* where the last result began */
    unsigned n;       /* results */
    bool utf8;        /* the message is internationalised: values may be written in UTF-8 */
};

/* `authserv_id`: who says it (RFC 8601 2.5). Clear it with auth_results_clear. */
void auth_results_begin(struct auth_results *r, struct str authserv_id, bool utf8);
/* `method` and `result` are keywords of ours; `reason` may be empty. */
void auth_results_add(struct auth_results *r, const char *method, const char *result, struct str reason);
/* Of the result added last: auth_results_property(r, "header", "d", domain). */
void auth_results_property(struct auth_results *r, const char *ptype, const char *property, struct str value);
/* The whole field with its name and last line end ("...; none" without results); valid until auth_results_clear. */
struct str auth_results_end(struct auth_results *r);
void auth_results_clear(struct auth_results *r);

/* ---- the methods ---- */

/* `helo`: that identity was checked, not MAIL FROM. */
void auth_results_spf(struct auth_results *r, enum spf_result result, bool helo, struct str domain, struct str reason);

struct auth_results_dkim {
    const char *result;                           /* of RFC 8601 2.7.1 */
    struct str reason, domain, identity, selector, algorithm; /* header.d, .i, .s, .a */
    struct str signature; /* base64: header.b gets its first 8 characters (RFC 6008) */
};
void auth_results_dkim(struct auth_results *r, const struct auth_results_dkim *signature);
void auth_results_dmarc(struct auth_results *r, const struct dmarc_outcome *outcome);
/* RFC 8617 10; `oldest_pass` below 0: not given. */
void auth_results_arc(struct auth_results *r, const char *result, struct str reason, const struct ip *client, int oldest_pass);
void auth_results_iprev(struct auth_results *r, enum iprev_result result, const struct ip *client);
