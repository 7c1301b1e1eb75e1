/* The bytes of messages: written in one piece or in several, read from any offset, removed in steps
 * because freeing a large one takes a while. */
#include "store_private.h"

#include <inttypes.h>

enum { SWEEP_CONTENTS = 100, SWEEP_CHUNKS = 16 };

void content_prepare(struct store *s)
{
    s->put = stmt_new(
        s->db, "INSERT INTO content (account, id, size, refs, head) VALUES ($1, $2, $3, $4, $5)");
    s->put_chunk = stmt_new(
        s->db, "INSERT INTO content_chunk (account, content, start, data) VALUES ($1, $2, $3, $4)");
    s->put_size =
        stmt_new(s->db, "UPDATE content SET size = $1, refs = 1 WHERE account = $2 AND id = $3");
    s->read_head = stmt_new(s->db, "SELECT head FROM content WHERE account = $1 AND id = $2");
    s->read_chunk = stmt_new(s->db,
        "SELECT start, data FROM content_chunk WHERE account = $1 AND content = $2 AND start <= $3 "
        "ORDER BY start DESC LIMIT 1");
    s->unref = stmt_new(s->db, "SELECT refs FROM content WHERE account = $1 AND id = $2");
    s->set_refs = stmt_new(s->db, "UPDATE content SET refs = $1 WHERE account = $2 AND id = $3");
    s->add_loose = stmt_new(s->db, "INSERT INTO loose (account, content) VALUES ($1, $2)");
    s->remove_loose = stmt_new(s->db, "DELETE FROM loose WHERE account = $1 AND content = $2");
    s->next_loose = stmt_new(s->db,
        "SELECT content FROM loose WHERE account = $1 AND content > $2 ORDER BY content LIMIT 1");
    s->remove_chunks = stmt_new(s->db,
        "DELETE FROM content_chunk WHERE account = $1 AND content = $2 AND start IN (SELECT start "
        "FROM content_chunk WHERE account = $1 AND content = $2 ORDER BY start LIMIT $3)");
    s->remove_content = stmt_new(s->db, "DELETE FROM content WHERE account = $1 AND id = $2");
}

static bool insert(struct store *s, int64_t id, int64_t size, int64_t refs, struct str head, struct err *err)
{
    stmt_int(s->put, s->account);
    stmt_int(s->put, id);
    stmt_int(s->put, size);
    stmt_int(s->put, refs);
    stmt_blob(s->put, head);
    return stmt_run(s->put, err);
}

bool store_put(struct store *s, int64_t content, struct str bytes, struct err *err)
{
    return insert(s, content, (int64_t)bytes.n, 1, bytes, err);
}

static bool loosen(struct store *s, int64_t content, struct err *err)
{
    stmt_int(s->add_loose, s->account);
    stmt_int(s->add_loose, content);
    s->loose = true;
    return stmt_run(s->add_loose, err);
}

bool store_put_begin(struct store *s, struct content_writer *w, int64_t content, struct err *err)
{
    *w = (struct content_writer){.id = content};
    if (!loosen(s, content, err))
        return false;
    list_add_last(&s->arriving, &w->link);
    return true;
}

bool store_put_piece(struct store *s, struct content_writer *w, struct str bytes, struct err *err)
{
    bool put;

    if (bytes.n == 0)
        return true;
    if (w->size == 0) {
        put = insert(s, w->id, 0, 0, bytes, err);
    } else {
        stmt_int(s->put_chunk, s->account);
        stmt_int(s->put_chunk, w->id);
        stmt_int(s->put_chunk, w->size);
        stmt_blob(s->put_chunk, bytes);
        put = stmt_run(s->put_chunk, err);
    }
    if (put)
        w->size += (int64_t)bytes.n;
    return put;
}

bool store_put_end(struct store *s, struct content_writer *w, struct err *err)
{
    if (w->size == 0 && !insert(s, w->id, 0, 0, STR(""), err))
        return false;
    stmt_int(s->put_size, w->size);
    stmt_int(s->put_size, s->account);
    stmt_int(s->put_size, w->id);
    if (!stmt_run(s->put_size, err))
        return false;
    stmt_int(s->remove_loose, s->account);
    stmt_int(s->remove_loose, w->id);
    if (!stmt_run(s->remove_loose, err))
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
    stmt_int(s->read_head, s->account);
    stmt_int(s->read_head, content);
    buf_reset(&s->piece);
    *found = stmt_row(s->read_head);
    if (*found)
        buf_add(&s->piece, column_str(s->read_head, 0));
    return stmt_done(s->read_head, err);
}

/* Leaves the chunk that holds `offset` in s->piece, or nothing when that is behind the end. */
static bool read_chunk(struct store *s, int64_t content, int64_t offset, int64_t *start, struct err *err)
{
    stmt_int(s->read_chunk, s->account);
    stmt_int(s->read_chunk, content);
    stmt_int(s->read_chunk, offset);
    buf_reset(&s->piece);
    *start = 0;
    if (stmt_row(s->read_chunk)) {
        *start = column_int(s->read_chunk, 0);
        buf_add(&s->piece, column_str(s->read_chunk, 1));
    }
    return stmt_done(s->read_chunk, err);
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

bool content_release(struct store *s, int64_t content, struct err *err)
{
    int64_t refs;

    stmt_int(s->unref, s->account);
    stmt_int(s->unref, content);
    refs = stmt_row(s->unref) ? column_int(s->unref, 0) : 0;
    if (!stmt_done(s->unref, err))
        return false;
    if (refs <= 0)
        return err_set(err, ERR_PERMANENT, "content %" PRId64 " has no references", content);
    stmt_int(s->set_refs, refs - 1);
    stmt_int(s->set_refs, s->account);
    stmt_int(s->set_refs, content);
    return stmt_run(s->set_refs, err) && (refs > 1 || loosen(s, content, err));
}

/* ---- sweeping ---- */

static bool is_arriving(const struct store *s, int64_t content)
{
    LIST_EACH(&s->arriving, it)
        if (CONTAINER(it, struct content_writer, link)->id == content)
            return true;
    return false;
}

static bool next_loose(struct store *s, int64_t *content, struct err *err)
{
    stmt_int(s->next_loose, s->account);
    stmt_int(s->next_loose, s->swept);
    *content = stmt_row(s->next_loose) ? column_int(s->next_loose, 0) : 0;
    return stmt_done(s->next_loose, err);
}

static bool remove_chunks(struct store *s, int64_t content, int64_t *removed, struct err *err)
{
    stmt_int(s->remove_chunks, s->account);
    stmt_int(s->remove_chunks, content);
    stmt_int(s->remove_chunks, SWEEP_CHUNKS);
    return stmt_run_count(s->remove_chunks, removed, err);
}

static bool remove_content(struct store *s, int64_t content, struct err *err)
{
    stmt_int(s->remove_content, s->account);
    stmt_int(s->remove_content, content);
    if (!stmt_run(s->remove_content, err))
        return false;
    stmt_int(s->remove_loose, s->account);
    stmt_int(s->remove_loose, content);
    return stmt_run(s->remove_loose, err);
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
            s->loose = *more = false;
            s->swept = 0;
            return true;
        }
        if (!is_arriving(s, content) && !remove_chunks(s, content, &removed, err))
            return false;
        if (removed == SWEEP_CHUNKS)
            return true;
        if (!is_arriving(s, content) && !remove_content(s, content, err))
            return false;
        s->swept = content;
    }
    return true;
}
