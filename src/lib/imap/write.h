/* What an IMAP server writes (RFC 9051, section 9): strings as quoted or literal, whichever fits; flags, dates, names.
 * Everything is appended to a buffer; its ceiling is the only failure. */
#pragma once
#include "command.h"

/* A quoted string, or a literal when the text has CR, LF, NUL, 8-bit bytes that are no UTF-8, or is long. With `utf8`
 * (after ENABLE IMAP4rev2 or UTF8=ACCEPT) well-formed UTF-8 may be quoted, else it goes as a literal. NULs in a
 * literal are sent as such only by imap_write_literal8. */
void imap_write_string(struct buf *out, struct str text, bool utf8);
void imap_write_nstring(struct buf *out, struct str text, bool utf8); /* .p NULL: NIL */
void imap_write_astring(struct buf *out, struct str text, bool utf8); /* an atom when it can be one */
/* A mailbox name: UTF-8 as it is, or modified UTF-7 for a client that has not enabled UTF-8. */
void imap_write_mailbox(struct buf *out, struct str name, bool utf8);
void imap_write_flags(struct buf *out, const struct imap_flags *flags); /* "(\Seen $Forwarded)" */
void imap_write_date_time(struct buf *out, int64_t time); /* "22-Nov-2026 03:30:00 +0000", quotes included; microseconds */

/* Modified UTF-7 (RFC 3501, section 5.1.3). False: malformed, or not in its only form. */
bool imap_mutf7_decode(struct buf *out, struct str text);
void imap_mutf7_encode(struct buf *out, struct str utf8);

/* LIST patterns: `*` and `%` (RFC 9051, section 6.3.9), hierarchy separator '/'. INBOX matches in any case. What
 * has more than 2,047 bytes matches nothing. */
bool imap_pattern_matches(struct str pattern, struct str name);
/* A name somebody may create: UTF-8, no control characters or separators of lines, no empty level, no `*` or `%`, at most 1000 bytes and
 * 100 levels. *why tells in words. */
bool imap_name_is_valid(struct str name, const char **why);
/* Bytes of the character that s begins with, if it is one that no name may have: a wildcard, a control character of either set, a
 * separator of lines or paragraphs (RFC 6855, section 3); else 0. */
size_t imap_name_bad_character(struct str s);
