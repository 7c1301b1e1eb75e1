/* How many recipients there are, by class, held and tried before: kept up to date in memory so that a
 * summary costs nothing. After a start a background count walks the table once, a slice a turn; a
 * change to a message the walk has not reached is left to the walk. */
#pragma once
#include "store.h"

struct queue;

struct counts {
    int64_t waiting[CLASS_COUNT]; /* those deferred included */
    int64_t deferred, held, messages;
    bool complete;
    uint64_t at_message, at_n, last; /* the walk; `last` is the highest message it has to see */
    uint64_t seen;                   /* the message last counted */
};

MUST_CHECK bool counts_start(struct queue *q, struct err *err);
/* One slice of the walk. */
void counts_turn(struct queue *q);
/* After a commit: +1 for a row that came, -1 for one that went. */
void counts_rcpt(struct queue *q, uint64_t message, uint64_t n, enum rcpt_state state, uint64_t class, bool tried,
    int64_t by);
/* The same for messages. */
void counts_message(struct queue *q, uint64_t message, int64_t by);
