/* Names and small files of a Maildir (cr.yp.to/proto/maildir.html; Maildir++; what Dovecot keeps beside). Pure: text in,
 * text out. */
#pragma once
#include "base/buf.h"

enum { MAILDIR_LETTERS = 26 };

/* "1700000000.M5P1.host,S=12:2,FSa" */
struct maildir_name {
    struct str unique;   /* before the ':' */
    uint64_t time;       /* the number it begins with, 0 without */
    unsigned flags;      /* enum imap_flag */
    bool passed;         /* P: forwarded */
    uint32_t letters;    /* a to z, a bit each: keywords by dovecot-keywords */
};
void maildir_name_parse(struct str file, struct maildir_name *name);
/* ":2,DFPRSTab" */
void maildir_name_flags(struct buf *out, const struct maildir_name *name);

/* dovecot-keywords: "0 name" a line. Views of `text`; those missing are empty. */
void maildir_keywords(struct str text, struct str names[MAILDIR_LETTERS]);

/* ".Work.2026" to "Work/2026" in UTF-8, and back. False: it cannot be read as one. */
bool maildir_folder_decode(struct buf *out, struct str directory);
void maildir_folder_encode(struct buf *out, struct str name);

/* A line of Dovecot's newer file of subscriptions, without its end. */
void maildir_subscription(struct buf *out, struct str name);
/* Does a file of subscriptions name this folder? Dovecot's of both versions, Courier's "INBOX.Work". */
bool maildir_is_subscribed(struct str text, struct str name);
