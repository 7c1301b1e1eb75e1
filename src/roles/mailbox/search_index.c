/* See search_index.h: opening, what is known of each folder, finding. Taking messages in is in search_fill.c. */
#include "search_index_private.h"
#include "base/log.h"

#include <gnu/libc-version.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unistring/version.h>

static const char schema[] =
    "CREATE TABLE about (account BIGINT NOT NULL, made TEXT NOT NULL, docs BIGINT NOT NULL, places BIGINT NOT NULL);"
    "CREATE TABLE doc (id INTEGER PRIMARY KEY, content BIGINT NOT NULL UNIQUE);"
    "CREATE TABLE place (folder BIGINT NOT NULL, uid BIGINT NOT NULL, doc BIGINT NOT NULL, saved BIGINT NOT NULL, "
    "PRIMARY KEY (folder, uid)) WITHOUT ROWID;"
    "CREATE INDEX place_doc ON place (doc, folder);"
    "CREATE TABLE folder (id INTEGER PRIMARY KEY, uidvalidity BIGINT NOT NULL, upto BIGINT NOT NULL);"
    "CREATE VIRTUAL TABLE words USING fts5(text, tokenize = 'ascii', content = '', detail = none, columnsize = 0);"
    "INSERT INTO words (words, rank) VALUES ('pgsz', 4000);"    /* with its row in one page */
    "INSERT INTO words (words, rank) VALUES ('automerge', 0);"; /* search_fill.c does it in small steps */

struct stmt *search_index_stmt(struct search_index *ix, enum search_sql sql)
{
    static const char *const texts[] = {
#define SEARCH_SQL_TEXT(name, sql) sql,
        SEARCH_SQL(SEARCH_SQL_TEXT)
#undef SEARCH_SQL_TEXT
    };

    if (ix->statements[sql] == NULL)
        ix->statements[sql] = stmt_new(ix->db, texts[sql]);
    return ix->statements[sql];
}

/* ---- opening ---- */

/* By what rules the index is made: a change of any makes it useless. */
static struct str rules(void)
{
    static char text[100];
    int n = snprintf(text, sizeof text, "%d %x %s", SEARCH_INDEX_RULES, (unsigned)_libunistring_version, gnu_get_libc_version());

    return str_from(text, (size_t)n);
}

static bool create(struct search_index *ix, struct err *err)
{
    struct stmt *add;
    bool done = db_begin(ix->db, err);

    if (!done)
        return false;
    if (db_exec(ix->db, schema, err)) {
        add = stmt_new(ix->db, "INSERT INTO about (account, made, docs, places) VALUES ($1, $2, 0, 0)");
        stmt_int(add, ix->account);
        stmt_str(add, rules());
        if (stmt_run(add, err))
            return db_commit(ix->db, err);
    }
    db_rollback(ix->db);
    return false;
}

/* Statements about tables that are not there would be taken for a bug of ours. */
static bool has_tables(struct search_index *ix, struct err *err)
{
    static const char *const tables[] = {"SELECT account, made, docs, places FROM about LIMIT 1", "SELECT id, content FROM doc LIMIT 1",
        "SELECT folder, uid, doc, saved FROM place LIMIT 1", "SELECT id, uidvalidity, upto FROM folder LIMIT 1",
        "SELECT rowid FROM words WHERE words MATCH 'a' LIMIT 1", "SELECT id, block FROM words_data LIMIT 1"};

    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (!db_exec(ix->db, tables[i], err))
            return false;
    return true;
}

static bool is_worth_it(const struct search_index *ix)
{
    enum { SPARE = 5000 };
    int64_t most = 2 * store_totals(ix->store).messages + SPARE;

    return ix->docs <= most && ix->places <= most;
}

static bool load(struct search_index *ix, struct err *err)
{
    struct stmt *about;
    bool ours = false;

    if (!has_tables(ix, err))
        return false;
    about = search_index_stmt(ix, SEARCH_ABOUT);
    if (stmt_row(about)) {
        ours = column_int(about, 0) == ix->account && str_eq(column_str(about, 1), rules());
        ix->docs = ix->kept_docs = column_int(about, 2);
        ix->places = ix->kept_places = column_int(about, 3);
    }
    if (!stmt_done(about, err))
        return false;
    if (!ours)
        return err_set(err, ERR_DAMAGED, "made by other rules, or for another account");
    return is_worth_it(ix) || err_set(err, ERR_DAMAGED, "most of it is of messages that are gone");
}

static struct search_index *index_new(struct store *store, int64_t account)
{
    struct search_index *ix = xcalloc(1, sizeof *ix);

    ix->store = store;
    ix->account = account;
    buf_init(&ix->words, 8 * GRAMS_MOST);
    return ix;
}

void search_index_remove(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char file[4300];

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        snprintf(file, sizeof file, "%s%s", path, suffixes[i]);
        unlink(file);
    }
}

static bool open_with(struct search_index **out, const char *path, struct store *store, int64_t account,
    bool (*begin)(struct search_index *ix, struct err *err), struct err *err)
{
    struct search_index *ix = index_new(store, account);

    if (db_open_derived(&ix->db, path, err) && begin(ix, err)) {
        *out = ix;
        return true;
    }
    search_index_close(ix);
    return false;
}

bool search_index_open(struct search_index **out, const char *path, struct store *store, int64_t account, struct err *err)
{
    struct err why = {0};

    *out = NULL;
    if (access(path, F_OK) == 0) {
        if (open_with(out, path, store, account, load, &why))
            return true;
        if (why.kind == ERR_TEMPORARY || why.kind == ERR_LIMIT)
            return err_set(err, why.kind, "%s", why.text);
        log_info("search-index", "account=%" PRId64 " made anew: %s", account, why.text);
    }
    search_index_remove(path);
    return open_with(out, path, store, account, create, err);
}

void search_index_close(struct search_index *ix)
{
    if (ix == NULL)
        return;
    if (ix->db != NULL && db_in_transaction(ix->db))
        db_rollback(ix->db);
    db_close(ix->db);
    search_index_rest(ix);
    buf_clear(&ix->words);
    free(ix->folders);
    free(ix);
}

/* ---- folders ---- */

static size_t place_of(const struct search_index *ix, int64_t id)
{
    size_t low = 0, high = ix->folder_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ix->folders[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct indexed_folder *search_index_folder(const struct search_index *ix, int64_t id)
{
    size_t i = place_of(ix, id);

    return i < ix->folder_count && ix->folders[i].id == id ? &ix->folders[i] : NULL;
}

static void add_folder(struct search_index *ix, const struct folder *f, uint32_t upto)
{
    size_t i = place_of(ix, f->id);

    if (ix->folder_count % 64 == 0)
        ix->folders = xrealloc(ix->folders, (ix->folder_count + 64) * sizeof *ix->folders);
    memmove(ix->folders + i + 1, ix->folders + i, (ix->folder_count - i) * sizeof *ix->folders);
    ix->folders[i] = (struct indexed_folder){.id = f->id, .uidvalidity = f->uidvalidity, .upto = upto, .at = upto};
    ix->folder_count++;
}

/* What the index says of a uid. */
static bool get_place(struct search_index *ix, const struct folder *f, uint32_t uid, int64_t *content, int64_t *saved, struct err *err)
{
    struct stmt *get = search_index_stmt(ix, SEARCH_PLACE);

    stmt_int(get, f->id);
    stmt_int(get, uid);
    *content = *saved = -1;
    if (stmt_row(get)) {
        *content = column_int(get, 0);
        *saved = column_int(get, 1);
    }
    return stmt_done(get, err);
}

static bool is_same_history(struct search_index *ix, struct folder *f, uint32_t upto, bool *same, struct err *err)
{
    struct store_message m;
    int64_t content, saved;
    uint32_t below, last;
    bool found;

    *same = upto < f->durable.uidnext;
    if (!*same)
        return true;
    if (!store_folder_load(ix->store, f, err))
        return false;
    below = upto == UINT32_MAX ? f->uids.count : uid_set_below(&f->uids, upto + 1);
    if (below == 0)
        return true;
    last = uid_set_at(&f->uids, below);
    if (!store_message_get(ix->store, f, last, &m, &found, err) || !get_place(ix, f, last, &content, &saved, err))
        return false;
    *same = found && m.content == content && m.saved == saved;
    return true;
}

bool search_index_verify(struct search_index *ix, struct folder *f, struct err *err)
{
    struct stmt *get;
    int64_t uidvalidity = f->uidvalidity, upto = 0;
    bool same;

    if (search_index_folder(ix, f->id) != NULL)
        return true;
    get = search_index_stmt(ix, SEARCH_FOLDER);
    stmt_int(get, f->id);
    if (stmt_row(get)) {
        uidvalidity = column_int(get, 0);
        upto = column_int(get, 1);
    }
    if (!stmt_done(get, err) || !is_same_history(ix, f, (uint32_t)upto, &same, err))
        return false;
    if (!same || uidvalidity != f->uidvalidity)
        return err_set(err, ERR_DAMAGED, "the search index is of another history of the mailbox");
    add_folder(ix, f, (uint32_t)upto);
    return true;
}

uint32_t search_index_upto(const struct search_index *ix, const struct folder *f)
{
    const struct indexed_folder *known = search_index_folder(ix, f->id);

    return known == NULL ? 0 : known->upto;
}

/* ---- finding ---- */

static bool find_docs(struct search_index *ix, struct str query, int64_t after, int64_t docs[SEARCH_INDEX_FIND], size_t *n,
    struct err *err)
{
    struct stmt *find = search_index_stmt(ix, SEARCH_FIND);

    stmt_str(find, query);
    stmt_int(find, after);
    stmt_int(find, SEARCH_INDEX_FIND);
    for (*n = 0; *n < SEARCH_INDEX_FIND && stmt_row(find); ++*n)
        docs[*n] = column_int(find, 0);
    return stmt_done(find, err);
}

static bool add_uids(struct search_index *ix, const struct folder *f, int64_t doc, struct uid_set *uids, struct err *err)
{
    struct stmt *get = search_index_stmt(ix, SEARCH_UIDS);

    stmt_int(get, doc);
    stmt_int(get, f->id);
    while (stmt_row(get))
        uid_set_add(uids, (uint32_t)column_int(get, 0));
    return stmt_done(get, err);
}

bool search_index_find(struct search_index *ix, const struct folder *f, struct str query, int64_t *after, struct uid_set *uids,
    struct err *err)
{
    int64_t docs[SEARCH_INDEX_FIND];
    size_t n;

    if (!search_index_commit(ix, err) || !find_docs(ix, query, *after, docs, &n, err))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!add_uids(ix, f, docs[i], uids, err))
            return false;
    *after = n < SEARCH_INDEX_FIND ? 0 : docs[n - 1];
    return true;
}

/* ---- looking at it ---- */

bool search_index_size(struct search_index *ix, struct search_index_size *size, struct err *err)
{
    int64_t unused;

    *size = (struct search_index_size){.docs = ix->docs, .places = ix->places};
    return db_size(ix->db, &size->bytes, &unused, err);
}

bool search_index_check(struct search_index *ix, struct err *err)
{
    return search_index_commit(ix, err) && db_check_pages(ix->db, err);
}
