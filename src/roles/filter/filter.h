/* The filter's own state: open transactions, found by what smtp calls them and by what queue calls
 * them, and the questions asked of the directory for them. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "ipc/role.h"
#include "judging.h"
#include "message.h"
#include "questions.h"
#include "reading.h"
#include "tally.h"

enum {
    FILTER_OPEN_MAX = 20000,               /* transactions */
    FILTER_HELD_MAX = 256 * 1024 * 1024,   /* bytes of memory held by all of them: headers, judges */
    FILTER_SHARDS = 64,
};

struct event;

struct shard_state {
    bool known, accepting;
    uint64_t shards;
    struct buf reason;
};

struct filter {
    struct role *role;
    struct message_limits limits;
    struct str hostname;
    struct list open;       /* struct txn */
    struct map by_source;   /* (channel serial, id of smtp) */
    struct map by_id;       /* our id, which queue answers with */
    struct questions questions; /* asked of directory */
    struct event *sweep;
    struct judgings judgings;
    struct tally tally;
    struct readings readings;
    struct event *timer;    /* for judgings_next */
    size_t count, held;
    int64_t accepted, passed_on, unheard; /* 250s of queue; those whose source was gone */
    struct shard_state shards[FILTER_SHARDS];
};

/* transaction.c */
void transaction_on_begin(struct role *, struct channel *from, const struct msg_txn_begin *);
void transaction_on_rcpt(struct role *, struct channel *from, const struct msg_txn_rcpt *);
void transaction_on_chunk(struct role *, struct channel *from, const struct msg_txn_chunk *);
void transaction_on_end(struct role *, struct channel *from, const struct msg_txn_end *);
void transaction_on_abort(struct role *, struct channel *from, const struct msg_txn_abort *);
void transaction_on_done(struct role *, struct channel *from, const struct msg_txn_done *);
void transaction_on_sender_reply(struct role *, struct channel *from, const struct msg_sender_reply *);
void transaction_on_keys_reply(struct role *, struct channel *from, const struct msg_dkim_keys_reply *);
void transaction_on_sign_reply(struct role *, struct channel *from, const struct msg_dkim_sign_reply *);
/* Gives up what directory did not answer in time; now: monotonic. */
void transaction_give_up(struct filter *f, int64_t now);
/* Fails or drops what depends on a peer that is gone. */
void transaction_source_gone(struct filter *f, struct channel *c);
void transaction_queue_gone(struct filter *f, struct channel *c);
void transaction_directory_gone(struct filter *f);
void transaction_show_metrics(void);

/* flow.c: back-pressure, and what smtp must know about the queue. */
void flow_peer_up(struct filter *f, struct channel *c);
void flow_queue_gone(struct filter *f, struct channel *c);
void flow_source_gone(struct filter *f);
/* More was written to this peer: stop reading those who cause it when too much waits. */
void flow_wrote(struct filter *f, struct channel *to);
void flow_on_queue_state(struct role *, struct channel *from, const struct msg_queue_state *);
