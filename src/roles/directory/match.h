/* What a route or a pool is chosen by: "recipient:example.net", "recipient:*",
 * "sender:example.org", "class:bulk". */
#pragma once
#include "command.h"

/* Reads and completes a match. 0 or an exit code. `recipients`: whether it may be about recipients.
 */
int match_read(struct command *c, struct str text, bool recipients, struct name *out);
