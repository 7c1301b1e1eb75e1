/* Export: from the account, over an administrator's session, into files. What a run before has written is not written
 * again. */
#include "cli/migrate/migrate.h"
#include "cli/migrate/reader.h"
#include "cli/migrate/target.h"
#include "imap/write.h"

#include <inttypes.h>
#include <stdlib.h>

enum { FOLDERS_MAX = 20000 };

struct export_folder {
    struct str name; /* owned, UTF-8 */
    bool subscribed, only_name;
};

struct export {
    struct migration *m;
    struct peer server;
    struct reader reader;
    struct target target;
    struct export_folder *folders;
    size_t folder_count;
    struct item items[ITEMS_WINDOW];
    size_t count;
    struct tally tally, sum;
};

/* ---- folders ---- */

static void on_folder(void *owner, const struct imap_answer *a)
{
    struct export *ex = owner;
    struct buf name;

    if (a->kind != IMAP_SAYS_LIST || ex->folder_count == FOLDERS_MAX)
        return;
    buf_init(&name, 8192);
    if (imap_mutf7_decode(&name, a->name) && (ex->m->folder.n == 0 || str_eq(ex->m->folder, buf_str(&name)))) {
        ex->folders = xrealloc(ex->folders, (ex->folder_count + 1) * sizeof *ex->folders);
        ex->folders[ex->folder_count++] = (struct export_folder){str_dup(buf_str(&name)), imap_answer_has(a->flags, "\\Subscribed"),
            imap_answer_has(a->flags, "\\NonExistent") || imap_answer_has(a->flags, "\\Noselect")};
    }
    buf_clear(&name);
}

static bool list_folders(struct export *ex, struct err *err)
{
    struct imap_answer answer;

    if (!peer_ask(&ex->server, STR("LIST \"\" \"*\" RETURN (SUBSCRIBED)"), on_folder, ex, &answer, err))
        return false;
    if (answer.kind != IMAP_SAYS_OK)
        return err_set(err, ERR_TEMPORARY, "the server says: %.*s", STR_ARG(answer.text));
    if (ex->folder_count == 0)
        return err_set(err, ERR_PERMANENT, "the mailbox has no folder \"%.*s\"", STR_ARG(ex->m->folder));
    return true;
}

static bool write_subscriptions(struct export *ex, struct err *err)
{
    struct str *names = xcalloc(ex->folder_count + 1, sizeof *names);
    size_t n = 0;
    bool done;

    for (size_t i = 0; i < ex->folder_count; i++)
        if (ex->folders[i].subscribed)
            names[n++] = ex->folders[i].name;
    done = ex->target.type->subscriptions == NULL || ex->m->folder.n > 0 || ex->m->dry_run ||
           ex->target.type->subscriptions(ex->target.state, names, n, err);
    free(names);
    return done;
}

/* ---- messages ---- */

/* Tells the server of those that come next. */
static bool want_from(struct export *ex, size_t from, struct err *err)
{
    for (size_t i = from; i < ex->count && ex->reader.asked_count < READER_AHEAD / 2; i++)
        if (ex->items[i].state == ITEM_NEW) {
            ex->items[i].state = ITEM_STORED; /* asked for */
            if (!reader_want(&ex->reader, (uint32_t)ex->items[i].at, err))
                return false;
        }
    return true;
}

static bool write_once(struct export *ex, const struct item *item, bool *again, bool *written, struct err *err)
{
    struct err why = {0};
    uint64_t size;
    struct str piece;

    *again = *written = false;
    if (!reader_body(&ex->reader, (uint32_t)item->at, &size, &why, err))
        return false;
    if (size == 0) /* expunged meanwhile */
        return true;
    if (!ex->target.type->begin(ex->target.state, item, err))
        return false;
    do {
        if (!reader_read(&ex->reader, &piece, err))
            return false;
        if (piece.n > 0 && !ex->target.type->add(ex->target.state, piece, err))
            return false;
    } while (piece.n > 0);
    *written = ex->target.type->end(ex->target.state, again, err);
    return *written;
}

static bool write_item(struct export *ex, const struct item *item, struct err *err)
{
    bool again = true, written;

    while (again)
        if (!write_once(ex, item, &again, &written, err))
            return false;
    ex->tally.done += written;
    return true;
}

static bool take_window(struct export *ex, struct err *err)
{
    for (size_t i = 0; i < ex->count; i++) {
        bool has = ex->target.type->has(ex->target.state, &ex->items[i]);

        if (has)
            ex->items[i].state = ITEM_PRESENT;
        ex->tally.present += has;
        ex->tally.done += ex->m->dry_run && !has;
    }
    for (size_t i = 0; i < ex->count && !ex->m->dry_run; i++) {
        if (ex->items[i].state == ITEM_PRESENT)
            continue;
        if (!want_from(ex, i, err) || !write_item(ex, &ex->items[i], err))
            return false;
    }
    return true;
}

static bool take_messages(struct export *ex, struct str name, struct err *err)
{
    bool done = true;

    do {
        done = reader_list(&ex->reader, ex->items, ITEMS_WINDOW, &ex->count, err);
        if (done && ex->count == 0)
            return true;
        done = done && take_window(ex, err);
        for (size_t i = 0; i < ex->count; i++)
            item_clear(&ex->items[i]);
        migrate_progress("%.*s: %" PRIu64 " exported, %" PRIu64 " there already", STR_ARG(name), ex->tally.done, ex->tally.present);
    } while (done);
    return false;
}

static bool take_folder(struct export *ex, const struct export_folder *f, struct err *err)
{
    struct err why = {0};
    struct buf wire;
    bool done, refused;

    if (f->only_name)
        return true;
    ex->tally = (struct tally){0};
    buf_init(&wire, 16 * 1024);
    imap_write_mailbox(&wire, f->name, false);
    done = reader_open(&ex->reader, &ex->server, buf_str(&wire), &refused, &why, err);
    buf_clear(&wire);
    if (done && refused) {
        migrate_complain("%.*s: not exported: %s", STR_ARG(f->name), why.text);
        ex->sum.failed++;
        return true;
    }
    done = done && ex->target.type->begin_folder(ex->target.state, f->name, ex->reader.uidvalidity, err);
    if (!done && err->kind == ERR_LIMIT) { /* no file can be called so */
        migrate_complain("%.*s: not exported: %s", STR_ARG(f->name), err->text);
        *err = (struct err){0};
        ex->sum.failed++;
        return true;
    }
    done = done && take_messages(ex, f->name, err) && ex->target.type->end_folder(ex->target.state, err);
    migrate_progress(NULL);
    migrate_row(ex->m, f->name, ex->m->dry_run ? "to export" : "exported", &ex->tally);
    return done;
}

static bool take_all(struct export *ex, struct err *err)
{
    for (size_t i = 0; i < ex->folder_count; i++)
        if (!take_folder(ex, &ex->folders[i], err))
            return false;
    return write_subscriptions(ex, err);
}

static bool open_target(struct export *ex, struct err *err)
{
    static const struct {
        const char *kind;
        bool (*make)(struct target *target, const struct migration *m, struct err *err);
    } kinds[] = {{"maildir", maildir_target_new}, {"mbox", mbox_target_new}};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (str_eq(ex->m->kind, str_of(kinds[i].kind)))
            return kinds[i].make(&ex->target, ex->m, err);
    return err_set(err, ERR_PERMANENT, "no such kind of target");
}

int export_run(struct migration *m)
{
    struct export *ex = xcalloc(1, sizeof *ex);
    struct err err = {0};
    int code = peer_open_local(&ex->server, m->cli, m->account, "imap");

    ex->m = m;
    if (code == EXIT_OK && !(list_folders(ex, &err) && open_target(ex, &err) && take_all(ex, &err))) {
        migrate_progress(NULL);
        code = cli_fail(migrate_code(&err), "%s", err.text);
    } else if (code == EXIT_OK && ex->sum.failed > 0) {
        code = EXIT_DATA;
    }
    if (ex->target.state != NULL)
        ex->target.type->free(ex->target.state);
    for (size_t i = 0; i < ex->folder_count; i++)
        str_free(&ex->folders[i].name);
    free(ex->folders);
    peer_close(&ex->server);
    free(ex);
    return code;
}
