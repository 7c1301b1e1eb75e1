/* Making a client's connection: the local session, or TCP, TLS and STARTTLS. See peer.h. */
#include "cli/migrate/peer.h"
#include "cli/remote.h"
#include "base/ip.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 5 * 60 * 1000, CONNECT_MS = 30 * 1000, ARENA = 1024 * 1024 };

static void init(struct peer *p, int fd, const char *name)
{
    *p = (struct peer){.fd = fd, .patience = PATIENCE_MS};
    snprintf(p->name, sizeof p->name, "%s", name);
    buf_init(&p->out, 1024 * 1024);
    buf_init(&p->raw, 128 * 1024);
    imap_input_init(&p->in);
    arena_init(&p->arena, ARENA);
}

/* ---- our own server ---- */

int peer_open_local(struct peer *p, const struct cli *cli, int64_t account, const char *protocol)
{
    struct imap_answer answer;
    struct err err = {0};
    bool body;
    uint64_t size;
    int fd, code = remote_session(cli, account, protocol, &fd);

    init(p, code == EXIT_OK ? fd : -1, "the server");
    if (code != EXIT_OK || strcmp(protocol, "imap") != 0)
        return code;
    if (!peer_read(p, false, &answer, &body, &size, &err) || answer.kind != IMAP_SAYS_OK) {
        code = cli_fail(EXIT_TEMPFAIL, "%s", err.text[0] ? err.text : "the server does not open the mailbox; see its log");
        peer_close(p);
    }
    return code;
}

/* ---- TCP ---- */

static int connect_one(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol), error = 0;
    struct pollfd one = {.fd = fd, .events = POLLOUT};
    socklen_t size = sizeof error;

    if (fd < 0)
        return -1;
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    if (errno == EINPROGRESS && poll(&one, 1, CONNECT_MS) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0)
        return fd;
    if (error != 0)
        errno = error;
    close(fd);
    return -1;
}

static bool connect_to(struct peer *p, const struct peer_address *to, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char host[256], port[8], name[300];
    int code, fd = -1;

    snprintf(host, sizeof host, "%.*s", STR_ARG(to->host));
    snprintf(port, sizeof port, "%u", to->port);
    snprintf(name, sizeof name, "%s:%s", host, port);
    init(p, -1, name);
    code = getaddrinfo(host, port, &hints, &found);
    if (code != 0)
        return err_set(err, ERR_TEMPORARY, "%s: %s", host, gai_strerror(code));
    errno = ETIMEDOUT;
    for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next)
        fd = connect_one(a);
    freeaddrinfo(found);
    p->fd = fd;
    return fd >= 0 || err_set(err, ERR_TEMPORARY, "%s: %s", name, strerror(errno));
}

/* ---- TLS ---- */

static bool tls_failed(const struct peer *p, struct err *err)
{
    unsigned long why = ERR_get_error();
    long verified = p->ssl == NULL ? X509_V_OK : SSL_get_verify_result(p->ssl);
    char text[200] = "the connection was ended";

    if (verified != X509_V_OK)
        return err_set(err, ERR_PERMANENT, "%s: its certificate is not trusted (%s); name the certificate of its authority with --ca=FILE",
            p->name, X509_verify_cert_error_string(verified));
    if (why != 0)
        ERR_error_string_n(why, text, sizeof text);
    return err_set(err, ERR_TEMPORARY, "%s: TLS: %s", p->name, text);
}

static bool make_context(struct peer *p, const struct peer_address *to, struct err *err)
{
    char ca[4096];

    snprintf(ca, sizeof ca, "%.*s", STR_ARG(to->ca));
    p->ctx = SSL_CTX_new(TLS_client_method());
    if (p->ctx == NULL)
        return tls_failed(p, err);
    SSL_CTX_set_min_proto_version(p->ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(p->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_verify(p->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(p->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if ((to->ca.n > 0 ? SSL_CTX_load_verify_locations(p->ctx, ca, NULL) : SSL_CTX_set_default_verify_paths(p->ctx)) != 1)
        return err_set(err, ERR_PERMANENT, "%s: no certificates can be read there", to->ca.n > 0 ? ca : "the system's certificates");
    return true;
}

static bool expect_name(struct peer *p, const struct peer_address *to)
{
    char host[256];
    struct ip ip;

    snprintf(host, sizeof host, "%.*s", STR_ARG(to->host));
    if (ip_parse(to->host, &ip))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(p->ssl), host) == 1;
    return SSL_set_tlsext_host_name(p->ssl, host) == 1 && SSL_set1_host(p->ssl, host) == 1;
}

static bool start_tls(struct peer *p, const struct peer_address *to, struct err *err)
{
    struct pollfd one = {.fd = p->fd};
    int done;

    if (!make_context(p, to, err))
        return false;
    p->ssl = SSL_new(p->ctx);
    if (p->ssl == NULL || SSL_set_fd(p->ssl, p->fd) != 1 || !expect_name(p, to))
        return tls_failed(p, err);
    while ((done = SSL_connect(p->ssl)) != 1) {
        int why = SSL_get_error(p->ssl, done);

        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
            return tls_failed(p, err);
        one.events = why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
        if (poll(&one, 1, CONNECT_MS) == 0)
            return err_set(err, ERR_TEMPORARY, "%s: no answer within the time limit", p->name);
    }
    return true;
}

static bool greeting(struct peer *p, bool *preauth, struct err *err)
{
    struct imap_answer answer;
    bool body;
    uint64_t size;

    if (!peer_read(p, false, &answer, &body, &size, err))
        return false;
    *preauth = answer.kind == IMAP_SAYS_PREAUTH;
    if (answer.kind == IMAP_SAYS_OK || *preauth)
        return true;
    return err_set(err, ERR_TEMPORARY, "%s: this is no IMAP server, or it refuses: %.*s", p->name, STR_ARG(answer.text));
}

static bool upgrade(struct peer *p, const struct peer_address *to, struct err *err)
{
    struct imap_answer answer;

    if (!peer_ask(p, STR("STARTTLS"), NULL, NULL, &answer, err))
        return false;
    if (answer.kind != IMAP_SAYS_OK)
        return err_set(err, ERR_PERMANENT, "%s: it does not offer STARTTLS: %.*s", p->name, STR_ARG(answer.text));
    buf_reset(&p->raw); /* what came in clear behind it is not to be trusted */
    p->raw_used = 0;
    return start_tls(p, to, err);
}

bool peer_open_remote(struct peer *p, const struct peer_address *to, bool *preauth, struct err *err)
{
    if (!connect_to(p, to, err) || (to->security == PEER_TLS && !start_tls(p, to, err)) || !greeting(p, preauth, err))
        return false;
    if (to->security == PEER_STARTTLS && *preauth)
        return err_set(err, ERR_PERMANENT, "%s: it lets us in before TLS, which is not to be trusted", p->name);
    return to->security != PEER_STARTTLS || upgrade(p, to, err);
}
