#include "ipc/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union ancillary {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

bool control_send(int fd, struct str frame, int pass, struct err *err)
{
    union ancillary anc;
    struct iovec part = {(void *)(uintptr_t)frame.p, frame.n};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};

    if (pass >= 0) {
        struct cmsghdr *c;

        memset(&anc, 0, sizeof anc);
        msg.msg_control = anc.bytes;
        msg.msg_controllen = sizeof anc.bytes;
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof pass);
        memcpy(CMSG_DATA(c), &pass, sizeof pass);
    }
    while (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return err_set(err, ERR_TEMPORARY, "control socket: %s", strerror(errno));
    return true;
}

static int take_descriptor(struct msghdr *msg)
{
    int fd = -1;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
            c->cmsg_len == CMSG_LEN(sizeof fd))
            memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

bool control_receive(int fd, struct buf *packet, int *passed, bool *ended, struct err *err)
{
    union ancillary anc;
    struct iovec part;
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = anc.bytes,
        .msg_controllen = sizeof anc.bytes};
    ssize_t n;

    *passed = -1;
    *ended = false;
    buf_reset(packet);
    part.iov_base = buf_reserve(packet, CONTROL_PACKET_MAX);
    part.iov_len = CONTROL_PACKET_MAX;
    if (part.iov_base == NULL)
        return err_set(err, ERR_LIMIT, "control socket: no room");
    do
        n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n < 0 && errno != ECONNRESET)
        return err_set(err, ERR_TEMPORARY, "control socket: %s", strerror(errno));
    if (n <= 0) {
        *ended = true;
        return true;
    }
    if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return err_set(err, ERR_PERMANENT, "control socket: a packet was cut");
    *passed = take_descriptor(&msg);
    packet->n = (size_t)n;
    return true;
}
