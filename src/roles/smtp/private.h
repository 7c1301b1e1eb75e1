/* What the files of the session share; nobody else includes this. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "data.h"
#include "session.h"
#include "smtp/command.h"

enum {
    LINE_MAX_COMMAND = 4096, /* RFC 5321 says 512 and more with extensions */
    LINE_MAX_AUTH = 12288,   /* RFC 4954 4 */
    TXN_MEMORY = 4 * 1024 * 1024,
    LOGIN_TRIES = 3,         /* of one connection */
    HOLD_DAYS_MAX = 30,      /* FUTURERELEASE */
    NEUTRAL_PRIORITY = 9,
};

/* Where in the dialogue; bits, so that the table of verbs can say "any of these". */
enum state {
    AT_CONNECT = 1 << 0, /* not greeted yet */
    AT_START = 1 << 1,   /* greeted, no EHLO */
    AT_READY = 1 << 2,   /* EHLO, no transaction */
    AT_MAIL = 1 << 3,    /* sender, no recipient */
    AT_RCPT = 1 << 4,    /* at least one recipient */
    AT_BDAT = 1 << 5,    /* content is coming in chunks */
    AT_GREETED = AT_START | AT_READY | AT_MAIL | AT_RCPT | AT_BDAT,
    AT_TXN = AT_MAIL | AT_RCPT | AT_BDAT,
};

/* What the next bytes are. */
enum mode { MODE_COMMAND, MODE_SKIP_LINE, MODE_AUTH, MODE_DATA, MODE_BDAT, MODE_TLS };

enum wait { WAIT_NONE, WAIT_GREETING, WAIT_SENDER, WAIT_RCPT, WAIT_AUTH, WAIT_DELAY, WAIT_DONE };

struct smtp_session {
    const struct smtp_settings *set;
    const struct smtp_world *world;
    void *w;
    struct smtp_client client;
    enum state state;
    enum mode mode;
    enum wait wait;
    bool extended;   /* EHLO or LHLO, not HELO */
    bool secure, bindings;
    bool closing;    /* the last reply was given */
    bool draining;
    char tls[128];
    struct str helo; /* owned */
    /* counted against limits */
    uint64_t errors, unknown, messages;
    unsigned login_failures;
    /* login */
    uint64_t account; /* 0: none */
    uint64_t next_account; /* succeeded, but the client has not seen the last SASL data yet */
    struct str login; /* owned */
    char mechanism[24];
    bool auth_last;   /* the last SASL data of a success is at the client, who answers with nothing */
    bool auth_banned;
    /* transaction */
    struct arena arena;
    struct smtp_txn txn;
    struct str asked; /* the address directory was asked about */
    unsigned asked_notify;
    struct str asked_orcpt;
    uint64_t rcpts_refused;
    uint64_t rcpts_taken; /* with those named twice: LMTP answers for each (RFC 2033 4.2) */
    bool charged; /* directory counted this message for the account */
    /* content */
    struct data_reader data;
    bool open;           /* filter holds a transaction of ours */
    unsigned fault_code; /* the transaction cannot succeed any more: what to say at its end */
    struct str fault_text; /* in the arena, or a literal */
    uint64_t chunk_left, chunk_size;
    bool chunk_last, chunk_stray; /* stray: outside a transaction, read and dropped */
};

/* session.c */
void say(struct smtp_session *s, struct str reply); /* a literal with its CRLF */
void reply(struct smtp_session *s, unsigned code, struct str text);
/* A reply that counts as an error of the client. */
void refuse(struct smtp_session *s, unsigned code, struct str text);
/* The last reply: nothing is read after it. */
void hang_up(struct smtp_session *s, unsigned code, struct str text);
void note(struct smtp_session *s, enum smtp_note kind, struct str subject, unsigned code, struct str text);
void forget_transaction(struct smtp_session *s);
bool is_submission(const struct smtp_session *s); /* authenticated, of a listed network, or local */
unsigned offered(const struct smtp_session *s);   /* EXT_ bits */
unsigned mechanisms(const struct smtp_session *s); /* MECH_ bits */
void greet(struct smtp_session *s);

/* greeting.c */
void on_helo(struct smtp_session *s, struct str args);
void on_ehlo(struct smtp_session *s, struct str args);
void on_lhlo(struct smtp_session *s, struct str args);
void on_help(struct smtp_session *s, struct str args);
/* envelope.c */
void on_mail(struct smtp_session *s, struct str args);
void on_rcpt(struct smtp_session *s, struct str args);
/* transfer.c */
void on_data(struct smtp_session *s, struct str args);
void on_bdat(struct smtp_session *s, struct str args);
size_t take_data(struct smtp_session *s, struct str bytes);
size_t take_chunk(struct smtp_session *s, struct str bytes);
/* auth.c */
void on_auth(struct smtp_session *s, struct str args);
void auth_line(struct smtp_session *s, struct str line);
void auth_resume(struct smtp_session *s);
void cancel_login(struct smtp_session *s);
/* xclient.c */
void on_xclient(struct smtp_session *s, struct str args);
/* trace.c */
void write_trace(struct smtp_session *s, struct buf *out);
struct str protocol_name(const struct smtp_session *s);
