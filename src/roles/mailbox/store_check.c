/* Looks for mistakes in an account's database: sums, references, contents, blocks of uids. See store.h. */
#include "store_private.h"

#include <inttypes.h>

/* Each counts what must not be there. */
static const struct {
    const char *sql, *what;
} checks[] = {
    {"SELECT COUNT(*) FROM folder f WHERE f.account = $1 AND f.special <> '\\gone' AND "
     "(f.messages, f.bytes, f.unseen, f.deleted, f.deleted_bytes) <> "
     "(SELECT COUNT(*), COALESCE(SUM(m.size), 0), COALESCE(SUM(1 - m.flags % 2), 0), COALESCE(SUM(m.flags / 8 % 2), 0), "
     "COALESCE(SUM(m.flags / 8 % 2 * m.size), 0) FROM message m WHERE m.account = f.account AND m.folder = f.id)",
     "folders with wrong totals"},
    {"SELECT COUNT(*) FROM folder f WHERE f.account = $1 AND f.blocks = 1 AND f.special <> '\\gone' AND "
     "(SELECT COUNT(*) FROM message m WHERE m.account = f.account AND m.folder = f.id AND NOT EXISTS (SELECT 1 FROM "
     "uid_block b WHERE b.account = f.account AND b.folder = f.id AND b.number = m.uid / 1024 AND b.modseq >= m.modseq)) > 0",
     "folders whose blocks of uids lack messages"},
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
