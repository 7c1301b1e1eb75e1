/* What became of recipients: verdicts of one delivery (or one decision) are an operation of the batch.
 * Its run() changes the rows and, in the same transaction, notes the reports to be made; its done(), after
 * the commit, tells the story and frees the recipients. A verdict whose row is gone or was ended by
 * somebody else meanwhile has no effect. */
#pragma once
#include "batch.h"
#include "ipc/messages.h"
#include "store.h"

struct queue;
struct rcpt;
struct mail;

enum verdict_kind {
    VERDICT_DELIVERED,
    VERDICT_RELAYED,
    VERDICT_DISCARDED,
    VERDICT_EXPANDED,
    VERDICT_DEFERRED,
    VERDICT_FAILED,
    VERDICT_EXPIRED,
};

struct verdict_info {
    enum verdict_kind kind;
    enum delivery_reason reason;
    unsigned code;
    bool dsn;         /* the remote reports success itself */
    bool ours;        /* code and text are ours, no remote host said them */
    int64_t retry_at;
    struct str text, host, ip, tls, policy, source;
    struct str targets; /* VERDICT_EXPANDED: addresses, each ended by NUL */
};

struct verdict {
    struct link link;
    struct rcpt *rcpt; /* owned */
    struct verdict_info info; /* texts behind the struct */
    /* of the last run */
    bool applied;
    uint64_t notices; /* enum noticed: what the sender is told now */
    struct rcpt_attempt attempt;
    int64_t at;
    struct rcpt_row *added; /* rows of an expansion */
    size_t added_n;
};

/* Who keeps the results until they are stored: a copy of relay, as long as its channel is that one. */
struct keeper {
    bool waits;
    bool told;       /* id is that of rcpt_told, else of a delivery */
    unsigned copy;
    uint64_t serial, id;
};

struct outcome {
    struct op op;
    struct mail *mail;
    struct list verdicts;
    struct keeper keeper;
};

/* Of a result as mailbox and relay give it. */
enum verdict_kind verdict_of(uint64_t status);

struct outcome *outcome_new(struct mail *mail);
/* Takes over r, which must be in no list. */
void outcome_add(struct queue *q, struct outcome *o, struct rcpt *r, const struct verdict_info *info);
/* Says that it need not be kept any longer. */
void keeper_release(struct queue *q, const struct keeper *k);
/* Hands it to the batch; an empty one is freed, and its keeper released. */
void outcome_submit(struct queue *q, struct outcome *o);
/* The three for one recipient alone. */
void result_single(struct queue *q, struct rcpt *r, const struct verdict_info *info);
/* Its lifetime is over. */
void result_expired(struct queue *q, struct rcpt *r);
