/* The file of the log of additions: groups written round, read at the start (docs/mailbox.md, The log of additions, has the
 * crash argument). It knows nothing of databases.
 *
 * Its owner is the copy of its name; one of another number of copies is read by all of them and written by nobody. */
#pragma once
#include "addition.h"

struct addition_log;

/* The log of this copy of so many, locked, its folder synced. Fails when another process keeps it locked for more than `patience` microseconds. */
MUST_CHECK bool addition_log_open(struct addition_log **log, struct str folder, unsigned copy, unsigned copies, int64_t patience,
    struct err *err);
void addition_log_close(struct addition_log *log); /* changes nothing on disk; NULL is fine */

/* Looks which records there are, for accounts of this copy, here and in logs of other numbers of copies. */
MUST_CHECK bool addition_log_scan(struct addition_log *log, struct err *err);
/* The account with the lowest number above `after` that has records, 0 for none. Of the last scan. */
int64_t addition_log_next_account(const struct addition_log *log, int64_t after);
/* Tells the records of an account in the order in which they were written, until `tell` returns false. Of the last scan; a record that is
 * no longer what it was is a failure. */
typedef bool addition_fn(void *arg, const struct addition *a, struct err *err);
MUST_CHECK bool addition_log_walk(struct addition_log *log, int64_t account, addition_fn *tell, void *arg, struct err *err);
void addition_log_forget_scan(struct addition_log *log); /* its memory */

/* Whether a group of n bytes fits behind the others. */
bool addition_log_fits(const struct addition_log *log, size_t n);
bool addition_log_is_empty(const struct addition_log *log); /* nothing was appended since it began anew */
/* Seals the group (addition.h) and writes it; it is on disk then. After a failure only addition_log_restart goes on. */
MUST_CHECK bool addition_log_append(struct addition_log *log, struct buf *group, uint32_t count, struct err *err);
/* Nothing in it is needed any more: the next group stands at its beginning. */
void addition_log_restart(struct addition_log *log);
/* The same, so that the next process finds none either; logs of other numbers of copies are marked as taken by this one. */
MUST_CHECK bool addition_log_clear(struct addition_log *log, struct err *err);
