/* The inside of struct store, shared by store.c (opening, transactions, messages) and content.c. */
#pragma once
#include "store.h"

/* Every statement that is used more than once, prepared at its first use: many databases are opened for
 * one delivery only. */
#define STORE_SQL(X)                                                                                               \
    X(SAVE_INBOX, "UPDATE folder SET uidnext = $1, modseq = $2, messages = $3, bytes = $4, unseen "                \
        "= $5 WHERE account = $6 AND id = $7")                                                                     \
    X(WAS_DELIVERED, "SELECT 1 FROM delivered WHERE account = $1 AND message = $2")                                \
    X(ADD_DELIVERED, "INSERT INTO delivered (account, message, stored) VALUES ($1, $2, $3)")                       \
    X(ADD_MESSAGE, "INSERT INTO message (account, folder, uid, modseq, flags, received, size, "                    \
        "content, features) VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $8)")                                           \
    X(LIST, "SELECT uid, size, features FROM message WHERE account = $1 AND folder = $2 AND "                      \
        "uid > $3 ORDER BY uid LIMIT $4")                                                                          \
    X(FIND, "SELECT content FROM message WHERE account = $1 AND folder = $2 AND uid = $3")                         \
    X(FIND_FOR_EXPUNGE, "SELECT content, size, flags FROM message WHERE account = $1 AND folder = $2 "             \
        "AND uid = $3")                                                                                            \
    X(REMOVE_MESSAGE, "DELETE FROM message WHERE account = $1 AND folder = $2 AND uid = $3")                       \
    X(ADD_EXPUNGED, "INSERT INTO expunged (account, folder, modseq, uid) VALUES ($1, $2, $3, $4)")                 \
    X(PUT, "INSERT INTO content (account, id, size, refs, head) VALUES ($1, $2, $3, $4, "                          \
        "$5)")                                                                                                     \
    X(PUT_CHUNK, "INSERT INTO content_chunk (account, content, start, data) VALUES ($1, $2, $3, "                  \
        "$4)")                                                                                                     \
    X(PUT_SIZE, "UPDATE content SET size = $1, refs = 1 WHERE account = $2 AND id = $3")                           \
    X(READ_HEAD, "SELECT head FROM content WHERE account = $1 AND id = $2")                                        \
    X(READ_CHUNK, "SELECT start, data FROM content_chunk WHERE account = $1 AND content = $2 AND "                 \
        "start <= $3 ORDER BY start DESC LIMIT 1")                                                                 \
    X(UNREF, "SELECT refs FROM content WHERE account = $1 AND id = $2")                                            \
    X(SET_REFS, "UPDATE content SET refs = $1 WHERE account = $2 AND id = $3")                                     \
    X(ADD_LOOSE, "INSERT INTO loose (account, content) VALUES ($1, $2)")                                           \
    X(REMOVE_LOOSE, "DELETE FROM loose WHERE account = $1 AND content = $2")                                       \
    X(NEXT_LOOSE, "SELECT content FROM loose WHERE account = $1 AND content > $2 ORDER BY content "                \
        "LIMIT 1")                                                                                                 \
    X(REMOVE_CHUNKS, "DELETE FROM content_chunk WHERE account = $1 AND content = $2 AND start IN "                 \
        "(SELECT start FROM content_chunk WHERE account = $1 AND content = $2 ORDER BY "                           \
        "start LIMIT $3)")                                                                                         \
    X(REMOVE_CONTENT, "DELETE FROM content WHERE account = $1 AND id = $2")                                        \
    X(PRUNE_DELIVERED, "DELETE FROM delivered WHERE account = $1 AND stored < $2")                                 \
    X(PRUNE_EXPUNGED, "DELETE FROM expunged WHERE account = $1 AND folder = 1 AND modseq <= $2")                   \
    X(SET_FLOOR, "UPDATE folder SET expunged_floor = $2 WHERE account = $1 AND id = 1")

enum store_sql {
#define STORE_SQL_ID(name, sql) SQL_##name,
    STORE_SQL(STORE_SQL_ID)
#undef STORE_SQL_ID
    SQL_COUNT,
};

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
    struct stmt *statements[SQL_COUNT];
};

/* Prepares it if it was not yet. */
struct stmt *store_stmt(struct store *s, enum store_sql sql);
/* One reference less; without any left the content becomes loose. */
MUST_CHECK bool content_release(struct store *s, int64_t content, struct err *err);
