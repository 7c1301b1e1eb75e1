/* What an SMTP server answers, seen from the client: a pure machine that is fed bytes or lines and
 * yields whole replies, and what a reply means for a delivery. */
#pragma once
#include "base/buf.h"
#include "ipc/messages.h"
#include "smtp/extension.h"

enum {
    REPLY_LINE_MAX = 4096,   /* RFC 5321 says 512; some servers write more */
    REPLY_TEXT_MAX = 16384,  /* all lines of one reply */
    REPLY_LINES_MAX = 200,
};

enum reply_state {
    REPLY_MORE, /* feed more */
    REPLY_DONE, /* the reply is complete: look at it, then go on feeding */
    REPLY_BAD,  /* not SMTP, or too much: close the connection; `why` says what */
};

struct enhanced {
    unsigned class, subject, detail; /* 5.1.1; class 0 for none */
};

struct reply {
    unsigned code; /* 200..599 */
    struct enhanced enhanced;
    unsigned lines;
    struct buf text; /* the lines without codes and enhanced codes, each ended by '\n' */
    /* inside */
    struct buf partial; /* a line whose end has not come */
    bool complete;
    const char *why; /* REPLY_BAD */
};

void reply_init(struct reply *r);
void reply_clear(struct reply *r);

/* Takes bytes up to the end of one reply; *used says how many. After REPLY_DONE the next call starts
 * the next reply (pipelining). */
enum reply_state reply_feed(struct reply *r, struct str bytes, size_t *used);
/* The same for one line without its line end. */
enum reply_state reply_line(struct reply *r, struct str line);
/* Walks the text lines of a complete reply: start with *rest = buf_str(&r->text). */
bool reply_next_line(struct str *rest, struct str *line);
/* The words on one line, cleaned for logs, tables and reports: "5.1.1 no such user here". Lines are
 * joined by a blank, bytes that are not printable or not UTF-8 become '?', at most `longest` octets. */
void reply_words(const struct reply *r, size_t longest, struct buf *out);
/* Reads the EHLO reply (the first line is skipped). */
void reply_capabilities(const struct reply *r, struct capabilities *c);

/* "5.1.1" at the start of text; moves *text behind it and its blank. */
bool enhanced_parse(struct str *text, struct enhanced *e);

/* The moment a reply came: decides what a code without words means. */
enum smtp_stage { STAGE_CONNECT, STAGE_EHLO, STAGE_TLS, STAGE_AUTH, STAGE_MAIL, STAGE_RCPT, STAGE_DATA, STAGE_END };
/* Why the remote refused: from the words it uses, its enhanced code, its code, and the stage. text is
 * as of reply_words. Never REASON_NONE for a 4xx or 5xx. */
enum delivery_reason reply_classify(unsigned code, struct str text, enum smtp_stage stage);
const char *delivery_reason_name(enum delivery_reason reason);
