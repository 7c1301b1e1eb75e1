#include "questions.h"

#include "base/err.h"

#include <stdlib.h>

void questions_init(struct questions *q)
{
    map_init(&q->by_id);
    list_init(&q->by_age);
}

void questions_add(struct questions *q, struct list *list, struct txn *txn, uint64_t id, int64_t now)
{
    struct question *question = xcalloc(1, sizeof *question);

    question->id = id;
    question->asked = now;
    question->txn = txn;
    map_add(&q->by_id, &question->by_id, map_hash_number(id));
    list_add_last(&q->by_age, &question->by_age);
    list_add_last(list, &question->of_txn);
}

struct question *questions_find(const struct questions *q, uint64_t id)
{
    struct map_node *n = map_find(&q->by_id, map_hash_number(id));

    for (; n != NULL; n = map_find_next(n))
        if (CONTAINER(n, struct question, by_id)->id == id)
            return CONTAINER(n, struct question, by_id);
    return NULL;
}

void questions_drop(struct questions *q, struct question *question)
{
    map_remove(&q->by_id, &question->by_id);
    list_remove(&question->by_age);
    list_remove(&question->of_txn);
    free(question);
}

void questions_drop_all(struct questions *q, struct list *list)
{
    LIST_EACH(list, it)
        questions_drop(q, CONTAINER(it, struct question, of_txn));
}

struct question *questions_overdue(const struct questions *q, int64_t before)
{
    struct link *first = list_first(&q->by_age);
    struct question *question = first != NULL ? CONTAINER(first, struct question, by_age) : NULL;

    return question != NULL && question->asked < before ? question : NULL;
}
