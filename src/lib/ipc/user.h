/* The folder and the user of a role that was started without a supervisor: a command while no server
 * runs, perhaps before one ever did. */
#pragma once
#include "config/config.h"
#include "ipc/messages.h"

/* Makes data/ROLE where it is missing. Started as root, the process gives it to the user of the role
 * and becomes that user, so that no file belongs to root afterwards. */
MUST_CHECK bool user_prepare_folder(const struct config *config, enum role_id role, struct err *err);
