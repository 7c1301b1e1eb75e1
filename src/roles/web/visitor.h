/* The doors to the world: listeners http and https. A visitor is a connection; TLS ends here, with the same machinery as in smtp and
 * access (certificates by name, keys in directory), and what is inside goes to libmicrohttpd over a pair of local sockets. So
 * the library never sees a stranger's socket, and time and number of connections are limited in one place for all. */
#pragma once
#include "net/accept.h"
#include "net/crowd.h"
#include "net/limit.h"
#include "net/remote_key.h"
#include "net/tls.h"
#include "web.h"

struct doors;

/* Before the sandbox. */
struct doors *doors_open(struct web *web);
/* The configuration or the certificates changed. On failure the old certificates stay. */
void doors_reload(struct doors *d);
/* No new visitors. */
void doors_close(struct doors *d);
