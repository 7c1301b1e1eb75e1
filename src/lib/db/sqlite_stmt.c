/* Statements of the SQLite driver. A statement keeps its text, so that one that could not be
 * prepared (disk, lock) is prepared at its next use; only malformed SQL is our bug and ends the
 * process.
 *
 * SQLite numbers named parameters by first appearance; the `order` table makes $1 the first one
 * bound wherever it stands in the text, as PostgreSQL has it. */
#include "db/sqlite.h"

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETERS = 48 };

struct stmt {
    struct db *db;
    sqlite3_stmt *raw; /* NULL until it could be prepared */
    char *sql;
    struct link link;
    int order[PARAMETERS];
    int parameters, bound;
    bool stepped, failed;
    struct err err; /* of the latched failure */
};

static bool latch(struct stmt *s, int rc)
{
    if (!s->failed)
        sqlite_failed(s->db, rc, &s->err);
    s->failed = true;
    return false;
}

static void number_parameters(struct stmt *s)
{
    s->parameters = sqlite3_bind_parameter_count(s->raw);
    if (s->parameters > PARAMETERS)
        fatal("too many parameters: %s", s->sql);
    for (int i = 0; i < s->parameters; i++) {
        char name[16];

        snprintf(name, sizeof name, "$%d", i + 1);
        s->order[i] = sqlite3_bind_parameter_index(s->raw, name);
        if (s->order[i] == 0)
            fatal("parameter %s is missing: %s", name, s->sql);
    }
}

static bool prepare(struct stmt *s)
{
    int rc;

    if (s->raw != NULL)
        return true;
    rc = sqlite3_prepare_v3(s->db->raw, s->sql, -1, SQLITE_PREPARE_PERSISTENT, &s->raw, NULL);
    if ((rc & 0xff) == SQLITE_ERROR)
        fatal("%s: %s", sqlite3_errmsg(s->db->raw), s->sql);
    if (rc != SQLITE_OK)
        return latch(s, rc);
    number_parameters(s);
    return true;
}

struct stmt *stmt_new(struct db *db, const char *sql)
{
    struct stmt *s = xcalloc(1, sizeof *s);

    s->db = db;
    s->sql = sqlite_translate(sql);
    list_add_last(&db->stmts, &s->link);
    prepare(s);
    /* A failure here is no business of the first use, which tries again. */
    s->failed = false;
    return s;
}

void stmt_free(struct stmt *s)
{
    if (s == NULL)
        return;
    list_remove(&s->link);
    sqlite3_finalize(s->raw);
    free(s->sql);
    free(s);
}

void sqlite_free_statements(struct db *db)
{
    LIST_EACH(&db->stmts, it)
    stmt_free(CONTAINER(it, struct stmt, link));
}

static void reset(struct stmt *s)
{
    if (s->raw != NULL) {
        sqlite3_reset(s->raw);
        if (s->parameters > 0)
            sqlite3_clear_bindings(s->raw);
    }
    s->bound = 0;
    s->stepped = false;
    s->failed = false;
}

/* Number of the next parameter, 0 when it cannot be bound. */
static int next_parameter(struct stmt *s)
{
    if (s->stepped)
        reset(s);
    if (s->failed || !prepare(s))
        return 0;
    if (s->bound >= s->parameters)
        fatal("one value too many for: %s", s->sql);
    return s->order[s->bound++];
}

static void check_bind(struct stmt *s, int rc)
{
    if (rc != SQLITE_OK)
        latch(s, rc);
}

void stmt_int(struct stmt *s, int64_t value)
{
    int i = next_parameter(s);

    if (i > 0)
        check_bind(s, sqlite3_bind_int64(s->raw, i, value));
}

void stmt_str(struct stmt *s, struct str text)
{
    int i = next_parameter(s);

    if (i > 0)
        check_bind(s, sqlite3_bind_text64(s->raw, i, text.n == 0 ? "" : text.p, text.n,
                          SQLITE_STATIC, SQLITE_UTF8));
}

void stmt_blob(struct stmt *s, struct str bytes)
{
    int i = next_parameter(s);

    if (i > 0)
        check_bind(
            s, sqlite3_bind_blob64(s->raw, i, bytes.n == 0 ? "" : bytes.p, bytes.n, SQLITE_STATIC));
}

void stmt_null(struct stmt *s)
{
    int i = next_parameter(s);

    if (i > 0)
        check_bind(s, sqlite3_bind_null(s->raw, i));
}

bool stmt_row(struct stmt *s)
{
    int rc;

    if (s->failed)
        return false;
    if (!s->stepped) {
        if (!prepare(s))
            return false;
        if (s->bound != s->parameters)
            fatal("%d of %d values given for: %s", s->bound, s->parameters, s->sql);
        s->stepped = true;
        if (!sqlite_usable(s->db, &s->err)) {
            s->failed = true;
            return false;
        }
        if (!sqlite3_stmt_readonly(s->raw))
            s->db->unsynced = true;
    }
    rc = sqlite3_step(s->raw);
    if (rc == SQLITE_ROW)
        return true;
    if (rc != SQLITE_DONE)
        latch(s, rc);
    return false;
}

bool stmt_done(struct stmt *s, struct err *err)
{
    bool failed = s->failed;

    if (failed && err != NULL)
        *err = s->err;
    reset(s);
    return !failed;
}

bool stmt_run(struct stmt *s, struct err *err)
{
    if (stmt_row(s))
        fatal("rows nobody reads: %s", s->sql);
    return stmt_done(s, err);
}

bool stmt_run_count(struct stmt *s, int64_t *changed, struct err *err)
{
    if (stmt_row(s))
        fatal("rows nobody reads: %s", s->sql);
    *changed = s->failed ? 0 : sqlite3_changes64(s->db->raw);
    return stmt_done(s, err);
}

int64_t column_int(struct stmt *s, int column)
{
    return sqlite3_column_int64(s->raw, column);
}

struct str column_str(struct stmt *s, int column)
{
    const char *p = sqlite3_column_blob(s->raw, column);
    int n = sqlite3_column_bytes(s->raw, column);

    return p == NULL || n <= 0 ? STR("") : str_from(p, (size_t)n);
}

bool column_is_null(struct stmt *s, int column)
{
    return sqlite3_column_type(s->raw, column) == SQLITE_NULL;
}
