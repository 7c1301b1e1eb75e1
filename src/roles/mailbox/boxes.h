/* The open account databases of this process, and the group commit over them.
 *
 * A box is an account that is in use or was a moment ago. At most `most` of their databases stay open: those nobody uses are
 * closed in the order of their last use, and so are those whose users are sessions that wait for their clients (a box that
 * rests); that happens also after a while of rest. Such a box opens its database again when somebody enters it or
 * box_wake is called. What is delivered to a box joins its open transaction. A flush
 * commits all of them and then syncs one after the other; the waiters of a box hear `done` only
 * after its sync. A flush is due a little after the first waiter came: four times as long as the last
 * flush took, at most 100 ms, so that at most a fifth of the time is spent waiting for the disk; but at once
 * when there is nothing else to do and a waiter is a session, whose client waits. When many boxes were written, one syncfs of their file system takes the place of a sync for each.
 *
 * When a transaction of a box fails, all that shared it failed: nothing of it was stored. */
#pragma once
#include "base/map.h"
#include "store.h"

struct boxes;
struct search_index;
struct waiter;

/* stored: on disk for good. Otherwise nothing of it is, err says why. */
typedef void waiter_done(struct waiter *w, bool stored, const struct err *err);
struct waiter {
    struct link link;
    waiter_done *done;
    bool hurry;   /* somebody waits for the answer who says nothing else until then */
    bool counted; /* waits for the flush */
};

/* A user of a box that knows what to do when its database is closed. */
struct box_watcher {
    struct link link;
    void (*changed)(struct box_watcher *w); /* a sync made something visible (store_folder.h: `shown`) or failed, or a rollback; wakes somebody, nothing else */
    bool (*may_rest)(struct box_watcher *w);
    void (*rests)(struct box_watcher *w);  /* the store goes: nothing of it may be kept */
    void (*woken)(struct box_watcher *w);  /* there is another store; what it has is on disk */
};

struct box {
    struct map_node node;
    struct link lru;   /* those with an open database, least recently used first */
    struct link dirty; /* has waiters, or something to commit */
    struct boxes *boxes;
    int64_t account;
    int64_t last_used; /* monotonic */
    struct store *store;  /* NULL: it rests */
    unsigned users;       /* sessions and deliveries: it is not closed meanwhile */
    uint64_t sessions;    /* of those, what session.c counts, */
    size_t lent;          /* memory that its IMAP sessions hold beyond the little each has (imap_memory.c) */
    unsigned left;        /* and of these the ones that go on without their clients */
    struct list writing;  /* waiters in the middle of a content */
    struct list batch;    /* stored in the open transaction */
    struct list committed; /* committed, not synced */
    struct list watchers;
    /* The log of additions (docs/mailbox.md): */
    struct link logged;     /* has records in it that its database may lack on disk */
    struct buf records;     /* of additions in the open transaction that are not in it yet, */
    uint32_t records_count; /* so many */
    size_t deferred, deferred_bytes; /* in the open transaction, and promised by it */
    bool mixed;     /* the open transaction has something that is not logged, */
    bool adding;    /* or that is not recorded yet */
    bool uncovered; /* something committed is neither on disk nor in the log */
    bool in_group;  /* of the log, which is being written or told of */
    struct list promised;   /* waiters of that */
    bool elsewhere; /* on another file system than the folder of all */
    unsigned held; /* changes that take several turns are under way: the transaction must not be committed yet */
    uint64_t promised_messages, promised_bytes; /* what these will add yet: whether it fits was looked at before they began */
    uint64_t rollbacks; /* whoever works in a transaction for longer than a turn looks whether it grew */
    bool broken; /* a sync failed: this handle can promise nothing any more; when nobody uses it the
                  * next opens another */
    bool backing_up; /* by some session */
    bool removed; /* its account is gone: the files go when nobody uses it */
    struct search_index *index; /* NULL: not open (box_search.h) */
    uint64_t index_serial;
    int64_t index_retry;  /* not before that time, after a failure */
    unsigned searchers;   /* sessions that may search */
    struct link filling;  /* its index may lack something */
    struct link indexed;  /* its index is open */
    struct str address;   /* of the account, as directory said it; empty: nobody had to know it yet; owned */
    bool shares_noted;    /* whom it grants something: directory was told (imap_acl.c) */
    void *locked_by; /* the session that has the maildrop for itself */
};

/* `folder`: data/mailbox. `copy`: of this role, several may use the folder. `keep`: how long
 * deliveries are remembered, microseconds. */
struct boxes *boxes_new(struct str folder, unsigned copy, size_t most, int64_t keep);
/* Opens the log of additions of this copy of so many, after the databases have taken what is in it; fatal() when it cannot be read. Without
 * this call there is none. */
void boxes_use_log(struct boxes *b, unsigned copy, unsigned copies);
void boxes_free(struct boxes *b); /* commits nothing */
void boxes_set_keep(struct boxes *b, int64_t keep);
/* How many messages an account has at least that gets a search index; 0 (which it is at first): none does. */
void boxes_set_index_from(struct boxes *b, int64_t messages);

/* The box of an account, opened if need be; to be given back with box_leave. NULL on failure. */
struct box *boxes_enter(struct boxes *b, int64_t account, struct err *err);
/* The same, but an account that never had mail stays without a database. */
struct box *boxes_enter_existing(struct boxes *b, int64_t account, struct err *err);
void box_leave(struct box *box);
/* For who is in it: it is used now; its database is opened if it rested. */
MUST_CHECK bool box_wake(struct box *box, struct err *err);
/* Closes databases nobody used for a while, a few milliseconds long. Gives the time of the next call (monotonic). */
int64_t boxes_tidy(struct boxes *b);
/* Its account's address, which directory has said. */
void box_set_address(struct box *box, struct str address);
/* The account's box if it is open; not entered. */
struct box *boxes_find(struct boxes *b, int64_t account);
/* Deletes the account's files, now or when nobody uses them any more. */
void boxes_remove(struct boxes *b, int64_t account);

/* For restoring, which one session at a time may do to an account; false: another does. Until list_remove(&r->link). */
struct box_restoring {
    struct link link;
    int64_t account;
};
MUST_CHECK bool boxes_claim(struct boxes *b, struct box_restoring *r, int64_t account);
bool boxes_are_restoring(const struct boxes *b, int64_t account);
/* True when nobody uses the account's database and it is closed; else whoever uses it has been told that it failed,
 * nobody new gets it, and this is to be called again. */
bool boxes_let_go(struct boxes *b, int64_t account);
bool boxes_exist(const struct boxes *b, int64_t account);
bool boxes_make_folder(struct boxes *b, int64_t account);
/* The path of the account's database, with something behind ".db". */
void boxes_path(const struct boxes *b, int64_t account, const char *suffix, char *path, size_t size);
/* What was made of the database's contents goes. */
void boxes_forget_derived(const struct boxes *b, int64_t account);

/* Opens the box's transaction. On failure everything that shared it has been told. What the log of additions has promised is committed before, so
 * that it is not undone with what comes now. */
MUST_CHECK bool box_begin(struct box *box, struct err *err);
/* The same for one message more: store_message_add is called once, then box_record, both in this turn. Else the box cannot use the log
 * before the next commit. */
MUST_CHECK bool box_begin_addition(struct box *box, struct err *err);
/* The message just added, all of whose bytes these are, may be promised by the log. `mark`: of a delivery, else 0. */
void box_record(struct box *box, int64_t mark, struct str bytes);
/* What was promised can be read through another handle of this process. */
MUST_CHECK bool box_commit_promised(struct box *box, struct err *err);
/* The waiter's work is in the open transaction, complete (batch) or not yet (writing). */
void box_batch(struct box *box, struct waiter *w);
void box_writing(struct box *box, struct waiter *w);
/* The waiter is not to be told. */
void box_unwait(struct box *box, struct waiter *w);
/* Until list_remove(&w->link). */
void box_watch(struct box *box, struct box_watcher *w);
/* Nothing of it waits for a commit or a sync: what the store shows is on disk. */
bool box_is_settled(const struct box *box);
/* Something failed inside the transaction: rolls back and tells all waiters of this transaction and
 * those that write (the calling one too, if it waits already). */
void box_fail(struct box *box, const struct err *err);
/* To be committed at the next flush without a waiter. */
void box_touch(struct box *box);
/* Commits and syncs this box now, and tells its waiters. Fails while it is held. */
MUST_CHECK bool box_settle(struct box *box, struct err *err);

/* When the next flush is due (monotonic), or INT64_MAX; `now` at once when it is due by amount. */
int64_t boxes_due(const struct boxes *b);
/* Asked in a turn with nothing else to do. Some waiter is in a hurry: true when no other has come since the last turn, so
 * that the flush need not wait for more; else *again. */
bool boxes_may_hurry(struct boxes *b, bool *again);
/* Works at most about 10 ms; false when there is more to sync: call again soon. */
bool boxes_flush(struct boxes *b);
/* Commits and syncs all there is. */
void boxes_finish(struct boxes *b);
/* Removes a part of what is loose in some open box; false when nothing is left to do. */
bool boxes_sweep(struct boxes *b);
bool boxes_wants_sweep(const struct boxes *b);

size_t boxes_open(const struct boxes *b); /* databases */
