/* A connected byte stream to one copy of a peer role. Owned by the role framework (role.h). */
#pragma once
#include "ipc/ipc.h"

struct event_base;

typedef void channel_gone_fn(struct channel *c);

/* Takes over fd. Frames are dispatched to `handlers`; gone() is called once, at end of file or error,
 * after which the caller frees the channel. */
struct channel *channel_new(struct event_base *base, int fd, struct role *role, enum role_id self,
    enum role_id peer, unsigned copy, const struct handlers *handlers, channel_gone_fn *gone);
void channel_free(struct channel *c);

struct role *channel_owner(const struct channel *c);
enum role_id channel_role(const struct channel *c);
unsigned channel_copy(const struct channel *c);
/* A number that no other channel of this process ever has: (copy, restart) of the peer. */
uint64_t channel_serial(const struct channel *c);

/* Its process is dead: what it wrote before is taken now. The caller frees the channel. */
void channel_take_rest(struct channel *c);

/* Appends to the output; used by ipc_send_*. */
struct buf *channel_output(struct channel *c);
void channel_output_added(struct channel *c);
/* Bytes waiting to be written. A role that feeds a channel stops its own sources above
 * CHANNEL_HIGH and starts them again when the `drained` callback says it fell below. */
enum { CHANNEL_HIGH = 128 * 1024 };
size_t channel_backlog(const struct channel *c);
void channel_on_drained(struct channel *c, void (*drained)(struct role *, struct channel *));
/* Back-pressure: takes no more frames from this peer until switched on again. */
void channel_read(struct channel *c, bool on);

/* Writes what waits, as far as the socket takes it; called by the loop once a turn. */
void channel_flush(struct channel *c);

/* What must not get lost between two processes. Each end counts it since the channel was made: the giver
 * when it sends it, the taker when it has understood it. verify.h compares. */
enum handover {
    HANDOVER_ACCEPTED,  /* 250s for messages: queue, filter, smtp */
    HANDOVER_DELIVERED, /* results of recipients: mailbox or relay to queue */
    HANDOVER_RELAYED,
    HANDOVER_DEFERRED,
    HANDOVER_FAILED,
    HANDOVER_EVENT,     /* to events */
    HANDOVER_SESSION,   /* logged-in users: access to mailbox */
    HANDOVER_COUNT,
};

struct handover_counts {
    uint64_t gave[HANDOVER_COUNT], took[HANDOVER_COUNT];
};

/* A result in enum delivery_status; what is none counts as deferred. */
static inline enum handover handover_of(uint64_t status)
{
    return status <= DELIVERY_FAILED ? (enum handover)(HANDOVER_DELIVERED + status) : HANDOVER_DEFERRED;
}

void channel_gave(struct channel *c, enum handover what);
void channel_took(struct channel *c, enum handover what);
const struct handover_counts *channel_counts(const struct channel *c);
