/* Is a file a mailbox that can be restored? See verify.h.
 *
 * Its pages (integrity_check: each is used once, rows are in order, indexes agree with tables), then what a restore looks at
 * (store_backup.c), then whether its rows fit together, with every byte of every message read. It is not brought to the newest schema,
 * because nothing is written: what its version does not have is not asked for. */
#include "verify.h"
#include "base/json.h"
#include "net/sandbox.h"
#include "store_check.h"
#include "store_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct verify {
    struct db *db;
    int64_t version;
    struct store_checked numbers;
};

static bool run_check(struct verify *v, unsigned what, struct err *err)
{
    struct store_check *c;
    bool done = store_check_new(&c, v->db, what, err) && store_check_step(c, INT64_MAX, &(bool){false}, err);

    if (done)
        v->numbers = *store_check_numbers(c);
    store_check_free(c);
    return done;
}

static bool is_of_a_version(struct verify *v, struct err *err)
{
    if (!db_version(v->db, &v->version, err))
        return false;
    if (v->version <= STORE_VERSION)
        return true;
    return err_set(err, ERR_DAMAGED, "its mailbox has version %" PRId64 ", this program knows %d: it was made by a newer Staffetta", v->version,
        STORE_VERSION);
}

static bool could_be_restored(struct verify *v, struct err *err)
{
    return is_of_a_version(v, err) && backup_is_mailbox(v->db, err) && db_check_integrity(v->db, err) &&
           backup_has_our_tables(v->db, (size_t)v->version, err) && run_check(v, CHECK_PLAUSIBLE, err);
}

static int failed(const char *path, const char *what, const struct err *err)
{
    const char *text = err->text;

    if (strncmp(text, path, strlen(path)) == 0 && strncmp(text + strlen(path), ": ", 2) == 0)
        text += strlen(path) + 2;
    fprintf(stderr, "staffetta: %s: %s%s\n", path, what, text);
    return err->kind == ERR_DAMAGED || err->kind == ERR_PERMANENT ? EX_DATAERR : EX_IOERR;
}

static void say(const struct verify *v)
{
    struct buf row;

    buf_init(&row, 4096);
    json_open(&row);
    json_int(&row, "version", v->version);
    json_int(&row, "folders", v->numbers.folders);
    json_int(&row, "messages", v->numbers.messages);
    json_int(&row, "bytes", v->numbers.bytes);
    json_close(&row);
    printf("%.*s\n", STR_ARG(buf_str(&row)));
    buf_clear(&row);
}

static int look_at(struct verify *v, const char *path)
{
    struct err err = {0};

    if (!could_be_restored(v, &err))
        return failed(path, "it cannot be restored: ", &err);
    if (!run_check(v, CHECK_SOUND | CHECK_BODIES, &err))
        return failed(path, "it could be restored, but there is a mistake in it: ", &err);
    say(v);
    return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

int verify_run(const char *path)
{
    static const char *const nowhere[] = {NULL};
    struct verify v = {0};
    struct err err = {0};
    int code;

    if (access(path, R_OK) != 0) {
        err_set(&err, ERR_PERMANENT, "%s", strerror(errno));
        failed(path, "", &err);
        return EX_NOINPUT;
    }
    if (!db_open_immutable(&v.db, path, &err))
        return failed(path, "it cannot be restored: ", &err);
    code = sandbox_enter(SANDBOX_FILES, nowhere, false, &err) ? look_at(&v, path) : failed(path, "", &err);
    db_close(v.db);
    return code;
}
