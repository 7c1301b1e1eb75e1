/* One process a shard. A command without a server works on the database with this role's own program; when
 * the server starts meanwhile, each would keep in memory what the other changes. So each holds a lock as
 * long as it has the database open, and the second one waits. The lock is gone with its process. */
#pragma once
#include "base/err.h"

/* Waits up to 30 s. The lock is held until the descriptor is closed. */
MUST_CHECK bool lock_take(const char *database, int *fd, struct err *err);

/* salvage has made a new file and kept the damaged one, and was cut off (killed, or by loss of power) before the one
 * had the place of the other: it must be finished first. */
bool lock_salvage_is_open(const char *database);
