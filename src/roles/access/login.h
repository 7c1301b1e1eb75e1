/* Before login, whatever the protocol: what a protocol machine asks of the connection it lives in, and
 * what the connection tells it. client.c is the connection; imap_login.c and pop3_login.c are
 * machines. */
#pragma once
#include "base/buf.h"
#include "ipc/messages.h"

enum login_flags {
    LOGIN_SECURE = 1,    /* TLS is up */
    LOGIN_LOOPBACK = 2,  /* the client is on this machine: passwords are taken without TLS */
    LOGIN_STARTTLS = 4,  /* TLS may be started */
};

/* Everything returns at once. After auth_begin and auth_step the machine takes no input until
 * challenge or done is called; after start_tls until `secured`; after open and close never again. */
struct login_world {
    void (*send)(void *world, struct str bytes);
    void (*start_tls)(void *world);
    void (*auth_begin)(void *world, struct str mechanism, bool has_initial, struct str initial);
    void (*auth_step)(void *world, struct str data);
    void (*auth_cancel)(void *world);
    /* Logged in: the stream belongs to mailbox from the next byte on, and so does the answer to the
     * command that logged in: `tag` is that of an IMAP command, empty otherwise. */
    void (*open)(void *world, unsigned session_flags, struct str tag);
    void (*close)(void *world);
    /* So much was said and not read that no further command is taken for now; NULL for never. */
    bool (*full)(void *world);
};

struct login_outcome {
    enum auth_result result;
    bool may_read;
    struct str data; /* SASL data that goes along with success */
};

/* A protocol before login; `machine` is what new gave. */
struct login_protocol {
    const char *name;
    enum session_protocol session;
    const char *service; /* as directory knows it */
    const char *refusal; /* instead of a greeting */
    const char *timeout; /* the last word to a client that is cut by a time limit; NULL for none */
    void *(*new)(const struct login_world *world, void *arg, struct str hostname, unsigned flags);
    void (*free)(void *machine);
    void (*greet)(void *machine);
    size_t (*input)(void *machine, struct str bytes); /* how many were used */
    void (*secured)(void *machine);
    void (*challenge)(void *machine, struct str data);
    void (*done)(void *machine, const struct login_outcome *outcome);
    /* Said before the connection is closed from our side: shutting down, or a peer is gone. */
    void (*bye)(void *machine, const char *why);
    bool (*waits)(void *machine); /* takes no input now */
};
