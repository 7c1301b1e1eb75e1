/* Who is at the two ends of a connection. */
#include "net/conn_private.h"

#include <sys/socket.h>

struct ip conn_peer(const struct conn *c, uint16_t *port)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    struct ip ip = c->peer;
    uint16_t number = c->peer_port;

    if (!c->peer_known && getpeername(c->fd, (struct sockaddr *)&address, &size) == 0)
        ip_from_sockaddr((struct sockaddr *)&address, &ip, &number);
    if (port != NULL)
        *port = number;
    return ip;
}

struct ip conn_local(const struct conn *c, uint16_t *port)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    struct ip ip = {0};
    uint16_t number = 0;

    if (getsockname(c->fd, (struct sockaddr *)&address, &size) == 0)
        ip_from_sockaddr((struct sockaddr *)&address, &ip, &number);
    if (port != NULL)
        *port = number;
    return ip;
}

void conn_set_peer(struct conn *c, const struct ip *ip, uint16_t port)
{
    c->peer = *ip;
    c->peer_port = port;
    c->peer_known = true;
}
