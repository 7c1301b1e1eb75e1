/* Listening sockets and certificates of the access role. */
#include "access.h"
#include "base/log.h"
#include "imap_login.h"
#include "pop3_login.h"

#include <stdlib.h>

/* ---- listeners ---- */

static void on_accepted(void *owner, int fd, const struct ip *peer, uint16_t port)
{
    (void)port;
    client_new(owner, fd, peer);
}

static const struct login_protocol *protocol_of(enum service service)
{
    return service == SERVICE_IMAP ? &imap_login : service == SERVICE_POP3 ? &pop3_login : NULL;
}

void access_open_listeners(struct access *a)
{
    for (size_t i = 0; i < role_listener_count(a->role); i++) {
        const struct role_listener *from = role_listener_at(a->role, i);
        struct listener *l;

        if (protocol_of(from->service) == NULL)
            continue;
        l = xcalloc(1, sizeof *l);
        l->access = a;
        l->protocol = protocol_of(from->service);
        l->index = from->index;
        l->acceptor = acceptor_new(role_base(a->role), from->fd, on_accepted, l);
        list_add_last(&a->listeners, &l->link);
    }
}

void access_close_listeners(struct access *a)
{
    LIST_EACH(&a->listeners, it) {
        struct listener *l = CONTAINER(it, struct listener, link);

        list_remove(it);
        acceptor_free(l->acceptor);
        free(l);
    }
}

/* ---- certificates ---- */

static bool sign(void *arg, struct str key, enum key_operation operation, struct str input, struct buf *out)
{
    return role_sign(arg, key, operation, input, out);
}

bool access_load_certificates(struct access *a, struct err *err)
{
    size_t n = role_certificate_count(a->role);
    struct tls_pem *pems = xcalloc(n, sizeof *pems);
    struct tls_server *fresh = NULL;
    bool loaded;

    a->signer = (struct key_signer){sign, a->role};
    for (size_t i = 0; i < n; i++)
        pems[i] = (struct tls_pem){
            role_certificate_at(a->role, i)->chain, role_certificate_at(a->role, i)->key, &a->signer};
    loaded = n == 0 || tls_server_new(&fresh, pems, n, a->tls, err);
    free(pems);
    if (!loaded)
        return false;
    tls_server_free(a->tls);
    a->tls = fresh;
    return true;
}
