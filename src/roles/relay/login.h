/* A login at a smart host by SASL, client side (libgsasl). No I/O: base64 texts in and out. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

struct login;

/* Picks the strongest mechanism that both sides have: SCRAM-SHA-256, SCRAM-SHA-1, PLAIN, LOGIN.
 * `in_clear` is without TLS: the caller has decided that this is allowed. */
MUST_CHECK bool login_new(struct login **login, unsigned mechanisms, struct str user, struct str secret,
    struct err *err);
void login_free(struct login *login);
const char *login_mechanism(const struct login *login);
/* Appends the initial response in base64 ("=" for an empty one); false when the mechanism has none. */
bool login_initial(struct login *login, struct buf *out);
/* Answers a challenge (base64). False when the server's words do not fit: cancel with "*". */
MUST_CHECK bool login_step(struct login *login, struct str challenge, struct buf *out, struct err *err);
/* The server said yes: is it the one that knows our secret (SCRAM's server signature was right)? */
bool login_is_complete(const struct login *login);
