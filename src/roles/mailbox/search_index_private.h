/* The inside of struct search_index, shared by search_index.c and search_fill.c. */
#pragma once
#include "grams.h"
#include "imap_text.h"
#include "search_index.h"

#define SEARCH_SQL(X)                                                                                                   \
    X(SEARCH_ABOUT, "SELECT account, made, docs, places FROM about")                                                    \
    X(SEARCH_SAVE_ABOUT, "UPDATE about SET docs = $1, places = $2")                                                     \
    X(SEARCH_FOLDER, "SELECT uidvalidity, upto FROM folder WHERE id = $1")                                              \
    X(SEARCH_SAVE_FOLDER, "INSERT INTO folder (id, uidvalidity, upto) VALUES ($1, $2, $3) "                             \
        "ON CONFLICT (id) DO UPDATE SET upto = excluded.upto")                                                          \
    X(SEARCH_PLACE, "SELECT d.content, p.saved FROM place p JOIN doc d ON d.id = p.doc WHERE p.folder = $1 AND p.uid = $2") \
    X(SEARCH_ADD_PLACE, "INSERT INTO place (folder, uid, doc, saved) VALUES ($1, $2, $3, $4)")                          \
    X(SEARCH_DOC, "SELECT id FROM doc WHERE content = $1")                                                              \
    X(SEARCH_ADD_DOC, "INSERT INTO doc (id, content) VALUES ($1, $2)")                                                  \
    X(SEARCH_ADD_WORDS, "INSERT INTO words (rowid, text) VALUES ($1, $2)")                                              \
    X(SEARCH_FIND, "SELECT rowid FROM words WHERE words MATCH $1 AND rowid > $2 ORDER BY rowid LIMIT $3")               \
    X(SEARCH_UIDS, "SELECT uid FROM place WHERE doc = $1 AND folder = $2")                                              \
    X(SEARCH_MERGE, "INSERT INTO words (words, rank) VALUES ('merge', $1)")                                             \
    X(SEARCH_STRUCTURE, "SELECT block FROM words_data WHERE id = 10") /* of FTS5: which segments there are */

enum search_sql {
#define SEARCH_SQL_ID(name, sql) name,
    SEARCH_SQL(SEARCH_SQL_ID)
#undef SEARCH_SQL_ID
    SEARCH_SQL_COUNT,
};

struct indexed_folder {
    int64_t id, uidvalidity;
    uint32_t upto; /* committed */
    uint32_t at;   /* with what the open transaction has */
};

struct search_index {
    struct db *db;
    struct store *store;
    int64_t account;
    struct indexed_folder *folders; /* verified, rising by id */
    size_t folder_count;
    int64_t docs, places;           /* with the open transaction */
    int64_t kept_docs, kept_places; /* committed */
    size_t pending;                 /* messages in the open transaction */
    bool merging;                   /* something was added since the last merge */
    struct imap_text *text;         /* these two while filling */
    struct grams *grams;
    struct buf words;
    struct stmt *statements[SEARCH_SQL_COUNT];
};

struct stmt *search_index_stmt(struct search_index *ix, enum search_sql sql);
struct indexed_folder *search_index_folder(const struct search_index *ix, int64_t id); /* NULL: not verified */
/* ---- search_fill.c ---- */
void search_index_rest(struct search_index *ix); /* frees what only filling needs */
