/* The inside of boxes.h, shared by boxes.c (what is open), box_files.c (the files) and flush.c (the group
 * commit). */
#pragma once
#include "addition_log.h"
#include "boxes.h"

#include <sys/types.h>

enum { BOX_FOLDERS = 256, BOX_PATH_ROOM = 4200 };

struct boxes {
    struct str folder;
    int fd;       /* of the folder, to sync its file system; -1: not possible */
    dev_t device; /* its file system */
    int64_t patient_until; /* monotonic: until then others are waited for that have a database */
    bool named[BOX_FOLDERS]; /* those whose names are on disk for sure */
    struct buf empty; /* a database without account: copied for new ones */
    size_t most;
    int64_t keep;
    struct map map;
    struct list lru; /* with an open database */
    size_t open;
    bool given_back; /* databases were closed since memory was given back */
    struct list dirty;
    size_t waiters;        /* in batches and committed */
    size_t seen;           /* waiters of the last turn */
    bool hurry;            /* some of them are in a hurry */
    int64_t dirty_since;   /* monotonic, 0 for not at all */
    int64_t last_flush;    /* how long the last flush took */
    int64_t this_flush;    /* time spent so far in the one under way, 0 for none */
    bool maybe_loose;
    struct addition_log *log; /* NULL: there is none */
    struct list logged;       /* boxes */
    size_t logged_count;
    int64_t logged_since;     /* monotonic */
    struct list pending;      /* box_additions.c */
    size_t recorded;          /* bytes of all boxes' records */
    bool draining;            /* this flush makes the log unnecessary */
    int64_t log_retry;        /* monotonic: not before, after a failure */
    struct buf group;
    int64_t index_from;    /* box_search.c */
    struct list filling, indexed;
    struct list restoring; /* struct box_restoring */
    int64_t fill_due, filled_at, busy_at; /* monotonic */
};

/* box_files.c */
void files_open(struct boxes *b, struct str folder, unsigned copy); /* fills folder, fd, device, empty */
void files_close(struct boxes *b);
bool files_exist(const struct boxes *b, int64_t account);
void files_delete(const struct boxes *b, int64_t account);
/* Opens the account's database, makes it if need be. elsewhere: it is on another file system. */
MUST_CHECK bool files_open_store(struct boxes *b, int64_t account, struct store **store, bool *elsewhere,
    struct err *err);

void files_search_path(const struct boxes *b, int64_t account, char path[BOX_PATH_ROOM]);

/* box_search.c */
void box_search_rest(struct box *box);   /* the store will be closed */
void box_search_synced(struct box *box); /* there may be something new */

/* flush.c */
void flush_show_metrics(void);
size_t list_length(const struct list *l);
/* Those whom the log promised something are told; `commit`: the transaction has grown enough. */
void box_tell_promised(struct box *box, bool commit);

/* box_additions.c */
void additions_close(struct boxes *b);
void additions_clear(struct boxes *b); /* all that is in the log is on disk, if nothing is pending */
bool additions_are_pending(const struct boxes *b, int64_t account);
/* Before a database just opened is used. */
MUST_CHECK bool additions_take(struct boxes *b, int64_t account, struct store *store, struct err *err);
void additions_forget(struct boxes *b, int64_t account); /* it is gone */
void additions_retry(struct boxes *b);
void box_forget_records(struct box *box); /* its transaction has ended */
/* What it has in the log is on disk in its database, or else the database has to take it when it is opened next. */
void box_unlog(struct box *box, bool synced);
/* Promises by the log what can be, unless so many boxes have to be synced in any case; those boxes are no longer dirty. */
void additions_flush(struct boxes *b, size_t sync_together);
int64_t additions_due(const struct boxes *b); /* monotonic: when to drain */
void additions_drain(struct boxes *b);  /* by the flush that follows or is under way */
void additions_drained(struct boxes *b); /* that flush is over */

/* boxes.c: keeps a box alive while it is worked with; given back with box_leave. */
void box_hold(struct box *box);
