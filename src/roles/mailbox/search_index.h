/* The full-text index of one account, in a database of its own beside the account's (docs/imap.md, "Search index"): which
 * messages may hold a word. It is a filter: what it lets through is still compared, so it may know too much but never too
 * little. It knows all messages of a folder up to a uid (search_index_upto); the others must be looked at in any case.
 *
 * Tables: `doc`, a number for each content; `words` (FTS5 without text and positions), the grams of each doc; `place`, which
 * doc a uid of a folder has; `folder`, up to where; `about`. Texts never change, so nothing is ever updated; what is expunged
 * stays until the index is made anew, which is when it knows twice as much as there is.
 *
 * Why no answer misses a message:
 * - Only what is on disk in the account's database is taken in (the box is settled), so no crash takes it back.
 * - Docs, places and `upto` are of one transaction; the log and its checkpoints are synced as in the other databases.
 * - Each page of the file has a checksum (db_open_derived). Any failure: the messages are read instead.
 * - Before an index that was found is believed for a folder, the last of the messages it knows there that still exists must have
 *   the same content and the same time of saving in both, and the next uid must be above all it knows. Contents are named
 *   by the time they came, so two histories of a folder (a backup was put back and went on) agree on a uid only below
 *   the place where they part; and whatever exists below is the same in both. Otherwise the index is made anew.
 * - It is also made anew when it was made by other rules (SEARCH_INDEX_RULES), by another version of the libraries that fold
 *   and convert, or for another account. */
#pragma once
#include "store_folder.h"

enum {
    SEARCH_INDEX_RULES = 1, /* grows when grams, or the text that is searched, change: tests/unit/search_index_test.c says so */
    SEARCH_INDEX_FIND = 1000, /* docs in one step of finding */
};

struct search_index;

/* Opens the index of the store, or begins a new one in the place of what cannot be used. */
MUST_CHECK bool search_index_open(struct search_index **ix, const char *path, struct store *store, int64_t account, struct err *err);
void search_index_close(struct search_index *ix); /* what is not committed is forgotten; NULL is fine */
/* The files. */
void search_index_remove(const char *path);

/* Takes in messages until the time (monotonic) is over; *more: call again. The store has nothing that is not on disk. After a
 * failure it is only good to be closed; ERR_DAMAGED: and to be removed. */
MUST_CHECK bool search_index_fill(struct search_index *ix, int64_t until, bool *more, struct err *err);
/* What was taken in can be found, and stays. */
MUST_CHECK bool search_index_commit(struct search_index *ix, struct err *err);
/* Makes sure that what it knows of a folder is of this history. Needs the same; fails in the same way. */
MUST_CHECK bool search_index_verify(struct search_index *ix, struct folder *f, struct err *err);
/* All messages of the folder up to this uid are known; 0: none, or not verified. */
uint32_t search_index_upto(const struct search_index *ix, const struct folder *f);
/* Adds uids of the folder whose messages may match the query (grams_query), of the docs behind *after, which is 0 at first and
 * again when it was the last. */
MUST_CHECK bool search_index_find(struct search_index *ix, const struct folder *f, struct str query, int64_t *after,
    struct uid_set *uids, struct err *err);

struct search_index_size {
    int64_t docs, places, bytes;
};
MUST_CHECK bool search_index_size(struct search_index *ix, struct search_index_size *size, struct err *err);
/* Reads all of it. */
MUST_CHECK bool search_index_check(struct search_index *ix, struct err *err);
