/* What the machines before login have in common (login.h): their states, SASL, and how they count what goes wrong.
 *
 * struct login_common is the first member of a machine, so that the callbacks below serve every protocol. */
#pragma once
#include "sasl.h"

enum {
    LOGIN_ERRORS_MAX = 20,  /* bad commands of a connection */
    LOGIN_FAILURES_MAX = 5, /* refused logins of a connection */
};

enum login_state {
    LOGIN_READY,   /* for a command */
    LOGIN_IN_AUTH, /* the next line is a response of SASL */
    LOGIN_WAITING, /* for directory or for TLS */
    LOGIN_OVER,    /* handed to mailbox, or closed */
};

struct login_common {
    const struct login_world *world;
    void *arg;
    struct str hostname;
    unsigned flags; /* enum login_flags */
    enum login_state state;
    bool skipping; /* the rest of an overlong line */
    bool by_sasl;  /* the login under way is an exchange of SASL */
    unsigned errors, failures;
    struct sasl sasl;
};

/* The host name is copied, and cut at 255 bytes. */
void login_init(struct login_common *c, const struct login_world *world, void *arg, struct str hostname, unsigned flags);
void login_clear(struct login_common *c);

/* Sends a line; its end is added. */
void login_send(struct login_common *c, const char *text);
/* Sends what is in the buffer and frees it. */
void login_send_buf(struct login_common *c, struct buf *out);
void login_hang_up(struct login_common *c);

/* Whether passwords in clear are taken: under TLS, or from this machine. */
bool login_takes_passwords(const struct login_common *c);
/* Whether a user name or a password can be one. */
bool login_usable(struct str s);
/* Whether input is taken: a block of commands asks for forty times as much output, which must be read first. */
bool login_takes_input(const struct login_common *c);

/* Asks directory; the answer comes as `done`. */
void login_by_password(struct login_common *c, struct str user, struct str password);
/* The exchange of SASL; on any result but the first two the machine is ready again. */
enum sasl_result login_by_sasl(struct login_common *c, struct str mechanism, bool has_initial, struct str initial);
enum sasl_result login_response(struct login_common *c, struct str line);
/* A response was too long: the exchange is given up, the machine is ready. */
void login_give_up(struct login_common *c);

/* What directory's answer means for the client. */
enum login_verdict {
    LOGIN_LATE,        /* nobody waits for it any more */
    LOGIN_GRANTED,     /* open the session */
    LOGIN_ACKNOWLEDGE, /* the data of the success was sent as a challenge: the client's next line takes note */
    LOGIN_REFUSED,     /* say why: login_refusal */
};
enum login_verdict login_judge(struct login_common *c, const struct login_outcome *o);
/* The text for a result out of a table that has one for each (AUTH_OK: may log in, but not read). */
const char *login_refusal(const char *const texts[], enum auth_result result);

/* struct login_protocol's, where the protocol has nothing to add */
void login_secured(void *machine);
void login_challenge(void *machine, struct str data);
bool login_waits(void *machine);
