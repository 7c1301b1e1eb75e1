/* Holds the books (ledger.h) against the rows, for `staffetta status --verify`: a walk over recipients and
 * messages, a slice a turn, while work goes on. What a commit changes behind the walk is added to what it
 * has counted, what is changed before it is seen when it comes there; so at its end the numbers are those
 * of one moment, and must be equal to the last. */
#pragma once
#include "base/list.h"
#include "ipc/verify.h"

#include <stdint.h>

struct queue;
struct stmt;

enum audit_phase { AUDIT_IDLE, AUDIT_RCPTS, AUDIT_MESSAGES };

struct audit {
    struct stmt *rcpts, *messages;
    enum audit_phase phase;
    struct list waiting; /* verifications */
    int64_t said;        /* monotonic: when they were last told how far it is */
    uint64_t at_message, at_n;
    int64_t rcpt_rows, message_rows;
    int64_t orphans, empty, cut;             /* recipients without message, messages without
                                              * recipients, bodies not whole */
    uint64_t orphan_id, empty_id, cut_id;    /* one of each */
};

void audit_init(struct queue *q);
/* A walk begins, or the one under way is joined. */
void audit_verify(struct queue *q, struct verification *v);
void audit_turn(struct queue *q);
int64_t audit_wake_in(const struct queue *q);
/* After a commit, for every row that came (+1) or went (-1). */
void audit_rcpt(struct queue *q, uint64_t message, uint64_t n, int64_t by);
void audit_message(struct queue *q, uint64_t message, int64_t by);
