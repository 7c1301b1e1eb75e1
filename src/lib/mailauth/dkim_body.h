/* Hashes of the body of one message, SHA-256, for DKIM (RFC 6376 3.7) and ARC, to verify and to sign. The body is
 * read and hashed once for each canonical form asked for, however many signatures and lengths there are: what l= asks
 * for is the beginning of the whole. It is never held. */
#pragma once
#include "dkim_canon.h"

enum { DKIM_HASH = 32, DKIM_BODIES_MAX = 40 };

struct dkim_body;

struct dkim_body *dkim_body_new(void);
void dkim_body_free(struct dkim_body *body);
size_t dkim_body_held(const struct dkim_body *body); /* bytes of memory */
/* The number of the hash of this form and length (UINT64_MAX: all of the body; else l=). False when
 * DKIM_BODIES_MAX others were asked for. Only before the first byte. */
bool dkim_body_want(struct dkim_body *body, enum dkim_canon canon, uint64_t length, size_t *number);
void dkim_body_add(struct dkim_body *body, struct str bytes);
void dkim_body_end(struct dkim_body *body);
/* After the end. */
const unsigned char *dkim_body_hash(const struct dkim_body *body, size_t number);
/* Octets of the canonical form, of which l= may count only some. */
uint64_t dkim_body_length(const struct dkim_body *body, size_t number);
