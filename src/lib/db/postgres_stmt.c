/* Statements of the PostgreSQL driver. Prepared at the server at once; one that could not be (no connection) is
 * prepared at its next use, as all are after a new connection. Only malformed SQL is our bug and ends the process.
 *
 * Values cross in binary form. The server decides the type of each parameter and column from the text; they must be
 * those of db.h (64-bit numbers, text, bytes), which is checked when the statement is prepared: `$1 = 0`
 * would be a 32-bit number, SUM of numbers a decimal one. A result is fetched as a whole. */
#include "db/postgres.h"

#include "db/driver.h"

#include <endian.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETERS = 48 };
/* Object identifiers of types; fixed for ever in the server's catalog. */
enum { TYPE_BOOL = 16, TYPE_BYTES = 17, TYPE_INT8 = 20, TYPE_INT4 = 23, TYPE_TEXT = 25 };

struct stmt {
    struct db *db;
    char *sql;
    struct link link;
    char name[16]; /* at the server; empty until it could be prepared */
    PGresult *result;
    int row;
    int parameters, bound;
    Oid types[PARAMETERS];
    const char *values[PARAMETERS];
    int lengths[PARAMETERS], formats[PARAMETERS];
    int64_t numbers[PARAMETERS]; /* in network order */
    bool stepped, failed;
    struct err err; /* of the latched failure */
};

static bool latch(struct stmt *s, const PGresult *result)
{
    if (!s->failed)
        postgres_failed(s->db, result, &s->err);
    s->failed = true;
    return false;
}

/* ---- preparing ---- */

static void check_types(struct stmt *s, const PGresult *about)
{
    s->parameters = PQnparams(about);
    if (s->parameters > PARAMETERS)
        fatal("too many parameters: %s", s->sql);
    for (int i = 0; i < s->parameters; i++) {
        s->types[i] = PQparamtype(about, i);
        s->formats[i] = 1; /* binary */
        if (s->types[i] != TYPE_INT8 && s->types[i] != TYPE_TEXT && s->types[i] != TYPE_BYTES)
            fatal("parameter $%d is no 64-bit number, text or bytes (type %u): %s", i + 1, s->types[i], s->sql);
    }
    for (int i = 0; i < PQnfields(about); i++) {
        Oid type = PQftype(about, i);

        if (type != TYPE_INT8 && type != TYPE_INT4 && type != TYPE_BOOL && type != TYPE_TEXT && type != TYPE_BYTES)
            fatal("column %d is no number, text or bytes (type %u): %s", i + 1, type, s->sql);
    }
}

/* 42: syntax, names, types. But 42501 is a matter of rights. */
static bool is_malformed(const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    return state != NULL && strncmp(state, "42", 2) == 0 && strcmp(state, "42501") != 0;
}

static bool prepare(struct stmt *s)
{
    PGresult *result;
    char name[sizeof s->name];
    bool done;

    if (s->name[0] != 0)
        return true;
    if (!postgres_usable(s->db, &s->err)) {
        s->failed = true;
        return false;
    }
    snprintf(name, sizeof name, "s%u", ++s->db->last_name);
    result = PQprepare(s->db->raw, name, s->sql, 0, NULL);
    if (is_malformed(result))
        fatal("%s: %s", PQresultErrorMessage(result), s->sql);
    done = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (done) {
        PQclear(result);
        result = PQdescribePrepared(s->db->raw, name);
        done = PQresultStatus(result) == PGRES_COMMAND_OK;
    }
    if (done) {
        check_types(s, result);
        memcpy(s->name, name, sizeof name);
    } else {
        latch(s, result);
    }
    PQclear(result);
    return done;
}

struct stmt *stmt_new(struct db *db, const char *sql)
{
    struct stmt *s = xcalloc(1, sizeof *s);

    s->db = db;
    s->sql = driver_translate(sql, &postgres_words);
    list_add_last(&db->stmts, &s->link);
    prepare(s);
    /* A failure here is no business of the first use, which tries again. */
    s->failed = false;
    return s;
}

static void reset(struct stmt *s)
{
    PQclear(s->result);
    s->result = NULL;
    s->bound = 0;
    s->stepped = s->failed = false;
}

void stmt_free(struct stmt *s)
{
    if (s == NULL)
        return;
    if (s->name[0] != 0 && PQtransactionStatus(s->db->raw) != PQTRANS_INERROR) {
        char sql[40];

        snprintf(sql, sizeof sql, "DEALLOCATE %s", s->name);
        PQclear(PQexec(s->db->raw, sql));
    }
    reset(s);
    list_remove(&s->link);
    free(s->sql);
    free(s);
}

void postgres_forget_statements(struct db *db)
{
    LIST_EACH(&db->stmts, it)
    CONTAINER(it, struct stmt, link)->name[0] = 0;
}

void postgres_free_statements(struct db *db)
{
    postgres_forget_statements(db); /* they end with the connection */
    LIST_EACH(&db->stmts, it)
    stmt_free(CONTAINER(it, struct stmt, link));
}

/* ---- binding ---- */

/* Number of the next parameter, counted from 0, or -1 when it cannot be bound. */
static int next_parameter(struct stmt *s)
{
    if (s->stepped)
        reset(s);
    if (s->failed || !prepare(s))
        return -1;
    if (s->bound >= s->parameters)
        fatal("one value too many for: %s", s->sql);
    return s->bound++;
}

void stmt_int(struct stmt *s, int64_t value)
{
    int i = next_parameter(s);

    if (i < 0)
        return;
    if (s->types[i] != TYPE_INT8)
        fatal("$%d takes no number: %s", i + 1, s->sql);
    s->numbers[i] = (int64_t)htobe64((uint64_t)value);
    s->values[i] = (const char *)&s->numbers[i];
    s->lengths[i] = sizeof s->numbers[i];
}

/* What is text and what is bytes, the server knows. */
static void bind_bytes(struct stmt *s, struct str bytes)
{
    int i = next_parameter(s);

    if (i < 0)
        return;
    if (s->types[i] == TYPE_INT8)
        fatal("$%d takes a number: %s", i + 1, s->sql);
    if (bytes.n > 1024 * 1024 * 1024) {
        s->failed = true;
        err_set(&s->err, ERR_LIMIT, "%s: value too large for a row", s->db->label);
        return;
    }
    s->values[i] = bytes.n == 0 ? "" : bytes.p;
    s->lengths[i] = (int)bytes.n;
}

void stmt_str(struct stmt *s, struct str text)
{
    bind_bytes(s, text);
}

void stmt_blob(struct stmt *s, struct str bytes)
{
    bind_bytes(s, bytes);
}

void stmt_null(struct stmt *s)
{
    int i = next_parameter(s);

    if (i >= 0)
        s->values[i] = NULL;
}

/* ---- running ---- */

static bool execute(struct stmt *s)
{
    ExecStatusType status;

    if (!prepare(s))
        return false;
    if (s->bound != s->parameters)
        fatal("%d of %d values given for: %s", s->bound, s->parameters, s->sql);
    s->stepped = true;
    s->row = -1;
    if (!postgres_usable(s->db, &s->err) || !prepare(s)) {
        s->failed = true;
        return false;
    }
    s->db->unsynced = true;
    s->result = PQexecPrepared(s->db->raw, s->name, s->parameters, s->values, s->lengths, s->formats, 1);
    status = PQresultStatus(s->result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || latch(s, s->result);
}

bool stmt_row(struct stmt *s)
{
    if (s->failed || (!s->stepped && !execute(s)))
        return false;
    if (s->row < PQntuples(s->result))
        s->row++;
    return s->row < PQntuples(s->result);
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
    *changed = s->failed ? 0 : strtoll(PQcmdTuples(s->result), NULL, 10);
    return stmt_done(s, err);
}

/* ---- columns ---- */

bool column_is_null(struct stmt *s, int column)
{
    return s->result == NULL || s->row < 0 || s->row >= PQntuples(s->result) ||
           PQgetisnull(s->result, s->row, column);
}

int64_t column_int(struct stmt *s, int column)
{
    const char *p;
    uint64_t wide;
    uint32_t narrow;

    if (column_is_null(s, column))
        return 0;
    p = PQgetvalue(s->result, s->row, column);
    switch (PQftype(s->result, column)) {
    case TYPE_INT8:
        memcpy(&wide, p, sizeof wide);
        return (int64_t)be64toh(wide);
    case TYPE_INT4:
        memcpy(&narrow, p, sizeof narrow);
        return (int32_t)be32toh(narrow);
    case TYPE_BOOL:
        return *p;
    default:
        fatal("column %d is no number: %s", column + 1, s->sql);
    }
}

struct str column_str(struct stmt *s, int column)
{
    Oid type = PQftype(s->result, column);

    if (column_is_null(s, column))
        return STR("");
    if (type != TYPE_TEXT && type != TYPE_BYTES)
        fatal("column %d is no text: %s", column + 1, s->sql);
    return str_from(PQgetvalue(s->result, s->row, column), (size_t)PQgetlength(s->result, s->row, column));
}
