/* The user a role runs as, for a role started without a supervisor: a command while no server runs. */
#pragma once
#include "config/config.h"
#include "ipc/messages.h"

/* Started as root, the process gives `folder` to the user of the role and becomes that user, so that
 * no file belongs to root afterwards. Does nothing for anybody else, or without a configured user. */
MUST_CHECK bool user_become(const struct config *config, enum role_id role, const char *folder, struct err *err);
