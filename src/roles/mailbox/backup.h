/* Sessions of the administrator that take an account's database away, bring one back, and look whether it is sound: backup.c, restore.c,
 * check.c. */
#pragma once
#include "session.h"

extern const struct protocol backup_protocol, restore_protocol, check_protocol;
