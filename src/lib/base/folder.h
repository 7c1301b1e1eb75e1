/* Folders whose names survive a loss of power. A name is on disk only after its folder was synced (POSIX promises
 * no more), and a process that dies between making a folder and that sync leaves a name that the next one finds
 * and would trust. */
#pragma once
#include "base/err.h"

#include <sys/types.h>

/* Makes what was created, renamed or removed in this folder durable. */
MUST_CHECK bool folder_sync(const char *path, struct err *err);
/* The same for the folder that this file or folder stands in. */
MUST_CHECK bool folder_sync_parent(const char *path, struct err *err);
/* Makes the folder unless it is there, and its name durable in both cases. One that was there already, in a folder
 * that this process may not open, is taken as it is. */
MUST_CHECK bool folder_make(const char *path, mode_t mode, struct err *err);
