/* A copy of a SQLite database as it is now, made in portions while its owner goes on: through a connection of its own that
 * keeps one view of the database from the first step to the last. Meanwhile the owner's log grows. What is made is a file
 * that needs no log; it is not synced, and of no use before the last step. */
#pragma once
#include "base/err.h"

#include <stdint.h>

struct db_copy;

MUST_CHECK bool db_copy_begin(struct db_copy **copy, const char *from, const char *to, struct err *err);
/* Some pages more. *done: that was all; db_copy_free may be called at any time. */
MUST_CHECK bool db_copy_step(struct db_copy *copy, int pages, bool *done, struct err *err);
/* Pages copied and pages in all; both 0 before the first step. */
void db_copy_progress(const struct db_copy *copy, int64_t *at, int64_t *of);
void db_copy_free(struct db_copy *copy); /* NULL is fine */
