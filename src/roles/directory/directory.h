/* The role's state, shared by its files; and what each of them gives to main.c. */
#pragma once
#include "ipc/role.h"
#include "dkim_signer.h"
#include "dkim_watch.h"
#include "dns/dns_client.h"
#include "lookup.h"
#include "password.h"
#include "sasl.h"
#include "store.h"
#include "throttle.h"

/* Kinds of questions, for `staffetta status --verify`. */
enum directory_book {
    BOOK_RCPT,
    BOOK_SENDER,
    BOOK_DESTINATION,
    BOOK_STANDING, /* that are asked until they are answered: secrets, pools, accounts */
    BOOK_LOGIN,
    BOOK_SIGNATURE,
    BOOK_DKIM,
    BOOK_DOMAIN,
    BOOK_COUNT,
};

struct directory {
    struct role *role;
    struct question_book books[BOOK_COUNT];
    struct store store;
    struct lookup lookup;
    int64_t checked; /* when `lookup` was last compared with the database, monotonic */
    /* auth.c */
    struct sasl_library *sasl;
    struct password_cache passwords;
    struct throttle throttle;
    uint8_t secret[32];
    struct map exchanges;
    struct list exchange_order; /* by age */
    struct event *sweep;
    /* answers.c */
    struct list unanswered;
    size_t unanswered_count;
    struct {
        int64_t at, more; /* when it was last told, monotonic, and how often not since then */
        char text[sizeof(((struct err *)NULL)->text)];
    } trouble;
    struct event *retry;
    /* control.c */
    struct list jobs;
    /* keys.c */
    struct key_store *keys;
    /* dkim_answers.c */
    struct dkim_signer signer;
    struct list dkim_requests;
    int64_t dkim_waiting;
    struct event *dkim_turn;
    /* path_rotation.c */
    struct event *path_hour;
    /* dkim_watch.c */
    struct dns_client dns;
    struct event *dkim_round;
    struct name dkim_at; /* the domain looked after last; empty between two rounds */
    struct dkim_look *dkim_look;
};

/* auth.c: AUTH exchanges; bounded in number and time, failures answered late. */
void auth_open(struct directory *d);
int64_t auth_under_way(const struct directory *d); /* counted one by one */
void auth_peer_gone(struct directory *d, struct channel *c);
void on_auth_begin(struct role *role, struct channel *from, const struct msg_auth_begin *m);
void on_auth_step(struct role *role, struct channel *from, const struct msg_auth_step *m);
void on_auth_cancel(struct role *role, struct channel *from, const struct msg_auth_cancel *m);

/* answers.c: one question, one answer. */
void answers_open(struct directory *d);
int64_t answers_under_way(const struct directory *d);
/* The lookup, which has noticed what other processes changed. */
struct lookup *answers_fresh(struct directory *d);
/* The database failed at a question: counted, and told within reason. */
void answers_trouble(struct directory *d, const char *question, const struct err *err);
void answers_peer_gone(struct directory *d, struct channel *c);
void on_rcpt_ask(struct role *role, struct channel *from, const struct msg_rcpt_ask *m);
void on_sender_ask(struct role *role, struct channel *from, const struct msg_sender_ask *m);
void on_resolve_ask(struct role *role, struct channel *from, const struct msg_resolve_ask *m);
void on_secret_ask(struct role *role, struct channel *from, const struct msg_secret_ask *m);
void on_pools_ask(struct role *role, struct channel *from, const struct msg_pools_ask *m);
void on_domain_ask(struct role *role, struct channel *from, const struct msg_domain_ask *m);
void on_account_ask(struct role *role, struct channel *from, const struct msg_account_ask *m);
/* shares.c */
/* Says in the log when some who share with each other are served by different ones of so many copies of mailbox, which cannot reach each
 * other's databases; how many pairs. */
int64_t shares_look_for_splits(struct directory *d, unsigned copies);
void on_name_ask(struct role *role, struct channel *from, const struct msg_name_ask *m);
void on_share_note(struct role *role, struct channel *from, const struct msg_share_note *m);
void on_shares_ask(struct role *role, struct channel *from, const struct msg_shares_ask *m);
/* Tells the mailbox copies, or the one that came back, about accounts that are gone. */
void answers_mailbox_up(struct directory *d, struct channel *c);
void answers_account_changed(struct directory *d, int64_t account, bool removed);
void answers_pools_changed(struct directory *d);

/* control.c: commands of the command line. */
void control_open(struct directory *d);
void control_peer_gone(struct directory *d, struct channel *c);
void on_control_ask(struct role *role, struct channel *from, const struct msg_control_ask *m);
void on_control_more(struct role *role, struct channel *from, const struct msg_control_more *m);
void on_control_cancel(struct role *role, struct channel *from, const struct msg_control_cancel *m);

/* dkim_answers.c: which DKIM keys sign for a domain, and their signatures. */
void dkim_answers_open(struct directory *d);
void dkim_answers_peer_gone(struct directory *d, struct channel *c);
void on_dkim_keys_ask(struct role *role, struct channel *from, const struct msg_dkim_keys_ask *m);
void on_dkim_sign_ask(struct role *role, struct channel *from, const struct msg_dkim_sign_ask *m);
/* dkim_watch.c */
void on_dns_reply(struct role *role, struct channel *from, const struct msg_dns_reply *m);

/* path_rotation.c: the keys of signed addresses, made and changed by copy 0. */
void path_rotation_open(struct directory *d);

/* keys.c: the private keys of the certificates, of which smtp and access know the public half
 * alone. */
void keys_load(struct directory *d);
void on_key_sign_ask(struct role *role, struct channel *from, const struct msg_key_sign_ask *m);
