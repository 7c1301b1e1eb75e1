/* Sessions of the administrator that take an account's database away and bring one back: backup.c, restore.c. */
#pragma once
#include "session.h"

extern const struct protocol backup_protocol, restore_protocol;
