/* Looks for mistakes in an account's database, as many rows at a time as the caller likes: `mailbox check`, `account verify`, and what a
 * restore must know of a file before it is used. It reads, and needs the same view of the database from the first step to the last: no
 * change in between, or a transaction that keeps one. Memory does not grow with the mailbox.
 *
 * It works on every version of the schema: what a version does not have yet is not asked for. */
#pragma once
#include "base/err.h"
#include "db/db.h"

enum store_check_what {
    CHECK_PLAUSIBLE = 1, /* numbers and names that a mailbox can have: what everybody relies on who reads it */
    CHECK_SOUND = 2,     /* totals, references, blocks, keywords, summaries: rows fit together */
    CHECK_BODIES = 4,    /* with the former: every byte of every message is read */
};

struct store_checked {
    int64_t folders, messages, bytes, contents;
};

struct store_check;

/* Of the account whose rows it has: a backup may have come to another number. */
MUST_CHECK bool store_check_new(struct store_check **check, struct db *db, unsigned what, struct err *err);
/* Goes on until that time (monotonic). *done: that was all. False: ERR_DAMAGED says what is wrong; or it could not be read. */
MUST_CHECK bool store_check_step(struct store_check *c, int64_t until, bool *done, struct err *err);
/* With CHECK_SOUND, at the end. */
const struct store_checked *store_check_numbers(const struct store_check *c);
void store_check_free(struct store_check *c); /* NULL is fine */
