/* Copies of databases, with SQLite's online backup. See copy.h. */
#include "db/copy.h"
#include "sqlite.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

struct db_copy {
    struct db *from;
    sqlite3 *to;
    sqlite3_backup *backup;
    const char *name; /* of the source, for messages */
};

static bool failed(const struct db_copy *c, int rc, struct err *err)
{
    bool damaged = (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;

    return err_set(err, damaged ? ERR_DAMAGED : ERR_TEMPORARY, "%s cannot be copied: %s", c->name, sqlite3_errstr(rc));
}

static bool open_target(struct db_copy *c, const char *to, struct err *err)
{
    int rc = sqlite3_open_v2(to, &c->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_exec(c->to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1024", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return failed(c, rc, err);
    c->backup = sqlite3_backup_init(c->to, "main", c->from->raw, "main");
    return c->backup != NULL || failed(c, sqlite3_extended_errcode(c->to), err);
}

bool db_copy_begin(struct db_copy **out, const char *from, const char *to, struct err *err)
{
    struct db_copy *c = xcalloc(1, sizeof *c);

    *out = NULL;
    c->name = "the database";
    unlink(to);
    if (!db_open_read_only(&c->from, from, err) || !db_keep_view(c->from, err) || !open_target(c, to, err)) {
        db_copy_free(c);
        return false;
    }
    *out = c;
    return true;
}

bool db_copy_step(struct db_copy *c, int pages, bool *done, struct err *err)
{
    int rc = sqlite3_backup_step(c->backup, pages);

    *done = rc == SQLITE_DONE;
    if (*done) {
        rc = sqlite3_backup_finish(c->backup);
        c->backup = NULL;
    }
    return rc == SQLITE_OK || failed(c, rc, err);
}

void db_copy_progress(const struct db_copy *c, int64_t *at, int64_t *of)
{
    *of = c->backup == NULL ? 0 : sqlite3_backup_pagecount(c->backup);
    *at = c->backup == NULL ? 0 : *of - sqlite3_backup_remaining(c->backup);
}

void db_copy_free(struct db_copy *c)
{
    if (c == NULL)
        return;
    if (c->backup != NULL)
        sqlite3_backup_finish(c->backup);
    if (c->to != NULL)
        sqlite3_close(c->to);
    if (c->from != NULL) {
        sqlite3_exec(c->from->raw, "ROLLBACK", NULL, NULL, NULL);
        db_close(c->from);
    }
    free(c);
}
