/* What is asked of an account's database, and in turns. See store_check.h.
 *
 * Each question is a statement that gives a row a thing; a turn ends between two rows, the statement stands there. Nothing is sorted,
 * grouped or remembered: rows come in the order of their keys. */
#include "store_check_private.h"
#include "base/clock.h"
#include "store_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TREE_ARENA = 16 * 1024 * 1024 };

#define WRONG_IF(what) "SELECT CASE WHEN " what " THEN 1 ELSE 0 END FROM "
#define NO_FOLDER(t) "NOT EXISTS (SELECT 1 FROM folder f WHERE f.account = " t ".account AND f.id = " t ".folder AND " IS_THERE ")"
#define NO_CONTENT(t, column) "NOT EXISTS (SELECT 1 FROM content c WHERE c.account = " t ".account AND c.id = " t "." column ")"
#define FOLDER_NUMBERS                                                                                                               \
    "f.id NOT BETWEEN 1 AND 1000000000000 OR f.uidvalidity NOT BETWEEN 1 AND 4000000000 OR f.uidnext NOT BETWEEN 1 AND 4294967296 " \
    "OR f.modseq NOT BETWEEN 0 AND 1000000000000000000 OR f.expunged_floor > f.modseq OR f.expunged_floor < 0 "                     \
    "OR f.messages NOT BETWEEN 0 AND 4294967295 OR f.unseen NOT BETWEEN 0 AND f.messages "                                           \
    "OR f.bytes NOT BETWEEN 0 AND 1000000000000000000"
#define FOLDER_AND_MESSAGES(more, own)                                                                                               \
    "SELECT f.id, f.uidnext, f.modseq, f.messages, f.bytes, f.unseen, " more ", m.uid, m.modseq, m.flags, m.size" own    \
    " FROM folder f LEFT JOIN message m ON m.account = f.account AND m.folder = f.id WHERE f.account = $1 AND " IS_THERE            \
    " ORDER BY f.id, m.uid"

struct question {
    unsigned what;
    int64_t since, before; /* versions of the schema; before 0: all later ones */
    const char *sql;
    const char *counts; /* without `row`: column 0 is 1 where something is wrong; so often is told */
    bool (*row)(struct store_check *c, struct stmt *row, struct err *err);
    bool (*end)(struct store_check *c, struct err *err);
};

/* In this order. A uidvalidity is about the time in seconds; above these numbers no account could go on. */
static const struct question questions[] = {
    {CHECK_PLAUSIBLE, 1, 0, WRONG_IF("f.account <> $1") "folder f", "folders of another account", NULL, NULL},
    {CHECK_PLAUSIBLE, 1, 2, WRONG_IF(FOLDER_NUMBERS) "folder f WHERE f.account = $1", "folders with counters that cannot be", NULL, NULL},
    {CHECK_PLAUSIBLE, 2, 0, WRONG_IF(FOLDER_NUMBERS " OR f.deleted NOT BETWEEN 0 AND f.messages OR f.deleted_bytes NOT BETWEEN 0 AND f.bytes")
     "folder f WHERE f.account = $1", "folders with counters that cannot be", NULL, NULL},
    {CHECK_PLAUSIBLE, 1, 0, WRONG_IF("m.uid NOT BETWEEN 1 AND 4294967295 OR m.size NOT BETWEEN 0 AND 1000000000000 OR "
     "m.modseq NOT BETWEEN 0 AND 1000000000000000000") "message m WHERE m.account = $1", "messages with numbers that cannot be", NULL, NULL},
    {CHECK_PLAUSIBLE, 1, 0, WRONG_IF("m.uid >= f.uidnext OR m.modseq > f.modseq") "message m, folder f WHERE m.account = $1 AND f.account = m.account "
     "AND f.id = m.folder AND " IS_THERE, "messages above their folder's numbers", NULL, NULL},
    {CHECK_PLAUSIBLE, 6, 0, "SELECT b.data, f.modseq FROM flag_block b, folder f WHERE b.account = $1 AND f.account = b.account AND f.id = b.folder "
     "AND " IS_THERE, NULL, check_flag_block, NULL},
    {CHECK_PLAUSIBLE, 1, 0, "SELECT f.id, f.name, f.special FROM folder f WHERE f.account = $1 AND " IS_THERE, NULL, check_folder_name,
     check_folder_names_end},
    {CHECK_PLAUSIBLE, 2, 0, "SELECT slot, name FROM keyword WHERE account = $1", NULL, check_keyword, NULL},

    {CHECK_SOUND, 1, 2, FOLDER_AND_MESSAGES("0, 0, 0", ""), NULL, check_message, check_messages_end},
    {CHECK_SOUND, 2, 0, FOLDER_AND_MESSAGES("f.deleted, f.deleted_bytes, f.blocks", ", m.more"), NULL, check_message, check_messages_end},
    {CHECK_SOUND, 1, 0, WRONG_IF(IS_THERE " AND (e.uid >= f.uidnext OR e.modseq > f.modseq)") "expunged e, folder f WHERE e.account = $1 AND "
     "f.account = e.account AND f.id = e.folder", "folders behind what was removed from them", NULL, NULL},
    {CHECK_SOUND, 1, 0, WRONG_IF("EXISTS (SELECT 1 FROM message m WHERE m.account = e.account AND m.folder = e.folder AND m.uid = e.uid)")
     "expunged e WHERE e.account = $1", "removed messages that are there", NULL, NULL},
    {CHECK_SOUND, 1, 0, WRONG_IF("NOT EXISTS (SELECT 1 FROM folder f WHERE f.account = m.account AND f.id = m.folder)")
     "message m WHERE m.account = $1", "messages without a folder", NULL, NULL},
    {CHECK_SOUND, 1, 0, WRONG_IF("EXISTS (SELECT 1 FROM loose l WHERE l.account = m.account AND l.content = m.content)")
     "message m WHERE m.account = $1", "contents in use that would be swept", NULL, NULL},
    {CHECK_SOUND, 1, 0, "SELECT content, size FROM message WHERE account = $1", NULL, check_use, check_uses_end},
    {CHECK_SOUND, 1, 0, "SELECT id, size, LENGTH(head), refs FROM content WHERE account = $1 ORDER BY id", NULL, check_content, check_contents_end},
    {CHECK_SOUND, 1, 0, WRONG_IF(NO_CONTENT("k", "content")) "content_chunk k WHERE k.account = $1", "pieces without a content", NULL, NULL},
    {CHECK_SOUND, 4, 0, WRONG_IF("s.extra < 0 OR " NO_CONTENT("s", "content")) "content_shared s WHERE s.account = $1",
     "references without a content", NULL, NULL},
    {CHECK_SOUND, 6, 0, WRONG_IF("NOT EXISTS (SELECT 1 FROM folder f, uid_block u WHERE f.account = b.account AND f.id = b.folder AND u.account = b.account AND "
     "u.folder = b.folder AND u.number = b.number / 8)") "flag_block b WHERE b.account = $1", "blocks of flags without messages", NULL, NULL},
    {CHECK_SOUND, 2, 0, WRONG_IF(NO_CONTENT("i", "content")) "content_info i WHERE i.account = $1", "summaries without a content", NULL, NULL},
    {CHECK_SOUND, 2, 0, WRONG_IF(NO_CONTENT("t", "content")) "content_tree t WHERE t.account = $1", "structures without a content", NULL, NULL},
    {CHECK_SOUND, 2, 0, "SELECT tree FROM content_tree WHERE account = $1", NULL, check_tree, NULL},
    {CHECK_SOUND, 3, 0, WRONG_IF("a.folder <> CAST(0 AS BIGINT) AND " NO_FOLDER("a")) "annotation a WHERE a.account = $1",
     "annotations without a folder", NULL, NULL},
    {CHECK_SOUND, 7, 0, WRONG_IF(NO_FOLDER("a")) "acl a WHERE a.account = $1", "access control entries without a folder", NULL, NULL},
    {CHECK_SOUND, 7, 0, WRONG_IF("a.rights < CAST(1 AS BIGINT) OR a.grantee < CAST(0 AS BIGINT)") "acl a WHERE a.account = $1",
     "access control entries without sense", NULL, NULL},
    {CHECK_SOUND, 2, 0, WRONG_IF("MIN(slot) <> 0 OR MAX(slot) <> COUNT(*) - 1 OR COUNT(DISTINCT LOWER(name)) <> COUNT(*)")
     "keyword WHERE account = $1 GROUP BY folder", "folders whose keywords are out of order", NULL, NULL},
    {CHECK_SOUND, 1, 0, WRONG_IF("stored < CAST(0 AS BIGINT)") "delivered WHERE account = $1", "deliveries without a time", NULL, NULL},
    {CHECK_SOUND, 5, 0, WRONG_IF("LENGTH(mark) < 1") "imported WHERE account = $1", "marks of imports that are empty", NULL, NULL},
};
enum { QUESTIONS = sizeof questions / sizeof *questions };

struct stmt *check_ask(struct store_check *c, enum check_sql sql)
{
    static const char *const texts[CHECK_SQL_COUNT] = {
        [CHECK_FLAGS] = "SELECT data FROM flag_block WHERE account = $1 AND folder = $2 AND number = $3",
        [CHECK_BLOCK] = "SELECT modseq, unseen, bits FROM uid_block WHERE account = $1 AND folder = $2 AND number = $3",
        [CHECK_BLOCKS] = "SELECT COUNT(*) FROM uid_block WHERE account = $1 AND folder = $2",
        [CHECK_KEYWORDS] = "SELECT COUNT(*) FROM keyword WHERE account = $1 AND folder = $2",
        [CHECK_SIZE] = "SELECT size FROM content WHERE account = $1 AND id = $2",
        [CHECK_LOOSE] = "SELECT 1 FROM loose WHERE account = $1 AND content = $2",
        [CHECK_EXTRA] = "SELECT extra FROM content_shared WHERE account = $1 AND content = $2",
        [CHECK_PIECES] = "SELECT start, LENGTH(data) FROM content_chunk WHERE account = $1 AND content = $2 ORDER BY start",
        [CHECK_CHUNKS] = "SELECT start, data FROM content_chunk WHERE account = $1 AND content = $2 ORDER BY start",
    };

    if (c->asked[sql] == NULL)
        c->asked[sql] = stmt_new(c->db, texts[sql]);
    stmt_int(c->asked[sql], c->account);
    return c->asked[sql];
}

bool check_number(struct stmt *asked, int64_t otherwise, int64_t *value, struct err *err)
{
    *value = stmt_row(asked) ? column_int(asked, 0) : otherwise;
    return stmt_done(asked, err);
}

bool check_found(struct err *err, const char *what)
{
    return err_set(err, ERR_DAMAGED, "%s", what);
}

uint64_t check_reference(const struct store_check *c, int64_t content)
{
    unsigned char hash[crypto_shorthash_BYTES];
    uint64_t number;

    crypto_shorthash(hash, (const unsigned char *)&content, sizeof content, c->key);
    memcpy(&number, hash, sizeof number);
    return number;
}

/* ---- turns ---- */

static bool find_account(struct store_check *c, struct err *err)
{
    struct stmt *find = stmt_new(c->db, "SELECT MIN(account) FROM folder");
    bool done = check_number(find, 0, &c->account, err);

    stmt_free(find);
    return done;
}

bool store_check_new(struct store_check **check, struct db *db, unsigned what, struct err *err)
{
    struct store_check *c = xcalloc(1, sizeof *c);

    c->db = db;
    c->what = what;
    crypto_shorthash_keygen(c->key);
    arena_init(&c->arena, TREE_ARENA);
    *check = c;
    if (db_version(db, &c->version, err) && find_account(c, err))
        return true;
    store_check_free(c);
    *check = NULL;
    return false;
}

void store_check_free(struct store_check *c)
{
    if (c == NULL)
        return;
    if (c->walk != NULL)
        stmt_free(c->walk);
    for (size_t i = 0; i < CHECK_SQL_COUNT; i++)
        if (c->asked[i] != NULL)
            stmt_free(c->asked[i]);
    arena_clear(&c->arena);
    free(c);
}

const struct store_checked *store_check_numbers(const struct store_check *c)
{
    return &c->numbers;
}

static bool is_asked(const struct store_check *c, const struct question *q)
{
    return (q->what & c->what) != 0 && q->since <= c->version && (q->before == 0 || c->version < q->before);
}

/* *more: time is over, rows are left. */
static bool walk_rows(struct store_check *c, const struct question *q, int64_t until, bool *more, struct err *err)
{
    *more = false;
    while (stmt_row(c->walk)) {
        if (q->row == NULL)
            c->wrong += column_int(c->walk, 0);
        else if (!q->row(c, c->walk, err))
            return false;
        *more = clock_monotonic() >= until;
        if (*more)
            return true;
    }
    return stmt_done(c->walk, err);
}

static bool end_question(struct store_check *c, const struct question *q, struct err *err)
{
    stmt_free(c->walk);
    c->walk = NULL;
    c->at++;
    if (q->end != NULL)
        return q->end(c, err);
    return c->wrong == 0 || err_set(err, ERR_DAMAGED, "%" PRId64 " %s", c->wrong, q->counts);
}

bool store_check_step(struct store_check *c, int64_t until, bool *done, struct err *err)
{
    bool more;

    for (*done = false; c->at < QUESTIONS;) {
        const struct question *q = &questions[c->at];

        if (!is_asked(c, q)) {
            c->at++;
            continue;
        }
        if (c->walk == NULL) {
            c->walk = stmt_new(c->db, q->sql);
            stmt_int(c->walk, c->account);
            c->wrong = 0;
        }
        if (!walk_rows(c, q, until, &more, err))
            return false;
        if (more)
            return true;
        if (!end_question(c, q, err))
            return false;
    }
    *done = true;
    return true;
}

/* ---- all at once ---- */

static bool check_all(struct db *db, unsigned what, struct err *err)
{
    struct store_check *c;
    bool done = store_check_new(&c, db, what, err) && store_check_step(c, INT64_MAX, &(bool){false}, err);

    store_check_free(c);
    return done;
}

bool store_check(struct store *s, struct err *err)
{
    return db_check_integrity(s->db, err) && check_all(s->db, CHECK_SOUND, err);
}
