/* Two extensions of a ClientHello, as they are on the wire. Pure. */
#pragma once
#include "base/str.h"

/* ALPN (RFC 7301) with the one protocol "acme-tls/1". */
bool tls_hello_is_challenge(struct str alpn);
/* The first name of server_name (RFC 6066 3). */
bool tls_hello_name(struct str server_name, struct str *name);
