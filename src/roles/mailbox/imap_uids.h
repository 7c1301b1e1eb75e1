/* The messages that a command goes through, in order, over as many turns as it takes. */
#pragma once
#include "imap.h"

struct imap_uids {
    struct imap_set set;       /* resolved (imap_view_resolve): those of it that the client knows */
    const struct uid_set *all; /* not NULL: all of these, whatever the set is */
    uint32_t at;               /* the next uid to look at; 0: the end was passed */
    size_t portion;            /* how many were taken last */
};

void imap_uids_begin(struct imap_uids *u, struct imap_set set);
/* From the first one again. The portions stay as large as they have become. */
void imap_uids_rewind(struct imap_uids *u);
/* Goes on behind this one. */
void imap_uids_pass(struct imap_uids *u, uint32_t uid);
/* The next ones, at most STORE_MANY; *more: that was not the end. It begins with few and takes more as long as that is fast. */
size_t imap_uids_take(struct imap *im, struct imap_uids *u, uint32_t uids[STORE_MANY], bool *more);
