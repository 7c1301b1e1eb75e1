/* Base64 (RFC 4648) and hexadecimal. */
#pragma once
#include "base/buf.h"

void base64_encode(struct buf *out, struct str bytes);
/* Strict: padding required, no blanks. False (out unchanged or partial) on anything else. */
bool base64_decode(struct buf *out, struct str text);
void hex_encode(struct buf *out, struct str bytes); /* lower case */
