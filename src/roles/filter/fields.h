/* The header fields the filter knows. */
#pragma once
#include "base/str.h"

enum field_id {
    FIELD_OTHER,
    FIELD_DATE,
    FIELD_FROM,
    FIELD_MESSAGE_ID,
    FIELD_PRECEDENCE,
    FIELD_LIST,        /* only lists have it */
    FIELD_RETURN_PATH, /* ours to write, at final delivery (RFC 5321 4.4) */
    FIELD_TLS_REQUIRED, /* RFC 8689 */
    FIELD_RESULTS,     /* Authentication-Results */
    FIELD_PRIVATE,     /* Bcc, and what tells about the sender's own network */
};

enum field_id field_find(struct str name);
/* "bulk", "list", "junk". */
bool field_precedence_is_bulk(struct str value);
/* The next field of a header, folded lines and all; false at its end. */
bool fields_next(struct str *header, struct str *field);
