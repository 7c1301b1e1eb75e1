/* APPEND and REPLACE (RFC 9051, section 6.3.12; MULTIAPPEND of RFC 3502, CATENATE of RFC 4469, UTF8 of RFC 6855, REPLACE of
 * RFC 8508), step by step, because the messages between are streamed.
 *
 *   begin, then imap_append_next whenever imap/input.h says LITERAL (`whole` false) or COMMAND (`whole` true), again and
 *   again until BAD, TAKE, LITERAL or END. After a literal was streamed: imap_input_forget and imap_append_streamed. */
#pragma once
#include "parse.h"

enum imap_append_step {
    IMAP_APPEND_BAD,     /* why is set */
    IMAP_APPEND_TAKE,    /* the literal at the end belongs to the command's text: imap_input_take */
    IMAP_APPEND_BEGIN,   /* mailbox (and, with REPLACE, set) are known; call again */
    IMAP_APPEND_MESSAGE_BEGIN, /* flags and date of the next message are known; call again */
    IMAP_APPEND_LITERAL, /* the literal at the end is the message, or a part of one that is catenated: stream it */
    IMAP_APPEND_URL,     /* url: bytes of another message come next (CATENATE); call again */
    IMAP_APPEND_MESSAGE_END, /* the message is complete; call again */
    IMAP_APPEND_END,     /* all messages were there */
};

struct imap_append {
    struct str mailbox;      /* in the arena, as the others */
    struct str written;      /* the same as the client wrote it, when that is not its name; .p NULL: it is */
    struct imap_set set;     /* REPLACE: the message to be replaced, one number */
    struct imap_flags flags; /* of the message under way */
    bool has_date;
    int64_t date;
    bool utf8_literal, catenate;
    struct str mark;         /* XMARK (docs/migration.md), where `marks` allows it; empty: none */
    bool marks;              /* may be set after imap_append_init */
    struct str url;
    const char *why;
    /* inside */
    struct arena *arena;
    bool utf8, replace;
    int state;
    size_t at; /* read so far of the text */
};

void imap_append_init(struct imap_append *a, struct arena *arena, bool replace, bool utf8);
enum imap_append_step imap_append_next(struct imap_append *a, struct str text, bool whole);
/* The literal has passed and the text before it is forgotten. */
void imap_append_streamed(struct imap_append *a);
