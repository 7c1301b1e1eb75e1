/* The mailbox role's real core for a world that has the queue's (queue_world.h): deliveries arrive as messages
 * of that world, answers go back to its dispatcher, and any account exists, without a quota. */
#pragma once
#include "base/buf.h"
#include "ipc/ipc.h"

/* Where answers go. Set before the first delivery. */
struct mailroom_answers {
    void (*rcpt_done)(const struct msg_rcpt_done *m);
    void (*deliver_done)(const struct msg_deliver_done *m);
    void (*body_ask)(const struct msg_body_ask *m);
};
extern struct mailroom_answers mailroom_answers;

/* At most `most` databases are open at once. */
void mailroom_open(const char *folder, size_t most);
void mailroom_close(void); /* as a dead process: nothing is committed */
extern const struct handlers mailroom_handlers;
/* Answers what directory was asked; then commits and syncs what waits, if `flush`; true when something happened. */
bool mailroom_turn(bool flush);

/* Every message of INBOX with all its bytes, after looking for damage. False with a reason: the database is
 * damaged or cannot be opened. An account without a database has no messages. */
typedef void mailroom_message_fn(void *arg, int64_t uid, struct str bytes);
MUST_CHECK bool mailroom_walk(int64_t account, mailroom_message_fn *tell, void *arg, struct err *err);
/* Removes messages as POP3's QUIT does; true when it is on disk. */
MUST_CHECK bool mailroom_expunge(int64_t account, int64_t uid, struct err *err);
/* What IMAP does to a mailbox beside its INBOX, drawn by `chance`: folders are made, renamed and deleted, messages appended,
 * copied there, flagged and removed there. True when it is on disk. */
typedef uint64_t mailroom_chance(uint64_t below);
MUST_CHECK bool mailroom_work_in_folders(int64_t account, mailroom_chance *chance, struct err *err);
/* Every folder but INBOX as a client is shown it now (settle first): what was shown must never go back. */
struct mailroom_folder {
    int64_t id, uidvalidity, uidnext, modseq, messages;
    uint64_t uids; /* a hash of which there are, and with which contents */
};
typedef void mailroom_folder_fn(void *arg, const struct mailroom_folder *f);
MUST_CHECK bool mailroom_folders(int64_t account, mailroom_folder_fn *tell, void *arg, struct err *err);
/* Makes sure that what is shown is on disk, as before a client is shown uids. */
MUST_CHECK bool mailroom_settle(int64_t account, struct err *err);
