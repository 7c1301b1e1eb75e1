/* The SQL interface. One file of SQL serves every driver; the driver replaces four words: in schema
 * files @id (a 64-bit primary key that is the table's order), @blob, and @clustered after the closing
 * parenthesis of a table whose rows are stored in primary-key order; in statements @like, which is LIKE
 * for which the case of ASCII letters does not matter. Parameters are $1, $2 ...
 *
 * A statement latches its first failure: bind and step freely, check stmt_run/stmt_done once. Text and
 * blobs are bound by reference and must live until the statement ran; columns are views that live
 * until the next step, reset or run of that statement.
 *
 * Every function that fails fills err and has changed nothing, except that a failed statement inside
 * a transaction leaves the transaction open for the caller to roll back: with PostgreSQL nothing else
 * is possible then. */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct db;
struct stmt;

enum db_sync {
    DB_SYNC_FULL,  /* a commit is on disk when it returns */
    DB_SYNC_LATER, /* a commit is on disk after the next db_sync */
};

/* Opens or creates the database file; its name is on disk then (DB_SYNC_LATER: after the first db_sync). `busy_ms` is
 * how long a writer waits for another process. */
MUST_CHECK bool db_open(struct db **db, const char *path, enum db_sync sync, int busy_ms, struct err *err);
/* A database that can be made anew from others, as with DB_SYNC_LATER. Its pages carry checksums: bytes changed on disk are
 * ERR_DAMAGED when they are read, and never other rows. SQLite only. */
MUST_CHECK bool db_open_derived(struct db **db, const char *path, struct err *err);
/* From now on a database that this process opens is its own, by any number of handles, until the last of them is closed: other
 * processes are told that it is locked, and so are we while another one has it. The index of the log is in memory then: as a
 * file, its changed pages would be written by every sync of the file system. Before the first is opened. SQLite only. */
void db_exclude_others(void);
/* For readers beside a running owner: never creates, never migrates, never writes. */
MUST_CHECK bool db_open_read_only(struct db **db, const char *path, struct err *err);
/* For a file that nobody changes meanwhile: nothing beside it is read, made or locked. */
MUST_CHECK bool db_open_immutable(struct db **db, const char *path, struct err *err);
/* What is read from now on is the database as it is now, until it is closed. Of one opened read only. */
MUST_CHECK bool db_keep_view(struct db *db, struct err *err);
void db_close(struct db *db); /* NULL is fine */

/* Brings the schema to the newest version, one transaction a step. `steps` are the texts of
 * schema/NAME/0001.sql ... in order. Refuses a database whose version is above n ("made by a newer
 * Staffetta"). */
MUST_CHECK bool db_migrate(struct db *db, const char *const *steps, size_t n, struct err *err);
/* The next step only; *more: call again. */
MUST_CHECK bool db_migrate_step(struct db *db, const char *const *steps, size_t n, bool *more, struct err *err);
MUST_CHECK bool db_version(struct db *db, int64_t *version, struct err *err);

MUST_CHECK bool db_begin(struct db *db, struct err *err); /* takes the write lock at once */
MUST_CHECK bool db_commit(struct db *db, struct err *err);
void db_rollback(struct db *db);
bool db_in_transaction(const struct db *db);
/* Makes every commit so far durable (DB_SYNC_LATER). */
MUST_CHECK bool db_sync(struct db *db, struct err *err);
MUST_CHECK bool db_exec(struct db *db, const char *sql, struct err *err); /* no parameters, no rows */
/* Looks at everything, each index against its table: seconds for 100,000 rows. */
MUST_CHECK bool db_check_integrity(struct db *db, struct err *err);
/* Looks at every page, but not at whether indexes and tables agree: a thirtieth of the time. */
MUST_CHECK bool db_check_pages(struct db *db, struct err *err);
/* A number that is another one once another process has changed the database; own changes may also do that. */
MUST_CHECK bool db_data_version(struct db *db, int64_t *version, struct err *err);
/* Bytes of the file that hold data, and bytes free inside it. */
MUST_CHECK bool db_size(struct db *db, int64_t *used, int64_t *unused, struct err *err);

/* Prepared once, used many times; freed by db_close at the latest. fatal() on malformed SQL: it is ours. */
struct stmt *stmt_new(struct db *db, const char *sql);
void stmt_free(struct stmt *s);

/* Binds the next parameter. */
void stmt_int(struct stmt *s, int64_t value);
void stmt_str(struct stmt *s, struct str text);
void stmt_blob(struct stmt *s, struct str bytes);
void stmt_null(struct stmt *s);

/* Runs a statement that gives no rows, then resets it and its parameters. */
MUST_CHECK bool stmt_run(struct stmt *s, struct err *err);
/* The same, and how many rows it changed. */
MUST_CHECK bool stmt_run_count(struct stmt *s, int64_t *changed, struct err *err);
/* Steps to the next row: true while there is one. After false, stmt_done says whether that was the
 * end or a failure; it also resets. Calling stmt_done early abandons the remaining rows.
 *
 *   while (stmt_row(s))
 *       use(column_int(s, 0));
 *   if (!stmt_done(s, err)) ...
 */
bool stmt_row(struct stmt *s);
MUST_CHECK bool stmt_done(struct stmt *s, struct err *err);

int64_t column_int(struct stmt *s, int column);
struct str column_str(struct stmt *s, int column); /* text or blob; empty for NULL */
bool column_is_null(struct stmt *s, int column);
