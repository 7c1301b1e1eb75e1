/* The command `mailbox`: `mailbox show account=N` (folders with their sums), `mailbox check account=N`,
 * `mailbox reindex account=N`, `mailbox acl account=N folder=NAME [identifier=WHO rights=RIGHTS]`, `mailbox stats`. Accounts are named by number; directory knows the addresses. */
#pragma once
#include "accounts.h"
#include "boxes.h"
#include "ipc/role.h"

void command_run(struct role *role, struct boxes *boxes, struct accounts *accounts, struct channel *from, const struct msg_control_ask *m);
/* `mailbox acl` (command_acl.c). The box is entered, and left at the end. */
void command_acl(struct role *role, struct accounts *accounts, struct box *box, struct channel *from, const struct msg_control_ask *m);
