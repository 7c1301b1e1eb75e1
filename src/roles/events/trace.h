/* The command "trace": the stories of the messages that have to do with a queue id, a Message-ID or an
 * address, as rows. A cursor: at most CONTROL_ROWS rows, then it waits for control_more. */
#pragma once
#include "base/list.h"
#include "ipc/role.h"
#include "store.h"

struct traces {
    struct store *const *store; /* that of the batch; NULL there while it cannot be opened */
    struct list open; /* struct trace */
    size_t count;
};

void traces_init(struct traces *t, struct store *const *store);
void trace_on_ask(struct traces *t, struct role *role, struct channel *from, const struct msg_control_ask *m);
void trace_on_more(struct traces *t, struct channel *from, uint64_t id);
void trace_on_cancel(struct traces *t, struct channel *from, uint64_t id);
void trace_peer_gone(struct traces *t, const struct channel *peer);
