/* Reads Authentication-Results fields (RFC 8601 2.2), whoever wrote them: comments, folding, quoted strings. Pure views
 * into the value of the field; nothing is held, comments nest to any depth without recursion. */
#pragma once
#include "base/buf.h"
#include "base/str.h"

/* Whose field is it, as far as removing forged ones goes (RFC 8601 5)? */
enum auth_results_claim {
    AUTH_RESULTS_FOREIGN,   /* another service's: it may stay */
    AUTH_RESULTS_OURS,      /* says that we wrote it */
    AUTH_RESULTS_VERSION,   /* of a version of the field that is not known */
    AUTH_RESULTS_MALFORMED, /* breaks the grammar up to its first ';': a reader may take it for anybody's */
};
/* `our_id` is compared without case, as domain names in A-labels where they are such, a last dot passed over. All but
 * AUTH_RESULTS_FOREIGN are to be removed from what strangers send. */
enum auth_results_claim auth_results_claim_of(struct str value, struct str our_id);

/* The head: authserv-id (appended to `id`, quotes removed) and version (1 when there is none); *rest is what follows, for
 * auth_results_next. False when malformed. */
bool auth_results_read_head(struct str value, struct buf *id, unsigned *version, struct str *rest);

struct auth_statement {
    struct str method; /* empty for the "none" of a field without results */
    unsigned version;  /* of the method; 1 when there is none */
    struct str result;
    struct str rest;   /* reason and properties, for auth_results_next_property */
};
enum auth_results_next { AUTH_RESULTS_NEXT, AUTH_RESULTS_END, AUTH_RESULTS_BAD };
/* Cuts the next result off *rest. */
enum auth_results_next auth_results_next(struct str *rest, struct auth_statement *result);

struct auth_property {
    struct str ptype;    /* empty for the reason */
    struct str property; /* "reason" then */
};
/* Cuts the next one off *rest; its value is written to `value`, which is emptied first, quotes removed. */
enum auth_results_next auth_results_next_property(struct str *rest, struct auth_property *property, struct buf *value);
