/* What is worked on, and when. In memory at most config->queue.active recipients; the others wait in
 * the database, from where they are loaded in the order of their due time: transactional before bulk,
 * which never has more than three quarters of the places.
 *
 * A cursor a class says up to which place all due recipients are known here; whatever makes an earlier
 * row eligible again calls schedule_notice, which moves the cursor back. */
#pragma once
#include "store.h"

struct queue;
struct config;
struct mail;
struct rcpt;

struct schedule {
    struct due_place cursor[CLASS_COUNT];
    bool more[CLASS_COUNT];        /* rows beyond the cursor may be due already */
    int64_t next_due[CLASS_COUNT]; /* wall time; INT64_MAX for none */
};

void schedule_init(struct schedule *s);
/* A recipient whose row was just committed: taken from memory when there is room and it is due. */
void schedule_offer(struct queue *q, struct mail *mail, const struct rcpt_row *row);
/* A row of this class, not active in memory, is to be looked at at `due`. */
void schedule_notice(struct queue *q, uint64_t class, int64_t due);
/* The row was changed by somebody else (held, deleted, expired): forget it here. One being delivered
 * stays until its result, which then changes nothing. */
void schedule_forget(struct queue *q, uint64_t message, uint64_t n);
/* Once a minute: looks at everything due again, so that nothing can be forgotten for longer. */
void schedule_rescan(struct queue *q);
/* No place is free: whoever can give some back should not wait. */
bool schedule_is_full(const struct queue *q);
/* Loads what is due and fits. */
void schedule_turn(struct queue *q);
int64_t schedule_wake_in(const struct queue *q);

/* Pure rules, see the tests. `attempts` have been made, the last one now; jitter 0..999 (500 is none). */
int64_t schedule_pause(const struct config *config, uint64_t attempts, unsigned jitter);
/* When a message stops being tried. `start` is when it may go first. */
int64_t schedule_expiry(const struct config *config, const struct message_row *m, int64_t start);
/* A date of the message (created, hold_until, deliver_by), which is the wall clock's of when it came, by the clock of
 * plans (clock_steady): the two may have differed by a step then, which its expiry, planned at that moment, shows. */
int64_t schedule_planned(const struct config *config, const struct message_row *m, int64_t date);
/* The sender is told of a delay after queue.delay_notice, and at the time of DELIVERBY with mode N (RFC
 * 2852 4.1.3). `noticed` says which was told. When the next one is due; INT64_MAX for never. All by the clock of plans. */
enum noticed { NOTICED_DELAY = 1, NOTICED_BY = 2 };
int64_t schedule_notice_time(const struct config *config, const struct message_row *m, uint64_t noticed);
/* Those that are due at `now` and not in `noticed`. */
uint64_t schedule_notices(const struct config *config, const struct message_row *m, uint64_t noticed, int64_t now);
/* The next due time after a temporary failure: by the pauses or `retry_at`, whichever is later; not beyond
 * the moment a delay notice is due, and not beyond the expiry. */
int64_t schedule_next(const struct config *config, const struct message_row *m, const struct rcpt_row *r,
    uint64_t attempts, int64_t now, int64_t retry_at, unsigned jitter);
