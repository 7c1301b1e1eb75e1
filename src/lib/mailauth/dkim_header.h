/* The header of one message as signatures need it: its fields, held until they are hashed, and chosen by
 * name from the bottom up (RFC 6376 5.4.2). Looking a name up costs the same however many fields there are.
 * Held: at most DKIM_HEADER_MAX octets and DKIM_FIELDS_MAX fields; over that, the header is too large and
 * nothing can be said about signatures on it. */
#pragma once
#include "dkim_canon.h"

enum { DKIM_HEADER_MAX = 1024 * 1024, DKIM_FIELDS_MAX = 20000 };

struct dkim_header;

struct dkim_header *dkim_header_new(void);
void dkim_header_free(struct dkim_header *header);
/* A whole field, in order; its line end may be missing. Copied. */
void dkim_header_add(struct dkim_header *header, struct str field);
size_t dkim_header_held(const struct dkim_header *header); /* bytes of memory, about; 0 for NULL */
bool dkim_header_is_too_large(const struct dkim_header *header);
size_t dkim_header_count(const struct dkim_header *header);
struct str dkim_header_field(const struct dkim_header *header, size_t number); /* without its line end */
struct str dkim_header_name(const struct dkim_header *header, size_t number);
struct str dkim_header_value(const struct dkim_header *header, size_t number); /* behind the colon, as it is */
/* How many fields have this name. */
size_t dkim_header_count_of(const struct dkim_header *header, struct str name);

struct evp_md_ctx_st;
/* Hashes the fields that `names` (as in h=, separated by ':') chooses, each with CRLF behind it; returns how many octets these
 * were. The field numbered `without` is never chosen (SIZE_MAX: none such). */
size_t dkim_header_hash(struct dkim_header *header, struct str names, enum dkim_canon canon, size_t without,
    struct evp_md_ctx_st *md);
/* Hashes one field, with CRLF behind it. */
void dkim_header_hash_field(struct dkim_header *header, size_t number, enum dkim_canon canon, struct evp_md_ctx_st *md);
/* Hashes a signature's own field, with what its tag b= says left out, and without a line end (3.7). */
void dkim_header_hash_own(struct str field, enum dkim_canon canon, struct evp_md_ctx_st *md);
