/* The queue role without processes: its channels end in a small world that plays filter, directory,
 * mailbox, relay, events and web. Time is the world's own, and any SQL call can be made to fail.
 *
 * Recipients say what becomes of them:
 *   ...@local.test      account 7: delivered by mailbox        ...@remote.test, ...@other.test  relayed
 *   list@local.test     alias of a@, b@local.test and c@remote.test
 *   keep@local.test     the same account, and c@remote.test: keeps a copy and forwards
 *   loop@local.test     alias of loop@local.test
 *   nobody@local.test   no such user                           gone@...   failed by the other side
 *   later@...           deferred every time                    once@...   deferred the first time only
 *   slow@...            no result until world_release          drop@...   discarded
 *   boxN@local.test     account N
 *   both@local.test     alias of c@remote.test and gone@remote.test
 * What an alias sends on has the sender SRS0=rewritten@local.test, when it is of @stranger.test. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "ipc/ipc.h"
#include "roles/queue/queue.h"
#include "scratch.h"
#include "sql_faults.h"

struct world {
    struct queue *queue;
    struct config *config;
    char folder[SCRATCH_MAX];
    uint64_t next_txn;
    /* what came out */
    unsigned code;           /* of the last txn_done */
    char reply[256];
    unsigned accepted, refused, answers;
    unsigned delivered, relayed; /* results given by mailbox and relay */
    unsigned deliveries;     /* deliveries started */
    unsigned reports;        /* deliveries of messages with the null sender */
    unsigned events[16];     /* by kind */
    struct buf last_body;    /* of the last delivery finished */
    struct buf senders;      /* of deliveries to relay, each ended by ' ' */
    struct buf order;        /* recipients in the order their deliveries started, each ended by ' ' */
    bool stranger;         /* somebody else speaks for the peers too: they put up with more */
    bool silent_directory; /* takes questions and never answers */
    bool accepting;
    struct buf rows;         /* of commands, each ended by a line feed */
    unsigned row_count, done_code;
    bool command_done;
    char done_text[512];
    bool exited;
    unsigned max_per_delivery;
    uint64_t last_delivery;  /* its id */
    size_t held_back;        /* deliveries to slow@ */
    unsigned stored, told_stored; /* acknowledged to relay */
    uint64_t last_stored;
    unsigned checks, wrong;  /* of the last verification */
    unsigned progress;       /* how often one said how far it is */
    char wrong_check[200];
};

extern struct world world;

/* What a test may put into this world; NULL for nothing. */
struct world_hooks {
    const struct handlers *mailbox; /* in the place of the mailbox played here */
    bool (*turn)(void);             /* once a turn of world_run; true when something happened */
    void (*answered)(uint64_t txn, unsigned code);
    void (*relayed)(const char *address); /* delivered, or taken by the next server */
    bool relay_tells;               /* the relay played here says only by world_told_all that it told all */
};
extern struct world_hooks world_hooks;

void world_open(const char *config); /* more lines of configuration, or "" */
void world_close(void);
/* Both as setup and teardown of a test. */
int open_world(void **state);
int close_world(void **state);
/* The process dies (nothing is committed) and a new one starts. */
void world_crash(void);
/* The same in two steps; between them the files may be replaced. */
void world_halt(void);
void world_boot(void);
/* It is `now`, and the clocks stand still but for world_pass and the waits of world_run; 0: they run again. */
void world_freeze_clock(int64_t now);
/* What the mailbox of world_hooks says. */
void world_rcpt_done(const struct msg_rcpt_done *m);
void world_deliver_done(const struct msg_deliver_done *m);
void world_body_ask(const struct msg_body_ask *m);
void world_told_all(void);
/* The peer is gone, or back as a new process. */
void world_peer(enum role_id role, bool up);
/* Turns until nothing more happens. */
void world_run(void);
void world_pass(int64_t span); /* time passes, then world_run */
/* Sends a message; recipients separated by blanks. Returns its queue id. Nothing runs yet. */
uint64_t world_send(const char *sender, const char *rcpts, uint64_t notify, uint64_t flags, size_t size);
uint64_t world_txn_begin(const char *sender, uint64_t flags, uint64_t *message);
void world_txn_rcpt(uint64_t id, const char *rcpt, uint64_t notify);
void world_txn_chunk(uint64_t id, size_t size);
void world_txn_end(uint64_t id, uint64_t flags);
void world_txn_abort(uint64_t id);
/* relay tells a result that the process before did not store. */
void world_tell(uint64_t message, uint64_t n, const char *address, enum delivery_status status);
/* Results for the deliveries to slow@. */
void world_release(void);
/* "queue" with these words, separated by blanks; runs until it is done. */
void world_command(const char *words);
/* The metric of that name, without labels of its own; -1 for none. */
int64_t world_metric(const char *name);
/* How many checks of `status --verify` are wrong: none, if the books are right. */
unsigned world_verify(void);
/* The same, with something to do after each turn; accept: what is wrong is written off. */
unsigned world_verify_while(bool accept, void (*meanwhile)(unsigned turn));
/* Two ask at once, and both accept. */
void world_accept_twice(void);
/* Rows of a table. */
int64_t world_count(const char *table);
/* Nothing is left, on disk or in memory. */
void assert_empty(void);
