/* Changes of many messages at once: what is copied or moved of neighbours is by one statement, which costs a tenth of one
 * for each; flags are changed in their blocks (store_flags.c). See store_message.h. */
#include "store_private.h"
#include "base/clock.h"

#include <inttypes.h>

enum { NEAR = 32 }; /* uids this far apart are read by one walk */

/* ---- reading ---- */

struct pick {
    const uint32_t *uids;
    size_t n, at;
    store_message_fn *tell;
    void *arg;
    bool enough;
};

static bool pick_row(void *arg, const struct store_message *m)
{
    struct pick *p = arg;

    while (p->at < p->n && p->uids[p->at] < m->uid)
        p->at++;
    if (p->at < p->n && p->uids[p->at] == m->uid)
        p->enough = !p->tell(p->arg, m);
    return !p->enough;
}

bool store_messages_pick(struct store *s, struct folder *f, const uint32_t *uids, size_t n, store_message_fn *tell,
    void *arg, struct err *err)
{
    struct pick p = {uids, n, 0, tell, arg, false};

    for (size_t i = 0, next; i < n && !p.enough; i = next) {
        for (next = i + 1; next < n && uids[next] - uids[next - 1] <= NEAR;)
            next++;
        if (!store_flags_walk(s, f, uids[i], uids[next - 1], -1, pick_row, &p, err))
            return false;
    }
    return true;
}

struct row {
    uint32_t uid;
    bool has_more; /* keywords beyond those in `flags` */
    int64_t modseq, flags, size;
};

struct rows {
    struct row row[STORE_MANY];
    size_t n;
};

static bool keep_row(void *arg, const struct store_message *m)
{
    struct rows *rows = arg;

    rows->row[rows->n++] = (struct row){m->uid, m->more.n > 0, m->modseq, m->flags, m->size};
    return true;
}

static void bind_range(struct stmt *to, const struct store *s, const struct folder *f, const struct row *run, size_t n)
{
    stmt_int(to, s->account);
    stmt_int(to, f->id);
    stmt_int(to, run[0].uid);
    stmt_int(to, run[n - 1].uid);
}

/* The statement was for these rows and no others. */
static bool run_for(struct stmt *all, size_t n, struct err *err)
{
    int64_t changed;

    return stmt_run_count(all, &changed, err) &&
           (changed == (int64_t)n || err_set(err, ERR_PERMANENT, "%" PRId64 " messages where %zu were", changed, n));
}

/* ---- copying ---- */

struct copying {
    struct store *s;
    struct folder *from, *to;
    bool moves;
};

static bool copy_rows(const struct copying *c, const struct row *run, size_t n, struct err *err)
{
    struct stmt *copy = store_stmt(c->s, SQL_COPY_RANGE);

    stmt_int(copy, c->to->id);
    stmt_int(copy, c->to->now.uidnext - run[0].uid);
    stmt_int(copy, folder_touch(c->s, c->to));
    stmt_int(copy, clock_now());
    bind_range(copy, c->s, c->from, run, n);
    return run_for(copy, n, err);
}

/* Two of them may have the same content: one row then. */
static bool share_rows(const struct copying *c, const struct row *run, size_t n, struct err *err)
{
    struct stmt *share = store_stmt(c->s, SQL_SHARE_RANGE);

    bind_range(share, c->s, c->from, run, n);
    return stmt_run(share, err);
}

/* What is moved keeps its reference. */
static bool remove_rows(const struct copying *c, const struct row *run, size_t n, struct err *err)
{
    struct stmt *note = store_stmt(c->s, SQL_ADD_EXPUNGED_RANGE), *take = store_stmt(c->s, SQL_REMOVE_RANGE);

    c->from->gone_modseq = folder_touch(c->s, c->from);
    stmt_int(note, c->from->gone_modseq);
    bind_range(note, c->s, c->from, run, n);
    if (!run_for(note, n, err))
        return false;
    bind_range(take, c->s, c->from, run, n);
    if (!run_for(take, n, err))
        return false;
    for (size_t i = 0; i < n; i++)
        uids_change(c->s, c->from, &(struct uid_change){run[i].uid, run[i].flags, -1, run[i].size});
    return true;
}

static bool copy_run(const struct copying *c, const struct row *run, size_t n, struct store_copied *copied, struct err *err)
{
    if (!copy_rows(c, run, n, err) || !(c->moves ? remove_rows : share_rows)(c, run, n, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct flag_entry e = {folder_touch(c->s, c->to), run[i].flags, run[i].size};

        copied[i] = (struct store_copied){run[i].uid, (uint32_t)c->to->now.uidnext++};
        if (!run[i].has_more && !flags_put(c->s, c->to, copied[i].copy, &e, err))
            return false;
        uids_change(c->s, c->to, &(struct uid_change){copied[i].copy, -1, run[i].flags, run[i].size});
    }
    return true;
}

/* One whose keywords have other slots there. */
static bool copy_alone(const struct copying *c, const struct row *row, struct store_copied *copied, struct err *err)
{
    bool found;

    copied->uid = row->uid;
    return store_message_copy(c->s, c->from, row->uid, c->to, &copied->copy, &found, err) &&
           (!c->moves || store_message_expunge(c->s, c->from, row->uid, &found, err));
}

static bool needs_care(const struct copying *c, const struct row *row)
{
    return c->from != c->to && (row->has_more || row->flags >> STORE_KEYWORD_SHIFT != 0);
}

static size_t copy_run_length(const struct copying *c, const struct row *row, size_t n)
{
    size_t length = 1;

    while (length < n && row[length].uid == row[0].uid + length && !needs_care(c, &row[length]))
        length++;
    return length;
}

bool store_messages_copy(struct store *s, struct folder *from, const uint32_t *uids, size_t n, struct folder *to, bool moves,
    struct store_copied *copied, size_t *count, struct err *err)
{
    struct copying c = {s, from, to, moves};
    struct rows rows = {.n = 0};

    *count = 0;
    if (!store_folder_load(s, from, err) || !store_folder_load(s, to, err) || !store_messages_pick(s, from, uids, n, keep_row, &rows, err))
        return false;
    if (to->now.uidnext + (int64_t)rows.n > (int64_t)UINT32_MAX + 1)
        return err_set(err, ERR_PERMANENT, "no uids left");
    for (size_t length; *count < rows.n; *count += length) {
        const struct row *row = &rows.row[*count];
        bool alone = needs_care(&c, row);

        length = alone ? 1 : copy_run_length(&c, row, rows.n - *count);
        if (!(alone ? copy_alone(&c, row, &copied[*count], err) : copy_run(&c, row, length, &copied[*count], err)))
            return false;
    }
    return true;
}

/* ---- flags ---- */

struct flagging {
    struct store *s;
    struct folder *f;
    const struct store_flagging *what;
};

enum treatment { LEAVE, REFUSE, CHANGE, CHANGE_MORE };

static int64_t flags_after(const struct store_flagging *what, int64_t flags)
{
    switch (what->how) {
    case STORE_FLAGS_SET: return (flags & what->kept) | what->flags;
    case STORE_FLAGS_ADD: return flags | what->flags;
    case STORE_FLAGS_REMOVE: return flags & ~what->flags;
    }
    return flags;
}

static void more_after(const struct store_flagging *what, struct str before, int64_t *flags, struct buf *more)
{
    buf_add(more, what->how == STORE_FLAGS_SET && !what->kept_more ? what->more : before);
    for (size_t i = 0; i < what->more.n * 8 && what->how != STORE_FLAGS_SET; i++)
        if (what->more.p[i / 8] >> i % 8 & 1)
            store_set_keyword(flags, more, STORE_KEYWORD_BITS + (int)i, what->how == STORE_FLAGS_ADD);
}

static bool flag_simply(struct flagging *g, const struct row *row, struct err *err)
{
    struct flag_entry e = {folder_touch(g->s, g->f), flags_after(g->what, row->flags), row->size};

    if (!flags_put(g->s, g->f, row->uid, &e, err))
        return false;
    uids_change(g->s, g->f, &(struct uid_change){row->uid, row->flags, e.flags, row->size});
    uid_set_add(g->what->changed, row->uid);
    return true;
}

static bool flag_with_more(struct flagging *g, uint32_t uid, struct err *err)
{
    struct store_message m;
    struct buf more;
    bool found, changed = false, done;
    int64_t flags;

    if (!store_message_get(g->s, g->f, uid, &m, &found, err) || !found)
        return !found && err->kind == ERR_NONE;
    buf_init(&more, STORE_KEYWORDS_MAX / 8 + 1);
    flags = flags_after(g->what, m.flags);
    more_after(g->what, m.more, &flags, &more);
    done = store_message_flags(g->s, g->f, &m, flags, buf_str(&more), &changed, err);
    if (done && changed)
        uid_set_add(g->what->changed, uid);
    buf_clear(&more);
    return done;
}

static enum treatment treatment_of(const struct flagging *g, const struct row *row)
{
    const struct store_flagging *what = g->what;

    if (what->unchanged_since >= 0 && row->modseq > what->unchanged_since)
        return REFUSE;
    if (what->more.n > 0 || row->has_more)
        return CHANGE_MORE;
    return flags_after(what, row->flags) == row->flags ? LEAVE : CHANGE;
}

bool store_messages_flag(struct store *s, struct folder *f, const uint32_t *uids, size_t n,
    const struct store_flagging *what, struct err *err)
{
    struct flagging g = {s, f, what};
    struct rows rows = {.n = 0};

    if (!store_folder_load(s, f, err) || !store_messages_pick(s, f, uids, n, keep_row, &rows, err))
        return false;
    for (size_t i = 0; i < rows.n; i++) {
        const struct row *row = &rows.row[i];
        bool done = true;

        switch (treatment_of(&g, row)) {
        case LEAVE: break;
        case REFUSE: uid_set_add(what->refused, row->uid); break;
        case CHANGE: done = flag_simply(&g, row, err); break;
        case CHANGE_MORE: done = flag_with_more(&g, row->uid, err); break;
        }
        if (!done)
            return false;
    }
    return true;
}
