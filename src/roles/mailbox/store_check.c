/* Looks for mistakes in an account's database: sums, references, contents, blocks of uids, keywords, summaries. See
 * store.h. */
#include "store_private.h"
#include "mime/part_blob.h"

#include <inttypes.h>

enum { TREE_ARENA = 16 * 1024 * 1024 };

/* A deleted folder's row is not kept up any more. */
#define IS_THERE "f.special NOT IN ('\\gone', '\\swept')"

/* Each counts what must not be there. */
static const struct {
    const char *sql, *what;
} checks[] = {
    {"SELECT COUNT(*) FROM folder f WHERE f.account = $1 AND " IS_THERE " AND "
     "(f.messages, f.bytes) <> "
     "(SELECT COUNT(*), COALESCE(SUM(m.size), 0) FROM message m WHERE m.account = f.account AND m.folder = f.id)",
     "folders with wrong totals"},
    {"SELECT COUNT(*) FROM folder f WHERE f.account = $1 AND " IS_THERE " AND EXISTS (SELECT 1 FROM message m WHERE "
     "m.account = f.account AND m.folder = f.id AND m.uid >= f.uidnext)",
     "folders behind their messages"},
    {"SELECT COUNT(*) FROM expunged e, folder f WHERE e.account = $1 AND f.account = e.account AND f.id = e.folder AND "
     IS_THERE " AND (e.uid >= f.uidnext OR e.modseq > f.modseq)", "folders behind what was removed from them"},
    {"SELECT COUNT(*) FROM expunged e, message m WHERE e.account = $1 AND m.account = e.account AND m.folder = e.folder AND "
     "m.uid = e.uid", "removed messages that are there"},
    {"SELECT COUNT(*) FROM message m WHERE m.account = $1 AND NOT EXISTS (SELECT 1 FROM folder f WHERE f.account = m.account "
     "AND f.id = m.folder)", "messages without a folder"},
    {"SELECT COUNT(*) FROM message m WHERE m.account = $1 AND NOT EXISTS (SELECT 1 FROM content c "
     "WHERE c.account = m.account AND c.id = m.content AND c.size = m.size)",
     "messages without their content"},
    {"SELECT COUNT(*) FROM content c LEFT JOIN (SELECT content, COUNT(*) AS uses FROM message WHERE account = $1 "
     "GROUP BY content) m ON m.content = c.id LEFT JOIN content_shared s ON s.account = c.account AND s.content = c.id "
     "WHERE c.account = $1 AND NOT EXISTS (SELECT 1 FROM loose l WHERE l.account = c.account AND l.content = c.id) "
     "AND COALESCE(m.uses, 0) <> 1 + COALESCE(s.extra, 0)", "contents with wrong references"},
    {"SELECT COUNT(*) FROM content c WHERE c.account = $1 AND NOT EXISTS (SELECT 1 FROM loose l WHERE l.account = c.account "
     "AND l.content = c.id) AND c.size <> LENGTH(c.head) + (SELECT COALESCE(SUM(LENGTH(k.data)), 0) FROM content_chunk k "
     "WHERE k.account = c.account AND k.content = c.id)", "contents with missing pieces"},
    {"SELECT COUNT(*) FROM message m, loose l WHERE m.account = $1 AND l.account = m.account AND l.content = m.content",
     "contents in use that would be swept"},
    {"SELECT COUNT(*) FROM flag_block b WHERE b.account = $1 AND NOT EXISTS (SELECT 1 FROM folder f, uid_block u WHERE f.account = "
     "b.account AND f.id = b.folder AND u.account = b.account AND u.folder = b.folder AND u.number = b.number / 8)",
     "blocks of flags without messages"},
    {"SELECT COUNT(*) FROM content_shared s WHERE s.account = $1 AND (s.extra < 0 OR NOT EXISTS (SELECT 1 FROM content c "
     "WHERE c.account = s.account AND c.id = s.content))", "references without a content"},
    {"SELECT COUNT(*) FROM content_chunk k WHERE k.account = $1 AND NOT EXISTS (SELECT 1 FROM content c WHERE "
     "c.account = k.account AND c.id = k.content)", "pieces without a content"},
    {"SELECT COUNT(*) FROM content_info i WHERE i.account = $1 AND NOT EXISTS (SELECT 1 FROM content c WHERE "
     "c.account = i.account AND c.id = i.content)", "summaries without a content"},
    {"SELECT COUNT(*) FROM content_tree t WHERE t.account = $1 AND NOT EXISTS (SELECT 1 FROM content c WHERE "
     "c.account = t.account AND c.id = t.content)", "structures without a content"},
    {"SELECT COUNT(*) FROM annotation a WHERE a.account = $1 AND a.folder <> CAST(0 AS BIGINT) AND NOT EXISTS (SELECT 1 FROM folder f "
     "WHERE f.account = a.account AND f.id = a.folder AND " IS_THERE ")", "annotations without a folder"},
    {"SELECT COUNT(*) FROM acl a WHERE a.account = $1 AND NOT EXISTS (SELECT 1 FROM folder f "
     "WHERE f.account = a.account AND f.id = a.folder AND " IS_THERE ")", "access control entries without a folder"},
    {"SELECT COUNT(*) FROM acl WHERE account = $1 AND (rights < CAST(1 AS BIGINT) OR grantee < CAST(0 AS BIGINT))", "access control entries without sense"},
    {"SELECT COUNT(*) FROM (SELECT folder, COUNT(*) AS n, MIN(slot) AS low, MAX(slot) AS high, COUNT(DISTINCT LOWER(name)) "
     "AS names FROM keyword WHERE account = $1 GROUP BY folder) k WHERE low <> 0 OR high <> n - 1 OR names <> n",
     "folders whose keywords are out of order"},
};

static bool run_check(struct store *s, size_t i, struct err *err)
{
    struct stmt *check = stmt_new(s->db, checks[i].sql);
    int64_t wrong;
    bool done;

    stmt_int(check, s->account);
    wrong = stmt_row(check) ? column_int(check, 0) : 0;
    done = stmt_done(check, err);
    stmt_free(check);
    if (!done)
        return false;
    return wrong == 0 || err_set(err, ERR_PERMANENT, "%" PRId64 " %s", wrong, checks[i].what);
}

static bool check_folders(struct store *s, struct err *err)
{
    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;) {
        const char *why;

        if (!uids_check(s, f, &why, err))
            return false;
        if (why != NULL)
            return err_set(err, ERR_PERMANENT, "folder %" PRId64 ": %s", f->id, why);
    }
    return true;
}

/* An empty one is not damaged: there was no room for it. */
static bool check_trees(struct store *s, struct err *err)
{
    struct stmt *walk = stmt_new(s->db, "SELECT content, tree FROM content_tree WHERE account = $1");
    struct arena arena;
    int64_t damaged = 0;
    bool done;

    arena_init(&arena, TREE_ARENA);
    stmt_int(walk, s->account);
    while (stmt_row(walk)) {
        struct str tree = column_str(walk, 1);

        if (tree.n > 0 && mime_tree_unpack(tree, &arena) == NULL)
            damaged++;
        arena_clear(&arena);
    }
    done = stmt_done(walk, err);
    stmt_free(walk);
    arena_clear(&arena);
    if (!done)
        return false;
    return damaged == 0 || err_set(err, ERR_PERMANENT, "%" PRId64 " structures are damaged", damaged);
}

bool store_check(struct store *s, struct err *err)
{
    if (!db_check_integrity(s->db, err))
        return false;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (!run_check(s, i, err))
            return false;
    return check_folders(s, err) && check_trees(s, err);
}
