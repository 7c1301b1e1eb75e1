/* An account's database: opening, transactions, counters, messages. See store.h; contents are in
 * content.c. */
#include "store_private.h"
#include "base/clock.h"
#include "0001.sql.h"
#include "0002.sql.h"
#include "0003.sql.h"
#include "0004.sql.h"
#include "0005.sql.h"
#include "0006.sql.h"
#include "0007.sql.h"

#include <inttypes.h>
#include <stdlib.h>

enum { EXPUNGED_KEPT = 50000 };

const char *const store_steps[] = {schema_mailbox_0001, schema_mailbox_0002, schema_mailbox_0003, schema_mailbox_0004,
    schema_mailbox_0005, schema_mailbox_0006, schema_mailbox_0007};
_Static_assert(sizeof store_steps / sizeof *store_steps == STORE_VERSION, "one for each step");

bool store_migrate_step(struct db *db, bool *more, struct err *err)
{
    return db_migrate_step(db, store_steps, STORE_VERSION, more, err);
}

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

static bool load_loose(struct store *s, struct err *err)
{
    struct stmt *load = stmt_new(s->db, "SELECT COUNT(*) FROM loose WHERE account = $1");
    bool loaded;

    stmt_int(load, s->account);
    s->loose = stmt_row(load) && column_int(load, 0) > 0;
    loaded = stmt_done(load, err);
    stmt_free(load);
    s->loose |= !list_empty(&s->gone); /* deleted folders */
    return loaded;
}

/* A backup may be restored to an account with another number: in the rows of that file the old one stays. */
static bool find_number(struct store *s, struct err *err)
{
    struct stmt *find = stmt_new(s->db, "SELECT MIN(account), MAX(account) FROM folder");
    bool done;

    if (stmt_row(find) && !column_is_null(find, 0) && column_int(find, 0) == column_int(find, 1))
        s->account = column_int(find, 0);
    done = stmt_done(find, err);
    stmt_free(find);
    return done;
}

bool store_load(struct store *s, struct err *err)
{
    if (!db_migrate(s->db, store_steps, STORE_VERSION, err) || !find_number(s, err) || !folders_load(s, err))
        return false;
    if (s->folder_count == 0 && !folders_make_first(s, err))
        return false;
    if (s->inbox == NULL)
        return err_set(err, ERR_PERMANENT, "the mailbox has no INBOX");
    s->names_durable = s->names;
    return load_loose(s, err);
}

struct store *store_new(int64_t account)
{
    struct store *s = xcalloc(1, sizeof *s);

    s->account = account;
    list_init(&s->arriving);
    list_init(&s->pins);
    list_init(&s->folders);
    list_init(&s->gone);
    map_init(&s->folders_by_id);
    map_init(&s->folders_by_name);
    events_prepare(s);
    buf_init(&s->piece, 256 * 1024);
    buf_init(&s->more, 4096);
    buf_init(&s->info, 16 * 1024 * 1024);
    buf_init(&s->packed, FLAG_BLOCK_MAX);
    return s;
}

bool store_open(struct store **out, const char *path, int64_t account, int busy_ms, struct err *err)
{
    struct store *s = store_new(account);

    *out = NULL;
    if (!db_open(&s->db, path, DB_SYNC_LATER, busy_ms, err) || !store_load(s, err)) {
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
    made = db_migrate(db, store_steps, STORE_VERSION, err);
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
    events_free(s);
    folders_free(s);
    buf_clear(&s->piece);
    buf_clear(&s->more);
    buf_clear(&s->info);
    buf_clear(&s->packed);
    flags_forget(s);
    free(s);
}

/* ---- transactions ---- */

bool store_begin(struct store *s, struct err *err)
{
    if (!db_in_transaction(s->db) && !db_begin(s->db, err))
        return false;
    s->pending = true;
    return true;
}

/* Others are told what the transaction did, as far as a sync has shown it. */
static void promised(struct store *s)
{
    annotations_committed(s);
    events_committed(s);
    folders_committed(s);
    if (s->modseq > s->highest_modseq)
        s->highest_modseq = s->modseq;
    s->modseq = 0;
    s->pending = false;
}

bool store_commit(struct store *s, struct err *err)
{
    if (!db_in_transaction(s->db))
        return true;
    if (!flags_save(s, err) || !folders_save(s, err) || !db_commit(s->db, err)) {
        store_rollback(s);
        return false;
    }
    promised(s);
    folders_saved(s);
    return true;
}

void store_logged(struct store *s)
{
    promised(s);
    store_synced(s);
}

void store_rollback(struct store *s)
{
    if (db_in_transaction(s->db))
        db_rollback(s->db);
    flags_forget(s);
    annotations_rolled_back(s);
    events_rolled_back(s);
    folders_rolled_back(s);
    if (s->modseq > s->highest_modseq) /* somebody may have been told of it */
        s->highest_modseq = s->modseq;
    s->modseq = 0;
    s->pending = false;
    s->swept = 0;
    s->loose = true; /* what was swept may be back */
}

bool store_in_transaction(const struct store *s)
{
    return db_in_transaction(s->db) && s->pending;
}

bool store_sync(struct store *s, struct err *err)
{
    return db_sync(s->db, err);
}

/* SQLite keeps the lock of a statement that stands at a row. If it cannot, those that follow say so themselves. */
void store_begin_reading(struct store *s)
{
    struct stmt *hold = store_stmt(s, SQL_HOLD);

    stmt_int(hold, s->account);
    (void)stmt_row(hold);
}

void store_end_reading(struct store *s)
{
    struct err ignored = {0};

    (void)!stmt_done(store_stmt(s, SQL_HOLD), &ignored);
}

struct store_totals store_totals(const struct store *s)
{
    struct store_totals sum = {0, 0};

    LIST_EACH(&s->folders, it) {
        const struct folder *f = CONTAINER(it, struct folder, link);

        sum.messages += f->now.messages;
        sum.bytes += f->now.bytes;
    }
    return sum;
}

struct store_totals store_durable_totals(const struct store *s)
{
    struct store_totals sum = {0, 0};

    LIST_EACH(&s->folders, it) {
        const struct folder *f = CONTAINER(it, struct folder, link);

        sum.messages += f->durable.messages;
        sum.bytes += f->durable.bytes;
    }
    return sum;
}

uint32_t store_uidvalidity(const struct store *s)
{
    return (uint32_t)s->inbox->uidvalidity;
}

int64_t store_uidnext(const struct store *s)
{
    return s->inbox->now.uidnext;
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
static bool find_floor(struct store *s, const struct folder *f, int64_t *floor, struct err *err)
{
    struct stmt *find = stmt_new(s->db,
        "SELECT modseq FROM expunged WHERE account = $1 AND folder = $2 ORDER BY modseq DESC LIMIT "
        "1 OFFSET $3");
    bool done;

    stmt_int(find, s->account);
    stmt_int(find, f->id);
    stmt_int(find, EXPUNGED_KEPT);
    *floor = stmt_row(find) ? column_int(find, 0) : 0;
    done = stmt_done(find, err);
    stmt_free(find);
    return done;
}

static bool prune_expunged(struct store *s, struct folder *f, struct err *err)
{
    struct stmt *prune = store_stmt(s, SQL_PRUNE_EXPUNGED);
    int64_t floor;

    if (f->now.uidnext - 1 - f->now.messages <= EXPUNGED_KEPT) /* more were never removed */
        return true;
    if (!find_floor(s, f, &floor, err))
        return false;
    if (floor == 0)
        return true;
    stmt_int(prune, s->account);
    stmt_int(prune, f->id);
    stmt_int(prune, floor);
    if (!stmt_run(prune, err))
        return false;
    f->now.expunged_floor = floor;
    f->changed = true;
    return true;
}

bool store_prune(struct store *s, int64_t before, struct err *err)
{
    if (!run_with(s, SQL_PRUNE_DELIVERED, before, err))
        return false;
    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;)
        if (!prune_expunged(s, f, err))
            return false;
    return true;
}

/* INBOX where there is none: its owner has removed it. */
static struct folder *junk_folder(struct store *s)
{
    struct folder *called_so = NULL;

    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;) {
        if (str_ieq(f->special, STR("\\Junk")))
            return f;
        if (str_eq(f->name, STR("Junk")))
            called_so = f;
    }
    return called_so != NULL ? called_so : s->inbox;
}

bool store_remember(struct store *s, int64_t message, struct err *err)
{
    struct stmt *remember = store_stmt(s, SQL_ADD_DELIVERED);

    stmt_int(remember, s->account);
    stmt_int(remember, message);
    stmt_int(remember, clock_now());
    return stmt_run(remember, err);
}

/* $Junk (RFC 9051 2.3.2) tells clients why it is there, and teaches those that learn. A mailbox without room for one more keyword goes without. */
static bool mark_junk(struct store *s, struct folder *f, struct store_new *message, struct buf *more, struct err *err)
{
    int slot;

    if (!store_keyword(s, f, STR("$Junk"), true, &slot, err)) {
        if (err->kind != ERR_LIMIT)
            return false;
        *err = (struct err){0};
        return true;
    }
    store_set_keyword(&message->flags, more, slot, true);
    message->more = buf_str(more);
    return true;
}

static bool add_delivery(struct store *s, const struct store_delivery *d, struct err *err)
{
    struct store_new message = {.content = d->content, .size = d->size, .received = d->received, .features = d->features};
    struct folder *f = d->junk ? junk_folder(s) : s->inbox;
    struct buf more;
    uint32_t uid;
    bool done;

    buf_init(&more, STORE_KEYWORDS_MAX / 8 + 1);
    done = (!d->junk || mark_junk(s, f, &message, &more, err)) && store_message_add(s, f, &message, &uid, err);
    buf_clear(&more);
    return done;
}

bool store_deliver(struct store *s, const struct store_delivery *d, struct err *err)
{
    if (!store_remember(s, d->message, err) || !add_delivery(s, d, err))
        return err_prefix(err, "account %" PRId64 ": store message", s->account);
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
    struct store_message m;
    bool found;

    if (!store_message_get(s, s->inbox, (uint32_t)uid, &m, &found, err))
        return false;
    *content = found ? m.content : 0;
    return true;
}

bool store_expunge(struct store *s, int64_t uid, bool *found, struct err *err)
{
    return store_message_expunge(s, s->inbox, (uint32_t)uid, found, err);
}

bool store_folders(struct store *s, store_folder_fn *tell, void *arg, struct err *err)
{
    (void)err;
    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;)
        tell(arg, f->name, f->now.messages, f->now.bytes, f->now.unseen);
    return true;
}
