/* IMAP sessions in one process: the real sessions, commands and store in a scratch folder, driven turn by turn. What a
 * client gets is kept per client; the flush of the group commit comes when the test says so. */
#pragma once
#include "mailbox_world.h"

enum { IMAP_CLIENTS = 20, IMAP_WORLD_ACCOUNT = 261, IMAP_WORLD_ACCOUNTS = 5 };
/* The accounts that the directory of this world knows: r, ann and bob @home.example, eve@other.example, f/g@home.example, from IMAP_WORLD_ACCOUNT on. */
bool world_share_is_noted(int64_t owner, int64_t grantee);
extern bool world_account_gone[IMAP_WORLD_ACCOUNTS]; /* directory knows it no more */

struct imap_client {
    bool open;
    struct buf got;    /* not taken yet */
    uint64_t unpaid;   /* bytes sent to it that it gave no credit for */
    bool stingy;       /* gives credit only with client_pay */
};

extern struct imap_client imap_clients[IMAP_CLIENTS];
extern struct boxes *world_boxes;
extern struct sessions *world_sessions;
extern struct deliveries *world_deliveries;
/* What the directory says of the account; 0: no limit. */
extern uint64_t world_quota_bytes, world_quota_messages;
extern bool world_directory_answers;
void world_directory_goes(void);
void world_directory_comes(void);
/* The clock stands still but for this, microseconds: so long takes each look at it. With 2000 every turn does as little as
 * it can; with WORLD_TICK, a little. What happens depends on nothing else. */
enum { WORLD_TICK = 20 };
extern int64_t world_tick;
void world_later(int64_t time); /* so much has passed, microseconds */

void imap_world_open(const char *name);
int imap_world_close(void);  /* checks that nothing is held any more; how many expectations failed */
int imap_world_teardown(void **state); /* the same */
void imap_world_restart(void); /* as after a crash: what was not committed is lost */
/* The same in two, with something done to the files between. */
void imap_world_stop(void);
void imap_world_start(void);
/* How many messages an account with a search index has at least; 0, as it is at first: there are no indexes. */
extern int64_t world_index_from;
/* The path of a file of the account: ".db", ".search". */
void world_path(const char *suffix, char path[300]);
const char *imap_world_folder(void); /* of all accounts */
void world_index(void); /* fills the index until it knows everything */

/* A session after login; the greeting is taken. */
void client_open(unsigned c);
void client_open_as(unsigned c, int64_t account);
void client_close(unsigned c); /* the connection is lost */
void client_select(unsigned c); /* INBOX */
void client_say(unsigned c, const char *text);
void client_say_bytes(unsigned c, struct str bytes);
void client_pay(unsigned c, uint64_t bytes);
/* Takes what it got so far. */
struct str client_got(unsigned c);

void world_turn(void);  /* one turn of each session that wants one */
void world_run(void);   /* until nobody wants a turn */
void world_flush(void); /* run, commit and sync, run, until all is quiet */
void world_deliver(struct str body); /* into INBOX; on disk with the next flush */
struct box *world_box(void);
void world_check(void); /* store_check */

/* What was expected and did not come is printed and counted. */
void world_expected(const char *what, struct str expected, struct str got);
/* Says, lets the world become quiet, and compares: '%' in what is expected stands for anything within a line. */
void client_expect(unsigned c, const char *say, const char *expected);
/* What it got without asking, since it was looked at last. */
void client_was_told(unsigned c, const char *expected);
bool text_matches(struct str pattern, struct str text);
struct conversation {
    const char *say, *expected;
};
void client_converse(unsigned c, const struct conversation *lines, size_t n);
#define CONVERSE(c, ...)                                                                                              \
    client_converse(c, (const struct conversation[]){__VA_ARGS__},                                                    \
        sizeof((const struct conversation[]){__VA_ARGS__}) / sizeof(struct conversation))
/* In a conversation; and the answer, when there is mail that was not seen. */
#define SELECT_INBOX {"s SELECT INBOX\r\n", INBOX_SELECTED}
#define INBOX_SELECTED "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK [READ-WRITE] Selected\r\n"
/* So many small messages in INBOX, subjects "m1", "m2" ... */
void world_fill(unsigned n);
