/* wire: a non-blocking connection, plain or TLS. The contract is in wire.h. */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in loopback(uint32_t address, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
}

static void no_delay(int fd)
{
    int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool wire_connect(struct wire *w, uint32_t from, uint16_t port)
{
    struct sockaddr_in to = loopback(INADDR_LOOPBACK, port), source = loopback(from, 0);
    int on = 1;

    *w = (struct wire){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (w->fd < 0)
        return false;
    no_delay(w->fd);
    if (from) {
        (void)setsockopt(w->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(w->fd, (struct sockaddr *)&source, sizeof source) != 0) {
            wire_close(w);
            return false;
        }
    }
    if (connect(w->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
        wire_close(w);
        return false;
    }
    return true;
}

int wire_listen(uint16_t port, bool everywhere)
{
    struct sockaddr_in at = loopback(everywhere ? INADDR_ANY : INADDR_LOOPBACK, port);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 4096) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

uint32_t wire_local(const struct wire *w)
{
    struct sockaddr_in at;
    socklen_t size = sizeof at;

    return getsockname(w->fd, (struct sockaddr *)&at, &size) == 0 ? ntohl(at.sin_addr.s_addr) : 0;
}

bool wire_accept(struct wire *w, int listener)
{
    *w = (struct wire){.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (w->fd < 0)
        return false;
    no_delay(w->fd);
    return true;
}

/* What OpenSSL says of a call that moved nothing. */
static enum wire_result tls_result(struct wire *w, int answer)
{
    int why = SSL_get_error(w->ssl, answer);

    ERR_clear_error();
    w->wants_write = why == SSL_ERROR_WANT_WRITE;
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? WIRE_AGAIN : WIRE_CLOSED;
}

enum wire_result wire_read(struct wire *w, void *to, size_t room, size_t *n)
{
    ssize_t got;

    if (w->ssl) {
        int answer = SSL_read_ex(w->ssl, to, room, n);

        return answer == 1 ? WIRE_OK : tls_result(w, answer);
    }
    got = recv(w->fd, to, room, 0);
    if (got > 0) {
        *n = (size_t)got;
        return WIRE_OK;
    }
    w->wants_write = false;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? WIRE_AGAIN : WIRE_CLOSED;
}

enum wire_result wire_write(struct wire *w, const void *from, size_t size, size_t *n)
{
    ssize_t put;

    if (w->ssl) {
        int answer = SSL_write_ex(w->ssl, from, size, n);

        return answer == 1 ? WIRE_OK : tls_result(w, answer);
    }
    put = send(w->fd, from, size, MSG_NOSIGNAL);
    if (put >= 0) {
        *n = (size_t)put;
        return WIRE_OK;
    }
    w->wants_write = true;
    return errno == EAGAIN || errno == EINTR ? WIRE_AGAIN : WIRE_CLOSED;
}

bool wire_tls(struct wire *w, SSL_CTX *context, bool server)
{
    w->ssl = SSL_new(context);
    if (!w->ssl || SSL_set_fd(w->ssl, w->fd) != 1)
        return false;
    SSL_set_mode(w->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                             SSL_MODE_RELEASE_BUFFERS);
    if (server)
        SSL_set_accept_state(w->ssl);
    else
        SSL_set_connect_state(w->ssl);
    return true;
}

enum wire_result wire_handshake(struct wire *w)
{
    int answer = SSL_do_handshake(w->ssl);

    return answer == 1 ? WIRE_OK : tls_result(w, answer);
}

void wire_close(struct wire *w)
{
    if (w->ssl)
        SSL_free(w->ssl);
    if (w->fd >= 0)
        close(w->fd);
    *w = (struct wire){.fd = -1};
}

uint64_t wire_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

unsigned long wire_files(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return 1024;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    return files.rlim_cur;
}
