/* The folders of an account: names, counters, keywords, and which uids are there (schema/mailbox/0002.sql).
 *
 * A struct folder shows the folder as the open transaction sees it. What a client may be told is in `shown`: the state
 * of the last commit that a sync made durable, kept only while somebody watches. Uids never go back, because nobody is
 * told one that a loss of power could take back; modification sequences begin higher each time the database is opened,
 * because FETCH may tell one of a change that is not committed yet. */
#pragma once
#include "base/map.h"
#include "store.h"
#include "uid_set.h"

enum { STORE_KEYWORD_SHIFT = 8, STORE_KEYWORD_BITS = 48, STORE_KEYWORDS_MAX = 2000, STORE_FOLDERS_MAX = 20000, STORE_SUBSCRIPTIONS_MAX = 20000 };

struct folder_counts {
    int64_t uidnext, modseq, messages, bytes, unseen, deleted, deleted_bytes, expunged_floor;
};

/* Owned by the store; valid until the folder is removed (store_folder_delete), its creation is rolled back, or the
 * store is closed; while it is watched, in any case. Who needs it for longer keeps its id. */
struct folder {
    struct link link; /* in the order of their names, INBOX first */
    struct map_node by_id, by_name; /* of those that are in that order */
    int64_t id;
    struct str name;    /* UTF-8, levels joined by '/' */
    struct str special; /* "\\Sent" ..., or empty */
    int64_t uidvalidity;
    struct folder_counts now, committed;
    struct folder_counts durable; /* of the last commit that is on disk: what a client may be told */
    struct uid_set uids; /* with the open transaction's changes, once loaded */
    bool uids_loaded;
    bool blocks_made, blocks_committed; /* the database has all blocks */
    bool changed; /* by the open transaction, and not in the log of additions */
    bool unsaved; /* its row and blocks are to be written before the commit */
    bool created, removed;    /* in the open transaction */
    bool swept;               /* a deleted one: nothing of it is left to remove */
    bool orphan;              /* of no store any more: freed when nobody watches it */
    struct str committed_name; /* before a rename in the open transaction; .p NULL: not renamed */
    struct str committed_special; /* the same */
    uint32_t *emptied; /* numbers of blocks that lost their last message in it */
    size_t emptied_count;

    unsigned watchers;      /* sessions that have it selected */
    struct uid_set shown;   /* while watched */
    bool is_shown;          /* it is valid: the first sync after the watch has come */
    int64_t shown_modseq;
    struct uid_set waiting; /* of the last commit, not synced yet */
    int64_t waiting_modseq;
    bool is_waiting;
    uint64_t version; /* grows each time `shown` does, and with a rollback */
    int64_t gone_modseq, gone_committed; /* of the last message taken away since the store was opened */

    /* store_events.h */
    struct link recent;
    uint64_t changed_at, messages_at;
    bool flags_changed, flags_committed; /* in the open transaction; committed and not looked at */

    struct str *keywords; /* by slot */
    size_t keyword_count, keywords_committed, keywords_durable;
};

struct folder *store_inbox(struct store *s);
/* By its name: INBOX in capitals, otherwise exactly; NULL when there is none. */
struct folder *store_folder_find(struct store *s, struct str name);
struct folder *store_folder_by_id(struct store *s, int64_t id); /* NULL: it was deleted */
/* The next in the order of names; NULL first gives the first, NULL is the end. */
struct folder *store_folder_next(struct store *s, struct folder *after);
size_t store_folder_count(const struct store *s);
/* The names, and which are subscribed, are those of the last sync. */
bool store_names_are_on_disk(const struct store *s);

/* All of these need an open transaction. Names are valid already (imap_name_is_valid). */
MUST_CHECK bool store_folder_create(struct store *s, struct str name, struct str special, struct folder **folder, struct err *err);
/* Some folder below the new name stands where one below this would come to stand (store_folder_rename would fail). */
bool store_folder_collides(struct store *s, struct str from, struct str to);
/* The folder of that name, if there is one, and all below it. Not INBOX: its messages are moved (RFC 9051, section 6.3.6). */
MUST_CHECK bool store_folder_rename(struct store *s, struct str from, struct str to, struct err *err);
/* The name is free at once; the messages go bit by bit (store_sweep). Nobody watches it. */
MUST_CHECK bool store_folder_delete(struct store *s, struct folder *folder, struct err *err);

MUST_CHECK bool store_subscribe(struct store *s, struct str name, bool subscribed, struct err *err);
MUST_CHECK bool store_subscription_count(struct store *s, int64_t *count, struct err *err);
MUST_CHECK bool store_is_subscribed(struct store *s, struct str name, bool *subscribed, struct err *err);
typedef void store_name_fn(void *arg, struct str name);
MUST_CHECK bool store_subscriptions(struct store *s, store_name_fn *tell, void *arg, struct err *err);

/* What is changed from now on has a modification sequence of its own, also within the open transaction. */
int64_t store_new_modseq(struct store *s);
int64_t store_modseq(const struct store *s); /* of what is changed now; 0: nothing was yet */

/* The slot of a keyword (ASCII case folded); made when there is none and `make` is set, else -1. ERR_LIMIT: there are
 * too many; nothing was written. */
MUST_CHECK bool store_keyword(struct store *s, struct folder *f, struct str name, bool make, int *slot, struct err *err);

/* Makes f->uids known. */
MUST_CHECK bool store_folder_load(struct store *s, struct folder *f, struct err *err);
/* From now on `shown` is kept. `settled`: everything is on disk, so it is valid at once; else with the next sync
 * (is_shown). */
MUST_CHECK bool store_folder_watch(struct store *s, struct folder *f, bool settled, struct err *err);
void store_folder_unwatch(struct folder *f);
/* The lowest unseen uid at or above `from`, 0 for none. */
MUST_CHECK bool store_first_unseen(struct store *s, struct folder *f, uint32_t *uid, struct err *err);
