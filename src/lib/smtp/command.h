/* What an SMTP client may say: command lines, and the arguments of MAIL and RCPT with the parameters
 * of all extensions, read by one table. Everything returned is a view into the line.
 *
 * ENVID, ORCPT and AUTH values are checked but stay encoded (xtext): they travel so through queue and
 * relay, and only dsn.c decodes them for a report. */
#pragma once
#include "ipc/messages.h"
#include "smtp/address.h"
#include "smtp/extension.h"
#include "smtp/xtext.h"

enum smtp_verb {
    VERB_UNKNOWN, VERB_HELO, VERB_EHLO, VERB_LHLO, VERB_MAIL, VERB_RCPT, VERB_DATA, VERB_BDAT, VERB_RSET,
    VERB_NOOP, VERB_QUIT, VERB_VRFY, VERB_EXPN, VERB_HELP, VERB_STARTTLS, VERB_AUTH, VERB_XCLIENT,
    VERB_ETRN, VERB_COUNT,
};

struct command {
    enum smtp_verb verb;
    struct str name; /* as the client wrote it */
    struct str args; /* what follows, without blanks at both ends */
};

/* What to answer instead: 501 "5.5.4 ...". text is a literal. */
struct refusal {
    unsigned code;
    const char *text;
};

/* line: without its CRLF. Never fails: what is no command is VERB_UNKNOWN. */
struct command command_parse(struct str line);

enum by_mode { BY_NONE, BY_RETURN, BY_NOTIFY };

struct mail_command {
    struct address sender; /* null for <> */
    unsigned flags;        /* enum txn_flags: 8BITMIME, BINARYMIME, SMTPUTF8, REQUIRETLS, RET_*, BY_* */
    uint64_t size;         /* SIZE=, 0 for none */
    uint64_t priority;     /* MT-PRIORITY + 9; 9 when not given */
    bool has_priority;
    bool has_by;
    int64_t by_seconds;    /* BY=, may be negative with mode N */
    uint64_t hold_for;     /* HOLDFOR= in seconds, 0 for none */
    int64_t hold_until;    /* HOLDUNTIL= as wall time, 0 for none */
    struct str envid;      /* ENVID=, still xtext */
    struct str auth;       /* AUTH=, still xtext; "<>" when unknown; empty when not given */
};

struct rcpt_command {
    struct address rcpt;
    unsigned notify;  /* enum notify_flags; 0 when not given */
    struct str orcpt; /* "rfc822;user@example.org", still xtext */
};

/* args: what follows MAIL or RCPT ("FROM:<a@b> SIZE=100"). extensions: EXT_ bits the session offers
 * now; a parameter of another extension is 555 5.5.4. address_flags: ADDRESS_UTF8 where SMTPUTF8 was
 * asked for (MAIL itself looks at its own SMTPUTF8 parameter). A blank after "FROM:" is tolerated. */
bool command_parse_mail(struct str args, unsigned extensions, struct mail_command *out, struct refusal *no);
bool command_parse_rcpt(struct str args, unsigned extensions, unsigned address_flags,
    struct rcpt_command *out, struct refusal *no);
/* "1000 LAST". */
bool command_parse_bdat(struct str args, uint64_t *size, bool *last, struct refusal *no);
/* The argument of EHLO or HELO: a domain or an address literal. Lenient (letters, digits, '-', '_',
 * '.', ':' and brackets; UTF-8), as broken clients are many: only what could hurt a log or a header
 * field is refused. */
bool command_parse_helo(struct str args, struct str *name, struct refusal *no);
