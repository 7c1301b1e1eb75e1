/* What directory says about accounts: whether they exist and how much they may hold. Asked once,
 * kept until directory says that it changed or its channel is made anew. */
#pragma once
#include "base/map.h"
#include "ipc/role.h"

struct accounts;
struct shares;

struct account_info {
    bool found;
    uint64_t quota_bytes, quota_messages; /* 0: no limit */
    struct str address; /* lives for the call */
};

struct account_waiter;
/* info is NULL when directory cannot be asked now; a patient one then waits until it can, and has a time limit of its own. */
typedef void account_ready(struct account_waiter *w, const struct account_info *info);
struct account_waiter {
    struct link link;
    account_ready *ready;
    bool patient;
};

struct accounts *accounts_new(struct role *role);
void accounts_free(struct accounts *a); /* waiters are not told */
struct shares *accounts_shares(struct accounts *a);
/* Calls w->ready, at once or when directory has answered. To stop waiting: list_remove(&w->link). */
void accounts_get(struct accounts *a, uint64_t account, struct account_waiter *w);
void accounts_reply(struct accounts *a, const struct msg_account_reply *m);
void accounts_forget(struct accounts *a, uint64_t account); /* it changed */
void accounts_forget_all(struct accounts *a);               /* we may have missed a change: directory is (back) there */
void accounts_unreachable(struct accounts *a);              /* directory is down: waiters are told, if they are not patient */
