/* The TLS half of a connection: OpenSSL directly on the non-blocking descriptor. Plain input that
 * was read before the handshake never reaches the owner (STARTTLS injection); plain output that was
 * sent before it leaves in plain first. */
#include "net/conn_private.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>

/* What OpenSSL has to say, in words that mean something in a log. */
static void fail(struct conn *c, const char *during, int code)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    long verify = c->ssl != NULL ? SSL_get_verify_result(c->ssl) : X509_V_OK;
    char text[256];

    if (verify != X509_V_OK && !c->server)
        reason = X509_verify_cert_error_string(verify);
    else if (reason == NULL && (code == SSL_ERROR_ZERO_RETURN || (code == SSL_ERROR_SYSCALL && errno == 0)))
        reason = "connection closed by the peer";
    else if (reason == NULL && code == SSL_ERROR_SYSCALL)
        reason = strerror(errno);
    snprintf(text, sizeof text, "%s: %s", during, reason != NULL ? reason : "protocol error");
    ERR_clear_error();
    conn_fail(c, text);
}

static bool begin(struct conn *c, SSL_CTX *ctx)
{
    if (c->ssl != NULL || c->dead || c->ended)
        return false;
    buf_clear(&c->in);
    c->drop_input = true;
    c->more = false;
    c->ssl = SSL_new(ctx);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1) {
        fail(c, "TLS cannot start", SSL_ERROR_SSL);
        return false;
    }
    c->phase = conn_output_waiting(c) > 0 ? CONN_LAST_PLAIN : CONN_HANDSHAKE;
    conn_want_turn(c);
    return true;
}

void conn_start_tls_server(struct conn *c, struct ssl_ctx_st *ctx)
{
    c->server = true;
    if (begin(c, ctx))
        SSL_set_accept_state(c->ssl);
    /* Outside the input callback there is nothing to drop later. */
    if (c->depth == 0)
        c->drop_input = false;
}

static bool set_name(struct conn *c, const char *name, enum conn_verify verify)
{
    struct ip ip;
    bool literal = ip_parse(str_of(name), &ip);

    /* SSL_set_tlsext_host_name without its cast, which drops const. */
    if (!literal && SSL_ctrl(c->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                        (void *)(uintptr_t)name) != 1)
        return false;
    if (verify == CONN_VERIFY_OFF)
        return true;
    if (verify == CONN_VERIFY)
        SSL_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
    if (literal)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl), name) == 1;
    SSL_set_hostflags(c->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(c->ssl, name) == 1;
}

void conn_start_tls_client(struct conn *c, struct ssl_ctx_st *ctx, const char *name, enum conn_verify verify)
{
    c->server = false;
    if (begin(c, ctx)) {
        SSL_set_connect_state(c->ssl);
        if (name != NULL && name[0] != 0 && !set_name(c, name, verify))
            fail(c, "TLS cannot start: bad host name", SSL_ERROR_SSL);
        else if (verify == CONN_VERIFY && (name == NULL || name[0] == 0))
            conn_fail(c, "TLS cannot start: no host name to check the certificate against");
    }
    if (c->depth == 0)
        c->drop_input = false;
}

bool conn_tls_handshake(struct conn *c)
{
    int result, code;

    ERR_clear_error();
    errno = 0;
    result = SSL_do_handshake(c->ssl);
    if (result == 1) {
        c->phase = CONN_SECURE;
        conn_want_write(c, false);
        return true;
    }
    code = SSL_get_error(c->ssl, result);
    if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE)
        conn_want_write(c, code == SSL_ERROR_WANT_WRITE);
    else
        fail(c, "TLS handshake", code);
    return false;
}

ptrdiff_t conn_tls_read(struct conn *c, char *to, size_t room)
{
    size_t total = 0, n = 0;
    int code;

    do {
        ERR_clear_error();
        errno = 0;
        if (SSL_read_ex(c->ssl, to + total, room - total, &n) != 1)
            break;
        total += n;
    } while (total < room && SSL_has_pending(c->ssl));
    if (total > 0)
        return (ptrdiff_t)total;
    if (room == 0)
        return IO_AGAIN;
    code = SSL_get_error(c->ssl, 0);
    if (code == SSL_ERROR_WANT_READ)
        return IO_AGAIN;
    if (code == SSL_ERROR_WANT_WRITE) {
        c->read_wants_write = true;
        conn_want_write(c, true);
        return IO_AGAIN;
    }
    if (code == SSL_ERROR_ZERO_RETURN || (code == SSL_ERROR_SYSCALL && errno == 0))
        return IO_END;
    fail(c, "TLS", code);
    return IO_FAILED;
}

ptrdiff_t conn_tls_write(struct conn *c, struct str bytes)
{
    size_t n = 0;
    int code;

    ERR_clear_error();
    errno = 0;
    c->write_wants_read = false;
    if (SSL_write_ex(c->ssl, bytes.p, bytes.n, &n) == 1)
        return (ptrdiff_t)n;
    code = SSL_get_error(c->ssl, 0);
    if (code == SSL_ERROR_WANT_WRITE)
        return IO_AGAIN;
    if (code == SSL_ERROR_WANT_READ) {
        c->write_wants_read = true;
        return IO_AGAIN;
    }
    fail(c, "TLS", code);
    return IO_FAILED;
}

void conn_tls_end(struct conn *c)
{
    if (c->ssl == NULL)
        return;
    if (c->phase == CONN_SECURE && c->failure == NULL)
        SSL_shutdown(c->ssl);
    ERR_clear_error();
    SSL_free(c->ssl);
    c->ssl = NULL;
    c->phase = CONN_PLAIN;
}

bool conn_is_secure(const struct conn *c)
{
    return c->phase == CONN_SECURE;
}

struct ssl_st *conn_ssl(struct conn *c)
{
    return c->ssl;
}

void conn_tls_text(struct conn *c, char *out, size_t size)
{
    out[0] = 0;
    if (c->phase == CONN_SECURE)
        snprintf(out, size, "%s %s", SSL_get_version(c->ssl), SSL_get_cipher_name(c->ssl));
}

int conn_tls_verified(const struct conn *c)
{
    return c->ssl != NULL ? (int)SSL_get_verify_result(c->ssl) : X509_V_ERR_UNSPECIFIED;
}

size_t conn_tls_chain(const struct conn *c, struct buf *out, size_t most)
{
    STACK_OF(X509) *chain = c->ssl != NULL ? SSL_get_peer_cert_chain(c->ssl) : NULL;
    size_t n = 0;

    for (int i = 0; chain != NULL && i < sk_X509_num(chain) && n < most; i++) {
        unsigned char *der = NULL;
        int size = i2d_X509(sk_X509_value(chain, i), &der);

        if (size > 0 && size <= UINT16_MAX) {
            buf_add_char(out, (char)(size >> 8));
            buf_add_char(out, (char)(size & 255));
            buf_add(out, str_from((const char *)der, (size_t)size));
            n++;
        }
        OPENSSL_free(der);
        if (size <= 0 || size > UINT16_MAX)
            break;
    }
    ERR_clear_error();
    return out->failed ? 0 : n;
}

/* The first Finished message of the handshake: the client's, or the server's when a session was
 * resumed. TLS 1.3 has none. Without the extended master secret it would not bind (RFC 9266, 5). */
bool conn_tls_unique(struct conn *c, char *out, size_t size, size_t *n)
{
    bool ours;

    *n = 0;
    if (c->phase != CONN_SECURE || SSL_version(c->ssl) >= TLS1_3_VERSION || SSL_get_extms_support(c->ssl) != 1)
        return false;
    ours = c->server == (SSL_session_reused(c->ssl) == 1);
    *n = ours ? SSL_get_finished(c->ssl, out, size) : SSL_get_peer_finished(c->ssl, out, size);
    return *n > 0 && *n <= size;
}

bool conn_tls_exporter(struct conn *c, char out[32])
{
    static const char label[] = "EXPORTER-Channel-Binding";

    if (c->phase != CONN_SECURE || (SSL_version(c->ssl) < TLS1_3_VERSION && SSL_get_extms_support(c->ssl) != 1))
        return false;
    return SSL_export_keying_material(
               c->ssl, (unsigned char *)out, 32, label, sizeof label - 1, NULL, 0, 0) == 1;
}
