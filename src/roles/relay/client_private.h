/* Shared by the two halves of the machine: client.c (session) and client_txn.c (transaction). */
#pragma once
#include "client.h"
#include "login.h"

#include <assert.h>

/* Which reply is the next one on the wire. */
enum expect_kind {
    EXPECT_GREETING, EXPECT_EHLO, EXPECT_HELO, EXPECT_STARTTLS, EXPECT_AUTH, EXPECT_MAIL, EXPECT_RCPT,
    EXPECT_DATA, EXPECT_BDAT, EXPECT_END, EXPECT_RSET, EXPECT_QUIT, EXPECT_KINDS,
};

struct expect {
    enum expect_kind kind;
    size_t index; /* of the recipient: RCPT, and END of LMTP */
};

enum { EXPECT_MAX = 2048, CLIENT_RCPTS_MAX = CLIENT_RCPTS_AT_ONCE, OUTCOME_TEXT = 1024 };

struct transaction {
    const struct client_message *message;
    struct client_rcpt **rcpts;
    size_t n;
    size_t next;       /* recipient whose RCPT was not sent (without pipelining) */
    size_t accepted;
    bool open;         /* between client_begin and `done` */
    bool mail_accepted, mail_refused;
    bool chunking;     /* BDAT instead of DATA */
    bool data_sent, content, ended; /* DATA said; 354 came and content flows; its end was sent */
    bool over;         /* the server's transaction ended too: no RSET is needed */
    bool line_start, last_cr; /* dot stuffing, across pieces */
    bool replied, reused; /* a reply came; an earlier transaction used this session */
};

struct client {
    struct client_settings settings;
    const struct client_world *world;
    void *owner;
    struct buf hello, user, secret;
    struct reply reply;
    struct capabilities can;
    struct login *login;
    struct expect queue[EXPECT_MAX];
    size_t head, tail; /* queue[head % MAX .. tail % MAX] */
    bool secure, verified, ready, dead, greeted;
    enum smtp_stage stage;
    struct transaction txn;
    unsigned messages; /* transactions so far */
    struct buf out, text;
};

void client_expect(struct client *c, enum expect_kind kind, size_t index);
size_t client_expected(const struct client *c);
/* Sends what c->out holds. */
void client_flush(struct client *c);
/* Ends the session: recipients of an open transaction are left or settled as the head of client.h
 * says, then `failed`. */
void client_fail(struct client *c, struct client_failure *failure);
void client_fail_text(struct client *c, enum delivery_reason reason, unsigned code, const char *text);
/* An outcome from the current reply; text lives in c->text. */
struct client_outcome client_outcome_of_reply(struct client *c, enum smtp_stage stage);
void client_become_ready(struct client *c);

static inline bool client_has(const struct client *c, unsigned extension)
{
    return (c->can.extensions & extension) != 0;
}

/* client_commands.c: append the command and expect its reply. */
void client_add_mail(struct client *c);
void client_add_rcpt(struct client *c, size_t index);

/* client_txn.c: replies of a transaction. */
void client_on_mail(struct client *c, size_t index);
void client_on_rcpt(struct client *c, size_t index);
void client_on_data(struct client *c, size_t index);
void client_on_bdat(struct client *c, size_t index);
void client_on_end(struct client *c, size_t index);
void client_on_rset(struct client *c, size_t index);
/* Lost with the end of the message sent and not answered. */
void client_txn_lost(struct client *c, const char *why);
/* An error came while content flows: settles who was accepted. False when none flows. */
bool client_txn_early(struct client *c);
