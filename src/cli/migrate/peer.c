/* A client's connection: bytes and responses. See peer.h; how it is made is in peer_open.c. */
#include "cli/migrate/peer.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUT_SEND = 64 * 1024, PIECE = 64 * 1024 };

static bool failed(const struct peer *p, struct err *err, const char *what)
{
    return err_set(err, ERR_TEMPORARY, "%s: %s", p->name, what);
}

static bool wait_for(const struct peer *p, short what, struct err *err)
{
    struct pollfd one = {.fd = p->fd, .events = what};
    int n;

    do
        n = poll(&one, 1, p->patience);
    while (n < 0 && errno == EINTR);
    return n > 0 || failed(p, err, n == 0 ? "no answer within the time limit" : strerror(errno));
}

/* One try; -1: wait for *what, 0: the connection is over. */
static ssize_t try_write(struct peer *p, struct str bytes, short *what)
{
    ssize_t n;
    int done;

    *what = POLLOUT;
    if (p->ssl == NULL) {
        n = send(p->fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        return n < 0 && errno != EAGAIN && errno != EINTR ? 0 : n;
    }
    done = SSL_write(p->ssl, bytes.p, bytes.n > PIECE ? PIECE : (int)bytes.n);
    if (done > 0)
        return done;
    *what = SSL_get_error(p->ssl, done) == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
    return *what == POLLIN || SSL_get_error(p->ssl, done) == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static ssize_t try_read(struct peer *p, char *room, size_t size, short *what)
{
    ssize_t n;
    int done;

    *what = POLLIN;
    if (p->ssl == NULL) {
        n = recv(p->fd, room, size, MSG_DONTWAIT);
        return n < 0 && errno != EAGAIN && errno != EINTR ? 0 : n;
    }
    done = SSL_read(p->ssl, room, (int)size);
    if (done > 0)
        return done;
    *what = SSL_get_error(p->ssl, done) == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
    return *what == POLLOUT || SSL_get_error(p->ssl, done) == SSL_ERROR_WANT_READ ? -1 : 0;
}

bool peer_flush(struct peer *p, struct err *err)
{
    size_t sent = 0;
    short what;

    if (p->out.failed)
        return failed(p, err, "a command is too long");
    while (sent < p->out.n) {
        ssize_t n = try_write(p, str_skip(buf_str(&p->out), sent), &what);

        if (n == 0)
            return failed(p, err, "the connection was ended");
        if (n < 0 && !wait_for(p, what, err))
            return false;
        sent += n > 0 ? (size_t)n : 0;
    }
    buf_reset(&p->out);
    return true;
}

bool peer_send(struct peer *p, struct str bytes, struct err *err)
{
    while (bytes.n > 0) {
        struct str part = str_sub(bytes, 0, OUT_SEND);

        buf_add(&p->out, part);
        bytes = str_skip(bytes, part.n);
        if (p->out.n >= OUT_SEND && !peer_flush(p, err))
            return false;
    }
    return true;
}

void peer_begin(struct peer *p, char tag[16])
{
    snprintf(tag, 16, "A%u", ++p->tags);
    buf_addf(&p->out, "%s ", tag);
}

/* More into p->raw, after what was used of it is forgotten. *n 0: the end. */
static bool receive(struct peer *p, size_t *n, struct err *err)
{
    char *room;
    ssize_t got;
    short what;

    buf_reset(&p->raw);
    p->raw_used = 0;
    room = buf_reserve(&p->raw, PIECE);
    if (room == NULL || !peer_flush(p, err))
        return false;
    while ((got = try_read(p, room, PIECE, &what)) < 0)
        if (!wait_for(p, what, err))
            return false;
    p->raw.n = *n = (size_t)got;
    return true;
}

bool peer_some(struct peer *p, struct str *bytes, struct err *err)
{
    size_t n = p->raw.n - p->raw_used;

    *bytes = (struct str){0};
    if (n == 0 && !receive(p, &n, err))
        return false;
    *bytes = str_sub(buf_str(&p->raw), p->raw_used, p->raw.n);
    p->raw_used = p->raw.n;
    return true;
}

static bool next_event(struct peer *p, enum imap_input_event *event, struct err *err)
{
    for (;;) {
        struct str rest = str_skip(buf_str(&p->raw), p->raw_used);
        size_t before = rest.n, n;

        *event = imap_input_next(&p->in, &rest);
        p->raw_used += before - rest.n;
        if (*event != IMAP_INPUT_MORE)
            return true;
        if (!receive(p, &n, err))
            return false;
        if (n == 0)
            return failed(p, err, "the server ended the connection");
    }
}

bool peer_read(struct peer *p, bool bodies, struct imap_answer *answer, bool *body, uint64_t *size, struct err *err)
{
    enum imap_input_event event;

    *body = false;
    imap_input_done(&p->in);
    for (;;) {
        if (!next_event(p, &event, err))
            return false;
        if (event == IMAP_INPUT_TOO_LONG)
            return failed(p, err, "an answer is too long");
        if (event == IMAP_INPUT_COMMAND) {
            arena_clear(&p->arena);
            imap_answer_parse(imap_input_command(&p->in), p->streamed, &p->arena, answer);
            p->streamed = false;
            return true;
        }
        if (event == IMAP_INPUT_LITERAL && bodies && !p->streamed && imap_answer_begins_body(imap_input_command(&p->in))) {
            *size = imap_input_literal(&p->in)->size;
            *body = p->streamed = true;
            arena_clear(&p->arena);
            imap_answer_parse(imap_input_command(&p->in), true, &p->arena, answer); /* what stands before it */
            imap_input_stream(&p->in);
            return true;
        }
        if (event == IMAP_INPUT_LITERAL && imap_input_literal(&p->in)->size > IMAP_COMMAND_MAX)
            return failed(p, err, "an answer is too long");
        if (event == IMAP_INPUT_LITERAL)
            imap_input_take(&p->in);
    }
}

bool peer_body(struct peer *p, struct str *piece, struct err *err)
{
    enum imap_input_event event;

    if (!next_event(p, &event, err))
        return false;
    *piece = event == IMAP_INPUT_BYTES ? imap_input_bytes(&p->in) : (struct str){0};
    return true;
}

bool peer_wait(struct peer *p, const char *tag, peer_untagged_fn *untagged, void *owner, struct imap_answer *answer, struct err *err)
{
    bool body;
    uint64_t size;

    for (;;) {
        if (!peer_read(p, false, answer, &body, &size, err))
            return false;
        if (str_eq(answer->tag, str_of(tag)))
            return true;
        if (untagged != NULL && answer->tag.n == 0)
            untagged(owner, answer);
        if (answer->kind == IMAP_SAYS_BYE)
            return err_set(err, ERR_TEMPORARY, "%s: the server ended the session: %.*s", p->name, STR_ARG(answer->text));
    }
}

bool peer_ask(struct peer *p, struct str text, peer_untagged_fn *untagged, void *owner, struct imap_answer *answer, struct err *err)
{
    char tag[16];

    peer_begin(p, tag);
    return peer_send(p, text, err) && peer_send(p, STR("\r\n"), err) && peer_flush(p, err) &&
           peer_wait(p, tag, untagged, owner, answer, err);
}

void peer_close(struct peer *p)
{
    if (p->ssl != NULL) {
        SSL_shutdown(p->ssl);
        SSL_free(p->ssl);
    }
    if (p->ctx != NULL)
        SSL_CTX_free(p->ctx);
    if (p->fd >= 0)
        close(p->fd);
    if (p->out.p != NULL) /* a password may have been in it */
        explicit_bzero(p->out.p, p->out.capacity);
    buf_clear(&p->out);
    buf_clear(&p->raw);
    imap_input_clear(&p->in);
    arena_clear(&p->arena);
    *p = (struct peer){.fd = -1};
}
