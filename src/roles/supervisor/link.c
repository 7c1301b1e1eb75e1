/* Who is connected to whom, and what a new process is told before it runs. */
#include "roles/supervisor/supervisor.h"
#include "base/log.h"
#include "ipc/control.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The arrows of docs/architecture.md. web is connected to every role. */
static const struct {
    enum role_id a, b;
} arrows[] = {
    {ROLE_SMTP, ROLE_DIRECTORY},
    {ROLE_SMTP, ROLE_FILTER},
    {ROLE_SMTP, ROLE_EVENTS},
    {ROLE_FILTER, ROLE_DIRECTORY},
    {ROLE_FILTER, ROLE_QUEUE},
    {ROLE_FILTER, ROLE_RESOLVER},
    {ROLE_FILTER, ROLE_EVENTS},
    {ROLE_QUEUE, ROLE_DIRECTORY},
    {ROLE_QUEUE, ROLE_MAILBOX},
    {ROLE_QUEUE, ROLE_RELAY},
    {ROLE_QUEUE, ROLE_EVENTS},
    {ROLE_RELAY, ROLE_RESOLVER},
    {ROLE_RELAY, ROLE_DIRECTORY},
    {ROLE_RELAY, ROLE_EVENTS},
    {ROLE_EVENTS, ROLE_RESOLVER},
    {ROLE_ACCESS, ROLE_DIRECTORY},
    {ROLE_ACCESS, ROLE_MAILBOX},
    {ROLE_MAILBOX, ROLE_DIRECTORY},
    {ROLE_DIRECTORY, ROLE_RESOLVER},
};

static bool are_connected(enum role_id a, enum role_id b)
{
    if (a == ROLE_WEB || b == ROLE_WEB)
        return a != b;
    for (size_t i = 0; i < sizeof arrows / sizeof arrows[0]; i++)
        if ((arrows[i].a == a && arrows[i].b == b) || (arrows[i].a == b && arrows[i].b == a))
            return true;
    return false;
}

/* A process that does not take what we send hangs: it is killed, noticed and started again. */
void link_send(struct process *p, struct buf *frame, int fd)
{
    struct err err = {0};

    if (frame->failed)
        fatal("a control message is too long");
    if (p->control >= 0 && !control_send(p->control, buf_str(frame), fd, &err)) {
        log_warning("control", "role=%s copy=%u reason=%s", role_name(p->role), p->copy, err.text);
        kill(p->pid, SIGKILL);
    }
    explicit_bzero(frame->p, frame->n);
    buf_reset(frame);
}

/* Without descriptors the new process cannot be connected: it is started again after its pause. */
static bool make_pair(struct process *p, int pair[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0)
        return true;
    log_error("connect", "role=%s copy=%u reason=%s", role_name(p->role), p->copy, strerror(errno));
    kill(p->pid, SIGKILL);
    return false;
}

static void send_peer(struct process *p, const struct process *peer, int fd, struct buf *frame)
{
    ipc_encode_boot_peer(frame, &(struct msg_boot_peer){peer->role, peer->copy, peer->copies});
    link_send(p, frame, fd);
}

static void connect_pair(struct process *a, struct process *b, struct buf *frame)
{
    int pair[2], size = 512 * 1024;

    if (!make_pair(a, pair))
        return;
    for (int i = 0; i < 2; i++) {
        setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        setsockopt(pair[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    send_peer(a, b, pair[0], frame);
    send_peer(b, a, pair[1], frame);
    close(pair[0]);
    close(pair[1]);
}

static void send_signer(struct process *to, const struct process *front, int fd, struct buf *frame)
{
    ipc_encode_boot_signer(frame, &(struct msg_boot_signer){front->role, front->copy});
    link_send(to, frame, fd);
}

/* The line on which a front has TLS handshakes signed by directory 0, which holds the keys. */
static void connect_signer(struct process *a, struct process *b, struct buf *frame)
{
    const struct process *front = a->role == ROLE_DIRECTORY ? b : a, *holder = front == a ? b : a;
    int pair[2];

    if (holder->role != ROLE_DIRECTORY || holder->copy != 0 || (front->role != ROLE_SMTP && front->role != ROLE_ACCESS && front->role != ROLE_WEB))
        return;
    if (!make_pair(a, pair))
        return;
    send_signer(a, front, pair[0], frame);
    send_signer(b, front, pair[1], frame);
    close(pair[0]);
    close(pair[1]);
}

void link_process(struct supervisor *s, struct process *p)
{
    struct buf frame;

    buf_init(&frame, CONTROL_PACKET_MAX);
    for (size_t i = 0; i < s->process_count; i++) {
        struct process *peer = &s->processes[i];

        if (peer == p || peer->pid == 0 || peer->control < 0 || !are_connected(p->role, peer->role))
            continue;
        connect_pair(p, peer, &frame);
        connect_signer(p, peer, &frame);
    }
    buf_clear(&frame);
}
