/* Messages of any folder: read, add, copy, flag, expunge. Everything that changes needs an open transaction; all
 * changes of a transaction share a modification sequence. */
#pragma once
#include "store_folder.h"

struct store_message {
    uint32_t uid;
    int64_t modseq, flags, received, saved, size, content, features;
    struct str more; /* keywords of slots from STORE_KEYWORD_BITS on; lives until the next call */
};

/* *found false: there is no such message. */
MUST_CHECK bool store_message_get(struct store *s, const struct folder *f, uint32_t uid, struct store_message *m, bool *found,
    struct err *err);
/* Not from inside itself. Calls `tell` for the messages with from <= uid <= to whose modseq is above `since` (-1: all), in order, until it
 * returns false. Reads blocks without such a message not at all. `m` lives for the call. */
typedef bool store_message_fn(void *arg, const struct store_message *m);
MUST_CHECK bool store_messages_walk(struct store *s, struct folder *f, uint32_t from, uint32_t to, int64_t since,
    store_message_fn *tell, void *arg, struct err *err);
/* The same, but of `m` only uid, modseq, flags, size and more are known. */
MUST_CHECK bool store_flags_walk(struct store *s, struct folder *f, uint32_t from, uint32_t to, int64_t since,
    store_message_fn *tell, void *arg, struct err *err);
/* The uids removed with a modseq above `since`, rising within a modseq, until `tell` returns false. *known: all since then are
 * remembered; else only some are, and the client must be told by what is there. */
typedef bool store_uid_fn(void *arg, uint32_t uid);
MUST_CHECK bool store_expunged_walk(struct store *s, const struct folder *f, int64_t since, store_uid_fn *tell, void *arg,
    bool *known, struct err *err);

struct store_new {
    int64_t content, size, received, flags, features;
    struct str more;
    int64_t saved; /* 0: now */
};
/* A content, already put, becomes a message; `saved` is now. *uid may be shown after the next sync. */
MUST_CHECK bool store_message_add(struct store *s, struct folder *f, const struct store_new *n, uint32_t *uid, struct err *err);
/* What store_message_add did last; valid until the transaction goes on, and as long as what was given lives. */
struct store_added {
    const struct folder *folder;
    uint32_t uid;
    int64_t modseq;
    struct store_new message;
};
const struct store_added *store_last_added(const struct store *s);
/* The same message once more, in a database that does not have it: with that uid, which is not below the folder's next, and that modseq. */
MUST_CHECK bool store_message_add_again(struct store *s, struct folder *f, uint32_t uid, int64_t modseq, const struct store_new *n,
    struct err *err);
/* A copy in another (or the same) folder: the content gets one more reference; keywords are carried over by name, as
 * far as there is room for new ones. */
MUST_CHECK bool store_message_copy(struct store *s, struct folder *from, uint32_t uid, struct folder *to, uint32_t *copy, bool *found,
    struct err *err);
/* All flags anew of a message just got; *changed false: they were so already and nothing was written. */
MUST_CHECK bool store_message_flags(struct store *s, struct folder *f, const struct store_message *m, int64_t flags, struct str more,
    bool *changed, struct err *err);
/* ---- many at once (store_many.c): neighbours together ---- */

enum { STORE_MANY = 256 };
/* Calls `tell`, as store_flags_walk does, for those of the uids (rising, at most STORE_MANY) that are there, in order, until it
 * returns false. */
MUST_CHECK bool store_messages_pick(struct store *s, struct folder *f, const uint32_t *uids, size_t n, store_message_fn *tell,
    void *arg, struct err *err);
struct store_copied {
    uint32_t uid, copy;
};
/* As store_message_copy for each that is there; with `moves` it is expunged as well. copied: room for n. */
MUST_CHECK bool store_messages_copy(struct store *s, struct folder *from, const uint32_t *uids, size_t n, struct folder *to, bool moves,
    struct store_copied *copied, size_t *count, struct err *err);
enum store_flags_how { STORE_FLAGS_SET, STORE_FLAGS_ADD, STORE_FLAGS_REMOVE };
struct store_flagging {
    enum store_flags_how how;
    int64_t flags;
    struct str more;
    int64_t unchanged_since; /* those with a higher modseq are refused (-1: none) */
    struct uid_set *changed, *refused; /* uids are added to these */
    int64_t kept;   /* STORE_FLAGS_SET: of what a message has, these stay ... */
    bool kept_more; /* ... and so do keywords of later slots */
};
MUST_CHECK bool store_messages_flag(struct store *s, struct folder *f, const uint32_t *uids, size_t n,
    const struct store_flagging *what, struct err *err);

MUST_CHECK bool store_message_expunge(struct store *s, struct folder *f, uint32_t uid, bool *found, struct err *err);

/* Keywords by slot, in the flags and what goes beyond them. */
bool store_has_keyword(int64_t flags, struct str more, int slot);
void store_set_keyword(int64_t *flags, struct buf *more, int slot, bool on);

/* content_info and content_tree. Views live until the next call. */
enum store_info { STORE_KEYS = 1, STORE_TREE = 2, STORE_ALL_INFO = 3 };
struct content_info {
    /* STORE_KEYS */
    int64_t sent; /* 0: there is no readable Date */
    bool reply;   /* the subject says that it is a reply or forward */
    struct str subject, refs;
    /* STORE_TREE */
    struct str tree, preview; /* preview.p NULL: not made yet */
};
MUST_CHECK bool store_info_put(struct store *s, int64_t content, const struct content_info *info, struct err *err);
/* `what`: enum store_info; *found: all that was asked for is there. */
MUST_CHECK bool store_info_get(struct store *s, int64_t content, unsigned what, struct content_info *info, bool *found,
    struct err *err);
MUST_CHECK bool store_preview_put(struct store *s, int64_t content, struct str preview, struct err *err);
/* The messages with from <= uid <= to in order, with their STORE_KEYS (NULL: not made yet), until `tell` returns false. Of `m` only
 * uid, content, received and size are known. */
typedef bool store_keys_fn(void *arg, const struct store_message *m, const struct content_info *keys);
MUST_CHECK bool store_keys_walk(struct store *s, const struct folder *f, uint32_t from, uint32_t to, store_keys_fn *tell, void *arg,
    struct err *err);
