/* Typed messages on a byte stream between two roles (see messages.h for the list).
 *
 * Sending: ipc_send_NAME(channel, &(struct msg_NAME){...}) appends to the channel's output, which is
 * written once a turn of the loop. Receiving: a role fills struct handlers with one function a
 * message; a message that is malformed, too long, not for this receiver or not from that sender ends
 * the process (fatal), because it comes from a broken or hijacked peer and the supervisor restarts us.
 *
 * On the wire: u32 length of what follows, u16 number of the message, then its fields in order: U and
 * I as 8 bytes, S and T as u32 length and bytes; host byte order (both ends are the same build). */
#pragma once
#include "base/buf.h"
#include "ipc/messages.h"

struct role;
struct channel;

#define IPC_MEMBER_U(name) uint64_t name;
#define IPC_MEMBER_I(name) int64_t name;
#define IPC_MEMBER_S(name, longest) struct str name;
#define IPC_MEMBER_T(name, longest) struct str name;
#define IPC_STRUCT(name, senders, receivers)                                                       \
    struct msg_##name {                                                                            \
        FIELDS_##name(IPC_MEMBER_U, IPC_MEMBER_I, IPC_MEMBER_S, IPC_MEMBER_T)                                    \
    };
MESSAGES(IPC_STRUCT)

enum msg_type {
    MSG_NONE,
#define IPC_NUMBER(name, senders, receivers) MSG_##name,
    MESSAGES(IPC_NUMBER)
#undef IPC_NUMBER
    MSG_COUNT,
};

/* One function a message that this role takes; the rest stay NULL. */
struct handlers {
#define IPC_HANDLER(name, senders, receivers)                                                      \
    void (*name)(struct role *, struct channel *from, const struct msg_##name *);
    MESSAGES(IPC_HANDLER)
#undef IPC_HANDLER
};

#define IPC_SEND(name, senders, receivers)                                                         \
    void ipc_send_##name(struct channel *to, const struct msg_##name *m);                          \
    void ipc_encode_##name(struct buf *out, const struct msg_##name *m);
MESSAGES(IPC_SEND)
#undef IPC_SEND

enum { IPC_FRAME_MAX = 256 * 1024 };

const char *role_name(enum role_id role);
const char *ipc_message_name(enum msg_type type);

/* Decodes one frame (without its length) and calls its handler. False with *why for anything wrong:
 * unknown number, not from this sender or for this receiver, a field over its longest, trailing bytes. */
bool ipc_dispatch(struct role *role, struct channel *from, enum role_id sender, enum role_id receiver,
    const struct handlers *handlers, struct str frame, const char **why);
