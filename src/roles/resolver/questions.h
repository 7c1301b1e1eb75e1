/* The open questions of the resolver: the same question asked twice is looked up once, only so many
 * are under way at a time, the rest wait in order, and none outlives its time limit.
 *
 * Pure: looking up and answering are functions of the world; time is given. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "dns/records.h"
#include "ipc/ipc.h"
#include "ipc/verify.h"

struct question {
    struct map_node node;   /* in questions.all, by name and type */
    struct link by_age;     /* in questions.ages, oldest first */
    struct link in_line;    /* in questions.line while it waits for its turn */
    struct list waiters;
    unsigned type;
    char name[DNS_NAME_TEXT];
    int64_t deadline;
    bool started;
    bool *alive; /* set false when freed; for the backend that may be answered inside start() */
    int backend_id;
    void *backend_data;
};

struct questions_world {
    /* Starts the look-up; may answer at once. False: cannot be started, DNS_SERVFAIL is answered. */
    bool (*start)(void *world, struct question *q);
    void (*cancel)(void *world, struct question *q); /* its answer must not come any more */
    void (*answer)(void *world, struct channel *to, const struct msg_dns_reply *reply);
};

struct questions_limits {
    size_t active;   /* looked up at once */
    size_t all;      /* questions in all, those that wait included */
    size_t waiters;  /* askers in all */
    int64_t within;  /* time limit of a question, microseconds */
};

struct questions {
    struct questions_limits limits;
    const struct questions_world *calls;
    void *world;
    struct map all;
    struct list ages, line;
    size_t active, waiters;
    bool pumping;
    struct question_book book;
};

void questions_init(struct questions *qs, const struct questions_limits *limits,
    const struct questions_world *calls, void *world);
/* Answers everybody at once where the name is bad or a limit is reached. `now` is monotonic. */
void questions_ask(struct questions *qs, struct channel *from, const struct msg_dns_ask *ask, int64_t now);
/* The backend's word: goes to everybody who asked (reply->id is filled in); frees the question. */
void questions_answer(struct questions *qs, struct question *q, const struct msg_dns_reply *reply);
/* Ends the questions whose time is over with DNS_TIMEOUT; returns the next deadline, 0 for none. */
int64_t questions_expire(struct questions *qs, int64_t now);
/* Forgets what this asker wanted; look-ups nobody waits for any more go on and fill the cache. */
void questions_peer_gone(struct questions *qs, const struct channel *peer);
/* Askers that wait, counted one by one. */
int64_t questions_waiting(const struct questions *qs);
/* Before the backend is replaced: cancels all look-ups; after it: starts them again. */
void questions_suspend(struct questions *qs);
void questions_resume(struct questions *qs);
