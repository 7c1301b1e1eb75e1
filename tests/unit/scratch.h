/* A throw-away folder for a test program: below $TMPDIR or /tmp, so that a run that is killed leaves nothing in the
 * tree. Aborts when there can be none. */
#pragma once

enum { SCRATCH_MAX = 200 };

/* Makes "/tmp/NAME.XXXXXX" and writes its path. */
void scratch_make(char folder[static SCRATCH_MAX], const char *name);
/* The same in memory where that is possible, for tests about order and not about the disk. */
void scratch_make_in_memory(char folder[static SCRATCH_MAX], const char *name);
/* Removes all that is in it. */
void scratch_empty(const char *folder);
/* Removes it with all that is in it. */
void scratch_remove(const char *folder);
