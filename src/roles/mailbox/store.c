/* An account's database: opening, transactions, counters, messages. See store.h; contents are in
 * content.c. */
#include "store_private.h"
#include "base/clock.h"
#include "0001.sql.h"

#include <inttypes.h>
#include <stdlib.h>

enum { EXPUNGED_KEPT = 50000 };

static const char *const steps[] = {schema_mailbox_0001};

static const struct {
    const char *name, *special;
} first_folders[] = {
    {"INBOX", ""}, {"Drafts", "\\Drafts"}, {"Sent", "\\Sent"}, {"Junk", "\\Junk"},
    {"Trash", "\\Trash"}, {"Archive", "\\Archive"},
};

struct stmt *store_stmt(struct store *s, enum store_sql sql)
{
    static const char *const texts[] = {
#define STORE_SQL_TEXT(name, sql) sql,
        STORE_SQL(STORE_SQL_TEXT)
#undef STORE_SQL_TEXT
    };

    if (s->statements[sql] == NULL)
        s->statements[sql] = stmt_new(s->db, texts[sql]);
    return s->statements[sql];
}

static bool add_folder(struct store *s, size_t i, struct err *err)
{
    struct stmt *add = stmt_new(s->db,
        "INSERT INTO folder (account, id, name, special, uidvalidity, uidnext, modseq, "
        "expunged_floor, messages, bytes, unseen, subscribed) "
        "VALUES ($1, $2, $3, $4, $5, 1, 1, 1, 0, 0, 0, 1)");
    bool added;

    stmt_int(add, s->account);
    stmt_int(add, STORE_INBOX + (int64_t)i);
    stmt_str(add, str_of(first_folders[i].name));
    stmt_str(add, str_of(first_folders[i].special));
    stmt_int(add, clock_now() / SECOND + (int64_t)i);
    added = stmt_run(add, err);
    stmt_free(add);
    return added;
}

static bool add_first_folders(struct store *s, struct err *err)
{
    if (!db_begin(s->db, err))
        return false;
    for (size_t i = 0; i < sizeof first_folders / sizeof *first_folders; i++)
        if (!add_folder(s, i, err)) {
            db_rollback(s->db);
            return false;
        }
    return db_commit(s->db, err);
}

static bool load_inbox(struct store *s, bool *found, struct err *err)
{
    struct stmt *load = stmt_new(s->db,
        "SELECT uidvalidity, uidnext, modseq, messages, bytes, unseen FROM folder "
        "WHERE account = $1 AND id = $2");
    bool loaded;

    stmt_int(load, s->account);
    stmt_int(load, STORE_INBOX);
    *found = stmt_row(load);
    if (*found)
        s->inbox = (struct folder){column_int(load, 0), column_int(load, 1), column_int(load, 2),
            column_int(load, 3), column_int(load, 4), column_int(load, 5)};
    loaded = stmt_done(load, err);
    stmt_free(load);
    s->saved = s->inbox;
    return loaded;
}

/* The totals of the other folders, the highest modseq, and whether something is loose. */
static bool load_totals(struct store *s, struct err *err)
{
    struct stmt *load = stmt_new(s->db,
        "SELECT CAST(COALESCE(SUM(CASE WHEN id = $1 THEN 0 ELSE messages END), 0) AS BIGINT), "
        "CAST(COALESCE(SUM(CASE WHEN id = $1 THEN 0 ELSE bytes END), 0) AS BIGINT), COALESCE(MAX(modseq), 1), "
        "(SELECT COUNT(*) FROM loose WHERE account = $2) FROM folder WHERE account = $2");
    bool loaded;

    stmt_int(load, STORE_INBOX);
    stmt_int(load, s->account);
    if (stmt_row(load)) {
        s->others.messages = column_int(load, 0);
        s->others.bytes = column_int(load, 1);
        s->highest_modseq = column_int(load, 2);
        s->loose = column_int(load, 3) > 0;
    }
    loaded = stmt_done(load, err);
    stmt_free(load);
    return loaded;
}

static bool load(struct store *s, struct err *err)
{
    bool found;

    if (!db_migrate(s->db, steps, sizeof steps / sizeof *steps, err) || !load_inbox(s, &found, err))
        return false;
    if (!found && (!add_first_folders(s, err) || !load_inbox(s, &found, err)))
        return false;
    if (!found)
        return err_set(err, ERR_PERMANENT, "the mailbox has no INBOX");
    return load_totals(s, err);
}

bool store_open(struct store **out, const char *path, int64_t account, struct err *err)
{
    struct store *s = xcalloc(1, sizeof *s);

    *out = NULL;
    s->account = account;
    list_init(&s->arriving);
    buf_init(&s->piece, 256 * 1024);
    if (!db_open(&s->db, path, DB_SYNC_LATER, 5000, err) || !load(s, err)) {
        store_close(s);
        return false;
    }
    *out = s;
    return true;
}

bool store_make_empty(const char *path, struct err *err)
{
    struct db *db;
    bool made;

    if (!db_open(&db, path, DB_SYNC_LATER, 5000, err))
        return false;
    made = db_migrate(db, steps, sizeof steps / sizeof *steps, err);
    db_close(db);
    return made;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    if (s->db != NULL && db_in_transaction(s->db))
        db_rollback(s->db);
    db_close(s->db);
    buf_clear(&s->piece);
    free(s);
}

/* ---- transactions ---- */

bool store_begin(struct store *s, struct err *err)
{
    return db_in_transaction(s->db) || db_begin(s->db, err);
}

static bool save_inbox(struct store *s, struct err *err)
{
    struct stmt *save = store_stmt(s, SQL_SAVE_INBOX);

    if (!s->inbox_changed)
        return true;
    stmt_int(save, s->inbox.uidnext);
    stmt_int(save, s->inbox.modseq);
    stmt_int(save, s->inbox.messages);
    stmt_int(save, s->inbox.bytes);
    stmt_int(save, s->inbox.unseen);
    stmt_int(save, s->account);
    stmt_int(save, STORE_INBOX);
    return stmt_run(save, err);
}

bool store_commit(struct store *s, struct err *err)
{
    if (!db_in_transaction(s->db))
        return true;
    if (!save_inbox(s, err)) {
        store_rollback(s);
        return false;
    }
    if (!db_commit(s->db, err)) {
        store_rollback(s);
        return false;
    }
    s->saved = s->inbox;
    if (s->modseq > s->highest_modseq)
        s->highest_modseq = s->modseq;
    s->inbox_changed = false;
    s->modseq = 0;
    return true;
}

void store_rollback(struct store *s)
{
    if (db_in_transaction(s->db))
        db_rollback(s->db);
    s->inbox = s->saved;
    s->inbox_changed = false;
    s->modseq = 0;
    s->swept = 0;
    s->loose = true; /* what was swept may be back */
}

bool store_in_transaction(const struct store *s)
{
    return db_in_transaction(s->db);
}

bool store_sync(struct store *s, struct err *err)
{
    return db_sync(s->db, err);
}

struct store_totals store_totals(const struct store *s)
{
    return (struct store_totals){
        s->others.messages + s->inbox.messages, s->others.bytes + s->inbox.bytes};
}

uint32_t store_uidvalidity(const struct store *s)
{
    return (uint32_t)s->inbox.uidvalidity;
}

int64_t store_uidnext(const struct store *s)
{
    return s->inbox.uidnext;
}

/* All changes of one transaction share a modification sequence. */
static int64_t change_inbox(struct store *s)
{
    if (s->modseq == 0)
        s->modseq = s->highest_modseq + 1;
    s->inbox.modseq = s->modseq;
    s->inbox_changed = true;
    return s->modseq;
}

/* ---- messages ---- */

bool store_was_delivered(struct store *s, int64_t message, bool *was, struct err *err)
{
    struct stmt *find = store_stmt(s, SQL_WAS_DELIVERED);

    stmt_int(find, s->account);
    stmt_int(find, message);
    *was = stmt_row(find);
    return stmt_done(find, err);
}

static bool run_with(struct store *s, enum store_sql sql, int64_t value, struct err *err)
{
    struct stmt *run = store_stmt(s, sql);

    stmt_int(run, s->account);
    stmt_int(run, value);
    return stmt_run(run, err);
}

/* The modification sequence at and below which expunged rows are not needed; 0 for none. */
static bool expunged_floor(struct store *s, int64_t *floor, struct err *err)
{
    struct stmt *find = stmt_new(s->db,
        "SELECT modseq FROM expunged WHERE account = $1 AND folder = $2 ORDER BY modseq DESC LIMIT "
        "1 OFFSET $3");
    bool done;

    stmt_int(find, s->account);
    stmt_int(find, STORE_INBOX);
    stmt_int(find, EXPUNGED_KEPT);
    *floor = stmt_row(find) ? column_int(find, 0) : 0;
    done = stmt_done(find, err);
    stmt_free(find);
    return done;
}

bool store_prune(struct store *s, int64_t before, struct err *err)
{
    int64_t floor;

    if (!run_with(s, SQL_PRUNE_DELIVERED, before, err) ||
        !expunged_floor(s, &floor, err))
        return false;
    return floor == 0 ||
           (run_with(s, SQL_PRUNE_EXPUNGED, floor, err) && run_with(s, SQL_SET_FLOOR, floor, err));
}

static bool add_message(struct store *s, const struct store_delivery *d, struct err *err)
{
    struct stmt *add = store_stmt(s, SQL_ADD_MESSAGE);

    stmt_int(add, s->account);
    stmt_int(add, STORE_INBOX);
    stmt_int(add, s->inbox.uidnext);
    stmt_int(add, change_inbox(s));
    stmt_int(add, d->received);
    stmt_int(add, d->size);
    stmt_int(add, d->content);
    stmt_int(add, d->features);
    return stmt_run(add, err);
}

bool store_deliver(struct store *s, const struct store_delivery *d, struct err *err)
{
    struct stmt *remember = store_stmt(s, SQL_ADD_DELIVERED);

    if (s->inbox.uidnext > UINT32_MAX)
        return err_set(err, ERR_PERMANENT, "account %" PRId64 ": no uids left", s->account);
    stmt_int(remember, s->account);
    stmt_int(remember, d->message);
    stmt_int(remember, clock_now());
    if (!stmt_run(remember, err) || !add_message(s, d, err))
        return err_prefix(err, "account %" PRId64 ": store message", s->account);
    s->inbox.uidnext++;
    s->inbox.messages++;
    s->inbox.unseen++;
    s->inbox.bytes += d->size;
    return true;
}

bool store_list(struct store *s, int64_t after, struct store_item *items, size_t max, size_t *n, struct err *err)
{
    struct stmt *list = store_stmt(s, SQL_LIST);

    stmt_int(list, s->account);
    stmt_int(list, STORE_INBOX);
    stmt_int(list, after);
    stmt_int(list, (int64_t)max);
    for (*n = 0; *n < max && stmt_row(list); ++*n)
        items[*n] = (struct store_item){
            column_int(list, 0), column_int(list, 1), column_int(list, 2)};
    return stmt_done(list, err);
}

bool store_find(struct store *s, int64_t uid, int64_t *content, struct err *err)
{
    struct stmt *find = store_stmt(s, SQL_FIND);

    stmt_int(find, s->account);
    stmt_int(find, STORE_INBOX);
    stmt_int(find, uid);
    *content = stmt_row(find) ? column_int(find, 0) : 0;
    return stmt_done(find, err);
}

static bool remove_message(struct store *s, int64_t uid, struct err *err)
{
    struct stmt *take = store_stmt(s, SQL_REMOVE_MESSAGE);
    struct stmt *trace = store_stmt(s, SQL_ADD_EXPUNGED);

    stmt_int(take, s->account);
    stmt_int(take, STORE_INBOX);
    stmt_int(take, uid);
    if (!stmt_run(take, err))
        return false;
    stmt_int(trace, s->account);
    stmt_int(trace, STORE_INBOX);
    stmt_int(trace, change_inbox(s));
    stmt_int(trace, uid);
    return stmt_run(trace, err);
}

bool store_expunge(struct store *s, int64_t uid, bool *found, struct err *err)
{
    struct stmt *find = store_stmt(s, SQL_FIND_FOR_EXPUNGE);
    int64_t content = 0, size = 0, flags = 0;

    stmt_int(find, s->account);
    stmt_int(find, STORE_INBOX);
    stmt_int(find, uid);
    *found = stmt_row(find);
    if (*found) {
        content = column_int(find, 0);
        size = column_int(find, 1);
        flags = column_int(find, 2);
    }
    if (!stmt_done(find, err))
        return false;
    if (!*found)
        return true;
    if (!remove_message(s, uid, err) || !content_release(s, content, err))
        return err_prefix(err, "account %" PRId64 ": remove message %" PRId64, s->account, uid);
    s->inbox.messages--;
    s->inbox.bytes -= size;
    if (!(flags & STORE_SEEN))
        s->inbox.unseen--;
    return true;
}

bool store_folders(struct store *s, store_folder_fn *tell, void *arg, struct err *err)
{
    struct stmt *walk = stmt_new(s->db,
        "SELECT id, name, messages, bytes, unseen FROM folder WHERE account = $1 ORDER BY id");
    bool walked;

    stmt_int(walk, s->account);
    while (stmt_row(walk)) {
        bool inbox = column_int(walk, 0) == STORE_INBOX;

        tell(arg, column_str(walk, 1), inbox ? s->inbox.messages : column_int(walk, 2),
            inbox ? s->inbox.bytes : column_int(walk, 3), inbox ? s->inbox.unseen : column_int(walk, 4));
    }
    walked = stmt_done(walk, err);
    stmt_free(walk);
    return walked;
}

/* ---- check ---- */

/* Each counts what must not be there. */
static const struct {
    const char *sql, *what;
} checks[] = {
    {"SELECT COUNT(*) FROM folder f WHERE f.account = $1 AND (f.messages, f.bytes) <> "
     "(SELECT COUNT(*), COALESCE(SUM(m.size), 0) FROM message m WHERE m.account = f.account AND "
     "m.folder = f.id)", "folders with wrong totals"},
    {"SELECT COUNT(*) FROM folder f WHERE f.account = $1 AND EXISTS (SELECT 1 FROM message m WHERE "
     "m.account = f.account AND m.folder = f.id AND (m.uid >= f.uidnext OR m.modseq > f.modseq))",
     "folders behind their messages"},
    {"SELECT COUNT(*) FROM message m WHERE m.account = $1 AND NOT EXISTS (SELECT 1 FROM content c "
     "WHERE c.account = m.account AND c.id = m.content AND c.size = m.size)",
     "messages without their content"},
    {"SELECT COUNT(*) FROM content c WHERE c.account = $1 AND c.refs <> (SELECT COUNT(*) FROM "
     "message m WHERE m.account = c.account AND m.content = c.id)", "contents with wrong references"},
    {"SELECT COUNT(*) FROM content c WHERE c.account = $1 AND c.refs > 0 AND c.size <> LENGTH(c.head) "
     "+ (SELECT COALESCE(SUM(LENGTH(k.data)), 0) FROM content_chunk k WHERE k.account = c.account "
     "AND k.content = c.id)", "contents with missing pieces"},
    {"SELECT COUNT(*) FROM content c WHERE c.account = $1 AND c.refs = 0 AND NOT EXISTS (SELECT 1 "
     "FROM loose l WHERE l.account = c.account AND l.content = c.id)", "contents lost"},
};

bool store_check(struct store *s, struct err *err)
{
    if (!db_check_integrity(s->db, err))
        return false;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        struct stmt *check = stmt_new(s->db, checks[i].sql);
        int64_t wrong;
        bool done;

        stmt_int(check, s->account);
        wrong = stmt_row(check) ? column_int(check, 0) : 0;
        done = stmt_done(check, err);
        stmt_free(check);
        if (!done)
            return false;
        if (wrong > 0)
            return err_set(err, ERR_PERMANENT, "%" PRId64 " %s", wrong, checks[i].what);
    }
    return true;
}
