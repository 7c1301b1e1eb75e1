/* Taking messages into a search index, and merging what FTS5 wrote, in small turns. See search_index.h. */
#include "search_index_private.h"
#include "base/clock.h"

#include <inttypes.h>

enum {
    PENDING_MOST = 200,          /* messages of a transaction: some 250 KB of grams in memory */
    TEXT_MOST = 1024 * 1024,     /* bytes; a message with more is found by every word, and compared */
    MERGE_PAGES = 16,            /* of 4 KB, in one step */
};

/* ---- transactions ---- */

static bool save_folders(struct search_index *ix, struct err *err)
{
    for (size_t i = 0; i < ix->folder_count; i++) {
        const struct indexed_folder *f = &ix->folders[i];
        struct stmt *save = search_index_stmt(ix, SEARCH_SAVE_FOLDER);

        if (f->at == f->upto)
            continue;
        stmt_int(save, f->id);
        stmt_int(save, f->uidvalidity);
        stmt_int(save, f->at);
        if (!stmt_run(save, err))
            return false;
    }
    return true;
}

static bool save_about(struct search_index *ix, struct err *err)
{
    struct stmt *save = search_index_stmt(ix, SEARCH_SAVE_ABOUT);

    stmt_int(save, ix->docs);
    stmt_int(save, ix->places);
    return stmt_run(save, err);
}

bool search_index_commit(struct search_index *ix, struct err *err)
{
    if (!db_in_transaction(ix->db))
        return true;
    if (!save_folders(ix, err) || !save_about(ix, err) || !db_commit(ix->db, err))
        return false;
    for (size_t i = 0; i < ix->folder_count; i++)
        ix->folders[i].upto = ix->folders[i].at;
    ix->kept_docs = ix->docs;
    ix->kept_places = ix->places;
    ix->merging |= ix->pending > 0;
    ix->pending = 0;
    return true;
}

void search_index_rest(struct search_index *ix)
{
    imap_text_free(ix->text);
    grams_free(ix->grams);
    buf_clear(&ix->words);
    ix->text = NULL;
    ix->grams = NULL;
}

/* ---- one message ---- */

static void add_text(void *arg, struct str folded)
{
    grams_add(((struct search_index *)arg)->grams, folded);
}

/* What cannot be read is left to those who search: found by every word. */
static void collect(struct search_index *ix, const struct store_message *m)
{
    struct err ignored = {0};
    uint64_t weight;
    bool known;

    if (ix->text == NULL) {
        ix->text = imap_text_new(ix->store);
        ix->grams = grams_new();
    }
    grams_reset(ix->grams);
    buf_reset(&ix->words);
    known = imap_text_weight(ix->text, m, &weight, &ignored) && weight <= TEXT_MOST &&
            imap_text_tell(ix->text, m, add_text, ix, &ignored) && !grams_overflow(ix->grams);
    if (known)
        grams_write(ix->grams, &ix->words);
    if (!known || ix->words.failed) {
        buf_reset(&ix->words);
        buf_add(&ix->words, str_of(grams_any));
    }
}

static bool add_doc(struct search_index *ix, const struct store_message *m, int64_t *doc, struct err *err)
{
    struct stmt *find = search_index_stmt(ix, SEARCH_DOC), *add = search_index_stmt(ix, SEARCH_ADD_DOC),
                *words = search_index_stmt(ix, SEARCH_ADD_WORDS);

    stmt_int(find, m->content);
    *doc = stmt_row(find) ? column_int(find, 0) : 0;
    if (!stmt_done(find, err) || *doc != 0)
        return *doc != 0;
    collect(ix, m);
    *doc = ++ix->docs;
    stmt_int(add, *doc);
    stmt_int(add, m->content);
    if (!stmt_run(add, err))
        return false;
    stmt_int(words, *doc);
    stmt_str(words, buf_str(&ix->words));
    return stmt_run(words, err);
}

static bool add_message(struct search_index *ix, const struct folder *f, const struct store_message *m, struct err *err)
{
    struct stmt *add = search_index_stmt(ix, SEARCH_ADD_PLACE);
    int64_t doc;

    if (!add_doc(ix, m, &doc, err))
        return false;
    stmt_int(add, f->id);
    stmt_int(add, m->uid);
    stmt_int(add, doc);
    stmt_int(add, m->saved);
    ix->places++;
    ix->pending++;
    return stmt_run(add, err);
}

/* ---- a turn ---- */

struct filling {
    struct search_index *ix;
    const struct folder *f;
    int64_t until;
    uint32_t at;
    bool failed, stopped;
    struct err *err;
};

static bool fill_one(void *arg, const struct store_message *m)
{
    struct filling *t = arg;

    t->failed = !add_message(t->ix, t->f, m, t->err);
    t->at = m->uid;
    t->stopped = t->failed || t->ix->pending >= PENDING_MOST || clock_monotonic() >= t->until;
    return !t->stopped;
}

static bool fill_folder(struct search_index *ix, struct folder *f, int64_t until, struct err *err)
{
    struct indexed_folder *known = search_index_folder(ix, f->id);
    uint32_t last = (uint32_t)(f->durable.uidnext - 1);
    struct filling t = {.ix = ix, .f = f, .until = until, .err = err};

    if (!db_in_transaction(ix->db) && !db_begin(ix->db, err))
        return false;
    if (!store_messages_walk(ix->store, f, known->at + 1, last, -1, fill_one, &t, err) || t.failed)
        return false;
    known->at = t.stopped ? t.at : last;
    return true;
}

/* NULL at the end. */
static bool next_folder(struct search_index *ix, struct folder **next, struct err *err)
{
    for (struct folder *f = NULL; (f = store_folder_next(ix->store, f)) != NULL;) {
        if (f->durable.uidnext <= 1)
            continue;
        if (!search_index_verify(ix, f, err))
            return false;
        if (search_index_folder(ix, f->id)->at + 1 < f->durable.uidnext) {
            *next = f;
            return true;
        }
    }
    *next = NULL;
    return true;
}

static bool structure(struct search_index *ix, struct buf *out, struct err *err)
{
    struct stmt *get = search_index_stmt(ix, SEARCH_STRUCTURE);

    if (stmt_row(get))
        buf_add(out, column_str(get, 0));
    return stmt_done(get, err);
}

/* Until it changes nothing. */
static bool merge(struct search_index *ix, struct err *err)
{
    struct stmt *run = search_index_stmt(ix, SEARCH_MERGE);
    struct buf before, after;
    bool done;

    if (!db_begin(ix->db, err))
        return false;
    buf_init(&before, 1 << 20);
    buf_init(&after, 1 << 20);
    done = structure(ix, &before, err);
    if (done) {
        stmt_int(run, MERGE_PAGES);
        done = stmt_run(run, err) && structure(ix, &after, err) && db_commit(ix->db, err);
    }
    ix->merging = !str_eq(buf_str(&before), buf_str(&after));
    buf_clear(&before);
    buf_clear(&after);
    return done;
}

static bool fill_some(struct search_index *ix, int64_t until, bool *more, struct err *err)
{
    struct folder *f;

    if (ix->pending >= PENDING_MOST)
        return search_index_commit(ix, err);
    if (ix->merging && !db_in_transaction(ix->db))
        return merge(ix, err);
    if (!next_folder(ix, &f, err))
        return false;
    if (f != NULL)
        return fill_folder(ix, f, until, err);
    *more = db_in_transaction(ix->db);
    return search_index_commit(ix, err);
}

bool search_index_fill(struct search_index *ix, int64_t until, bool *more, struct err *err)
{
    *more = true;
    do {
        if (!fill_some(ix, until, more, err))
            return false;
    } while (*more && clock_monotonic() < until);
    if (!*more)
        search_index_rest(ix);
    return true;
}
