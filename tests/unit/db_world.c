#include "db_world.h"

#include "fault_vfs.h"
#include "scratch.h"

#include <stdio.h>
#include <unistd.h>

char folder[SCRATCH_MAX];
char path[SCRATCH_MAX + 20];

const char *const one[1] = {FIRST_STEP};
const char *const two[2] = {FIRST_STEP,
    "ALTER TABLE thing ADD COLUMN size BIGINT NOT NULL DEFAULT 7;\nCREATE TABLE extra (id @id);\n"};

void remove_files(void)
{
    char name[sizeof path + 10];
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};

    fault_at(0, false);
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

int fresh(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/test.db", folder);
    remove_files();
    return 0;
}

struct db *opened(enum db_sync sync)
{
    struct err err = {0};
    struct db *db;

    if (!db_open(&db, path, sync, 1000, &err) || !db_migrate(db, one, 1, &err))
        fail_msg("%s", err.text);
    return db;
}

bool add(struct db *db, const char *name, struct err *err)
{
    struct stmt *s = stmt_new(db, "INSERT INTO thing (name, body) VALUES ($2, $1)");
    bool done;

    stmt_blob(s, str_from("\0\1", 2));
    stmt_str(s, str_of(name));
    done = stmt_run(s, err);
    stmt_free(s);
    return done;
}

int64_t count(struct db *db, const char *sql)
{
    struct stmt *s = stmt_new(db, sql);
    struct err err = {0};
    int64_t n = stmt_row(s) ? column_int(s, 0) : -1;

    if (!stmt_done(s, &err))
        fail_msg("%s", err.text);
    stmt_free(s);
    return n;
}

void world_begin(void)
{
    scratch_make(folder, "db_test");
}

void world_end(void)
{
    fault_at(0, false);
    scratch_remove(folder);
}
