/* POP3 before login (RFC 1939, RFC 2449, RFC 2595, RFC 5034, RFC 6856): a pure machine, see login.h.
 *
 * States: ready for a command; inside AUTH (the next line is a response); waiting for directory or for
 * TLS; over (handed to mailbox, or closed). APOP is not offered: it needs passwords in clear.
 *
 * Without TLS, and not on loopback, nothing that carries a password is offered or taken. */
#pragma once
#include "login_common.h"

enum {
    POP3_LOGIN_LINE_MAX = 512, /* with its end; AUTH and its responses may be longer */
};

extern const struct login_protocol pop3_login;
