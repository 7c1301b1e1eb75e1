/* The text of one message at a time, as a reader sees it, for searching. */
#pragma once
#include "mime/fold.h"
#include "store_message.h"

struct imap_text;

struct imap_text *imap_text_new(struct store *s);
void imap_text_free(struct imap_text *t);
/* Another message is looked at: what is known of the one before is forgotten. */
void imap_text_open(struct imap_text *t, const struct store_message *m);
/* When it was sent (its Date field), or received if that cannot be read. */
MUST_CHECK bool imap_text_sent(struct imap_text *t, const struct store_message *m, int64_t *sent, struct err *err);
/* Does some field of that name hold the text (folded already; empty: is there such a field)? */
MUST_CHECK bool imap_text_header(struct imap_text *t, const struct store_message *m, struct str name, struct str text, bool *found,
    struct err *err);
/* Is the text in a text part, or, `with_header`, in the header? */
MUST_CHECK bool imap_text_find(struct imap_text *t, const struct store_message *m, struct str text, bool with_header, bool *found,
    struct err *err);

/* Everything that the functions above look at, piece by piece: each field of the header ("name: value"), then the text parts as
 * one. A text that is found in the message is found in one of these pieces. */
typedef void imap_text_fn(void *arg, struct str folded);
MUST_CHECK bool imap_text_tell(struct imap_text *t, const struct store_message *m, imap_text_fn *tell, void *arg, struct err *err);
/* How many bytes must be decoded for that (all, when its structure is not kept). */
MUST_CHECK bool imap_text_weight(struct imap_text *t, const struct store_message *m, uint64_t *bytes, struct err *err);
