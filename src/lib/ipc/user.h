/* The user a role runs as, and the folder of one that was started without a supervisor: a command while
 * no server runs, perhaps before one ever did. */
#pragma once
#include "config/config.h"
#include "ipc/messages.h"

#include <sys/types.h>

/* The user a role runs as: its own ("staffetta-mailbox"), or one for all of them. *change is false when
 * the process keeps the user it has: not started as root, or none configured. */
MUST_CHECK bool user_find(const struct config *config, enum role_id role, uid_t *uid, gid_t *gid, bool *change,
    struct err *err);
/* Makes data/ROLE where it is missing. Started as root, the process gives it to the user of the role
 * and becomes that user, so that no file belongs to root afterwards. */
MUST_CHECK bool user_prepare_folder(const struct config *config, enum role_id role, struct err *err);
/* Started as root, the process becomes the user of the role; for roles without a folder. */
MUST_CHECK bool user_become(const struct config *config, enum role_id role, struct err *err);
