/* A file system that fails on demand, for storage tests: a layer over SQLite's own, made the default.
 * Writes, syncs, truncations, opens and deletions are counted from 1; the one whose turn it is fails (and
 * with `forever` all after it), as a full or dying disk would. */
#pragma once
#include <stdbool.h>

void fault_install(void);
/* Fails operation number n counted from now; 0 for never. */
void fault_at(int n, bool forever);
/* Whether the failure has been dealt out since fault_at. */
bool fault_happened(void);
/* Syncs of files (not folders) since fault_at. */
int fault_syncs(void);
