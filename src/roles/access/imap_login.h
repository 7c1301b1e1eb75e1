/* IMAP before login (RFC 9051, RFC 3501; SASL-IR of RFC 4959, response codes of RFC 5530, ID of RFC 2971): a pure
 * machine, see login.h.
 *
 * States: ready for a command; inside AUTHENTICATE (the next line is a response); waiting for directory or for TLS; over
 * (handed to mailbox, or closed). The tag of the command that logged in goes to mailbox, which answers it.
 *
 * Without TLS, and not on loopback, nothing that carries a password is offered or taken; the literals of such a LOGIN are
 * refused before they are sent. */
#pragma once
#include "login_common.h"

enum {
    IMAP_LOGIN_LINE_MAX = 8192,    /* RFC 7162, section 4; responses of AUTHENTICATE: SASL_LINE_MAX */
    IMAP_LOGIN_LITERAL_MAX = 1024, /* a user or a password */
    IMAP_LOGIN_COMMAND_MAX = 16384,
};

extern const struct login_protocol imap_login;
