/* The SASL exchange as every text protocol here has it: mechanism names, base64, "=" and "*". What a
 * mechanism says is directory's business; nothing here holds a secret longer than a call. */
#pragma once
#include "login.h"

enum { SASL_DATA_MAX = 16384, SASL_LINE_MAX = 22000 };

enum sasl_result {
    SASL_ASKED,      /* directory has it: wait for challenge or done */
    SASL_COMPLETE,   /* the client has taken the last data of a success */
    SASL_UNKNOWN,    /* no such mechanism */
    SASL_NEEDS_TLS,
    SASL_MALFORMED,  /* not base64, or too long */
    SASL_CANCELLED,  /* "*" */
};

struct sasl {
    const struct login_world *world;
    void *arg;
    bool acknowledge; /* the next line only takes note of the last data */
};

/* Appends " PLAIN LOGIN ..." as far as offered under these flags (enum login_flags), each after
 * `before`. */
void sasl_list(struct buf *out, const char *before, const char *after, unsigned flags);
/* initial: base64 or "="; has_initial false: none was given. */
enum sasl_result sasl_begin(struct sasl *s, struct str mechanism, bool has_initial, struct str initial, unsigned flags);
/* A line of the client inside the exchange. */
enum sasl_result sasl_line(struct sasl *s, struct str line);
/* Sends a challenge: prefix, base64, CRLF. */
void sasl_send(struct sasl *s, const char *prefix, struct str data);
