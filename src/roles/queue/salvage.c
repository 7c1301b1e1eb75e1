#include "salvage.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/msgid.h"
#include "columns.h"
#include "store.h"

#include "0001.sql.h"
#include "0002.sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EACH_COMMIT = 500, MISSES = 64 };

/* Of the columns: i number, t text, b bytes. */
static const char message_kinds[] = "iiiiiiiiiiiittttttttb", rcpt_kinds[] = "iiiiiiiiiiiiiittttt";
enum { MESSAGE_SIZE = 10, MESSAGE_HEAD_SIZE = 11, MESSAGE_SENDER = 12, MESSAGE_HEAD = 20 };
enum { RCPT_N = 1, RCPT_DUE = 4, RCPT_EXPIRES = 5, RCPT_ADDRESS = 14 };

struct ids {
    int64_t *list;
    size_t n, room;
};

struct salvage {
    struct db *from, *to;
    struct stmt *next_message, *next_rcpt_message, *next_due, *message, *rcpts, *rcpt, *chunk;
    struct stmt *add_message, *add_rcpt, *add_chunk;
    struct ids ids;
    bool hole; /* a recipient of this message is not known */
    struct salvage_result *result;
};

static void add_id(struct ids *ids, int64_t id)
{
    if (ids->n > 0 && ids->list[ids->n - 1] == id)
        return;
    if (ids->n == ids->room) {
        ids->room = ids->room == 0 ? 1024 : ids->room * 2;
        ids->list = xrealloc(ids->list, ids->room * sizeof *ids->list);
    }
    ids->list[ids->n++] = id;
}

/* ---- walks that step over what cannot be read ---- */

enum step { STEP_FOUND, STEP_END, STEP_DAMAGED };

/* The first key above `after`; the id of its message. */
typedef enum step step_fn(struct salvage *s, int64_t after, int64_t *key);

static enum step take(struct stmt *st, int64_t *key)
{
    bool found = stmt_row(st);

    if (found)
        *key = column_int(st, 0);
    return !stmt_done(st, NULL) ? STEP_DAMAGED : found ? STEP_FOUND : STEP_END;
}

static enum step step_message(struct salvage *s, int64_t after, int64_t *key)
{
    enum step step;

    stmt_int(s->next_message, after);
    step = take(s->next_message, key);
    if (step == STEP_FOUND)
        add_id(&s->ids, *key);
    return step;
}

static enum step step_rcpt(struct salvage *s, int64_t after, int64_t *key)
{
    enum step step;

    stmt_int(s->next_rcpt_message, after);
    step = take(s->next_rcpt_message, key);
    if (step == STEP_FOUND)
        add_id(&s->ids, *key);
    return step;
}

/* Beyond damage that begins after `after`: the nearest place from which there is something to read again. */
static int64_t leap(struct salvage *s, step_fn *next, int64_t after)
{
    int64_t low = after, high = after, key;

    for (int64_t far = 1; next(s, high, &key) == STEP_DAMAGED; far *= 2) {
        low = high;
        if (far > INT64_MAX / 4 || high > INT64_MAX - far)
            return INT64_MAX;
        high += far;
    }
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;

        *(next(s, middle, &key) == STEP_DAMAGED ? &low : &high) = middle;
    }
    return high;
}

static void walk(struct salvage *s, step_fn *next)
{
    int64_t at = 0, key = 0;
    enum step step;

    while ((step = next(s, at, &key)) != STEP_END && at != INT64_MAX)
        at = step == STEP_FOUND ? key : leap(s, next, at);
}

/* The index has the ids, too, in another order; every one between damaged pages. */
static void walk_due(struct salvage *s, int64_t state, int64_t class)
{
    int64_t place[4] = {0};
    bool more = true;

    while (more) {
        stmt_int(s->next_due, state);
        stmt_int(s->next_due, class);
        for (int i = 0; i < 4; i++)
            stmt_int(s->next_due, place[i]);
        more = stmt_row(s->next_due);
        for (int i = 0; more && i < 4; i++)
            place[i] = column_int(s->next_due, i);
        if (more)
            add_id(&s->ids, place[2]);
        if (stmt_done(s->next_due, NULL))
            continue;
        if (place[0] > INT64_MAX - HOUR || place[0] > clock_now() + 400 * DAY)
            return;
        /* Damage: an hour further on. What is between is found through the tables. */
        place[0] = (place[0] == 0 ? clock_now() - 400 * DAY : place[0]) + HOUR;
        place[1] = place[2] = place[3] = 0;
        more = true;
    }
}

static int compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void gather_ids(struct salvage *s)
{
    size_t n = 0;

    walk(s, step_message);
    walk(s, step_rcpt);
    for (int64_t state = RCPT_WAITING; state <= RCPT_HELD; state++)
        for (int64_t class = 0; class < CLASS_COUNT; class++)
            walk_due(s, state, class);
    qsort(s->ids.list, s->ids.n, sizeof *s->ids.list, compare);
    for (size_t i = 0; i < s->ids.n; i++)
        if (n == 0 || s->ids.list[n - 1] != s->ids.list[i])
            s->ids.list[n++] = s->ids.list[i];
    s->ids.n = n;
}

/* ---- one message ---- */

/* SQLite has no checksums: what the disk did not give is known by its mark. */
static bool has_hole(struct str bytes)
{
    return bytes.n >= SALVAGE_HOLE_LENGTH && memmem(bytes.p, bytes.n, SALVAGE_HOLE, SALVAGE_HOLE_LENGTH) != NULL;
}

static bool row_has_hole(struct stmt *row, const char *kinds)
{
    for (int i = 0; kinds[i]; i++)
        if (kinds[i] != 'i' && has_hole(column_str(row, i)))
            return true;
    return false;
}

static void bind_column(struct stmt *to, struct stmt *from, char kind, int i)
{
    if (kind == 'i')
        stmt_int(to, column_int(from, i));
    else if (kind == 't')
        stmt_str(to, column_str(from, i));
    else
        stmt_blob(to, column_str(from, i));
}

static void bind_row(struct stmt *to, struct stmt *from, const char *kinds)
{
    for (int i = 0; kinds[i]; i++)
        bind_column(to, from, kinds[i], i);
}

struct found {
    int64_t body, copied;  /* bytes beyond head */
    char sender[400];
};

/* False with *why when it cannot be saved; err when the new database fails. */
static bool copy_message(struct salvage *s, int64_t id, struct found *f, const char **why, struct err *err)
{
    bool found, whole;

    stmt_int(s->message, id);
    found = stmt_row(s->message);
    if (found) {
        struct str sender = column_str(s->message, MESSAGE_SENDER);

        snprintf(f->sender, sizeof f->sender, "%.*s", STR_ARG(sender));
        f->body = column_int(s->message, MESSAGE_SIZE) - column_int(s->message, MESSAGE_HEAD_SIZE);
        whole = (int64_t)column_str(s->message, MESSAGE_HEAD).n == column_int(s->message, MESSAGE_HEAD_SIZE) &&
                !row_has_hole(s->message, message_kinds);
        bind_row(s->add_message, s->message, message_kinds);
        if (!stmt_run(s->add_message, err))
            return false;
    }
    if (!stmt_done(s->message, NULL) || !found || !whole) {
        *why = "its envelope cannot be read";
        return false;
    }
    return true;
}

static bool copy_body(struct salvage *s, int64_t id, struct found *f, const char **why, struct err *err)
{
    for (int64_t seq = 0; f->copied < f->body; seq++) {
        size_t n = 0;
        bool read;

        stmt_int(s->chunk, id);
        stmt_int(s->chunk, seq);
        if (stmt_row(s->chunk)) {
            struct str data = column_str(s->chunk, 0);

            n = has_hole(data) ? 0 : data.n;
            stmt_int(s->add_chunk, id);
            stmt_int(s->add_chunk, seq);
            stmt_blob(s->add_chunk, data);
            if (!stmt_run(s->add_chunk, err))
                return false;
        }
        read = stmt_done(s->chunk, NULL) && n > 0;
        f->copied += (int64_t)n;
        if (!read || f->copied > f->body) {
            *why = "a part of its body cannot be read";
            return false;
        }
    }
    return true;
}

/* A date with a flipped bit may break the one rule of the table: such a recipient is due at once. */
static bool add_rcpt(struct salvage *s, struct stmt *from, size_t *n, struct err *err)
{
    int64_t due = column_int(from, RCPT_DUE), expires = column_int(from, RCPT_EXPIRES);

    if (row_has_hole(from, rcpt_kinds)) {
        s->hole = true;
        return true;
    }
    ++*n;
    for (int i = 0; rcpt_kinds[i]; i++) {
        if (i == RCPT_DUE && due > expires)
            stmt_int(s->add_rcpt, expires < 0 ? expires : 0);
        else
            bind_column(s->add_rcpt, from, rcpt_kinds[i], i);
    }
    return stmt_run(s->add_rcpt, err);
}

/* One by one, by number: those before and behind a damaged page. */
static bool copy_rcpts_singly(struct salvage *s, int64_t id, int64_t n, size_t *copied, struct err *err)
{
    for (int misses = 0; misses < MISSES; n++) {
        bool added = true, found;

        stmt_int(s->rcpt, id);
        stmt_int(s->rcpt, n);
        found = stmt_row(s->rcpt);
        if (found)
            added = add_rcpt(s, s->rcpt, copied, err);
        misses = stmt_done(s->rcpt, NULL) && found ? 0 : misses + 1;
        if (!added)
            return false;
    }
    return true;
}

static bool copy_rcpts(struct salvage *s, int64_t id, size_t *copied, const char **why, struct err *err)
{
    int64_t last = -1;
    bool added = true;

    *copied = 0;
    s->hole = false;
    stmt_int(s->rcpts, id);
    while (added && stmt_row(s->rcpts)) {
        last = column_int(s->rcpts, RCPT_N);
        added = add_rcpt(s, s->rcpts, copied, err);
    }
    if (stmt_done(s->rcpts, NULL) && added) {
        *why = *copied == 0 ? "none of its recipients is left" : NULL;
        s->result->doubtful += s->hole && *copied > 0;
        return *copied > 0;
    }
    if (!added || !copy_rcpts_singly(s, id, last + 1, copied, err))
        return false;
    *why = "its recipients cannot be read";
    if (*copied > 0)
        s->result->doubtful++;
    return *copied > 0;
}

static void say_lost(struct salvage *s, int64_t id, const struct found *f, const char *why)
{
    char text[MSGID_TEXT + 1];

    msgid_format((uint64_t)id, text);
    printf("lost %s from <%s>: %s\n", text, f->sender, why);
    s->result->lost++;
}

/* In a savepoint of its own, so that a part of a message is never left. */
static bool save_one(struct salvage *s, int64_t id, struct err *err)
{
    struct found f = {0};
    const char *why = NULL;
    size_t rcpts = 0;
    bool saved;

    if (!db_exec(s->to, "SAVEPOINT one", err))
        return false;
    saved = copy_message(s, id, &f, &why, err) && copy_rcpts(s, id, &rcpts, &why, err) &&
            copy_body(s, id, &f, &why, err);
    if (!saved && why == NULL)
        return false;
    if (!saved && !db_exec(s->to, "ROLLBACK TO one", err))
        return false;
    if (!saved)
        say_lost(s, id, &f, why);
    s->result->messages += saved;
    s->result->recipients += saved ? rcpts : 0;
    return db_exec(s->to, "RELEASE one", err);
}

static bool save_all(struct salvage *s, struct err *err)
{
    for (size_t i = 0; i < s->ids.n; i++) {
        if (i % EACH_COMMIT == 0 && i > 0 && !db_commit(s->to, err))
            return false;
        if (i % EACH_COMMIT == 0 && !db_begin(s->to, err))
            return false;
        if (!save_one(s, s->ids.list[i], err)) {
            db_rollback(s->to);
            return false;
        }
    }
    return s->ids.n == 0 || db_commit(s->to, err);
}

/* ---- the two databases ---- */

static void prepare(struct salvage *s)
{
    s->next_message = stmt_new(s->from, "SELECT id FROM message WHERE id > $1 ORDER BY id LIMIT 1");
    s->next_rcpt_message =
        stmt_new(s->from, "SELECT message FROM recipient WHERE message > $1 ORDER BY message LIMIT 1");
    s->next_due = stmt_new(s->from, "SELECT due, expires, message, n FROM recipient WHERE state = $1 AND class = $2 "
        "AND (due, expires, message, n) > ($3, $4, $5, $6) ORDER BY due, expires, message, n LIMIT 1");
    s->message = stmt_new(s->from, "SELECT " MESSAGE_COLUMNS ", head FROM message WHERE id = $1");
    s->rcpts = stmt_new(s->from, "SELECT " RCPT_COLUMNS " FROM recipient WHERE message = $1 ORDER BY n");
    s->rcpt = stmt_new(s->from, "SELECT " RCPT_COLUMNS " FROM recipient WHERE message = $1 AND n = $2");
    s->chunk = stmt_new(s->from, "SELECT data FROM chunk WHERE message = $1 AND seq = $2");
    s->add_message = stmt_new(s->to, "INSERT INTO message (" MESSAGE_COLUMNS ", head) VALUES ($1, $2, $3, $4, $5, $6, $7, "
        "$8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)");
    s->add_rcpt = stmt_new(s->to, "INSERT INTO recipient (" RCPT_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, "
        "$9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) ON CONFLICT DO NOTHING");
    s->add_chunk = stmt_new(s->to, "INSERT INTO chunk (message, seq, data) VALUES ($1, $2, $3)");
}

static bool text_of(struct db *db, const char *table, struct buf *text, struct err *err)
{
    struct stmt *s = stmt_new(db, "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = $1");
    bool done;

    buf_reset(text);
    stmt_str(s, str_of(table));
    if (stmt_row(s))
        buf_add(text, column_str(s, 0));
    done = stmt_done(s, err);
    stmt_free(s);
    return done;
}

/* The tables must be those that the statements were written for: another kind of database, or a damaged first page,
 * has others. */
static bool is_shard(struct salvage *s, struct err *err)
{
    static const char *const tables[] = {"message", "recipient", "chunk"};
    struct buf there, wanted;
    bool is = true;

    buf_init(&there, 65536);
    buf_init(&wanted, 65536);
    for (size_t i = 0; is && i < sizeof tables / sizeof *tables; i++) {
        is = text_of(s->from, tables[i], &there, err) && text_of(s->to, tables[i], &wanted, err);
        if (is && !str_eq(buf_str(&there), buf_str(&wanted)))
            is = err_set(err, ERR_PERMANENT, "no shard of the queue, or damaged where it says what it holds (table %s): "
                "nothing can be saved", tables[i]);
    }
    buf_clear(&there);
    buf_clear(&wanted);
    return is;
}

/* The books begin with what was saved. */
static bool open_books(struct db *db, struct err *err)
{
    struct stmt *books = stmt_new(db, "UPDATE ledger SET since = $1, messages = (SELECT count(*) FROM message), "
        "accepted = (SELECT count(*) FROM recipient)");
    bool done;

    stmt_int(books, clock_now());
    done = stmt_run(books, err);
    stmt_free(books);
    return done;
}

bool salvage_copy(const char *damaged, const char *fresh, struct salvage_result *result, struct err *err)
{
    static const char *const steps[] = {schema_queue_0001, schema_queue_0002};
    struct salvage s = {.result = result};
    bool done;

    *result = (struct salvage_result){0};
    if (!db_open_read_only(&s.from, damaged, err))
        return err_prefix(err, "nothing of it can be read");
    done = db_open(&s.to, fresh, DB_SYNC_FULL, 1000, err) &&
           db_migrate(s.to, steps, sizeof steps / sizeof steps[0], err) && is_shard(&s, err);
    if (done) {
        prepare(&s);
        gather_ids(&s);
        done = save_all(&s, err) && open_books(s.to, err);
    }
    db_close(s.from);
    db_close(s.to);
    free(s.ids.list);
    return done;
}
