/* A machine before login (login.h) fed with any bytes. The first byte chooses the flags and into what pieces the rest is cut;
 * where the machine waits, the world answers with what the next bytes of the input choose. Each answer must be whole lines,
 * nothing may be said after the end or into a TLS handshake, and no password may cross without TLS. */
#pragma once
#include "roles/access/login.h"

#include <stdint.h>

/* tagged: a session is opened with a tag. Aborts on what must not be. */
void login_any(const struct login_protocol *p, bool tagged, const uint8_t *data, size_t size);
