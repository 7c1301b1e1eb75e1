/* The inside of struct store, shared by store.c (opening, transactions), store_folder.c, store_uids.c, store_message.c,
 * store_flags.c, store_many.c and content.c. */
#pragma once
#include "flag_block.h"
#include "store_events.h"
#include "store_message.h"

/* Every statement that is used more than once, prepared at its first use: many databases are opened for
 * one delivery only. */
#define MESSAGE_COLUMNS "uid, modseq, flags, received, saved, size, content, features, more"
#define STORE_SQL(X)                                                                                               \
    X(SAVE_FOLDER, "UPDATE folder SET uidnext = $1, modseq = $2, messages = $3, bytes = $4, unseen "               \
        "= $5, deleted = $6, deleted_bytes = $7, expunged_floor = $8, blocks = $9 WHERE account = $10 AND id = $11") \
    X(HOLD, "SELECT id FROM folder WHERE account = $1")                                                            \
    X(WAS_DELIVERED, "SELECT 1 FROM delivered WHERE account = $1 AND message = $2")                                \
    X(ADD_DELIVERED, "INSERT INTO delivered (account, message, stored) VALUES ($1, $2, $3)")                       \
    X(FIND_MARK, "SELECT 1 FROM imported WHERE account = $1 AND mark = $2")                                      \
    X(PUT_MARK, "INSERT INTO imported (account, mark) VALUES ($1, $2)")                                          \
    X(ADD_MESSAGE, "INSERT INTO message (account, folder, uid, modseq, flags, received, size, "                    \
        "content, features, saved, more) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")                   \
    X(LIST, "SELECT uid, size, features FROM message WHERE account = $1 AND folder = $2 AND "                      \
        "uid > $3 ORDER BY uid LIMIT $4")                                                                          \
    X(GET_MESSAGE, "SELECT " MESSAGE_COLUMNS " FROM message WHERE account = $1 AND folder = $2 AND uid = $3")      \
    X(WALK_MESSAGES, "SELECT " MESSAGE_COLUMNS " FROM message WHERE account = $1 AND folder = $2 "                 \
        "AND uid >= $3 AND uid <= $4 ORDER BY uid")                                                                \
    X(WALK_FLAGS, "SELECT uid, modseq, flags, size, more FROM message WHERE account = $1 AND folder = $2 "         \
        "AND uid >= $3 AND uid <= $4 ORDER BY uid")                                                                \
    X(FILL_FLAGS, "SELECT uid, modseq, flags, size FROM message WHERE account = $1 AND folder = $2 "               \
        "AND uid >= $3 AND uid <= $4 AND more IS NULL ORDER BY uid")                                               \
    X(GET_FLAGS, "SELECT data FROM flag_block WHERE account = $1 AND folder = $2 AND number = $3")                 \
    X(SAVE_FLAGS, "INSERT INTO flag_block (account, folder, number, data) VALUES ($1, $2, $3, $4) "                \
        "ON CONFLICT (account, folder, number) DO UPDATE SET data = excluded.data")                                \
    X(REMOVE_FLAGS, "DELETE FROM flag_block WHERE account = $1 AND folder = $2 AND number = $3")                   \
    X(REMOVE_FLAGS_RANGE, "DELETE FROM flag_block WHERE account = $1 AND folder = $2 AND number >= $3 AND number <= $4") \
    X(COPY_RANGE, "INSERT INTO message (account, folder, uid, modseq, flags, received, size, content, features, "  \
        "saved, more) SELECT account, $1, uid + $2, $3, flags, received, size, content, features, $4, more "       \
        "FROM message WHERE account = $5 AND folder = $6 AND uid >= $7 AND uid <= $8 ORDER BY uid")                \
    X(SET_FLAGS, "UPDATE message SET flags = $1, more = $2, modseq = $3 WHERE account = $4 AND folder = $5 "       \
        "AND uid = $6")                                                                                            \
    X(REMOVE_RANGE, "DELETE FROM message WHERE account = $1 AND folder = $2 AND uid >= $3 AND uid <= $4")          \
    X(ADD_EXPUNGED_RANGE, "INSERT INTO expunged (account, folder, modseq, uid) SELECT account, folder, $1, uid "   \
        "FROM message WHERE account = $2 AND folder = $3 AND uid >= $4 AND uid <= $5")                             \
    X(REMOVE_MESSAGE, "DELETE FROM message WHERE account = $1 AND folder = $2 AND uid = $3")                       \
    X(ADD_EXPUNGED, "INSERT INTO expunged (account, folder, modseq, uid) VALUES ($1, $2, $3, $4)")                 \
    X(WALK_EXPUNGED, "SELECT uid FROM expunged WHERE account = $1 AND folder = $2 AND modseq > $3 "                \
        "ORDER BY modseq, uid")                                                                                    \
    X(SAVE_BLOCK, "INSERT INTO uid_block (account, folder, number, modseq, unseen, bits) VALUES ($1, $2, "         \
        "$3, $4, $5, $6) ON CONFLICT (account, folder, number) DO UPDATE SET modseq = excluded.modseq, "           \
        "unseen = excluded.unseen, bits = excluded.bits")                                                          \
    X(REMOVE_BLOCK, "DELETE FROM uid_block WHERE account = $1 AND folder = $2 AND number = $3")                    \
    X(LOAD_BLOCKS, "SELECT number, modseq, unseen, bits FROM uid_block WHERE account = $1 AND folder = $2 "        \
        "ORDER BY number")                                                                                         \
    X(PUT_KEYS, "INSERT INTO content_info (account, content, sent, reply, subject, refs) VALUES "                  \
        "($1, $2, $3, $4, $5, $6) ON CONFLICT (account, content) DO UPDATE SET sent = excluded.sent, "             \
        "reply = excluded.reply, subject = excluded.subject, refs = excluded.refs")                                \
    X(PUT_TREE, "INSERT INTO content_tree (account, content, preview, tree) VALUES ($1, $2, $3, $4) "              \
        "ON CONFLICT (account, content) DO UPDATE SET preview = excluded.preview, tree = excluded.tree")           \
    X(PUT_PREVIEW, "UPDATE content_tree SET preview = $1 WHERE account = $2 AND content = $3")                     \
    X(GET_KEYS, "SELECT sent, reply, subject, refs FROM content_info WHERE account = $1 AND content = $2")         \
    X(GET_TREE, "SELECT preview, tree FROM content_tree WHERE account = $1 AND content = $2")                      \
    X(WALK_CONTENTS, "SELECT uid, content, received, size FROM message WHERE account = $1 AND folder = $2 "         \
        "AND uid >= $3 AND uid <= $4 ORDER BY uid")                                                                \
    X(WALK_KEYS, "SELECT content, sent, reply, subject, refs FROM content_info WHERE account = $1 AND "            \
        "content >= $2 ORDER BY content")                                                                          \
    X(REMOVE_KEYS, "DELETE FROM content_info WHERE account = $1 AND content = $2")                                 \
    X(REMOVE_TREE, "DELETE FROM content_tree WHERE account = $1 AND content = $2")                                 \
    X(PUT, "INSERT INTO content (account, id, size, refs, head) VALUES ($1, $2, $3, 1, $4)")                       \
    X(PUT_CHUNK, "INSERT INTO content_chunk (account, content, start, data) VALUES ($1, $2, $3, "                  \
        "$4)")                                                                                                     \
    X(PUT_SIZE, "UPDATE content SET size = $1 WHERE account = $2 AND id = $3")                                     \
    X(READ_HEAD, "SELECT head FROM content WHERE account = $1 AND id = $2")                                        \
    X(READ_CHUNK, "SELECT start, data FROM content_chunk WHERE account = $1 AND content = $2 AND "                 \
        "start <= $3 ORDER BY start DESC LIMIT 1")                                                                 \
    X(SHARE, "INSERT INTO content_shared (account, content, extra) VALUES ($1, $2, 1) "                            \
        "ON CONFLICT (account, content) DO UPDATE SET extra = content_shared.extra + 1")                           \
    X(SHARE_RANGE, "INSERT INTO content_shared (account, content, extra) SELECT account, content, COUNT(*) FROM message " \
        "WHERE account = $1 AND folder = $2 AND uid >= $3 AND uid <= $4 GROUP BY account, content "                    \
        "ON CONFLICT (account, content) DO UPDATE SET extra = content_shared.extra + excluded.extra")                           \
    X(UNSHARE, "UPDATE content_shared SET extra = extra - 1 WHERE account = $1 AND content = $2 AND extra > 0")    \
    X(REMOVE_SHARED, "DELETE FROM content_shared WHERE account = $1 AND content = $2")                             \
    X(ADD_LOOSE, "INSERT INTO loose (account, content) VALUES ($1, $2)")                                           \
    X(REMOVE_LOOSE, "DELETE FROM loose WHERE account = $1 AND content = $2")                                       \
    X(NEXT_LOOSE, "SELECT content FROM loose WHERE account = $1 AND content > $2 ORDER BY content "                \
        "LIMIT 1")                                                                                                 \
    X(REMOVE_CHUNKS, "DELETE FROM content_chunk WHERE account = $1 AND content = $2 AND start IN "                 \
        "(SELECT start FROM content_chunk WHERE account = $1 AND content = $2 ORDER BY "                           \
        "start LIMIT $3)")                                                                                         \
    X(REMOVE_CONTENT, "DELETE FROM content WHERE account = $1 AND id = $2")                                        \
    X(PRUNE_DELIVERED, "DELETE FROM delivered WHERE account = $1 AND stored < $2")                                 \
    X(PRUNE_EXPUNGED, "DELETE FROM expunged WHERE account = $1 AND folder = $2 AND modseq <= $3")                  \
    X(COUNT_SUBSCRIPTIONS, "SELECT COUNT(*) FROM subscription WHERE account = $1")                              \
    X(IS_SUBSCRIBED, "SELECT 1 FROM subscription WHERE account = $1 AND name = $2")                              \
    X(GET_ANNOTATION, "SELECT name, value FROM annotation WHERE account = $1 AND folder = $2 AND owner = $3 AND name = $4") \
    X(WALK_ANNOTATIONS, "SELECT name, value FROM annotation WHERE account = $1 AND folder = $2 AND owner = $3 ORDER BY name") \
    X(ANNOTATION_SIZE, "SELECT size FROM annotation WHERE account = $1 AND folder = $2 AND owner = $3 AND name = $4") \
    X(ANNOTATION_USAGE, "SELECT COALESCE(CAST(SUM(CASE WHEN folder = $1 THEN 1 ELSE 0 END) AS BIGINT), 0), "       \
        "COALESCE(CAST(SUM(CASE WHEN folder = $1 THEN size ELSE 0 END) AS BIGINT), 0), "                           \
        "COALESCE(CAST(SUM(size) AS BIGINT), 0) FROM annotation WHERE account = $2 AND CASE WHEN owner = 0 OR owner = account " \
        "THEN 0 ELSE 1 END = $3")                                                                                  \
    X(PUT_ANNOTATION, "INSERT INTO annotation (account, folder, owner, name, size, value) VALUES ($1, $2, $3, $4, $5, $6) " \
        "ON CONFLICT (account, folder, owner, name) DO UPDATE SET size = excluded.size, value = excluded.value")   \
    X(REMOVE_ANNOTATION, "DELETE FROM annotation WHERE account = $1 AND folder = $2 AND owner = $3 AND name = $4") \
    X(COPY_ANNOTATIONS, "INSERT INTO annotation (account, folder, owner, name, size, value) SELECT account, $1, owner, name, " \
        "size, value FROM annotation WHERE account = $2 AND folder = $3")                                          \
    X(DROP_ANNOTATIONS, "DELETE FROM annotation WHERE account = $1 AND folder = $2")                               \
    X(ACL_RIGHTS, "SELECT grantee, negative, rights FROM acl WHERE account = $1 AND folder = $2 AND grantee IN (0, $3)") \
    X(ACL_FOLDERS, "SELECT grantee, negative, rights, folder FROM acl WHERE account = $1 AND grantee IN (0, $2) AND folder > $3 ORDER BY folder") \
    X(ACL_LIST, "SELECT grantee, negative, rights FROM acl WHERE account = $1 AND folder = $2 ORDER BY negative, grantee") \
    X(ACL_GET, "SELECT rights FROM acl WHERE account = $1 AND folder = $2 AND grantee = $3 AND negative = $4")     \
    X(ACL_PUT, "INSERT INTO acl (account, folder, grantee, negative, rights) VALUES ($1, $2, $3, $4, $5) "         \
        "ON CONFLICT (account, folder, grantee, negative) DO UPDATE SET rights = excluded.rights")                 \
    X(ACL_REMOVE, "DELETE FROM acl WHERE account = $1 AND folder = $2 AND grantee = $3 AND negative = $4")         \
    X(ACL_COPY, "INSERT INTO acl (account, folder, grantee, negative, rights) SELECT account, $1, grantee, negative, rights " \
        "FROM acl WHERE account = $2 AND folder = $3")                                                             \
    X(ACL_GRANTEES, "SELECT DISTINCT grantee FROM acl WHERE account = $1 AND negative = 0")                        \
    X(ACL_HAS, "SELECT 1 FROM acl WHERE account = $1 AND grantee = $2 AND negative = 0 LIMIT 1")                   \
    X(ACL_FORGET, "DELETE FROM acl WHERE account = $1 AND grantee = $2")                                           \
    X(ACL_DROP, "DELETE FROM acl WHERE account = $1 AND folder = $2")                                              \
    X(GONE_MESSAGES, "SELECT uid, content FROM message WHERE account = $1 AND folder = $2 ORDER BY uid LIMIT $3")

enum store_sql {
#define STORE_SQL_ID(name, sql) SQL_##name,
    STORE_SQL(STORE_SQL_ID)
#undef STORE_SQL_ID
    SQL_COUNT,
};

enum { FLAGS_CACHED = 4, MODSEQ_JUMP = 1000 /* at opening */ };

struct store {
    struct db *db;
    int64_t account;
    struct list folders;  /* struct folder, INBOX first, then by name */
    struct map folders_by_id, folders_by_name;
    size_t folder_count;
    struct folder *inbox;
    struct list gone;     /* struct folder: deleted, their messages are still there */
    int64_t modseq;             /* of this transaction, 0 before its first change */
    int64_t highest_modseq;     /* of the account, with the jump at opening */
    int64_t last_id, last_uidvalidity; /* of all folders, gone ones too */
    uint64_t names, names_committed, names_durable; /* grow with each change of a name, or of a subscription */
    struct list events_pending, events_committed, events; /* struct store_event */
    struct list recent;   /* struct folder, by changed_at */
    size_t pending_count, event_count, listeners; /* pending: committed ones too */
    size_t pending_bytes, event_bytes;
    bool pending_lost, committed_lost;
    uint64_t version, events_floor, by, last_listener;
    bool annotations_changed, annotations_waiting; /* in the open transaction; committed and not synced */
    bool loose;
    int64_t swept; /* loose contents up to this id were looked at */
    struct list arriving; /* struct content_writer */
    struct list pins;     /* struct content_pin */
    struct buf piece;
    struct buf more, info; /* of the message and the content read last */
    struct flag_cached *flags[FLAGS_CACHED], *flags_last;
    uint64_t flags_used;
    struct buf packed;
    bool pending; /* the open transaction has what is not in the log of additions */
    struct store_added added;
    struct stmt *statements[SQL_COUNT];
};

/* Prepares it if it was not yet. */
struct stmt *store_stmt(struct store *s, enum store_sql sql);
/* One reference more. */
MUST_CHECK bool content_hold(struct store *s, int64_t content, struct err *err);
/* One reference less; without any left the content becomes loose. */
MUST_CHECK bool content_release(struct store *s, int64_t content, struct err *err);
/* ---- store_folder.c ---- */
MUST_CHECK bool folders_load(struct store *s, struct err *err);
void folders_free(struct store *s);
MUST_CHECK bool folders_save(struct store *s, struct err *err); /* what the transaction changed */
void folders_committed(struct store *s);
void folders_saved(struct store *s); /* nothing of a folder has to be written any more */
void folders_rolled_back(struct store *s);
MUST_CHECK bool folders_make_first(struct store *s, struct err *err);
/* The modseq of this transaction; the folder is changed by it. */
int64_t folder_touch(struct store *s, struct folder *f);
/* Among the others, by its name; quick where it belongs shortly behind `near` (NULL: no guess) or at the end. And out of there. */
void folder_put_in_order(struct store *s, struct folder *f, struct folder *near);
void folder_take_out(struct store *s, struct folder *f);

MUST_CHECK bool folder_write_name(struct store *s, const struct folder *f, struct str name, struct str special, struct err *err);

/* ---- store_acl.c ---- */
MUST_CHECK bool acl_drop(struct store *s, int64_t folder, struct err *err); /* of a folder that is deleted */

/* ---- store.c ---- */
enum { STORE_VERSION = 7 }; /* of the schema */
extern const char *const store_steps[];
struct store *store_new(int64_t account);
MUST_CHECK bool store_migrate_step(struct db *db, bool *more, struct err *err);
MUST_CHECK bool store_load(struct store *s, struct err *err); /* its database is open */

/* ---- store_backup.c: of a file that came from outside; false (ERR_DAMAGED) when it is no mailbox ---- */
MUST_CHECK bool backup_is_mailbox(struct db *db, struct err *err); /* whatever its version */
MUST_CHECK bool backup_has_our_tables(struct db *db, size_t version, struct err *err); /* those of that version, and no others */

/* ---- store_annotation.c ---- */
MUST_CHECK bool annotations_drop(struct store *s, int64_t folder, struct err *err); /* of a folder that is deleted */
void annotations_committed(struct store *s);
void annotations_rolled_back(struct store *s); /* before folders_rolled_back */
void annotations_synced(struct store *s);

/* ---- store_events.c ---- */
void events_prepare(struct store *s);
void events_free(struct store *s);
void events_add(struct store *s, enum store_event_kind kind, const struct folder *f, struct str before);
void events_add_rights(struct store *s, int64_t folder);
void events_add_subscription(struct store *s, struct str name, bool subscribed);
void events_committed(struct store *s);
void events_rolled_back(struct store *s);
void events_synced(struct store *s); /* before durable is what is committed */

/* ---- store_uids.c ---- */
MUST_CHECK bool uids_save(struct store *s, struct folder *f, struct err *err);
/* The folder, whose uids are loaded, gains or loses a message, or flags change from `was` to `is` (-1: not there). */
struct uid_change {
    uint32_t uid;
    int64_t was, is, size;
};
void uids_change(struct store *s, struct folder *f, const struct uid_change *c);

/* ---- store_flags.c; the folder's uids are loaded ---- */

/* The entry of a message that is there, or is about to be. Before uids_change. */
MUST_CHECK bool flags_put(struct store *s, struct folder *f, uint32_t uid, const struct flag_entry *e, struct err *err);
/* The row of the message says it from now on. */
MUST_CHECK bool flags_drop(struct store *s, struct folder *f, uint32_t uid, struct err *err);
/* Entries for all of the block with this uid. After uids_change. */
MUST_CHECK bool flags_fill(struct store *s, struct folder *f, uint32_t uid, struct err *err);
/* NULL: it has none. Until the next call. */
MUST_CHECK bool flags_find(struct store *s, const struct folder *f, uint32_t uid, const struct flag_entry **e, struct err *err);
/* Puts what counts over what was read from the row. */
MUST_CHECK bool flags_overlay(struct store *s, const struct folder *f, struct store_message *m, struct err *err);
MUST_CHECK bool flags_save(struct store *s, struct err *err); /* what the transaction changed */
void flags_forget(struct store *s); /* it was rolled back, or the store is closed */

/* ---- store_message.c ---- */
/* store_flags_walk over range[0] <= uid <= range[1] by the rows of the messages; *enough: `tell` had enough. */
MUST_CHECK bool flags_walk_rows(struct store *s, const struct folder *f, const uint32_t range[2], int64_t since,
    store_message_fn *tell, void *arg, bool *enough, struct err *err);
/* A part of what deleted folders had; *more: call again. */
MUST_CHECK bool messages_sweep(struct store *s, bool *more, struct err *err);
