/* Shards that the configuration no longer has. */
#pragma once
#include "config/config.h"

/* False when a database of a shard beyond copies { queue = N } still holds mail: nobody would deliver
 * it. Called by shard 0 at the start of a server. */
MUST_CHECK bool leftover_check(const struct config *config, struct err *err);
