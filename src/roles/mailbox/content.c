/* The bytes of messages: written in one piece or in several, read from any offset, removed in steps
 * because freeing a large one takes a while. */
#include "store_private.h"

#include <inttypes.h>

enum { SWEEP_CONTENTS = 100, SWEEP_CHUNKS = 16 };

static bool insert(struct store *s, int64_t id, int64_t size, struct str head, struct err *err)
{
    struct stmt *insert_row = store_stmt(s, SQL_PUT);

    stmt_int(insert_row, s->account);
    stmt_int(insert_row, id);
    stmt_int(insert_row, size);
    stmt_blob(insert_row, head);
    return stmt_run(insert_row, err);
}

bool store_put(struct store *s, int64_t content, struct str bytes, struct err *err)
{
    return insert(s, content, (int64_t)bytes.n, bytes, err);
}

static bool loosen(struct store *s, int64_t content, struct err *err)
{
    struct stmt *add = store_stmt(s, SQL_ADD_LOOSE);

    stmt_int(add, s->account);
    stmt_int(add, content);
    s->loose = true;
    return stmt_run(add, err);
}

bool store_put_begin(struct store *s, struct content_writer *w, int64_t content, int64_t expected, struct err *err)
{
    *w = (struct content_writer){.id = content, .expected = expected};
    if (!loosen(s, content, err))
        return false;
    list_add_last(&s->arriving, &w->link);
    return true;
}

bool store_put_piece(struct store *s, struct content_writer *w, struct str bytes, struct err *err)
{
    struct stmt *add = store_stmt(s, SQL_PUT_CHUNK);
    bool put;

    if (bytes.n == 0)
        return true;
    if (w->size == 0) {
        put = insert(s, w->id, w->expected, bytes, err);
    } else {
        stmt_int(add, s->account);
        stmt_int(add, w->id);
        stmt_int(add, w->size);
        stmt_blob(add, bytes);
        put = stmt_run(add, err);
    }
    if (put)
        w->size += (int64_t)bytes.n;
    return put;
}

/* Writes the first piece anew, because it is in the same row. */
static bool set_size(struct store *s, const struct content_writer *w, struct err *err)
{
    struct stmt *set = store_stmt(s, SQL_PUT_SIZE);

    stmt_int(set, w->size);
    stmt_int(set, s->account);
    stmt_int(set, w->id);
    return stmt_run(set, err);
}

bool store_put_end(struct store *s, struct content_writer *w, struct err *err)
{
    struct stmt *tidy = store_stmt(s, SQL_REMOVE_LOOSE);

    if (w->size == 0 && !insert(s, w->id, 0, STR(""), err))
        return false;
    if (w->size != w->expected && !set_size(s, w, err))
        return false;
    stmt_int(tidy, s->account);
    stmt_int(tidy, w->id);
    if (!stmt_run(tidy, err))
        return false;
    list_remove(&w->link);
    return true;
}

void store_put_abort(struct store *s, struct content_writer *w)
{
    list_remove(&w->link);
    s->swept = 0;
    s->loose = true;
}

static bool read_head(struct store *s, int64_t content, bool *found, struct err *err)
{
    struct stmt *head = store_stmt(s, SQL_READ_HEAD);

    stmt_int(head, s->account);
    stmt_int(head, content);
    buf_reset(&s->piece);
    *found = stmt_row(head);
    if (*found)
        buf_add(&s->piece, column_str(head, 0));
    return stmt_done(head, err);
}

/* Leaves the chunk that holds `offset` in s->piece, or nothing when that is behind the end. */
static bool read_chunk(struct store *s, int64_t content, int64_t offset, int64_t *start, struct err *err)
{
    struct stmt *chunk = store_stmt(s, SQL_READ_CHUNK);

    stmt_int(chunk, s->account);
    stmt_int(chunk, content);
    stmt_int(chunk, offset);
    buf_reset(&s->piece);
    *start = 0;
    if (stmt_row(chunk)) {
        *start = column_int(chunk, 0);
        buf_add(&s->piece, column_str(chunk, 1));
    }
    return stmt_done(chunk, err);
}

bool store_read(struct store *s, int64_t content, int64_t offset, struct str *piece, struct err *err)
{
    int64_t start = 0;
    bool found = true;

    *piece = (struct str){0};
    if (offset == 0) {
        if (!read_head(s, content, &found, err))
            return false;
        if (!found)
            return err_set(err, ERR_PERMANENT, "content %" PRId64 " is missing", content);
    } else {
        if (!read_chunk(s, content, offset, &start, err))
            return false;
        if (s->piece.n == 0 && !read_head(s, content, &found, err))
            return false;
    }
    if (s->piece.failed)
        return err_set(err, ERR_PERMANENT, "content %" PRId64 ": piece too large", content);
    *piece = str_skip(buf_str(&s->piece), (size_t)(offset - start));
    return true;
}

void store_pin(struct store *s, struct content_pin *pin, int64_t content)
{
    store_unpin(s, pin);
    *pin = (struct content_pin){.id = content};
    list_add_last(&s->pins, &pin->link);
}

void store_unpin(struct store *s, struct content_pin *pin)
{
    if (!link_in_list(&pin->link))
        return;
    list_remove(&pin->link);
    if (!pin->wanted)
        return;
    s->swept = 0;
    s->loose = true;
}

bool content_hold(struct store *s, int64_t content, struct err *err)
{
    struct stmt *share = store_stmt(s, SQL_SHARE);

    stmt_int(share, s->account);
    stmt_int(share, content);
    return stmt_run(share, err);
}

bool content_release(struct store *s, int64_t content, struct err *err)
{
    struct stmt *unshare = store_stmt(s, SQL_UNSHARE);
    int64_t others;

    stmt_int(unshare, s->account);
    stmt_int(unshare, content);
    return stmt_run_count(unshare, &others, err) && (others > 0 || loosen(s, content, err));
}

/* ---- sweeping ---- */

static bool is_in_use(const struct store *s, int64_t content)
{
    LIST_EACH(&s->arriving, it)
        if (CONTAINER(it, struct content_writer, link)->id == content)
            return true;
    LIST_EACH(&s->pins, it) {
        struct content_pin *pin = CONTAINER(it, struct content_pin, link);

        if (pin->id == content)
            return pin->wanted = true;
    }
    return false;
}

static bool next_loose(struct store *s, int64_t *content, struct err *err)
{
    struct stmt *next = store_stmt(s, SQL_NEXT_LOOSE);

    stmt_int(next, s->account);
    stmt_int(next, s->swept);
    *content = stmt_row(next) ? column_int(next, 0) : 0;
    return stmt_done(next, err);
}

static bool remove_chunks(struct store *s, int64_t content, int64_t *removed, struct err *err)
{
    struct stmt *chunks = store_stmt(s, SQL_REMOVE_CHUNKS);

    stmt_int(chunks, s->account);
    stmt_int(chunks, content);
    stmt_int(chunks, SWEEP_CHUNKS);
    return stmt_run_count(chunks, removed, err);
}

static bool remove_content(struct store *s, int64_t content, struct err *err)
{
    static const enum store_sql removals[] = {
        SQL_REMOVE_CONTENT, SQL_REMOVE_KEYS, SQL_REMOVE_TREE, SQL_REMOVE_SHARED, SQL_REMOVE_LOOSE};

    for (size_t i = 0; i < sizeof removals / sizeof *removals; i++) {
        struct stmt *take = store_stmt(s, removals[i]);

        stmt_int(take, s->account);
        stmt_int(take, content);
        if (!stmt_run(take, err))
            return false;
    }
    return true;
}

bool store_has_loose(const struct store *s)
{
    return s->loose;
}

bool store_sweep(struct store *s, bool *more, struct err *err)
{
    *more = true;
    for (int i = 0; i < SWEEP_CONTENTS; i++) {
        int64_t content, removed = 0;

        if (!next_loose(s, &content, err))
            return false;
        if (content == 0) {
            s->swept = 0;
            if (!messages_sweep(s, more, err))
                return false;
            s->loose = *more;
            return true;
        }
        if (!is_in_use(s, content)) {
            if (!remove_chunks(s, content, &removed, err))
                return false;
            if (removed == SWEEP_CHUNKS)
                return true;
            if (!remove_content(s, content, err))
                return false;
        }
        s->swept = content;
    }
    return true;
}
