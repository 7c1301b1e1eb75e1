/* The commands "report show" and "report list": what others report about our domains. One answer of at most CONTROL_ROWS rows. */
#pragma once
#include "ipc/role.h"
#include "received.h"

void summary_on_ask(struct received *received, struct channel *from, const struct msg_control_ask *m); /* received NULL: no database now */
