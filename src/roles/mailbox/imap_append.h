/* APPEND and REPLACE under way, shared by imap_append.c and imap_catenate.c. */
#pragma once
#include "imap.h"
#include "imap/url.h"

struct fetch;

struct incoming {
    struct link link;
    struct content_writer writer;
    struct summary *summary; /* NULL: written already, or left to whoever asks first, for want of memory */
    struct imap_flags flags;
    struct str mark; /* of an import */
    int64_t received;
    int64_t size; /* announced; 0: not known before its end */
    bool begun;   /* the database has some of it */
};

struct appending {
    struct imap_append grammar;
    struct folder *to;    /* looked up anew by its number when all are there */
    int64_t to_id;
    int64_t to_uidvalidity; /* told after the commit, when somebody may have deleted it */
    struct list messages; /* struct incoming */
    size_t keywords; /* of all messages */
    size_t count;
    uint64_t bytes;       /* of all so far, announced */
    uint64_t size;        /* of the one under way, as far as it is catenated */
    struct buf piece;     /* what is not written yet of the last message */
    unsigned rights;      /* in it */
    bool replaces;
    uint32_t replaced;    /* its uid */
    uint64_t freed;       /* its size: only what grows counts against the quota (RFC 8508, section 3.4) */
    bool recorded;        /* by box_record */
    bool failed;          /* NO is said when the rest was read */
    const char *code, *why;
    struct link *adding;  /* the next message to become one of the mailbox; NULL: all have */
    struct buf uids;
    struct imap_set_writer uid_writer;
    struct fetch *source; /* of CATENATE; NULL: no URL has come yet */
    struct box *from;     /* which it reads; NULL: nothing */
    struct imap_url url;
};

/* ---- imap_append.c ---- */
/* The literal that was announced is not wanted: the command ends here, BAD without a code. */
void append_refuse(struct imap *im, const char *code, const char *why);
/* What is still to come of the command is read and thrown away, then NO is said. */
void append_fail(struct imap *im, const char *code, const char *why);
/* What so many messages and bytes more make of the quota; false: NO was said, and the command ends here. */
bool append_fits(struct imap *im, size_t messages, uint64_t bytes);
/* The next message begins, of that size (0: not known yet); false: an answer was said. */
bool append_open_message(struct imap *im, uint64_t size);
/* Takes the literal that was announced as bytes of the message. */
void append_stream(struct imap *im);
void append_flush(struct imap *im);
/* Reads on in the command. */
void append_go_on(struct imap *im);
/* What is told of the message without its bytes: a piece of it passes; all have, and that is stored. */
void append_note_structure(struct imap *im, struct incoming *m, struct str piece);
MUST_CHECK bool append_put_info(struct imap *im, struct incoming *m, struct err *err);

/* ---- imap_append_add.c ---- */
void append_complete(struct imap *im); /* all messages have come: stores them and answers */

/* ---- imap_catenate.c: the steps of imap/append.h in a message that is catenated ---- */
imap_step catenate_begin, catenate_literal, catenate_url, catenate_end;
void catenate_clear(struct imap *im);
