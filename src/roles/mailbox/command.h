/* The command `mailbox`: `mailbox show account=N` (folders with their sums), `mailbox check account=N`,
 * `mailbox reindex account=N`, `mailbox stats`. Accounts are named by number; directory knows the addresses. */
#pragma once
#include "boxes.h"
#include "ipc/role.h"

void command_run(struct role *role, struct boxes *boxes, struct channel *from, const struct msg_control_ask *m);
