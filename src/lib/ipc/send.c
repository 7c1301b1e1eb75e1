/* The typed senders: encode into a channel's output. */
#include "ipc/channel.h"

#define SENDER(name, senders, receivers)                                                           \
    void ipc_send_##name(struct channel *to, const struct msg_##name *m)                           \
    {                                                                                              \
        ipc_encode_##name(channel_output(to), m);                                                  \
        channel_output_added(to);                                                                  \
    }
MESSAGES(SENDER)
