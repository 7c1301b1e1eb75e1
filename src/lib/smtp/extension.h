/* The extensions of SMTP: which exist, what the server offers, what a remote server announced. */
#pragma once
#include "base/str.h"

enum smtp_extension {
    EXT_SIZE = 1 << 0,
    EXT_PIPELINING = 1 << 1,
    EXT_8BITMIME = 1 << 2,
    EXT_BINARYMIME = 1 << 3,
    EXT_CHUNKING = 1 << 4,
    EXT_SMTPUTF8 = 1 << 5,
    EXT_DSN = 1 << 6,
    EXT_STARTTLS = 1 << 7,
    EXT_AUTH = 1 << 8,
    EXT_LIMITS = 1 << 9,
    EXT_DELIVERBY = 1 << 10,
    EXT_MT_PRIORITY = 1 << 11,
    EXT_REQUIRETLS = 1 << 12,
    EXT_FUTURERELEASE = 1 << 13,
    EXT_ENHANCEDSTATUSCODES = 1 << 14,
    EXT_VRFY = 1 << 15,
    EXT_HELP = 1 << 16,
    EXT_ETRN = 1 << 17,
    EXT_XCLIENT = 1 << 18,
};

enum smtp_mechanism {
    MECH_PLAIN = 1 << 0,
    MECH_LOGIN = 1 << 1,
    MECH_CRAM_MD5 = 1 << 2,
    MECH_SCRAM_SHA_1 = 1 << 3,
    MECH_SCRAM_SHA_256 = 1 << 4,
    MECH_SCRAM_SHA_256_PLUS = 1 << 5,
    MECH_XOAUTH2 = 1 << 6,
    MECH_OAUTHBEARER = 1 << 7,
    MECH_EXTERNAL = 1 << 8,
};

/* What the last EHLO reply announced. Numbers are 0 where nothing (or "no limit") was said. */
struct capabilities {
    unsigned extensions; /* EXT_ bits */
    unsigned mechanisms; /* MECH_ bits */
    uint64_t size;             /* SIZE: largest message */
    uint64_t rcpt_max;         /* LIMITS RCPTMAX */
    uint64_t mail_max;         /* LIMITS MAILMAX */
    uint64_t rcpt_domain_max;  /* LIMITS RCPTDOMAINMAX */
    uint64_t deliver_by_min;   /* DELIVERBY: seconds */
    uint64_t hold_seconds_max; /* FUTURERELEASE: longest interval */
};

/* Forgets everything: before each EHLO, and after STARTTLS. */
void capabilities_clear(struct capabilities *c);
/* One line of an EHLO reply without its code ("SIZE 1000", "AUTH=PLAIN LOGIN"); the first line (the
 * greeting) must not be given. Unknown keywords and broken values are passed over. */
void capabilities_add(struct capabilities *c, struct str line);
/* A SASL mechanism by name, 0 for an unknown one; and back (NULL for no single known bit). */
unsigned mechanism_from_name(struct str name);
const char *mechanism_name(unsigned mechanism);
