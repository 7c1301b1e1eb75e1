/* What directory says about shared mailboxes: whose an address is, and who may have granted an account something. Nothing of it is
 * kept here. */
#pragma once
#include "base/list.h"
#include "ipc/role.h"

struct shares;

struct shares_answer {
    bool failed;        /* directory cannot say now */
    int64_t account;    /* shares_find: 0: nobody's */
    struct str address; /* the same: as directory compares it, nobody's too; empty: it is none */
    struct str asker;   /* the address of who asked; empty: he is not there any more */
    struct str owners;  /* shares_list: a line each, "NUMBER ADDRESS" */
};

struct shares_waiter;
typedef void shares_ready(struct shares_waiter *w, const struct shares_answer *answer); /* which lives for the call */
struct shares_waiter {
    struct link link;
    uint64_t id;
    shares_ready *ready;
};

struct shares *shares_new(struct role *role);
void shares_free(struct shares *s); /* waiters are not told */
/* Call w->ready later, or at once when directory is away. To stop waiting: list_remove(&w->link). */
void shares_find(struct shares *s, int64_t asker, struct str address, struct shares_waiter *w);
void shares_list(struct shares *s, int64_t account, struct shares_waiter *w);
/* A hint for shares_list of the grantee; may be lost. */
void shares_note(struct shares *s, int64_t owner, int64_t grantee, bool granted);
/* `sharing` of the configuration, as it is now: what one grants the other has effect (config_lets_share); how far it goes. */
bool shares_may(const struct shares *s, struct str owner, struct str other);
/* The same of an answer of shares_find: whether anybody at that address goes beyond it, as seen by who asked. */
bool shares_is_beyond(const struct shares *s, const struct shares_answer *answer);
enum sharing shares_mode(const struct shares *s);
/* The mailbox of that account is in this process; another one can neither be opened here nor open what is here. */
bool shares_is_ours(const struct shares *s, int64_t account);

void shares_name_reply(struct shares *s, const struct msg_name_reply *m);
void shares_reply(struct shares *s, const struct msg_shares_reply *m);
void shares_unreachable(struct shares *s); /* directory is down: waiters are told */
