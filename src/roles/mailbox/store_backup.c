/* Is a file that came from outside the database of a mailbox? See store.h.
 *
 * SQLite does what a file says: it has views in place of tables, computed columns, constraints that are expressions. So the file
 * must have our tables, with our columns, and nothing else, before and after it is brought to the newest schema. What is counted or
 * goes on from a number must be a number that a mailbox can have; what is told to clients as it stands (names, keywords) must be
 * text. Whether rows fit together is for `mailbox check`: whoever reads them believes none. */
#include "store_private.h"

#include <inttypes.h>

static bool is_none(struct err *err, const char *why)
{
    return err_set(err, ERR_DAMAGED, "this is no mailbox: %s", why);
}

/* The number that a query gives. */
static bool number(struct db *db, const char *sql, int64_t *value, struct err *err)
{
    struct stmt *ask = stmt_new(db, sql);
    bool done;

    *value = stmt_row(ask) ? column_int(ask, 0) : 0;
    done = stmt_done(ask, err);
    stmt_free(ask);
    return done;
}

bool backup_is_mailbox(struct db *db, struct err *err)
{
    static const char strange[] = "SELECT COUNT(*) FROM sqlite_schema WHERE type NOT IN ('table', 'index') OR rootpage = 0";
    static const char needed[] = "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('staffetta_schema', 'folder', 'message', "
                                 "'content', 'content_chunk', 'loose')";
    int64_t n, version;

    if (!number(db, strange, &n, err))
        return false;
    if (n > 0)
        return is_none(err, "it has more than tables");
    if (!number(db, needed, &n, err))
        return false;
    if (n != 6)
        return is_none(err, "it has not its tables");
    if (!db_version(db, &version, err))
        return false;
    return version > 0 || is_none(err, "it has no version");
}

/* ---- the same tables ---- */

/* Tables and indexes, and what is in them besides columns. */
static const char things[] = "SELECT type || ' ' || name || ' ' || tbl_name || CASE WHEN upper(COALESCE(sql, '')) GLOB '*[^A-Z]CHECK[^A-Z]*' "
    "OR upper(COALESCE(sql, '')) GLOB '*[^A-Z]AS[^A-Z]*' THEN ' with expressions' ELSE '' END FROM sqlite_schema ORDER BY 1";
static const char columns[] = "SELECT s.name || ' ' || c.cid || ' ' || c.name || ' ' || c.type || ' ' || c.pk || ' ' || c.hidden || ' ' || "
    "COALESCE(c.dflt_value, '') FROM sqlite_schema s, pragma_table_xinfo(s.name) c WHERE s.type = 'table' ORDER BY s.name, c.cid";

static bool next_is_same(struct stmt *a, struct stmt *b, bool *more)
{
    bool one = stmt_row(a), other = stmt_row(b);

    *more = one && other;
    return one == other && (!one || str_eq(column_str(a, 0), column_str(b, 0)));
}

static bool say_same(struct db *db, struct db *ours, const char *sql, struct err *err)
{
    struct stmt *a = stmt_new(db, sql), *b = stmt_new(ours, sql);
    bool more = true, same = true, done;

    while (same && more)
        same = next_is_same(a, b, &more);
    done = stmt_done(a, err);
    done = stmt_done(b, err) && done;
    stmt_free(a);
    stmt_free(b);
    return done && (same || is_none(err, "its tables are other ones"));
}

bool backup_has_our_tables(struct db *db, const char *const *steps, size_t n, struct err *err)
{
    struct db *ours;
    bool same;

    if (!db_open(&ours, ":memory:", DB_SYNC_LATER, 0, err))
        return false;
    same = db_migrate(ours, steps, n, err) && say_same(db, ours, things, err) && say_same(db, ours, columns, err);
    db_close(ours);
    return same;
}

/* ---- numbers ---- */

/* Each counts what no mailbox has. A uidvalidity is about the time in seconds; above these numbers no account could go on. */
static const struct {
    const char *sql, *what;
} checks[] = {
    {"SELECT COUNT(*) FROM folder WHERE id NOT BETWEEN 1 AND 1000000000000 OR uidvalidity NOT BETWEEN 1 AND 4000000000 OR "
     "uidnext NOT BETWEEN 1 AND 4294967296 OR modseq NOT BETWEEN 0 AND 1000000000000000000 OR expunged_floor > modseq OR expunged_floor < 0 OR "
     "messages NOT BETWEEN 0 AND 4294967295 OR unseen NOT BETWEEN 0 AND messages OR deleted NOT BETWEEN 0 AND messages OR "
     "bytes NOT BETWEEN 0 AND 1000000000000000000 OR deleted_bytes NOT BETWEEN 0 AND bytes", "folders with counters that cannot be"},
    {"SELECT COUNT(*) FROM message WHERE uid NOT BETWEEN 1 AND 4294967295 OR size NOT BETWEEN 0 AND 1000000000000 OR "
     "modseq NOT BETWEEN 0 AND 1000000000000000000", "messages with numbers that cannot be"},
    {"SELECT COUNT(*) FROM message m, folder f WHERE f.account = m.account AND f.id = m.folder AND f.special NOT IN ('\\gone', '\\swept') AND "
     "(m.uid >= f.uidnext OR m.modseq > f.modseq)", "messages above their folder's numbers"},
};

static bool is_plausible_block(struct str data, int64_t modseq)
{
    struct flag_block block;

    if (!flag_block_unpack(&block, data))
        return false;
    for (uint32_t i = 0; i < FLAG_BLOCK; i++)
        if (flag_block_has(&block, i) && (block.at[i].modseq < 0 || block.at[i].modseq > modseq || block.at[i].size < 0 ||
            block.at[i].size > INT64_C(1000000000000)))
            return false;
    return true;
}

/* What is packed has the bounds of `message`. */
static bool flags_are_plausible(struct db *db, struct err *err)
{
    struct stmt *walk = stmt_new(db, "SELECT b.data, f.modseq FROM flag_block b, folder f WHERE f.account = b.account AND f.id = b.folder AND "
        "f.special NOT IN ('\\gone', '\\swept')");
    bool plausible = true, done;

    while (plausible && stmt_row(walk))
        plausible = is_plausible_block(column_str(walk, 0), column_int(walk, 1));
    done = stmt_done(walk, err);
    stmt_free(walk);
    return done && (plausible || is_none(err, "it has blocks of flags with numbers that cannot be"));
}

bool backup_is_plausible(struct db *db, struct err *err)
{
    int64_t n = 0;

    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        if (!number(db, checks[i].sql, &n, err))
            return false;
        if (n > 0)
            return is_none(err, checks[i].what);
    }
    return flags_are_plausible(db, err);
}

/* ---- names ---- */

static bool has_control(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f)
            return true;
    return false;
}

static bool is_flag(struct str name)
{
    static const char never[] = "(){ %*\"\\]";

    for (size_t i = 0; i < sizeof never - 1; i++)
        if (str_find(name, never[i]) >= 0)
            return false;
    return name.n > 0 && !has_control(name);
}

static bool is_special(struct str special)
{
    return special.n == 0 || (special.p[0] == '\\' && is_flag(str_skip(special, 1)));
}

bool backup_names_are_plausible(struct store *s, struct err *err)
{
    if (s->folder_count > STORE_FOLDERS_MAX)
        return is_none(err, "it has too many folders");
    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;) {
        if (f->name.n == 0 || !str_is_utf8(f->name) || has_control(f->name) || !is_special(f->special))
            return is_none(err, "it has a folder with a name that cannot be");
        if (f->keyword_count > STORE_KEYWORDS_MAX)
            return is_none(err, "it has too many keywords");
        for (size_t i = 0; i < f->keyword_count; i++)
            if (!is_flag(f->keywords[i]))
                return is_none(err, "it has a keyword that cannot be");
    }
    return true;
}
