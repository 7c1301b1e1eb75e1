/* The decoder of every receiving role: the first two bytes choose sender and receiver, the rest is a
 * frame. A frame that decodes must encode to the same bytes again. */
#include "ipc/ipc.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

static struct buf again;

#define HANDLER(name, senders, receivers)                                                          \
    static void on_##name(struct role *role, struct channel *from, const struct msg_##name *m)     \
    {                                                                                              \
        (void)role, (void)from;                                                                    \
        ipc_encode_##name(&again, m);                                                              \
    }
MESSAGES(HANDLER)

static const struct handlers handlers = {
#define ENTRY(name, senders, receivers) .name = on_##name,
    MESSAGES(ENTRY)
#undef ENTRY
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str frame = {(const char *)data + 2, size - 2};
    const char *why;

    if (size < 2)
        return 0;
    buf_init(&again, IPC_FRAME_MAX);
    if (ipc_dispatch(NULL, NULL, data[0] % ROLE_COUNT, data[1] % ROLE_COUNT, &handlers, frame, &why))
        assert(str_eq(str_skip(buf_str(&again), 4), frame));
    buf_clear(&again);
    return 0;
}
