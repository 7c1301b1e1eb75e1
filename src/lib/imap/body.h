/* ENVELOPE, BODY and BODYSTRUCTURE (RFC 9051, section 7.5.2), from the tree of lib/mime. */
#pragma once
#include "mime/part.h"

/* Parenthesized. NULL: all NIL. Sender and Reply-To that are missing are From. What an address lacks is
 * "MISSING_MAILBOX" or "MISSING_DOMAIN", as clients know it from Dovecot: NIL would make it a group. */
void imap_write_envelope(struct buf *out, const struct mime_envelope *e, bool utf8);
/* BODY, or with `extended` BODYSTRUCTURE. Parameters with a charset (RFC 2231) are told as "name*": in UTF-8 with
 * `utf8`, else encoded anew as utf-8''...; all others as they were written. */
void imap_write_body(struct buf *out, const struct mime_part *root, bool extended, bool utf8);
