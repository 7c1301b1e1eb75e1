/* Macros of SPF (RFC 7208 7; RFC 8616 4 for local parts outside ASCII). */
#pragma once
#include "base/buf.h"
#include "base/ip.h"
#include "base/str.h"

/* What the letters stand for. */
struct spf_names {
    struct str local, sender_domain; /* l, o; s is both */
    struct str domain;               /* d: the current one */
    struct str helo;                 /* h */
    struct str validated;            /* p: "unknown" where there is none */
    struct str receiver;             /* r */
    struct ip ip;                    /* i, c, v */
    int64_t now;                     /* t, wall time in microseconds */
};

/* Syntax. A domain-spec ends in a top label or in a macro. */
bool spf_is_macro_string(struct str s);
bool spf_is_domain_spec(struct str s);
bool spf_uses_validated(struct str s); /* is there a %{p}? It has to be looked up first */
/* Expands a domain-spec; a name that is too long loses labels on the left (7.3). False when it has no
 * value: a local part outside ASCII (RFC 8616), or longer than anything. */
bool spf_expand_domain(struct str spec, const struct spf_names *names, struct buf *out);
/* Expands the text of an explanation, where c, r and t may be used too. False for a syntax error. */
bool spf_expand_text(struct str text, const struct spf_names *names, struct buf *out);
