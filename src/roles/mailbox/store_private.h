/* The inside of struct store, shared by store.c (opening, transactions, messages) and content.c. */
#pragma once
#include "store.h"

struct folder {
    int64_t uidvalidity, uidnext, modseq, messages, bytes, unseen;
};

struct store {
    struct db *db;
    int64_t account;
    struct folder inbox;    /* as the open transaction sees it, written at commit */
    struct folder saved;    /* as committed */
    bool inbox_changed;
    struct store_totals others; /* all folders but INBOX */
    int64_t modseq;             /* of this transaction, 0 before its first change */
    int64_t highest_modseq;     /* of the account */
    bool loose;
    int64_t swept; /* loose contents up to this id were looked at */
    struct list arriving; /* struct content_writer */
    struct buf piece;

    struct stmt *save_inbox, *was_delivered, *add_delivered, *add_message, *list, *find;
    struct stmt *find_for_expunge, *remove_message, *add_expunged;
    struct stmt *put, *put_chunk, *put_size, *read_head, *read_chunk, *unref, *set_refs;
    struct stmt *add_loose, *remove_loose, *next_loose, *remove_chunks, *remove_content;
};

void content_prepare(struct store *s);
/* One reference less; without any left the content becomes loose. */
MUST_CHECK bool content_release(struct store *s, int64_t content, struct err *err);
