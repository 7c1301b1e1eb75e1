/* The command `lookup`: what this server's own resolver says about names, all of them asked at once. */
#pragma once
#include "base/list.h"
#include "questions.h"
#include "ipc/role.h"

struct lookups {
    struct role *role;
    struct questions *questions;
    struct list all; /* struct lookup */
    uint64_t last_id;
    void (*asked)(void *owner); /* questions were put: their time runs */
    void *owner;
};

void lookups_init(struct lookups *l, struct role *role, struct questions *questions, void (*asked)(void *), void *owner);
/* words NAME/TYPE; packed=yes: rows have the records as they cross channels, in base64, instead of as text; within=SECONDS. */
void lookups_on_ask(struct lookups *l, struct channel *from, const struct msg_control_ask *m);
void lookups_on_cancel(struct lookups *l, struct channel *from, uint64_t id);
/* An answer to a question of ours (its asker is no channel). */
void lookups_answer(struct lookups *l, const struct msg_dns_reply *reply);
void lookups_peer_gone(struct lookups *l, struct channel *peer);
