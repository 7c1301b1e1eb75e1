/* Messages of any folder. See store_message.h. */
#include "store_private.h"
#include "base/clock.h"

#include <inttypes.h>

enum { SWEEP_MESSAGES = 200 };

/* ---- reading ---- */

static struct store_message read_row(struct stmt *row)
{
    struct store_message m = {(uint32_t)column_int(row, 0), column_int(row, 1), column_int(row, 2), column_int(row, 3),
        column_int(row, 4), column_int(row, 5), column_int(row, 6), column_int(row, 7), {0}};

    if (!column_is_null(row, 8))
        m.more = column_str(row, 8);
    if (m.saved == 0)
        m.saved = m.received;
    return m;
}

bool store_message_get(struct store *s, const struct folder *f, uint32_t uid, struct store_message *m, bool *found, struct err *err)
{
    struct stmt *get = store_stmt(s, SQL_GET_MESSAGE);

    stmt_int(get, s->account);
    stmt_int(get, f->id);
    stmt_int(get, uid);
    *found = stmt_row(get);
    if (*found) {
        *m = read_row(get);
        buf_reset(&s->more);
        buf_add(&s->more, m->more);
        m->more = buf_str(&s->more);
    }
    return stmt_done(get, err) && (!*found || flags_overlay(s, f, m, err));
}

static struct store_message read_flags(struct stmt *row)
{
    struct store_message m = {.uid = (uint32_t)column_int(row, 0), .modseq = column_int(row, 1), .flags = column_int(row, 2),
        .size = column_int(row, 3)};

    if (!column_is_null(row, 4))
        m.more = column_str(row, 4);
    return m;
}

/* How much of the rows is read. */
struct reading {
    enum store_sql sql;
    struct store_message (*read)(struct stmt *row);
};

static const struct reading whole = {SQL_WALK_MESSAGES, read_row}, flags_only = {SQL_WALK_FLAGS, read_flags};

/* Those of the range by one statement; *enough: a callback had enough. */
static bool walk_range(struct store *s, const struct folder *f, const struct reading *how, const uint32_t range[2], int64_t since,
    store_message_fn *tell, void *arg, bool *enough, struct err *err)
{
    struct stmt *walk = store_stmt(s, how->sql);
    bool done = true;

    stmt_int(walk, s->account);
    stmt_int(walk, f->id);
    stmt_int(walk, range[0]);
    stmt_int(walk, range[1]);
    while (done && !*enough && stmt_row(walk)) {
        struct store_message m = how->read(walk);

        done = flags_overlay(s, f, &m, err);
        if (done && m.modseq > since)
            *enough = !tell(arg, &m);
    }
    return stmt_done(walk, done ? err : NULL) && done;
}

bool flags_walk_rows(struct store *s, const struct folder *f, const uint32_t range[2], int64_t since, store_message_fn *tell,
    void *arg, bool *enough, struct err *err)
{
    return walk_range(s, f, &flags_only, range, since, tell, arg, enough, err);
}

static uint32_t later(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Without `since` one statement serves all; with it one for each block that may have something. */
bool store_messages_walk(struct store *s, struct folder *f, uint32_t from, uint32_t to, int64_t since, store_message_fn *tell,
    void *arg, struct err *err)
{
    bool enough = false;

    if (since < 0)
        return walk_range(s, f, &whole, (uint32_t[]){from, to}, since, tell, arg, &enough, err);
    if (!store_folder_load(s, f, err))
        return false;
    for (size_t i = 0; i < f->uids.n && !enough; i++) {
        const struct uid_block *b = &f->uids.blocks[i];
        uint32_t first = b->number * UID_BLOCK, last = first + UID_BLOCK - 1;

        if (b->modseq <= since || last < from || first > to)
            continue;
        if (!walk_range(s, f, &whole, (uint32_t[]){later(from, first), last < to ? last : to}, since, tell, arg, &enough, err))
            return false;
    }
    return true;
}

bool store_expunged_walk(struct store *s, const struct folder *f, int64_t since, store_uid_fn *tell, void *arg, bool *known,
    struct err *err)
{
    struct stmt *walk = store_stmt(s, SQL_WALK_EXPUNGED);

    *known = since >= f->now.expunged_floor;
    stmt_int(walk, s->account);
    stmt_int(walk, f->id);
    stmt_int(walk, since);
    while (stmt_row(walk))
        if (!tell(arg, (uint32_t)column_int(walk, 0)))
            break;
    return stmt_done(walk, err);
}

/* ---- changing ---- */

static void bind_more(struct stmt *to, struct str more)
{
    if (more.n == 0)
        stmt_null(to);
    else
        stmt_blob(to, more);
}

bool store_message_add(struct store *s, struct folder *f, const struct store_new *n, uint32_t *uid, struct err *err)
{
    struct stmt *add = store_stmt(s, SQL_ADD_MESSAGE);
    int64_t saved = n->saved != 0 ? n->saved : clock_now();

    if (f->now.uidnext > UINT32_MAX)
        return err_set(err, ERR_PERMANENT, "no uids left");
    if (!store_folder_load(s, f, err))
        return false;
    *uid = (uint32_t)f->now.uidnext;
    stmt_int(add, s->account);
    stmt_int(add, f->id);
    stmt_int(add, *uid);
    stmt_int(add, folder_touch(s, f));
    stmt_int(add, n->flags);
    stmt_int(add, n->received);
    stmt_int(add, n->size);
    stmt_int(add, n->content);
    stmt_int(add, n->features);
    stmt_int(add, saved);
    bind_more(add, n->more);
    if (!stmt_run(add, err))
        return false;
    f->now.uidnext++;
    uids_change(s, f, &(struct uid_change){*uid, -1, n->flags, n->size});
    s->added = (struct store_added){f, *uid, f->now.modseq, *n};
    s->added.message.saved = saved;
    return *uid % FLAG_BLOCK != FLAG_BLOCK - 1 || flags_fill(s, f, *uid, err);
}

const struct store_added *store_last_added(const struct store *s)
{
    return &s->added;
}

bool store_message_add_again(struct store *s, struct folder *f, uint32_t uid, int64_t modseq, const struct store_new *n, struct err *err)
{
    uint32_t same;

    if (modseq >= f->now.modseq) /* several have the same */
        s->modseq = modseq;
    else
        store_new_modseq(s);
    f->now.uidnext = uid;
    if (!store_message_add(s, f, n, &same, err))
        return false;
    if (s->highest_modseq < s->modseq + MODSEQ_JUMP) /* the process that gave it may have told later ones */
        s->highest_modseq = s->modseq + MODSEQ_JUMP;
    return true;
}

/* The keywords of a message in another folder's slots. */
static bool carry_keywords(struct store *s, const struct folder *from, const struct store_message *m, struct folder *to,
    int64_t *flags, struct buf *more, struct err *err)
{
    *flags = m->flags & ((1 << STORE_KEYWORD_SHIFT) - 1);
    for (size_t i = 0; i < from->keyword_count; i++) {
        int slot;

        if (!store_has_keyword(m->flags, m->more, (int)i))
            continue;
        if (!store_keyword(s, to, from->keywords[i], to->keyword_count < STORE_KEYWORDS_MAX, &slot, err))
            return false;
        if (slot >= 0) /* else it has no room there: the copy goes without it */
            store_set_keyword(flags, more, slot, true);
    }
    return true;
}

static bool add_copy(struct store *s, struct folder *from, const struct store_message *m, struct folder *to, uint32_t *copy,
    struct err *err)
{
    struct store_new n = {m->content, m->size, m->received, m->flags, m->features, m->more, 0};
    struct buf more;
    bool done = true;

    buf_init(&more, STORE_KEYWORDS_MAX / 8 + 1);
    if (from != to) {
        done = carry_keywords(s, from, m, to, &n.flags, &more, err);
        n.more = buf_str(&more);
    }
    done = done && content_hold(s, m->content, err) && store_message_add(s, to, &n, copy, err);
    buf_clear(&more);
    return done;
}

bool store_message_copy(struct store *s, struct folder *from, uint32_t uid, struct folder *to, uint32_t *copy, bool *found,
    struct err *err)
{
    struct store_message m;

    return store_message_get(s, from, uid, &m, found, err) && (!*found || add_copy(s, from, &m, to, copy, err));
}

/* With keywords of late slots. */
static bool set_row(struct store *s, struct folder *f, uint32_t uid, int64_t flags, struct str more, struct err *err)
{
    struct stmt *set = store_stmt(s, SQL_SET_FLAGS);

    stmt_int(set, flags);
    bind_more(set, more);
    stmt_int(set, folder_touch(s, f));
    stmt_int(set, s->account);
    stmt_int(set, f->id);
    stmt_int(set, uid);
    return stmt_run(set, err) && flags_drop(s, f, uid, err);
}

bool store_message_flags(struct store *s, struct folder *f, const struct store_message *m, int64_t flags, struct str more,
    bool *changed, struct err *err)
{
    struct flag_entry e = {0, flags, m->size};

    *changed = flags != m->flags || !str_eq(more, m->more);
    if (!*changed)
        return true;
    if (!store_folder_load(s, f, err))
        return false;
    e.modseq = folder_touch(s, f);
    if (!(more.n > 0 ? set_row(s, f, m->uid, flags, more, err) : flags_put(s, f, m->uid, &e, err)))
        return false;
    uids_change(s, f, &(struct uid_change){m->uid, m->flags, flags, m->size});
    return true;
}

static bool remove_row(struct store *s, const struct folder *f, uint32_t uid, struct err *err)
{
    struct stmt *take = store_stmt(s, SQL_REMOVE_MESSAGE);

    stmt_int(take, s->account);
    stmt_int(take, f->id);
    stmt_int(take, uid);
    return stmt_run(take, err);
}

static bool note_expunged(struct store *s, struct folder *f, uint32_t uid, struct err *err)
{
    struct stmt *trace = store_stmt(s, SQL_ADD_EXPUNGED);

    stmt_int(trace, s->account);
    stmt_int(trace, f->id);
    f->gone_modseq = folder_touch(s, f);
    stmt_int(trace, f->gone_modseq);
    stmt_int(trace, uid);
    return stmt_run(trace, err);
}

bool store_message_expunge(struct store *s, struct folder *f, uint32_t uid, bool *found, struct err *err)
{
    struct store_message m;

    if (!store_folder_load(s, f, err) || !store_message_get(s, f, uid, &m, found, err))
        return false;
    if (!*found)
        return true;
    if (!remove_row(s, f, uid, err) || !note_expunged(s, f, uid, err) || !content_release(s, m.content, err))
        return err_prefix(err, "account %" PRId64 ": remove message %" PRIu32, s->account, uid);
    uids_change(s, f, &(struct uid_change){uid, m.flags, -1, m.size});
    return true;
}

/* ---- keywords in flags ---- */

bool store_has_keyword(int64_t flags, struct str more, int slot)
{
    size_t byte = (size_t)(slot - STORE_KEYWORD_BITS) / 8;

    if (slot < STORE_KEYWORD_BITS)
        return flags >> (STORE_KEYWORD_SHIFT + slot) & 1;
    return byte < more.n && more.p[byte] >> (slot - STORE_KEYWORD_BITS) % 8 & 1;
}

void store_set_keyword(int64_t *flags, struct buf *more, int slot, bool on)
{
    size_t byte = (size_t)(slot - STORE_KEYWORD_BITS) / 8;
    int bit = (slot - STORE_KEYWORD_BITS) % 8;

    if (slot < STORE_KEYWORD_BITS) {
        int64_t mask = (int64_t)1 << (STORE_KEYWORD_SHIFT + slot);

        *flags = on ? *flags | mask : *flags & ~mask;
        return;
    }
    while (on && more->n <= byte && !more->failed)
        buf_add_char(more, 0);
    if (byte < more->n)
        more->p[byte] = (char)(on ? more->p[byte] | 1 << bit : more->p[byte] & ~(1 << bit));
    while (more->n > 0 && more->p[more->n - 1] == 0) /* one form only */
        more->n--;
}

/* ---- what FETCH needs without the bytes ---- */

static bool put_keys(struct store *s, int64_t content, const struct content_info *info, struct err *err)
{
    struct stmt *put = store_stmt(s, SQL_PUT_KEYS);

    stmt_int(put, s->account);
    stmt_int(put, content);
    stmt_int(put, info->sent);
    stmt_int(put, info->reply);
    stmt_str(put, info->subject);
    stmt_blob(put, info->refs);
    return stmt_run(put, err);
}

static void bind_preview(struct stmt *to, struct str preview)
{
    if (preview.p == NULL)
        stmt_null(to);
    else
        stmt_str(to, preview);
}

bool store_info_put(struct store *s, int64_t content, const struct content_info *info, struct err *err)
{
    struct stmt *put = store_stmt(s, SQL_PUT_TREE);

    if (!put_keys(s, content, info, err))
        return false;
    stmt_int(put, s->account);
    stmt_int(put, content);
    bind_preview(put, info->preview);
    stmt_blob(put, info->tree);
    return stmt_run(put, err);
}

bool store_preview_put(struct store *s, int64_t content, struct str preview, struct err *err)
{
    struct stmt *put = store_stmt(s, SQL_PUT_PREVIEW);

    bind_preview(put, preview);
    stmt_int(put, s->account);
    stmt_int(put, content);
    return stmt_run(put, err);
}

static struct str keep(struct buf *b, struct str text)
{
    size_t at = b->n;

    buf_add(b, text);
    return (struct str){(const char *)(uintptr_t)at, text.n}; /* an offset until the buffer is complete */
}

static void place(const struct buf *b, struct str *text)
{
    text->p = b->p + (uintptr_t)text->p;
}

static bool get_keys(struct store *s, int64_t content, struct content_info *info, bool *found, struct err *err)
{
    struct stmt *get = store_stmt(s, SQL_GET_KEYS);

    stmt_int(get, s->account);
    stmt_int(get, content);
    *found = stmt_row(get);
    if (*found) {
        info->sent = column_int(get, 0);
        info->reply = column_int(get, 1) != 0;
        info->subject = keep(&s->info, column_str(get, 2));
        info->refs = keep(&s->info, column_str(get, 3));
    }
    return stmt_done(get, err);
}

static bool get_tree(struct store *s, int64_t content, struct content_info *info, bool *found, bool *has_preview, struct err *err)
{
    struct stmt *get = store_stmt(s, SQL_GET_TREE);

    stmt_int(get, s->account);
    stmt_int(get, content);
    *found = stmt_row(get);
    if (*found) {
        *has_preview = !column_is_null(get, 0);
        info->preview = keep(&s->info, column_str(get, 0));
        info->tree = keep(&s->info, column_str(get, 1));
    }
    return stmt_done(get, err);
}

bool store_info_get(struct store *s, int64_t content, unsigned what, struct content_info *info, bool *found, struct err *err)
{
    struct buf *b = &s->info;
    bool has_preview = false;

    *info = (struct content_info){0};
    *found = true;
    buf_reset(b);
    buf_add_char(b, 0); /* so that it has bytes at all */
    if (what & STORE_KEYS && !get_keys(s, content, info, found, err))
        return false;
    if (*found && what & STORE_TREE && !get_tree(s, content, info, found, &has_preview, err))
        return false;
    if (!*found)
        return true;
    place(b, &info->subject);
    place(b, &info->refs);
    place(b, &info->tree);
    place(b, &info->preview);
    if (!has_preview)
        info->preview = (struct str){0};
    return !b->failed || err_set(err, ERR_PERMANENT, "content %" PRId64 ": its summary is too large", content);
}

/* Contents rise with the uids mostly, so their keys are read by a second walk beside the one over the messages; it begins
 * anew where they do not. */
struct key_walk {
    struct store *s;
    struct stmt *walk;
    bool open;    /* it stands at a row, or at the end */
    int64_t from; /* the row it stands at is the first with this content or a higher one ... */
    int64_t at;   /* ... namely this; INT64_MAX: there is none */
};

enum { KEY_STEPS = 16 }; /* rather than beginning anew */

static void step_keys(struct key_walk *k)
{
    k->at = stmt_row(k->walk) ? column_int(k->walk, 0) : INT64_MAX;
}

static bool begin_keys(struct key_walk *k, int64_t content, struct err *err)
{
    if (k->open && !stmt_done(k->walk, err))
        return false;
    stmt_int(k->walk, k->s->account);
    stmt_int(k->walk, content);
    k->open = true;
    k->from = content;
    step_keys(k);
    return true;
}

static bool find_keys(struct key_walk *k, int64_t content, struct content_info *keys, bool *found, struct err *err)
{
    for (int i = 0; k->open && content >= k->from && k->at < content && i < KEY_STEPS; i++) {
        k->from = k->at + 1;
        step_keys(k);
    }
    if ((!k->open || content < k->from || k->at < content) && !begin_keys(k, content, err))
        return false;
    *found = k->at == content;
    if (*found)
        *keys = (struct content_info){.sent = column_int(k->walk, 1), .reply = column_int(k->walk, 2) != 0,
            .subject = column_str(k->walk, 3), .refs = column_str(k->walk, 4)};
    return true;
}

bool store_keys_walk(struct store *s, const struct folder *f, uint32_t from, uint32_t to, store_keys_fn *tell, void *arg,
    struct err *err)
{
    struct stmt *walk = store_stmt(s, SQL_WALK_CONTENTS);
    struct key_walk k = {.s = s, .walk = store_stmt(s, SQL_WALK_KEYS)};
    bool done = true, found;

    stmt_int(walk, s->account);
    stmt_int(walk, f->id);
    stmt_int(walk, from);
    stmt_int(walk, to);
    while (done && stmt_row(walk)) {
        struct store_message m = {.uid = (uint32_t)column_int(walk, 0), .content = column_int(walk, 1),
            .received = column_int(walk, 2), .size = column_int(walk, 3)};
        struct content_info keys;

        done = find_keys(&k, m.content, &keys, &found, err);
        if (done && !tell(arg, &m, found ? &keys : NULL))
            break;
    }
    if (k.open)
        done = stmt_done(k.walk, done ? err : NULL) && done;
    return stmt_done(walk, done ? err : NULL) && done;
}

/* ---- deleted folders ---- */

static bool sweep_some(struct store *s, const struct folder *f, size_t *n, struct err *err)
{
    struct stmt *next = store_stmt(s, SQL_GONE_MESSAGES);
    struct {
        uint32_t uid;
        int64_t content;
    } found[SWEEP_MESSAGES];

    stmt_int(next, s->account);
    stmt_int(next, f->id);
    stmt_int(next, SWEEP_MESSAGES);
    for (*n = 0; *n < SWEEP_MESSAGES && stmt_row(next); ++*n) {
        found[*n].uid = (uint32_t)column_int(next, 0);
        found[*n].content = column_int(next, 1);
    }
    if (!stmt_done(next, err))
        return false;
    for (size_t i = 0; i < *n; i++)
        if (!remove_row(s, f, found[i].uid, err) || !content_release(s, found[i].content, err))
            return false;
    return true;
}

/* What else hangs on it; its own row stays while it is the newest folder, and goes with the next one that is swept. */
static bool sweep_rest(struct store *s, struct folder *f, struct err *err)
{
    static const char *const texts[] = {"DELETE FROM expunged WHERE account = $1 AND folder = $2",
        "DELETE FROM keyword WHERE account = $1 AND folder = $2", "DELETE FROM uid_block WHERE account = $1 AND folder = $2",
        "DELETE FROM flag_block WHERE account = $1 AND folder = $2",
        "UPDATE folder SET special = '\\swept' WHERE account = $1 AND id = $2",
        ("DELETE FROM folder WHERE account = $1 AND special = '\\swept' AND id <= $2 AND "
         "id < (SELECT MAX(id) FROM folder WHERE account = $1)")};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct stmt *take = stmt_new(s->db, texts[i]);
        bool done;

        stmt_int(take, s->account);
        stmt_int(take, f->id);
        done = stmt_run(take, err);
        stmt_free(take);
        if (!done)
            return false;
    }
    return true;
}

bool messages_sweep(struct store *s, bool *more, struct err *err)
{
    struct folder *f = NULL;
    size_t n;

    LIST_EACH(&s->gone, it)
        if (f == NULL && !CONTAINER(it, struct folder, link)->removed && !CONTAINER(it, struct folder, link)->swept)
            f = CONTAINER(it, struct folder, link);
    *more = f != NULL;
    if (f == NULL)
        return true;
    if (!sweep_some(s, f, &n, err))
        return false;
    if (n > 0)
        return true;
    if (!sweep_rest(s, f, err))
        return false;
    f->swept = true;
    return true;
}
