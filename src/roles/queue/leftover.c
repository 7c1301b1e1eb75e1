#include "leftover.h"

#include "db/db.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { SHARDS_MAX = 64, PATH_ROOM = 4096 };

/* A database that never got its tables holds nothing. */
static bool count_messages(const char *path, int64_t *n, struct err *err)
{
    struct db *db;
    int64_t version;
    bool done;

    *n = 0;
    if (!db_open_read_only(&db, path, err))
        return false;
    done = db_version(db, &version, err);
    if (done && version > 0) {
        struct stmt *count = stmt_new(db, "SELECT count(*) FROM (SELECT 1 FROM message LIMIT 1000) AS found");

        while (stmt_row(count))
            *n = column_int(count, 0);
        done = stmt_done(count, err);
    }
    db_close(db);
    return done;
}

bool leftover_check(const struct config *config, struct err *err)
{
    char path[PATH_ROOM];
    int64_t n;

    for (int shard = (int)config->copies.queue; shard < SHARDS_MAX; shard++) {
        snprintf(path, sizeof path, "%.*s/queue/queue-%d.db", STR_ARG(config->data), shard);
        if (access(path, F_OK) != 0)
            continue;
        if (!count_messages(path, &n, err))
            return err_prefix(err, "shard %d, which copies { queue = %" PRId64 " } leaves out", shard,
                config->copies.queue);
        if (n > 0)
            return err_set(err, ERR_PERMANENT,
                "%s holds mail that nobody would deliver with copies { queue = %" PRId64
                " }: set queue = %d or more until `staffetta queue summary` shows that shard empty",
                path, config->copies.queue, shard + 1);
    }
    return true;
}
