/* Statements and rows of the shard's database. The format is in schema/queue; the states and the
 * crash argument in docs/queue.md. */
#include "store.h"

#include "base/buf.h"
#include "columns.h"
#include "lock.h"

#include "0001.sql.h"
#include "0002.sql.h"

#include <stdlib.h>
#include <unistd.h>

enum statement {
    ADD_MESSAGE, ADD_RCPT, ADD_CHUNK, DROP_CHUNKS, DELETE_RCPT, DEFER_RCPT, SET_DUE, HOLD_RCPT, RELEASE_RCPT,
    REMOVE_IF_DONE, FIND_MESSAGE, READ_HEAD, READ_CHUNK, HAS_ADDRESS, LAST_N, FIND_RCPT, DUE, SCAN, STRETCH, MATCH, SWEEP,
    NEXT_DUE, OLDEST_HOLD, LAST_MESSAGE, NEXT_CHUNKED, STATEMENT_COUNT,
};

static const char *const sql[STATEMENT_COUNT] = {
    [ADD_MESSAGE] = "INSERT INTO message (" MESSAGE_COLUMNS ", head) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
                    "$11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) ON CONFLICT DO NOTHING",
    [ADD_RCPT] = "INSERT INTO recipient (" RCPT_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
                 "$11, $12, $13, $14, $15, $16, $17, $18, $19)",
    [ADD_CHUNK] = "INSERT INTO chunk (message, seq, data) VALUES ($1, $2, $3)",
    [DROP_CHUNKS] = "DELETE FROM chunk WHERE message = $1",
    [DELETE_RCPT] = "DELETE FROM recipient WHERE message = $1 AND n = $2",
    [DEFER_RCPT] = "UPDATE recipient SET due = CASE WHEN state <> 0 THEN due WHEN $3 < expires THEN $3 ELSE expires END, "
                   "attempts = $4, "
                   "first_attempt = $5, last_attempt = $6, noticed = $7, reason = $8, code = $9, reply = $10, "
                   "host = $11 WHERE message = $1 AND n = $2",
    [SET_DUE] = "UPDATE recipient SET due = CASE WHEN $3 < expires THEN $3 ELSE expires END "
                "WHERE message = $1 AND n = $2 AND state = 0",
    [HOLD_RCPT] = "UPDATE recipient SET state = 1, due = CASE WHEN $3 < expires THEN $3 ELSE expires END "
                  "WHERE message = $1 AND n = $2 AND state = 0",
    [RELEASE_RCPT] = "UPDATE recipient SET state = 0, expires = expires + ($3 - due), due = $3 "
                     "WHERE message = $1 AND n = $2 AND state = 1",
    [REMOVE_IF_DONE] = "DELETE FROM message WHERE id = $1 AND NOT EXISTS "
                       "(SELECT 1 FROM recipient WHERE message = $1)",
    [FIND_MESSAGE] = "SELECT " MESSAGE_COLUMNS " FROM message WHERE id = $1",
    [READ_HEAD] = "SELECT head FROM message WHERE id = $1",
    [READ_CHUNK] = "SELECT data FROM chunk WHERE message = $1 AND seq = $2",
    [HAS_ADDRESS] = "SELECT 1 FROM recipient WHERE message = $1 AND address = $2 LIMIT 1",
    [LAST_N] = "SELECT n FROM recipient WHERE message = $1 ORDER BY n DESC LIMIT 1",
    [FIND_RCPT] = "SELECT " RCPT_COLUMNS " FROM recipient WHERE message = $1 AND n = $2",
    [DUE] = "SELECT " RCPT_COLUMNS " FROM recipient WHERE state = 0 AND class = $1 AND "
            "(due, expires, message, n) > ($2, $3, $4, $5) AND due <= $6 "
            "ORDER BY due, expires, message, n LIMIT $7",
    [SCAN] = "SELECT " RCPT_COLUMNS " FROM recipient WHERE (message, n) > ($1, $2) ORDER BY message, n LIMIT $3",
    [STRETCH] = "SELECT message, n FROM recipient WHERE (message, n) > ($1, $2) ORDER BY message, n LIMIT 1 OFFSET $3",
    [MATCH] = "SELECT " RCPT_COLUMNS " FROM recipient WHERE (message, n) > ($1, $2) AND (message, n) <= ($3, $4) "
              "AND address @like $5 ESCAPE '\\' AND reply @like $6 ESCAPE '\\' ORDER BY message, n",
    [SWEEP] = "SELECT due, expires, message, n FROM recipient WHERE state = $1 AND class = $2 AND "
              "(due, expires, message, n) > ($3, $4, $5, $6) AND due <= $7 "
              "ORDER BY due, expires, message, n LIMIT $8",
    [NEXT_DUE] = "SELECT due FROM recipient WHERE state = 0 AND class = $1 AND due >= $2 ORDER BY due LIMIT 1",
    [OLDEST_HOLD] = "SELECT due, expires, message, n FROM recipient WHERE state = 1 AND class = $1 "
                    "ORDER BY due, expires, message, n LIMIT 1",
    [LAST_MESSAGE] = "SELECT id FROM message ORDER BY id DESC LIMIT 1",
    [NEXT_CHUNKED] = "SELECT message FROM chunk WHERE message > $1 ORDER BY message LIMIT 1",
};

struct store {
    struct db *db;
    int lock;
    struct stmt *statements[STATEMENT_COUNT];
    struct buf message_text, rcpt_text, piece; /* of the last row found */
};

enum { ROW_TEXT = 1 << 20 };

static struct stmt *with_ids(struct store *st, enum statement which, uint64_t message, uint64_t n)
{
    struct stmt *s = st->statements[which];

    stmt_int(s, (int64_t)message);
    stmt_int(s, (int64_t)n);
    return s;
}

static struct stmt *with_message(struct store *st, enum statement which, uint64_t message)
{
    struct stmt *s = st->statements[which];

    stmt_int(s, (int64_t)message);
    return s;
}

/* ---- opening ---- */

/* A message that was still arriving when the process ended has chunks and no row. */
static bool sweep_unfinished(struct store *st, struct err *err)
{
    uint64_t message = 0;
    struct message_row row;
    bool found;

    for (;;) {
        struct stmt *s = with_message(st, NEXT_CHUNKED, message);
        bool more = stmt_row(s);

        if (more)
            message = (uint64_t)column_int(s, 0);
        if (!stmt_done(s, err))
            return false;
        if (!more)
            return true;
        if (!store_find_message(st, message, &row, &found, err))
            return false;
        if (!found && !store_drop_chunks(st, message, err))
            return false;
    }
}

static bool open_database(struct db **db, const char *path, struct err *err)
{
    if (lock_salvage_is_open(path))
        return err_set(err, ERR_DAMAGED, "%s: its salvage was cut off before the end", path);
    return db_open(db, path, DB_SYNC_FULL, 5000, err);
}

bool store_open(struct store **store, const char *path, struct err *err)
{
    static const char *const steps[] = {schema_queue_0001, schema_queue_0002};
    struct store *st = xcalloc(1, sizeof *st);

    buf_init(&st->message_text, ROW_TEXT);
    buf_init(&st->rcpt_text, ROW_TEXT);
    buf_init(&st->piece, ROW_TEXT);
    if (!lock_take(path, &st->lock, err)) {
        free(st);
        return false;
    }
    if (!open_database(&st->db, path, err)) {
        close(st->lock);
        free(st);
        return false;
    }
    if (!db_migrate(st->db, steps, sizeof steps / sizeof steps[0], err)) {
        store_close(st);
        return false;
    }
    for (int i = 0; i < STATEMENT_COUNT; i++)
        st->statements[i] = stmt_new(st->db, sql[i]);
    if (!sweep_unfinished(st, err)) {
        store_close(st);
        return false;
    }
    *store = st;
    return true;
}

void store_close(struct store *st)
{
    if (st == NULL)
        return;
    db_close(st->db);
    close(st->lock);
    buf_clear(&st->message_text);
    buf_clear(&st->rcpt_text);
    buf_clear(&st->piece);
    free(st);
}

struct db *store_db(struct store *st)
{
    return st->db;
}

/* ---- adding ---- */

bool store_add_message(struct store *st, const struct message_row *m, struct str head, bool *added, struct err *err)
{
    struct stmt *s = st->statements[ADD_MESSAGE];
    const int64_t numbers[] = {(int64_t)m->id, m->created, m->expires, (int64_t)m->kind, (int64_t)m->class,
        (int64_t)m->flags, (int64_t)m->priority, (int64_t)m->account, m->hold_until, m->deliver_by,
        (int64_t)m->size, (int64_t)m->head_size};
    const struct str texts[] = {m->sender, m->envid, m->login, m->client, m->helo, m->protocol, m->tls,
        m->message_id};
    int64_t changed = 0;

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        stmt_int(s, numbers[i]);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        stmt_str(s, texts[i]);
    stmt_blob(s, head);
    if (!stmt_run_count(s, &changed, err))
        return err_prefix(err, "add message");
    *added = changed == 1;
    return true;
}

bool store_add_rcpt(struct store *st, const struct rcpt_row *r, struct err *err)
{
    struct stmt *s = with_ids(st, ADD_RCPT, r->message, r->n);
    const int64_t numbers[] = {(int64_t)r->state, (int64_t)r->class, r->due < r->expires ? r->due : r->expires,
        r->expires, (int64_t)r->attempts, r->first_attempt, r->last_attempt, (int64_t)r->notify,
        (int64_t)r->depth, (int64_t)r->noticed, (int64_t)r->reason, (int64_t)r->code};
    const struct str texts[] = {r->address, r->orcpt, r->original, r->reply, r->host};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        stmt_int(s, numbers[i]);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        stmt_str(s, texts[i]);
    return stmt_run(s, err) || err_prefix(err, "add recipient");
}

bool store_add_chunk(struct store *st, uint64_t message, uint64_t seq, struct str data, struct err *err)
{
    struct stmt *s = with_ids(st, ADD_CHUNK, message, seq);

    stmt_blob(s, data);
    return stmt_run(s, err) || err_prefix(err, "add chunk");
}

bool store_drop_chunks(struct store *st, uint64_t message, struct err *err)
{
    return stmt_run(with_message(st, DROP_CHUNKS, message), err) || err_prefix(err, "drop chunks");
}

/* ---- changing ---- */

static bool run_changed(struct stmt *s, bool *changed, const char *what, struct err *err)
{
    int64_t rows = 0;

    if (!stmt_run_count(s, &rows, err))
        return err_prefix(err, "%s", what);
    *changed = rows == 1;
    return true;
}

bool store_delete_rcpt(struct store *st, uint64_t message, uint64_t n, bool *changed, struct err *err)
{
    return run_changed(with_ids(st, DELETE_RCPT, message, n), changed, "delete recipient", err);
}

bool store_defer_rcpt(struct store *st, uint64_t message, uint64_t n, const struct rcpt_attempt *a, bool *changed,
    struct err *err)
{
    struct stmt *s = with_ids(st, DEFER_RCPT, message, n);

    stmt_int(s, a->due);
    stmt_int(s, (int64_t)a->attempts);
    stmt_int(s, a->first_attempt);
    stmt_int(s, a->last_attempt);
    stmt_int(s, (int64_t)a->noticed);
    stmt_int(s, (int64_t)a->reason);
    stmt_int(s, (int64_t)a->code);
    stmt_str(s, a->reply);
    stmt_str(s, a->host);
    return run_changed(s, changed, "defer recipient", err);
}

static bool set_time(struct store *st, enum statement which, uint64_t message, uint64_t n, int64_t time,
    bool *changed, struct err *err)
{
    struct stmt *s = with_ids(st, which, message, n);

    stmt_int(s, time);
    return run_changed(s, changed, "change recipient", err);
}

bool store_set_due(struct store *st, uint64_t message, uint64_t n, int64_t due, bool *changed, struct err *err)
{
    return set_time(st, SET_DUE, message, n, due, changed, err);
}

bool store_hold_rcpt(struct store *st, uint64_t message, uint64_t n, int64_t now, bool *changed, struct err *err)
{
    return set_time(st, HOLD_RCPT, message, n, now, changed, err);
}

bool store_release_rcpt(struct store *st, uint64_t message, uint64_t n, int64_t now, bool *changed, struct err *err)
{
    return set_time(st, RELEASE_RCPT, message, n, now, changed, err);
}

bool store_remove_if_done(struct store *st, uint64_t message, bool *removed, struct err *err)
{
    if (!run_changed(with_message(st, REMOVE_IF_DONE, message), removed, "remove message", err))
        return false;
    return !*removed || store_drop_chunks(st, message, err);
}

/* ---- reading ---- */

static void read_message(struct stmt *s, struct message_row *m)
{
    *m = (struct message_row){.id = (uint64_t)column_int(s, 0), .created = column_int(s, 1),
        .expires = column_int(s, 2), .kind = (uint64_t)column_int(s, 3), .class = (uint64_t)column_int(s, 4),
        .flags = (uint64_t)column_int(s, 5), .priority = (uint64_t)column_int(s, 6),
        .account = (uint64_t)column_int(s, 7), .hold_until = column_int(s, 8), .deliver_by = column_int(s, 9),
        .size = (uint64_t)column_int(s, 10), .head_size = (uint64_t)column_int(s, 11),
        .sender = column_str(s, 12), .envid = column_str(s, 13), .login = column_str(s, 14),
        .client = column_str(s, 15), .helo = column_str(s, 16), .protocol = column_str(s, 17),
        .tls = column_str(s, 18), .message_id = column_str(s, 19)};
}

static void read_rcpt(struct stmt *s, struct rcpt_row *r)
{
    *r = (struct rcpt_row){.message = (uint64_t)column_int(s, 0), .n = (uint64_t)column_int(s, 1),
        .state = (uint64_t)column_int(s, 2), .class = (uint64_t)column_int(s, 3), .due = column_int(s, 4),
        .expires = column_int(s, 5), .attempts = (uint64_t)column_int(s, 6), .first_attempt = column_int(s, 7),
        .last_attempt = column_int(s, 8), .notify = (uint64_t)column_int(s, 9),
        .depth = (uint64_t)column_int(s, 10), .noticed = (uint64_t)column_int(s, 11),
        .reason = (uint64_t)column_int(s, 12), .code = (uint64_t)column_int(s, 13), .address = column_str(s, 14),
        .orcpt = column_str(s, 15), .original = column_str(s, 16), .reply = column_str(s, 17),
        .host = column_str(s, 18)};
}

/* A statement left standing on a row would keep the log from being reused, so what a single-row query
 * found is copied before the statement is reset. */
static void keep(struct buf *text, struct str *const *fields, size_t n)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += fields[i]->n;
    buf_reset(text);
    if (buf_reserve(text, total + 1) == NULL)
        fatal("a row of %zu bytes", total);
    for (size_t i = 0; i < n; i++) {
        size_t at = text->n;

        buf_add(text, *fields[i]);
        *fields[i] = str_from(text->p + at, fields[i]->n);
    }
}

bool store_find_message(struct store *st, uint64_t id, struct message_row *m, bool *found, struct err *err)
{
    struct stmt *s = with_message(st, FIND_MESSAGE, id);

    *found = stmt_row(s);
    if (*found) {
        read_message(s, m);
        keep(&st->message_text, (struct str *const[]){&m->sender, &m->envid, &m->login, &m->client, &m->helo,
            &m->protocol, &m->tls, &m->message_id}, 8);
    }
    return stmt_done(s, err) || err_prefix(err, "find message");
}

bool store_find_rcpt(struct store *st, uint64_t message, uint64_t n, struct rcpt_row *r, bool *found,
    struct err *err)
{
    struct stmt *s = with_ids(st, FIND_RCPT, message, n);

    *found = stmt_row(s);
    if (*found) {
        read_rcpt(s, r);
        keep(&st->rcpt_text, (struct str *const[]){&r->address, &r->orcpt, &r->original, &r->reply, &r->host}, 5);
    }
    return stmt_done(s, err) || err_prefix(err, "find recipient");
}

bool store_refresh_rcpt(struct store *st, struct rcpt_row *row, struct err *err)
{
    struct rcpt_row now;
    bool found;

    if (!store_find_rcpt(st, row->message, row->n, &now, &found, err))
        return false;
    if (!found)
        return true;
    row->state = now.state;
    row->attempts = now.attempts;
    row->expires = now.expires;
    return true;
}

bool store_read_body(struct store *st, uint64_t message, uint64_t head_size, uint64_t offset, struct str *piece,
    struct err *err)
{
    enum statement which = offset < head_size ? READ_HEAD : READ_CHUNK;
    uint64_t at = offset < head_size ? offset : offset - head_size;
    struct stmt *s = with_message(st, which, message);

    *piece = (struct str){0};
    if (which == READ_CHUNK)
        stmt_int(s, (int64_t)(at / STORE_PIECE));
    if (stmt_row(s)) {
        *piece = str_skip(column_str(s, 0), which == READ_HEAD ? at : at % STORE_PIECE);
        keep(&st->piece, (struct str *const[]){piece}, 1);
    }
    return stmt_done(s, err) || err_prefix(err, "read body");
}

/* Whether the query has a row, and the number in its first column. */
static bool ask_number(struct stmt *s, bool *found, int64_t *value, struct err *err)
{
    *found = stmt_row(s);
    *value = *found ? column_int(s, 0) : 0;
    return stmt_done(s, err);
}

bool store_has_chunks(struct store *st, uint64_t message, bool *has, struct err *err)
{
    int64_t first;

    if (!ask_number(with_message(st, NEXT_CHUNKED, message - 1), has, &first, err))
        return err_prefix(err, "find chunks");
    *has = *has && first == (int64_t)message;
    return true;
}

bool store_has_address(struct store *st, uint64_t message, struct str address, bool *has, struct err *err)
{
    struct stmt *s = with_message(st, HAS_ADDRESS, message);
    int64_t one;

    stmt_str(s, address);
    return ask_number(s, has, &one, err) || err_prefix(err, "find address");
}

bool store_last_n(struct store *st, uint64_t message, uint64_t *n, struct err *err)
{
    bool found;
    int64_t value;

    if (!ask_number(with_message(st, LAST_N, message), &found, &value, err))
        return err_prefix(err, "last recipient");
    *n = (uint64_t)value;
    return true;
}

bool store_last_message(struct store *st, uint64_t *id, struct err *err)
{
    bool found;
    int64_t value;

    if (!ask_number(st->statements[LAST_MESSAGE], &found, &value, err))
        return err_prefix(err, "last message");
    *id = (uint64_t)value;
    return true;
}

bool store_next_due(struct store *st, enum mail_class class, int64_t from, int64_t *due, struct err *err)
{
    struct stmt *s = st->statements[NEXT_DUE];
    bool found;

    stmt_int(s, (int64_t)class);
    stmt_int(s, from);
    if (!ask_number(s, &found, due, err))
        return err_prefix(err, "next due");
    if (!found)
        *due = INT64_MAX;
    return true;
}

static void read_place(struct stmt *s, struct due_place *place)
{
    *place = (struct due_place){column_int(s, 0), column_int(s, 1), (uint64_t)column_int(s, 2),
        (uint64_t)column_int(s, 3)};
}

bool store_oldest_hold(struct store *st, enum mail_class class, struct due_place *place, bool *found, struct err *err)
{
    struct stmt *s = st->statements[OLDEST_HOLD];

    stmt_int(s, (int64_t)class);
    *found = stmt_row(s);
    if (*found)
        read_place(s, place);
    return stmt_done(s, err) || err_prefix(err, "oldest hold");
}

/* ---- walking ---- */

static void begin_places(struct store *st, enum statement which, enum mail_class class,
    const struct due_place *after, int64_t until, uint64_t limit)
{
    struct stmt *s = st->statements[which];

    stmt_int(s, (int64_t)class);
    stmt_int(s, after->due);
    stmt_int(s, after->expires);
    stmt_int(s, (int64_t)after->message);
    stmt_int(s, (int64_t)after->n);
    stmt_int(s, until);
    stmt_int(s, (int64_t)limit);
}

void store_due_begin(struct store *st, enum mail_class class, const struct due_place *after, int64_t until,
    uint64_t limit)
{
    begin_places(st, DUE, class, after, until, limit);
}

bool store_due_next(struct store *st, struct rcpt_row *row)
{
    if (!stmt_row(st->statements[DUE]))
        return false;
    read_rcpt(st->statements[DUE], row);
    return true;
}

bool store_due_end(struct store *st, struct err *err)
{
    return stmt_done(st->statements[DUE], err) || err_prefix(err, "load due recipients");
}

void store_scan_begin(struct store *st, uint64_t message, uint64_t n, uint64_t limit)
{
    stmt_int(with_ids(st, SCAN, message, n), (int64_t)limit);
}

bool store_scan_next(struct store *st, struct rcpt_row *row)
{
    if (!stmt_row(st->statements[SCAN]))
        return false;
    read_rcpt(st->statements[SCAN], row);
    return true;
}

bool store_scan_end(struct store *st, struct err *err)
{
    return stmt_done(st->statements[SCAN], err) || err_prefix(err, "scan recipients");
}

bool store_find_stretch(struct store *st, const struct rcpt_place *after, uint64_t rows, struct rcpt_place *end,
    struct err *err)
{
    struct stmt *s = with_ids(st, STRETCH, after->message, after->n);

    *end = RCPT_PLACE_LAST;
    stmt_int(s, (int64_t)rows - 1);
    if (stmt_row(s))
        *end = (struct rcpt_place){(uint64_t)column_int(s, 0), (uint64_t)column_int(s, 1)};
    return stmt_done(s, err) || err_prefix(err, "scan recipients");
}

void store_match_begin(struct store *st, const struct rcpt_place *after, const struct rcpt_place *end,
    struct str address, struct str reply)
{
    struct stmt *s = with_ids(st, MATCH, after->message, after->n);

    stmt_int(s, (int64_t)end->message);
    stmt_int(s, (int64_t)end->n);
    stmt_str(s, address);
    stmt_str(s, reply);
}

bool store_match_next(struct store *st, struct rcpt_row *row)
{
    if (!stmt_row(st->statements[MATCH]))
        return false;
    read_rcpt(st->statements[MATCH], row);
    return true;
}

bool store_match_end(struct store *st, struct err *err)
{
    return stmt_done(st->statements[MATCH], err) || err_prefix(err, "scan recipients");
}

void store_sweep_begin(struct store *st, enum rcpt_state state, enum mail_class class,
    const struct due_place *after, int64_t until, uint64_t limit)
{
    stmt_int(st->statements[SWEEP], (int64_t)state);
    begin_places(st, SWEEP, class, after, until, limit);
}

bool store_sweep_next(struct store *st, struct due_place *place)
{
    struct stmt *s = st->statements[SWEEP];

    if (!stmt_row(s))
        return false;
    read_place(s, place);
    return true;
}

bool store_sweep_end(struct store *st, struct err *err)
{
    return stmt_done(st->statements[SWEEP], err) || err_prefix(err, "sweep");
}
