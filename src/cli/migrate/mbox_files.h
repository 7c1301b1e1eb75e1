/* Which mailbox files there are, and which folders they are. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

struct mbox_file {
    struct str path, name; /* owned */
};
struct mbox_files {
    struct mbox_file *all;
    size_t n;
    struct buf subscriptions; /* the file .subscriptions, of Dovecot and of our export */
};

/* `place` is a file, which becomes the folder `into`, or a folder with mailbox files. */
MUST_CHECK bool mbox_files_find(struct mbox_files *f, struct str place, struct str into, struct err *err);
void mbox_files_clear(struct mbox_files *f);
bool mbox_files_subscribed(const struct mbox_files *f, struct str name);

/* The path of a folder below a place: levels are directories, ".mbox" behind; "%2e" for what a file's name may not begin with. */
void mbox_path_encode(struct buf *out, struct str name);
/* Adds a level read from a file's name; false: no folder can be called so. */
bool mbox_level_decode(struct buf *out, struct str level);
