/* One account's mail in its own SQLite database (schema/mailbox): messages with uids and modification
 * sequences, their contents in pieces, and the queue ids already delivered.
 *
 * Changes are made inside a transaction that the caller opens with store_begin and that many
 * deliveries share. The database is opened with DB_SYNC_LATER: a commit survives the death of the
 * process at once, and a loss of power after the next store_sync. Only then may a delivery be
 * answered: the queue keeps its row until that answer, so a crash anywhere repeats the delivery, and
 * the row in `delivered`, written in the same transaction as the message, makes the repetition
 * harmless.
 *
 * Contents that no message refers to (still arriving, or removed) are named in `loose`; what is found
 * there after a crash is swept. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "db/db.h"

enum { STORE_INBOX = 1 };
enum store_flags { STORE_SEEN = 1, STORE_ANSWERED = 2, STORE_FLAGGED = 4, STORE_TO_DELETE = 8, STORE_DRAFT = 16 };
enum content_features { CONTENT_UTF8_HEADER = 1 };

struct store;

struct store_totals {
    int64_t messages, bytes;
};

struct store_item {
    int64_t uid, size, features;
};

/* A content that arrives in pieces; put into the store's list of those, so that it is not swept. */
struct content_writer {
    struct link link;
    int64_t id;
    int64_t size;     /* so far */
    int64_t expected; /* of all, 0: unknown */
};

/* While it is listed, the bytes of a content stay, whatever happens to its messages. */
struct content_pin {
    struct link link;
    int64_t id;
    bool wanted; /* it would have been swept */
};

/* Opens or creates the database with its folders. `account` is its number in the directory. `busy_ms`: how long it may wait when
 * another process has it. */
MUST_CHECK bool store_open(struct store **store, const char *path, int64_t account, int busy_ms, struct err *err);
/* The same for a file that came from outside and is to take the place of a mailbox: it must be there and be one. On failure (ERR_DAMAGED: it
 * is none, or holds what none can) it may have been changed. */
MUST_CHECK bool store_open_backup(struct store **store, const char *path, int64_t account, struct err *err);
/* The same in turns: steps until *store is there. */
struct store_taking;
MUST_CHECK bool store_take_begin(struct store_taking **taking, const char *path, int64_t account, struct err *err);
MUST_CHECK bool store_take_step(struct store_taking *t, int64_t until, struct store **store, struct err *err);
void store_take_free(struct store_taking *t); /* NULL is fine */
/* Makes an empty database without account, to be copied. */
MUST_CHECK bool store_make_empty(const char *path, struct err *err);
void store_close(struct store *s); /* rolls back what was not committed; NULL is fine */

/* Opens a transaction unless one is open. */
MUST_CHECK bool store_begin(struct store *s, struct err *err);
MUST_CHECK bool store_commit(struct store *s, struct err *err); /* a failure has rolled back */
void store_rollback(struct store *s);
/* Something was changed that is not promised yet. */
bool store_in_transaction(const struct store *s);
/* All of the open transaction is promised by the log of additions (docs/mailbox.md): as if it had been committed and synced, but it stays open. */
void store_logged(struct store *s);
MUST_CHECK bool store_sync(struct store *s, struct err *err);
/* What was committed is on disk: by store_sync, or by a sync of the file system. */
void store_synced(struct store *s);

/* What follows is read under one lock of the file, which costs a third of reading a small message, until store_end_reading. Only
 * within a turn. */
void store_begin_reading(struct store *s);
void store_end_reading(struct store *s);

/* With what the open transaction changed. */
struct store_totals store_totals(const struct store *s);
/* Of the last sync: what somebody may be told. */
struct store_totals store_durable_totals(const struct store *s);
uint32_t store_uidvalidity(const struct store *s); /* of INBOX */
int64_t store_uidnext(const struct store *s);

MUST_CHECK bool store_was_delivered(struct store *s, int64_t message, bool *was, struct err *err);
/* Forgets deliveries stored before that time, and the oldest of very many expunged messages. */
MUST_CHECK bool store_prune(struct store *s, int64_t before, struct err *err);

/* A content in one piece. */
MUST_CHECK bool store_put(struct store *s, int64_t content, struct str bytes, struct err *err);
/* A content in several: begin, append in order, then store_deliver or store_put_abort. When `expected` (0: unknown) proves right
 * at the end, the first piece is not written again. */
MUST_CHECK bool store_put_begin(struct store *s, struct content_writer *w, int64_t content, int64_t expected, struct err *err);
MUST_CHECK bool store_put_piece(struct store *s, struct content_writer *w, struct str bytes, struct err *err);
MUST_CHECK bool store_put_end(struct store *s, struct content_writer *w, struct err *err);
void store_put_abort(struct store *s, struct content_writer *w); /* what was written is swept later */

struct store_delivery {
    int64_t message;  /* queue id */
    int64_t content;
    int64_t size;     /* of the content */
    int64_t received; /* wall time */
    int64_t features;
    bool junk;
};
/* Makes a content a new message in INBOX, or in the mailbox for junk where there is one, and remembers the queue id. */
MUST_CHECK bool store_deliver(struct store *s, const struct store_delivery *d, struct err *err);

/* The same by the log of additions: only the queue id. */
MUST_CHECK bool store_remember(struct store *s, int64_t message, struct err *err);

/* Marks of imported messages: bytes that name one at its source. Putting a known one fails. */
MUST_CHECK bool store_mark_is_known(struct store *s, struct str mark, bool *known, struct err *err);
MUST_CHECK bool store_mark_put(struct store *s, struct str mark, struct err *err);

/* The database, just opened, takes the place of `old` (NULL: nothing is known of that one): no uid, modseq or folder number of
 * either will mean something else. Needs no open transaction. */
MUST_CHECK bool store_supersede(struct store *s, struct store *old, struct err *err);

/* The next messages of INBOX after `uid`, at most `max`, in order. *n below max: that was the end. */
MUST_CHECK bool store_list(struct store *s, int64_t after, struct store_item *items, size_t max, size_t *n,
    struct err *err);
/* Which content a message of INBOX has; 0 when there is no such message. (For POP3; IMAP: store_message.h.) */
MUST_CHECK bool store_find(struct store *s, int64_t uid, int64_t *content, struct err *err);
/* The bytes of a content from `offset` on, at least one unless that is its end. The view lives until
 * the next store_read. */
MUST_CHECK bool store_read(struct store *s, int64_t content, int64_t offset, struct str *piece, struct err *err);
void store_pin(struct store *s, struct content_pin *pin, int64_t content); /* instead of what it pinned before */
void store_unpin(struct store *s, struct content_pin *pin);
/* Removes a message of INBOX; *found is false when it is not there. */
MUST_CHECK bool store_expunge(struct store *s, int64_t uid, bool *found, struct err *err);

/* Removes a bounded part of the loose contents; *more: call again. Needs a transaction. */
MUST_CHECK bool store_sweep(struct store *s, bool *more, struct err *err);
bool store_has_loose(const struct store *s); /* there may be something to sweep */

/* Tells of every folder; the open transaction's changes of INBOX are in it. */
typedef void store_folder_fn(void *arg, struct str name, int64_t messages, int64_t bytes, int64_t unseen);
MUST_CHECK bool store_folders(struct store *s, store_folder_fn *tell, void *arg, struct err *err);
/* Looks for mistakes: sums, references, contents. For tests and `mailbox check`. */
MUST_CHECK bool store_check(struct store *s, struct err *err);
