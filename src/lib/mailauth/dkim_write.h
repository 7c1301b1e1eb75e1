/* What the fields of DKIM and of ARC that are made here have in common: which fields they cover, and how they are written
 * and folded. */
#pragma once
#include "dkim_body.h"
#include "dkim_header.h"

enum { DKIM_NAMES_MAX = 4096 };

/* Writes to `names` (empty, with room for DKIM_NAMES_MAX) what h= says. From, Subject, Date and To are named once more than
 * they are there. with_signatures: the DKIM-Signature fields too (RFC 8617 4.1.2). False: the message cannot be signed, since it
 * has no From, its header is too large, or it has too many of one of these fields. */
bool dkim_choose_names(const struct dkim_header *header, bool with_signatures, struct buf *names);

struct dkim_writer {
    struct buf *out;
    size_t line; /* octets of the line so far */
};
void dkim_write_begin(struct dkim_writer *w, struct buf *out, const char *field); /* "DKIM-Signature:" */
void dkim_write_tag(struct dkim_writer *w, const char *name, struct str value); /* stays on one line */
void dkim_write_number(struct dkim_writer *w, const char *name, uint64_t number);
void dkim_write_names(struct dkim_writer *w, struct str names);
void dkim_write_body_hash(struct dkim_writer *w, const unsigned char hash[DKIM_HASH]);
/* The last tag, with no line end behind it; an empty signature for what is to be hashed. */
void dkim_write_signature(struct dkim_writer *w, struct str signature);
