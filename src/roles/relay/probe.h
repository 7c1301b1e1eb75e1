/* The command `probe`: connects to mail servers to see whether they answer, and whether they would take mail for an address that is
 * not theirs. Nothing is ever sent: the transaction ends before DATA. */
#pragma once
#include "base/list.h"
#include "ipc/role.h"

struct probes {
    struct role *role;
    struct list all; /* struct probing */
};

void probes_init(struct probes *p, struct role *role);
/* words ADDRESS,PORT[,RECIPIENT], at most PROBES_MAX of them; all are tried at once, each for PROBE_SECONDS at most. */
enum { PROBES_MAX = 64, PROBE_SECONDS = 12 };
void probes_on_ask(struct probes *p, struct channel *from, const struct msg_control_ask *m);
void probes_on_cancel(struct probes *p, struct channel *from, uint64_t id);
void probes_peer_gone(struct probes *p, struct channel *peer);
