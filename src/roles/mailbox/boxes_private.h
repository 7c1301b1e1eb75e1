/* The inside of boxes.h, shared by boxes.c (what is open), box_files.c (the files) and flush.c (the group
 * commit). */
#pragma once
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

/* boxes.c: keeps a box alive while it is worked with; given back with box_leave. */
void box_hold(struct box *box);
