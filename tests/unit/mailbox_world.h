/* A world for the mailbox role without processes: channels that write down what is sent. */
#pragma once
#include "roles/mailbox/delivery.h"
#include "roles/mailbox/session.h"

struct channel {
    enum role_id role;
    unsigned copy;
    uint64_t serial;
};

/* NULL while a peer is down. */
extern struct channel *world_queue, *world_directory, *world_access, *world_web;
extern void *world_state; /* what role_state gives */
/* What was sent, one entry each: "done 5 delivered 250 2.0.0 ...", "ask-piece 5 65536",
 * "ask-account 3", "close 7"; session data as it is. */
extern struct buf world_said;
extern uint64_t world_asked;   /* id of the last account_ask */
extern uint64_t world_asked_account; /* whose */
extern uint64_t world_granted; /* sum of session_more */
extern unsigned world_copies; /* of this role; we are copy 0 */
extern enum sharing world_sharing; /* of the configuration; at first everything is allowed */
extern int64_t world_message_limit; /* limits.imap_message_limit */
extern uint64_t world_connections; /* limits.connections_per_account */
extern uint64_t world_returns; /* the session that wants to give its connection back */
/* When set, name_ask (with the address) and shares_ask (with the account), and share_note, go there too. */
extern void (*world_directory_asked)(uint64_t id, uint64_t asker, struct str address, uint64_t account);
extern void (*world_directory_noted)(const struct msg_share_note *m);
/* When set, session data goes there instead; an empty one is the end of the session. */
extern void (*world_session)(uint64_t id, struct str bytes);

void world_open(void);
void world_close(void);
