/* One message on its way through the filter: a pure machine. It collects the header, decides on it,
 * then lets the body stream past.
 *
 *   HEADER --- end of header ---> BODY --- message_end ---> (ASKING) ---> OVER
 *      \------------------- refuse() at any point ----------------------/
 *
 * ASKING: everything came, but the directory has not said yet whether the sender may use the
 * addresses in From, or has not signed or sealed it (signing.h, sealing.h), or the judge of a stranger's message is not done. What a message holds in
 * memory is bounded by the limit of its header. */
#pragma once
#include "ipc/messages.h"
#include "mime/header.h"
#include "sealing.h"
#include "signing.h"

struct judge;
struct msg_txn_begin;
struct verdict;

struct message_limits {
    size_t header_size;
    unsigned received_fields;
};

/* What goes out. All calls come from inside message_ functions; after refuse() nothing more comes. */
struct message_world {
    void (*chunk)(void *owner, struct str data); /* at most IPC_CHUNK */
    void (*end)(void *owner, uint64_t flags, struct str prepend, struct str message_id);
    void (*refuse)(void *owner, unsigned code, struct str text);
    /* May the account use this canonical address? message_sender is the answer, in the order asked or
     * any other, also from inside this call. */
    void (*ask_sender)(void *owner, struct str address);
    /* Which keys sign for this domain (message_keys), and their signatures (message_signatures); as above. */
    void (*ask_keys)(void *owner, struct str domain);
    void (*ask_signatures)(void *owner, const struct msg_dkim_sign_ask *ask); /* but for its id */
    /* The last of a message with a judge has come: it is done, or message_judged will be called. */
    void (*wait_for_judge)(void *owner);
    const struct verdict *(*verdict)(void *owner); /* after that */
    int64_t (*now)(void *owner);
    uint64_t (*random)(void *owner);
};

enum message_state { MESSAGE_HEADER, MESSAGE_BODY, MESSAGE_ASKING, MESSAGE_OVER };

struct message {
    const struct message_world *world;
    void *owner;
    const struct message_limits *limits;
    struct str hostname; /* borrowed: lives longer than the message */
    enum message_state state;
    uint64_t id, flags, account, end_flags;
    struct str trace, sender, login; /* owned */
    struct judge *judge; /* borrowed; NULL: the message is not judged */
    struct header_scan scan;
    struct buf held;       /* the header as it will be sent */
    struct buf authors;    /* distinct addresses of From, each ended by NUL */
    struct buf added;      /* fields that a submitted message lacked */
    struct buf message_id; /* as found, or as made */
    struct signing signing;
    struct sealing sealing;
    unsigned author_count, pending;
    bool rewritten;        /* held is not what came in */
    bool accepted;         /* the verdict about it was taken */
    bool has_date, has_from, has_message_id, bad_from, too_many_authors;
};

void message_begin(struct message *m, const struct message_world *world, void *owner,
    const struct message_limits *limits, struct str hostname, const struct msg_txn_begin *begin);
/* Before the first chunk: this judge hears all of the message, as it came. */
void message_set_judge(struct message *m, struct judge *judge);
/* Before the end of the header: some of its mail, of a recipient in this domain, goes on to another server. */
void message_goes_on(struct message *m, struct str domain);
void message_clear(struct message *m);
void message_chunk(struct message *m, struct str data);
void message_end(struct message *m, uint64_t flags);
/* All messages together hold too much: this one gives way (452), if its header is still coming. */
void message_give_way(struct message *m);
/* An answer to ask_sender. */
void message_sender(struct message *m, bool allowed, bool temporary);
/* The answers to ask_keys and ask_signatures; one that nobody waits for is dropped. */
void message_keys(struct message *m, const struct msg_dkim_keys_reply *reply);
void message_signatures(struct message *m, const struct msg_dkim_sign_reply *reply);
/* What was asked of the directory will not be answered. */
void message_directory_gone(struct message *m);
/* The judge is done. */
void message_judged(struct message *m);
bool message_is_over(const struct message *m);
/* Bytes held now. */
size_t message_held(const struct message *m);
