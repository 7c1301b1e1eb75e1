/* Lets a test program that was written for files run with the PostgreSQL driver: every path is a schema of
 * its own. The file itself is only a mark: where a test has removed it, the schema is emptied.
 *
 * And the failures of fault_vfs.h, for a server: the call whose turn comes loses the connection.
 * The server is the one that libpq's environment names (PGHOST, PGDATABASE); see tests/check/postgres. */
#include "db/db.h"
#include "fault_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool __real_db_open(struct db **db, const char *path, enum db_sync sync, int busy_ms, struct err *err);
bool __wrap_db_open(struct db **db, const char *path, enum db_sync sync, int busy_ms, struct err *err);
bool __real_db_open_read_only(struct db **db, const char *path, struct err *err);
bool __wrap_db_open_read_only(struct db **db, const char *path, struct err *err);
#define DECLARE(name, ...)                                                                         \
    PGresult *__real_##name(__VA_ARGS__);                                                          \
    PGresult *__wrap_##name(__VA_ARGS__)
DECLARE(PQexec, PGconn *server, const char *sql);
DECLARE(PQexecParams, PGconn *server, const char *sql, int n, const Oid *types, const char *const *values,
    const int *lengths, const int *formats, int format);
DECLARE(PQexecPrepared, PGconn *server, const char *name, int n, const char *const *values, const int *lengths,
    const int *formats, int format);
DECLARE(PQprepare, PGconn *server, const char *name, const char *sql, int n, const Oid *types);

static void name_schema(char *name, size_t size, const char *path)
{
    uint64_t hash = 14695981039346656037U;

    for (; *path; path++)
        hash = (hash ^ (unsigned char)*path) * 1099511628211U;
    snprintf(name, size, "test_%016llx", (unsigned long long)hash);
}

static void drop_schema(const char *name)
{
    static PGconn *server; /* one for all */
    char sql[120];
    PGresult *result;

    if (server == NULL)
        server = PQconnectdb("");
    snprintf(sql, sizeof sql, "SET client_min_messages = warning; DROP SCHEMA IF EXISTS %s CASCADE", name);
    result = __real_PQexec(server, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        fatal("%s: %s", sql, PQerrorMessage(server));
    PQclear(result);
}

/* Where to connect for this path; the mark is made when `create`. */
static bool place(char *out, size_t size, const char *path, bool create, struct err *err)
{
    char schema[40];
    bool there = access(path, F_OK) == 0;
    int fd;

    name_schema(schema, sizeof schema, path);
    snprintf(out, size, "options='-c search_path=%s'", schema);
    if (there)
        return true;
    fd = open(path, create ? O_RDWR | O_CREAT | O_CLOEXEC : O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1) { /* an empty file would be a database that lost its content */
        err_set(err, ERR_TEMPORARY, "%s: cannot be opened: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    close(fd);
    drop_schema(schema);
    return true;
}

bool __wrap_db_open(struct db **db, const char *path, enum db_sync sync, int busy_ms, struct err *err)
{
    char where[100];

    *db = NULL;
    return place(where, sizeof where, path, true, err) && __real_db_open(db, where, sync, busy_ms, err);
}

bool __wrap_db_open_read_only(struct db **db, const char *path, struct err *err)
{
    char where[100];

    *db = NULL;
    return place(where, sizeof where, path, false, err) && __real_db_open_read_only(db, where, err);
}

/* ---- failures ---- */

/* Every third call only, to be done soon; an odd number, so that both ways to fail come about. */
enum { STRIDE = 3 };

static int calls, turn, syncs;
static bool for_ever, happened;

void fault_install(void)
{
}

void fault_at(int n, bool forever)
{
    turn = n == 0 ? 0 : 1 + (n - 1) * STRIDE;
    for_ever = forever;
    calls = syncs = 0;
    happened = false;
}

bool fault_happened(void)
{
    return happened;
}

int fault_syncs(void)
{
    return syncs;
}

enum ending { WELL, UNHEARD, UNANSWERED };

/* How the call that comes now ends. The two ways to lose a connection take turns: before the server has heard
 * the question, and after it has done what it was asked, with the answer lost. */
static enum ending next_ending(void)
{
    calls++;
    if (turn == 0 || (for_ever ? calls < turn : calls != turn))
        return WELL;
    happened = true;
    return calls % 2 ? UNHEARD : UNANSWERED;
}

static void cut(PGconn *server)
{
    if (PQsocket(server) >= 0)
        shutdown(PQsocket(server), SHUT_RDWR);
}

/* Makes a call of libpq, as it turns out. */
#define CALL(server, call)                                                                         \
    do {                                                                                           \
        enum ending how = next_ending();                                                           \
        PGresult *result;                                                                          \
                                                                                                   \
        if (how == UNHEARD)                                                                        \
            cut(server);                                                                           \
        result = call;                                                                             \
        if (how != UNANSWERED)                                                                     \
            return result;                                                                         \
        PQclear(result);                                                                           \
        cut(server);                                                                               \
        return __real_PQexec(server, "SELECT 1");                                                  \
    } while (0)

PGresult *__wrap_PQexec(PGconn *server, const char *sql)
{
    syncs += strstr(sql, "pg_logical_emit_message") != NULL;
    CALL(server, __real_PQexec(server, sql));
}

PGresult *__wrap_PQexecParams(PGconn *server, const char *sql, int n, const Oid *types, const char *const *values,
    const int *lengths, const int *formats, int format)
{
    CALL(server, __real_PQexecParams(server, sql, n, types, values, lengths, formats, format));
}

PGresult *__wrap_PQexecPrepared(PGconn *server, const char *name, int n, const char *const *values, const int *lengths,
    const int *formats, int format)
{
    CALL(server, __real_PQexecPrepared(server, name, n, values, lengths, formats, format));
}

PGresult *__wrap_PQprepare(PGconn *server, const char *name, const char *sql, int n, const Oid *types)
{
    CALL(server, __real_PQprepare(server, name, sql, n, types));
}
