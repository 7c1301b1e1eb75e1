/* The server side of a login: PLAIN, LOGIN, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (through
 * libgsasl), and USERPASS
 * ("\0user\0password") for protocols without SASL. A machine: bytes in, bytes and a verdict out;
 * who exists and what a password is worth comes through struct sasl_world. A login that does not
 * exist goes exactly the way of one with a wrong password. */
#pragma once
#include "base/buf.h"
#include "store.h"

enum { SASL_DATA_MAX = 16384, SASL_STEPS_MAX = 8 };

enum sasl_state {
    SASL_MORE,      /* send `out` as a challenge, come back with the answer */
    SASL_RIGHT,     /* proven; `out` goes along with the success */
    SASL_WRONG,     /* no such login, or not its password */
    SASL_MALFORMED, /* not the language of the mechanism, or an unknown mechanism */
    SASL_REFUSED,   /* the world does not want to look at it now: too many failures */
    SASL_TROUBLE,   /* the world could not tell */
};

struct sasl_login {
    int64_t principal; /* 0: does not exist */
    unsigned rights;   /* auth_rights */
    bool enabled;
    struct name name; /* as the log and the trace show it */
    struct verifier verifier;
};

struct sasl_world {
    void *arg;
    /* Fills *out, for a login that does not exist with an invented verifier. */
    enum sasl_state (*find)(
        void *arg, struct str name, struct sasl_login *out); /* SASL_MORE: found or invented */
    bool (*check)(void *arg, const struct verifier *v, struct str password);
};

struct sasl_library;
struct sasl;

struct sasl_library *sasl_library_new(void);
void sasl_library_free(struct sasl_library *lib);

/* NULL for an unknown mechanism. The bindings are raw bytes, empty without TLS, copied. */
struct sasl *sasl_new(struct sasl_library *lib, const struct sasl_world *world,
    struct str mechanism, struct str tls_unique, struct str tls_exporter);
void sasl_free(struct sasl *s); /* wipes */
/* One message of the client (the empty one starts a mechanism without initial response). `out` is
 * appended to. */
enum sasl_state sasl_step(struct sasl *s, struct str data, struct buf *out);
/* Who is logging in; the name as it was typed also after a failure (empty when it did not come so
 * far). */
const struct sasl_login *sasl_login(const struct sasl *s);
struct str sasl_typed_name(const struct sasl *s);
