/* What was asked of directory and is not answered yet: found by number, dropped with the transaction it is for, given up after a time. */
#pragma once
#include "base/list.h"
#include "base/map.h"

struct txn;

struct question {
    struct map_node by_id;
    struct link of_txn, by_age;
    uint64_t id;
    int64_t asked; /* monotonic */
    struct txn *txn;
};

struct questions {
    struct map by_id;
    struct list by_age; /* the oldest first */
};

void questions_init(struct questions *q);
/* `list` holds the questions of this transaction. */
void questions_add(struct questions *q, struct list *list, struct txn *txn, uint64_t id, int64_t now);
struct question *questions_find(const struct questions *q, uint64_t id); /* NULL: nobody waits for it */
void questions_drop(struct questions *q, struct question *question);
void questions_drop_all(struct questions *q, struct list *list);
/* One that has waited since before then; NULL: none. */
struct question *questions_overdue(const struct questions *q, int64_t before);
