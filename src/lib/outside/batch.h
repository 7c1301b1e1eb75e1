/* The questions and connections of checks, as the words of the commands `lookup` (resolver) and `probe` (relay), and the rows that
 * these answer with. */
#pragma once
#include "check.h"

enum { OUTSIDE_BATCH = 150 };

struct outside_batch {
    struct {
        struct outside_check *check;
        struct outside_question *question; /* one of both */
        struct outside_probe *probe;
    } items[OUTSIDE_BATCH];
    size_t n;
};

/* Adds what a check wants to know, as far as there is room; several checks may share a batch. args: the packed words so far. */
void outside_batch_add_questions(struct outside_batch *b, struct outside_check *check, struct buf *args);
/* The options behind them: left is the time there is for answers, in microseconds. */
void outside_batch_end_questions(struct buf *args, int64_t left);
void outside_batch_add_probes(struct outside_batch *b, struct outside_check *check, struct buf *args);
/* A row of the answer, of either kind. */
void outside_batch_take(struct outside_batch *b, struct str json);
/* What was not answered never will be; why: for people. Forgets all of it. */
void outside_batch_give_up(struct outside_batch *b, struct str why);
