/* The text of one message at a time, as a reader sees it, for searching: decoded, folded, and in pieces, none of which takes long
 * to make, so that a large message can be looked at over many turns. */
#pragma once
#include "mime/fold.h"
#include "store_message.h"

struct imap_text;

struct imap_text *imap_text_new(struct store *s);
size_t imap_text_memory(const struct imap_text *t); /* bytes it has now */
void imap_text_free(struct imap_text *t);
/* Another message is read, from its beginning. Its content must stay as long as it is. `choice` (may be NULL: none): which fields
 * of the header are. */
typedef bool imap_text_choice(void *arg, struct str name);
void imap_text_open(struct imap_text *t, const struct store_message *m, imap_text_choice *choice, void *arg);

enum imap_text_kind {
    IMAP_TEXT_NONE,   /* some work was done */
    IMAP_TEXT_READY,  /* the structure is known: imap_text_sent */
    IMAP_TEXT_FIELD,  /* a field of the header that was chosen */
    IMAP_TEXT_FIELDS, /* that was the last of them */
    IMAP_TEXT_BODY,   /* the text parts, as one text that goes on from piece to piece */
    IMAP_TEXT_END,    /* said again and again */
};
struct imap_text_piece {
    enum imap_text_kind kind;
    struct str text;        /* folded; of a field: "name: value" */
    struct str name, value; /* of a field; the value folded, the name as it stands */
    size_t work;            /* bytes that were read for it */
};

/* In this order: READY, each FIELD, FIELDS, BODY ..., END. Views live until the next call. */
MUST_CHECK bool imap_text_next(struct imap_text *t, struct imap_text_piece *piece, struct err *err);
/* From READY on: the day that its Date field says, in the zone of its writer (RFC 9051, section 6.4.4), or that of its receipt if that
 * cannot be read; days since 1970. */
int64_t imap_text_sent(const struct imap_text *t);

/* All of a small message at once, for the search index: each field of the header ("name: value"), then the text parts as
 * one. A text that is found in the message is found in one of these. */
typedef void imap_text_fn(void *arg, struct str folded);
MUST_CHECK bool imap_text_tell(struct imap_text *t, const struct store_message *m, imap_text_fn *tell, void *arg, struct err *err);
/* How many bytes must be decoded for that (all, when its structure is not kept). */
MUST_CHECK bool imap_text_weight(struct imap_text *t, const struct store_message *m, uint64_t *bytes, struct err *err);
