/* "imaps://ann%40example.org@mail.example.org:993": another server and a login there (RFC 5092, without a path). */
#pragma once
#include "cli/migrate/peer.h"

struct server_url {
    char text[1024]; /* user and host are views of it */
    struct str user, host;
    uint16_t port;
    enum peer_security security;
};
/* imaps: TLS from the first byte; imap: STARTTLS, and nothing is said before. tls: "none" for neither, else empty. */
MUST_CHECK bool server_url_parse(struct str url, struct str tls, struct server_url *out, struct err *err);
