/* What sqlite.c and sqlite_stmt.c share. */
#pragma once
#include "base/list.h"
#include "db/db.h"

#include <sqlite3.h>

struct db {
    sqlite3 *raw;
    char *path;
    struct list stmts; /* struct stmt, by its link */
    enum db_sync sync;
    bool in_transaction; /* between db_begin and db_commit or db_rollback */
    bool unsynced;       /* DB_SYNC_LATER: something may not be on disk */
    bool sync_failed;    /* DB_SYNC_LATER: the kernel may have dropped what we wrote */
    bool named;          /* the names of the file and its log are on disk */
    int log_pages;       /* DB_SYNC_LATER: length of the log after the last commit */
};

/* Fills err from the last failure of this connection; `rc` is its extended code. Returns false. */
bool sqlite_failed(struct db *db, int rc, struct err *err);
/* False with err set while statements must not run: SQLite has ended the transaction by itself. */
bool sqlite_usable(struct db *db, struct err *err);
/* The text with this driver's words in the place of @words; to be freed. */
char *sqlite_translate(const char *text);
void sqlite_free_statements(struct db *db);
