/* xtext, the armour of DSN parameters, and the address types that it carries. */
#pragma once
#include "base/buf.h"

/* xtext (RFC 3461 4). Decoding fails on anything that is not well-formed; the result may hold any
 * octet. */
bool xtext_is_valid(struct str text);
bool xtext_decode(struct buf *out, struct str text);
void xtext_encode(struct buf *out, struct str plain);

/* The address of an ORCPT value ("rfc822;user+40example.org", "utf-8;j\\x{f6}rg@example.org") as
 * people write it, appended to out; *type is the part before the ';'. False when malformed. */
bool orcpt_decode(struct buf *out, struct str orcpt, struct str *type);
bool orcpt_is_valid(struct str orcpt);
