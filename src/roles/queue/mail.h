/* Messages and recipients in memory: those the scheduler works on, and those a result is about. The
 * database is the truth; what is here may be forgotten at any time and loaded again. */
#pragma once
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "store.h"

struct queue;

/* A message, shared by everything that works on it (mail_get, mail_unref). Its texts lie behind it. */
struct mail {
    struct map_node by_id;
    struct message_row row;
    struct list rcpts; /* active ones, by rcpt.in_mail */
    unsigned refs;
    struct str body;   /* head and body as one; .p is NULL when only the database has it */
};

enum stage {
    STAGE_NEW,
    STAGE_TO_RESOLVE, /* in resolver.waiting */
    STAGE_RESOLVING,  /* asked */
    STAGE_WAITING,    /* in a list of its destination */
    STAGE_DELIVERING, /* part of a delivery */
    STAGE_STORING,    /* part of an outcome that waits for its commit */
};

struct rcpt {
    struct map_node by_place; /* in mails.active, when active */
    struct link link;         /* in the list of its stage */
    struct link in_mail;
    struct mail *mail;
    struct rcpt_row row;
    enum stage stage;
    bool active;          /* counted by the scheduler and found by mails_find_active */
    bool forgotten;       /* its row was ended or held by somebody else while it was being delivered */
    unsigned losses;      /* deliveries that ended with the death of the other process */
    struct map_node by_ask; /* in resolve.asked, by `ask` */
    uint64_t ask;
    int64_t asked_at;     /* monotonic */
    uint64_t account;     /* where it goes, once resolved */
    struct str target;    /* owned: what Delivered-To says */
    struct str sender;    /* owned: what the next server is told instead of the sender; empty: the same */
    struct route *route;
    struct destination *destination;
    struct delivery *delivery;
};

struct mails {
    struct map by_id;
    struct map active;
    size_t active_count[CLASS_COUNT];
    size_t body_bytes;
};

void mails_init(struct mails *m);

/* From memory, or loaded; *mail is NULL when there is no such message. Give back with mail_unref. */
MUST_CHECK bool mail_get(struct queue *q, uint64_t id, struct mail **mail, struct err *err);
/* A message just accepted. Takes over body (malloc'ed), or drops it when the memory budget is used up. */
struct mail *mail_new(struct queue *q, const struct message_row *row, struct str body);
struct mail *mail_ref(struct mail *mail);
void mail_unref(struct queue *q, struct mail *mail);
/* Up to STORE_PIECE bytes of head and body from offset on; empty at the end. */
MUST_CHECK bool mail_read(struct queue *q, struct mail *mail, uint64_t offset, struct str *piece, struct err *err);

/* A recipient of that message, not active. Owned by the caller; mail gains a reference. */
struct rcpt *rcpt_new(struct mail *mail, const struct rcpt_row *row);
/* What the next server is told of the sender. */
struct str rcpt_sender(const struct rcpt *r);
void rcpt_free(struct queue *q, struct rcpt *r);
/* In and out of the scheduler's count. */
void rcpt_activate(struct queue *q, struct rcpt *r);
void rcpt_deactivate(struct queue *q, struct rcpt *r);
struct rcpt *rcpt_find_active(struct queue *q, uint64_t message, uint64_t n);
/* The highest number among its active recipients. */
uint64_t mail_last_active(const struct mail *mail);
