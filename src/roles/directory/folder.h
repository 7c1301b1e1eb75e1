/* The folder of the database, also where a command runs before the server ever did. */
#pragma once
#include "config/config.h"

/* Makes data/directory where it is missing. Started as root (a command without a server), the
 * process becomes the user the role runs as, so that no file belongs to root afterwards. */
MUST_CHECK bool folder_prepare(const struct config *config, struct err *err);
