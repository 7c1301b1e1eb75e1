/* What postgres.c and postgres_stmt.c share. */
#pragma once
#include "base/list.h"
#include "db/db.h"

struct pg_conn;   /* libpq's PGconn */
struct pg_result; /* and PGresult */

struct db {
    struct pg_conn *raw;
    char *path;        /* where to connect, as db_open had it; never shown, it may hold a password */
    const char *label; /* for messages */
    struct list stmts; /* struct stmt, by its link */
    enum db_sync sync;
    int busy_ms;
    unsigned last_name; /* of a prepared statement */
    bool read_only;
    bool in_transaction; /* between db_begin and db_commit or db_rollback */
    bool unsynced;       /* DB_SYNC_LATER: something may not be on disk */
};

/* Fills err from a failed result, or with NULL from the connection. Returns false. */
bool postgres_failed(struct db *db, const struct pg_result *result, struct err *err);
/* Connects again after a loss. False with err set when that fails, and inside a transaction that is no more. */
bool postgres_usable(struct db *db, struct err *err);
/* The connection is a new one: no statement is prepared there. */
void postgres_forget_statements(struct db *db);
void postgres_free_statements(struct db *db);
extern const struct driver_words postgres_words;
