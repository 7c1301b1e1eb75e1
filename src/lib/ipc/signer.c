/* The signing line. A TLS handshake cannot wait in the loop, so the front asks on a socket of its own
 * and waits for the answer there; signing takes the holder as long as it would take the front. On the
 * other end it is a channel like any other. */
#include "base/clock.h"
#include "base/log.h"
#include "ipc/boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 1, REPLY_MAX = 4096, STALE_MAX = 16 };
/* After one that was not answered: handshakes fail at once meanwhile, and the loop goes on with the rest. */
#define REST (10 * SECOND)

static void signer_ended(struct channel *c)
{
    struct role *role = channel_owner(c);

    if (role->signers[channel_role(c)][channel_copy(c)] == c)
        role->signers[channel_role(c)][channel_copy(c)] = NULL;
    channel_free(c);
}

void signer_take(struct role *role, enum role_id front, unsigned copy, int fd)
{
    struct timeval patience = {PATIENCE_SECONDS, 0};
    struct channel **place = &role->signers[front][copy];

    if (role->type->handlers->key_sign_ask != NULL) {
        if (*place != NULL)
            signer_ended(*place);
        *place = channel_new(role->base, fd, role, role->type->id, front, copy, &role->handlers, signer_ended);
        return;
    }
    if (role->signer_fd >= 0)
        close(role->signer_fd);
    role->signer_fd = fd;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

/* n bytes, or less before the end or a failure: *ended tells which. */
static size_t read_all(int fd, void *out, size_t n, bool *ended)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = read(fd, (char *)out + done, n - done);

        if (got < 0 && errno == EINTR)
            continue;
        *ended = got == 0 || (got < 0 && errno == ECONNRESET);
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

static size_t write_all(int fd, struct str bytes)
{
    size_t done = 0;

    while (done < bytes.n) {
        ssize_t put = send(fd, bytes.p + done, bytes.n - done, MSG_NOSIGNAL);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            break;
        done += (size_t)put;
    }
    return done;
}

static void on_reply(struct role *role, struct channel *from, const struct msg_key_sign_reply *m)
{
    (void)from;
    if (m->id != role->signing.id)
        return; /* late, of a handshake that was given up */
    role->signing.answered = true;
    role->signing.done = m->done != 0;
    buf_add(role->signing.out, m->output);
}

/* Somewhere in a frame: what follows could not be told apart, so the line ends. Directory's next start
 * brings a new one; if it lives, only our own does. */
static bool line_broken(struct role *role, bool ended)
{
    if (!ended)
        fatal("signing line: broken in the middle of a message");
    close(role->signer_fd);
    role->signer_fd = -1;
    return false;
}

static bool take_reply(struct role *role)
{
    static const struct handlers handlers = {.key_sign_reply = on_reply};
    char frame[REPLY_MAX];
    uint32_t length;
    bool ended = false;
    const char *why;
    size_t got = read_all(role->signer_fd, &length, sizeof length, &ended);

    if (got == 0)
        return false; /* nothing came in time: frames are written whole */
    if (got < sizeof length || length > sizeof frame ||
        read_all(role->signer_fd, frame, length, &ended) < length)
        return line_broken(role, ended);
    if (!ipc_dispatch(role, NULL, ROLE_DIRECTORY, role->type->id, &handlers, str_from(frame, length), &why))
        fatal("signing line: %s", why);
    return true;
}

bool role_sign(struct role *role, struct str key, uint64_t operation, struct str input, struct buf *out)
{
    struct buf frame;
    size_t size, sent;
    bool ended;

    if (role->signer_fd < 0 || clock_monotonic() < role->signer_rests_until)
        return false;
    role->signatures.came++;
    role->signing = (struct signing){.id = role_next_id(role), .out = out};
    buf_init(&frame, REPLY_MAX);
    ipc_encode_key_sign_ask(
        &frame, &(struct msg_key_sign_ask){.id = role->signing.id, .operation = operation, .key = key, .input = input});
    size = frame.n;
    sent = write_all(role->signer_fd, buf_str(&frame));
    ended = errno == EPIPE || errno == ECONNRESET;
    buf_clear(&frame);
    if (sent > 0 && sent < size)
        return line_broken(role, ended);
    for (int i = 0; sent == size && !role->signing.answered && i < STALE_MAX; i++)
        if (!take_reply(role))
            break;
    *(role->signing.answered ? &role->signatures.answered : &role->signatures.gone) += 1;
    if (!role->signing.answered)
        role->signer_rests_until = clock_monotonic() + REST;
    if (!role->signing.answered)
        log_warning("signing", "reason=%s", "directory did not answer; the TLS handshake fails");
    return role->signing.answered && role->signing.done && !out->failed;
}
