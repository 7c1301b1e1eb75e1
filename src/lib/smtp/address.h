/* Mail addresses of the envelope (RFC 5321 4.1.2, RFC 6531 3.3). Parsing gives views into the text
 * that was parsed; address_write makes the one canonical text that all roles store and compare.
 *
 * Canonical: the local part as it came, quoted only where it must be; the domain in lower case and,
 * where it has letters outside ASCII, as A-labels (IDNA 2008, nontransitional); literals in the form
 * "[192.0.2.1]" and "[IPv6:2001:db8::1]". */
#pragma once
#include "base/buf.h"
#include "base/ip.h"

/* Octets. RFC 5321 4.5.3.1 asks for 64, 255 and 256 at least; return paths with a signature or another
 * address inside (VERP, SRS, reply addresses of services) are longer in the field. */
enum {
    ADDRESS_LOCAL_MAX = 255,
    ADDRESS_DOMAIN_MAX = 255,
    ADDRESS_TEXT_MAX = 1000, /* canonical text, quoting included; fits IPC_ADDRESS */
};

enum address_flags {
    ADDRESS_UTF8 = 1 << 0,        /* letters outside ASCII are allowed in both halves */
    ADDRESS_LOCAL_ONLY = 1 << 1,  /* no "@domain" needed: <postmaster>, names given to sendmail */
    ADDRESS_NULL = 1 << 2,        /* <> is allowed */
};

struct address {
    struct str local;  /* as written, with its quotes; empty for <> */
    struct str domain; /* as written, with its brackets; empty for <> and local-only */
    bool quoted;       /* local is a quoted string */
    bool literal;      /* domain is an address literal */
    bool utf8;         /* anything is not ASCII */
    struct ip ip;      /* of a literal; family 0 for a general literal ([tag:...]) */
};

/* Reads a path in angle brackets at the start of *rest and moves *rest behind it; a source route
 * (@a,@b:) is read and ignored. False with a reason for people in *why, *rest unchanged. */
bool address_parse_path(struct str *rest, unsigned flags, struct address *a, const char **why);
/* The whole of text is one mailbox without brackets. */
bool address_parse(struct str text, unsigned flags, struct address *a, const char **why);

/* Appends the canonical text; nothing for the null address. False (with *why) when the domain cannot
 * be an A-label or the result is too long. */
bool address_write(const struct address *a, struct buf *out, const char **why);
/* Parses and writes: the whole way from outside text to canonical text. */
bool address_canonical(struct str text, unsigned flags, struct buf *out, const char **why);

/* Halves of a canonical address, cut at the last '@'; the domain is empty when there is none. */
void address_split(struct str address, struct str *local, struct str *domain);

/* Appends a domain in canonical form (also from U-labels). False when it is none. */
bool domain_write(struct str domain, struct buf *out, const char **why);
/* The way back, for people: A-labels become U-labels where that is possible, else unchanged. */
void domain_write_unicode(struct str domain, struct buf *out);
/* Syntax of a host name: labels of letters, digits, '-' and '_', at most 63 and 255 octets, no dot at
 * the end. With `utf8`, also well-formed U-labels. */
bool domain_is_valid(struct str domain, bool utf8);
/* "[192.0.2.1]", "[IPv6:...]" (RFC 5321 4.1.3) to an address. */
bool domain_literal(struct str domain, struct ip *ip);

/* A local part as it is meant ("a b") from as it is written ("\"a b\""), and back. */
void local_unquote(struct buf *out, struct str local);
void local_quote(struct buf *out, struct str plain);
