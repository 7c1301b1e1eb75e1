/* Content-Transfer-Encoding (RFC 2045, section 6): decoding in chunks, lenient. */
#pragma once
#include "base/buf.h"

enum mime_encoding { MIME_IDENTITY, MIME_BASE64, MIME_QUOTED_PRINTABLE, MIME_UNKNOWN_ENCODING };
enum mime_encoding mime_encoding_of(struct str name); /* 7bit, 8bit, binary, empty: identity; x-uuencode: unknown */

struct mime_decoder {
    enum mime_encoding encoding;
    char held[80];
    size_t held_count;
    bool damaged;
};
void mime_decoder_init(struct mime_decoder *d, enum mime_encoding encoding);
/* Bytes of an unknown encoding go through as they are. */
void mime_decoder_add(struct mime_decoder *d, struct str bytes, struct buf *out);
/* False when the bytes were not what the encoding allows; what could be decoded is there. Garbage between base64 is
 * passed over, data behind its padding is read on; wrong escapes of quoted-printable stay as they are. */
bool mime_decoder_end(struct mime_decoder *d, struct buf *out);
