/* Delivery status reports as messages (RFC 3461 6, 3462, 3464, 6522; 6533 when an address is not
 * ASCII). The report is written around the original so that a big original needs no memory:
 *
 *   dsn_write_head(&out, &report);      header, text for people, machine part, head of the third part
 *   ... the caller appends the original: all of it, or its header up to and without the blank line ...
 *   dsn_write_tail(&out, &report);      the closing boundary
 *
 * Every text from outside is made safe: no line breaks, no control bytes. */
#pragma once
#include "base/buf.h"

enum dsn_action { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED };

/* One recipient. Empty texts and zero times are left out. */
struct dsn_rcpt {
    enum dsn_action action;
    struct str address;   /* canonical, where it went finally */
    struct str orcpt;     /* ORCPT as it came: "rfc822;" and xtext */
    unsigned code;        /* the remote's (or ours): 550; 0 for none */
    struct str text;      /* the words with the enhanced code first: "5.1.1 no such user" */
    bool remote;          /* code and text were said by `host` (else they are ours) */
    struct str host;      /* of the server that said so */
    int64_t last_attempt; /* wall time */
    int64_t retry_until;  /* for delayed: when we give up */
};

struct dsn_report {
    struct str hostname;   /* Reporting-MTA, and the domain of the report's From and Message-ID */
    struct str to;         /* canonical: the original sender, who gets the report */
    struct str queue_id;   /* of the original, for people */
    struct str report_id;  /* of the report: makes Message-ID and boundary; letters, digits, '-' */
    struct str envid;      /* ENVID as it came: xtext */
    struct str subject;    /* the original's Subject field value, may be empty */
    struct str message_id; /* the original's Message-ID, may be empty */
    int64_t arrived;       /* of the original */
    int64_t now;
    const struct dsn_rcpt *rcpts;
    size_t n;
    bool full;             /* the whole original follows (RET=FULL, failures); else its header */
    bool original_utf8;    /* the original's header is in UTF-8 (SMTPUTF8) */
    bool original_8bit;    /* the original's body may hold 8-bit bytes */
};

/* True when the report needs SMTPUTF8 to be sent (an address or the original's header is not ASCII). */
bool dsn_needs_utf8(const struct dsn_report *r);
/* out's ceiling must leave room for about 2 KB and 1.5 KB a recipient; the latched failure of `out`
 * says when it did not. */
void dsn_write_head(struct buf *out, const struct dsn_report *r);
void dsn_write_tail(struct buf *out, const struct dsn_report *r);
const char *dsn_action_name(enum dsn_action action); /* "failed" */
