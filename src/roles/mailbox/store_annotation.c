/* Annotations: their rows, their transactions. See store_annotation.h. */
#include "store_annotation.h"
#include "store_private.h"

enum { ANNOTATION_OVERHEAD = 64 };

static int64_t owner_of(struct annotation_place at, struct str name)
{
    return str_starts(name, STR("/shared")) ? 0 : at.reader;
}

/* ---- reading ---- */

static bool is_wanted(struct str found, struct str name, int levels)
{
    struct str below = str_skip(found, name.n);

    if (!str_starts(found, name))
        return false;
    if (found.n == name.n)
        return true;
    return below.p[0] == '/' && (levels < 0 || (levels == 1 && str_rfind(below, '/') == 0));
}

bool store_annotations_walk(struct store *s, struct annotation_place at, struct str name, int levels, store_annotation_fn *tell,
    void *arg, struct err *err)
{
    struct stmt *walk = store_stmt(s, levels == 0 ? SQL_GET_ANNOTATION : SQL_WALK_ANNOTATIONS);
    bool more = true;

    stmt_int(walk, s->account);
    stmt_int(walk, at.folder);
    stmt_int(walk, owner_of(at, name));
    if (levels == 0)
        stmt_str(walk, name);
    while (more && stmt_row(walk))
        if (is_wanted(column_str(walk, 0), name, levels))
            more = tell(arg, column_str(walk, 0), column_str(walk, 1));
    return stmt_done(walk, err);
}

int64_t store_annotation_counts(struct str name, struct str value)
{
    return value.p == NULL ? 0 : (int64_t)(name.n + value.n) + ANNOTATION_OVERHEAD;
}

bool store_annotation_size(struct store *s, struct annotation_place at, struct str name, int64_t *size, struct err *err)
{
    struct stmt *get = store_stmt(s, SQL_ANNOTATION_SIZE);

    stmt_int(get, s->account);
    stmt_int(get, at.folder);
    stmt_int(get, owner_of(at, name));
    stmt_str(get, name);
    *size = stmt_row(get) ? column_int(get, 0) : 0;
    return stmt_done(get, err);
}

bool store_annotation_is_of_others(const struct store *s, struct annotation_place at, struct str name)
{
    int64_t owner = owner_of(at, name);

    return owner != 0 && owner != s->account;
}

bool store_annotation_usage(struct store *s, int64_t folder, bool of_others, struct annotation_usage *usage, struct err *err)
{
    struct stmt *sum = store_stmt(s, SQL_ANNOTATION_USAGE);

    stmt_int(sum, folder);
    stmt_int(sum, s->account);
    stmt_int(sum, of_others);
    *usage = (struct annotation_usage){0};
    if (stmt_row(sum))
        *usage = (struct annotation_usage){column_int(sum, 0), column_int(sum, 1), column_int(sum, 2)};
    return stmt_done(sum, err);
}

/* ---- writing ---- */

static bool remove_one(struct store *s, struct annotation_place at, struct str name, struct err *err)
{
    struct stmt *take = store_stmt(s, SQL_REMOVE_ANNOTATION);

    stmt_int(take, s->account);
    stmt_int(take, at.folder);
    stmt_int(take, owner_of(at, name));
    stmt_str(take, name);
    return stmt_run(take, err);
}

bool store_annotation_set(struct store *s, struct annotation_place at, struct str name, struct str value, struct err *err)
{
    struct stmt *put = store_stmt(s, SQL_PUT_ANNOTATION);

    s->annotations_changed = true;
    if (value.p == NULL)
        return remove_one(s, at, name, err);
    stmt_int(put, s->account);
    stmt_int(put, at.folder);
    stmt_int(put, owner_of(at, name));
    stmt_str(put, name);
    stmt_int(put, store_annotation_counts(name, value));
    stmt_blob(put, value);
    return stmt_run(put, err);
}

bool store_annotations_copy(struct store *s, const struct folder *from, const struct folder *to, struct err *err)
{
    struct stmt *copy = store_stmt(s, SQL_COPY_ANNOTATIONS);

    s->annotations_changed = true;
    stmt_int(copy, to->id);
    stmt_int(copy, s->account);
    stmt_int(copy, from->id);
    return stmt_run(copy, err);
}

bool annotations_drop(struct store *s, int64_t folder, struct err *err)
{
    struct stmt *drop = store_stmt(s, SQL_DROP_ANNOTATIONS);

    s->annotations_changed = true;
    stmt_int(drop, s->account);
    stmt_int(drop, folder);
    return stmt_run(drop, err);
}

bool store_folder_special(struct store *s, struct folder *f, struct str special, struct err *err)
{
    s->annotations_changed = true;
    if (!folder_write_name(s, f, f->name, special, err))
        return false;
    if (f->committed_special.p == NULL)
        f->committed_special = f->special;
    else
        str_free(&f->special);
    f->special = str_dup(special);
    return true;
}

/* ---- transactions ---- */

bool store_annotations_dirty(const struct store *s)
{
    return s->annotations_changed || s->annotations_waiting;
}

void annotations_committed(struct store *s)
{
    if (!s->annotations_changed)
        return;
    s->annotations_waiting = true;
    s->annotations_changed = false;
    LIST_EACH(&s->folders, it)
        str_free(&CONTAINER(it, struct folder, link)->committed_special);
    LIST_EACH(&s->gone, it)
        str_free(&CONTAINER(it, struct folder, link)->committed_special);
}

static void special_back(struct list *folders)
{
    LIST_EACH(folders, it) {
        struct folder *f = CONTAINER(it, struct folder, link);

        if (f->committed_special.p == NULL)
            continue;
        str_free(&f->special);
        f->special = f->committed_special;
        f->committed_special = (struct str){0};
    }
}

void annotations_rolled_back(struct store *s)
{
    if (!s->annotations_changed)
        return;
    s->annotations_changed = false;
    special_back(&s->folders);
    special_back(&s->gone);
}

void annotations_synced(struct store *s)
{
    s->annotations_waiting = false;
}
