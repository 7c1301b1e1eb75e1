/* Flags, modseqs and sizes of messages, a row for up to 128 neighbours (flag_block.h), so that what is done to the flags of many
 * messages writes a hundredth of their rows, and what asks for flags reads as much.
 *
 * A new message has no entry: its own row says its flags, so that a delivery writes nothing here. With the last uid of a block
 * all of it gets entries, and so it does with the first change of flags in it. A message with keywords of late slots never has
 * one. Entries are written before the commit of the transaction that changed them, in it; a rollback forgets them. */
#include "store_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct flag_cached {
    int64_t folder; /* 0: not in use */
    uint32_t number;
    bool dirty, filled;
    uint64_t used; /* grows with each use */
    struct flag_block block;
};

/* Which of its uids are there. */
static void bits_of(struct folder *f, uint32_t number, uint64_t bits[2])
{
    const struct uid_block *b = uid_set_block(&f->uids, number / (UID_BLOCK / FLAG_BLOCK));
    size_t word = number % (UID_BLOCK / FLAG_BLOCK) * (FLAG_BLOCK / 64);

    bits[0] = b == NULL ? 0 : b->bits[word];
    bits[1] = b == NULL ? 0 : b->bits[word + 1];
}

/* ---- the few that are in memory ---- */

static bool run_for(struct store *s, enum store_sql sql, const struct flag_cached *c, struct err *err)
{
    struct stmt *run = store_stmt(s, sql);

    stmt_int(run, s->account);
    stmt_int(run, c->folder);
    stmt_int(run, c->number);
    return stmt_run(run, err);
}

static bool save(struct store *s, struct folder *f, struct flag_cached *c, struct err *err)
{
    struct stmt *put = store_stmt(s, SQL_SAVE_FLAGS);
    uint64_t bits[2];

    bits_of(f, c->number, bits);
    c->block.present[0] &= bits[0];
    c->block.present[1] &= bits[1];
    c->dirty = false;
    if (c->block.present[0] == 0 && c->block.present[1] == 0)
        return run_for(s, SQL_REMOVE_FLAGS, c, err);
    buf_reset(&s->packed);
    flag_block_pack(&c->block, &s->packed);
    stmt_int(put, s->account);
    stmt_int(put, c->folder);
    stmt_int(put, c->number);
    stmt_blob(put, buf_str(&s->packed));
    return stmt_run(put, err);
}

/* Of a folder that was deleted since nothing needs to be written. */
static bool write_back(struct store *s, struct flag_cached *c, struct err *err)
{
    struct folder *f = c->dirty ? store_folder_by_id(s, c->folder) : NULL;

    if (f == NULL) {
        c->dirty = false;
        return true;
    }
    return save(s, f, c, err);
}

static bool take_room(struct store *s, struct flag_cached **room, struct err *err)
{
    size_t oldest = 0;

    for (size_t i = 0; i < FLAGS_CACHED; i++) {
        if (s->flags[i] == NULL)
            s->flags[i] = xcalloc(1, sizeof *s->flags[i]);
        if (s->flags[i]->used < s->flags[oldest]->used)
            oldest = i;
        if (s->flags[i]->folder == 0) {
            oldest = i;
            break;
        }
    }
    *room = s->flags[oldest];
    if (!write_back(s, *room, err))
        return false;
    (*room)->folder = 0;
    return true;
}

static bool load(struct store *s, struct flag_cached *c, int64_t folder, uint32_t number, struct err *err)
{
    struct stmt *get = store_stmt(s, SQL_GET_FLAGS);
    bool sane = true;

    stmt_int(get, s->account);
    stmt_int(get, folder);
    stmt_int(get, number);
    if (stmt_row(get))
        sane = flag_block_unpack(&c->block, column_str(get, 0));
    else
        memset(c->block.present, 0, sizeof c->block.present);
    if (!stmt_done(get, err))
        return false;
    if (!sane)
        return err_set(err, ERR_PERMANENT, "folder %" PRId64 ": a block of flags is damaged", folder);
    c->folder = folder;
    c->number = number;
    c->dirty = c->filled = false;
    return true;
}

static bool is_it(const struct flag_cached *c, const struct folder *f, uint32_t number)
{
    return c != NULL && c->folder == f->id && c->number == number;
}

static bool get_block(struct store *s, const struct folder *f, uint32_t number, struct flag_cached **out, struct err *err)
{
    if (!is_it(s->flags_last, f, number)) {
        struct flag_cached *c = NULL;

        for (size_t i = 0; i < FLAGS_CACHED && c == NULL; i++)
            if (is_it(s->flags[i], f, number))
                c = s->flags[i];
        if (c == NULL && (!take_room(s, &c, err) || !load(s, c, f->id, number, err)))
            return false;
        c->used = ++s->flags_used;
        s->flags_last = c;
    }
    *out = s->flags_last;
    return true;
}

bool flags_save(struct store *s, struct err *err)
{
    for (size_t i = 0; i < FLAGS_CACHED; i++)
        if (s->flags[i] != NULL && !write_back(s, s->flags[i], err))
            return false;
    return true;
}

void flags_forget(struct store *s)
{
    for (size_t i = 0; i < FLAGS_CACHED; i++) {
        free(s->flags[i]);
        s->flags[i] = NULL;
    }
    s->flags_last = NULL;
}

/* ---- changes ---- */

/* An entry for every message that may have one and has none. */
static bool fill(struct store *s, struct flag_cached *c, struct err *err)
{
    struct stmt *walk = store_stmt(s, SQL_FILL_FLAGS);

    stmt_int(walk, s->account);
    stmt_int(walk, c->folder);
    stmt_int(walk, (int64_t)c->number * FLAG_BLOCK);
    stmt_int(walk, (int64_t)c->number * FLAG_BLOCK + FLAG_BLOCK - 1);
    while (stmt_row(walk)) {
        uint32_t uid = (uint32_t)column_int(walk, 0);

        if (flag_block_has(&c->block, uid))
            continue;
        flag_block_put(&c->block, uid, &(struct flag_entry){column_int(walk, 1), column_int(walk, 2), column_int(walk, 3)});
        c->dirty = true;
    }
    c->filled = true;
    return stmt_done(walk, err);
}

bool flags_fill(struct store *s, struct folder *f, uint32_t uid, struct err *err)
{
    struct flag_cached *c;

    return get_block(s, f, uid / FLAG_BLOCK, &c, err) && fill(s, c, err);
}

static bool covers(const struct flag_block *b, const uint64_t bits[2])
{
    return (bits[0] & ~b->present[0]) == 0 && (bits[1] & ~b->present[1]) == 0;
}

bool flags_put(struct store *s, struct folder *f, uint32_t uid, const struct flag_entry *e, struct err *err)
{
    struct flag_cached *c;
    uint64_t bits[2];

    if (!get_block(s, f, uid / FLAG_BLOCK, &c, err))
        return false;
    if (!c->filled) {
        bits_of(f, c->number, bits);
        if (!covers(&c->block, bits) && !fill(s, c, err))
            return false;
        c->filled = true;
    }
    flag_block_put(&c->block, uid, e);
    c->dirty = true;
    return true;
}

bool flags_drop(struct store *s, struct folder *f, uint32_t uid, struct err *err)
{
    struct flag_cached *c;

    if (!get_block(s, f, uid / FLAG_BLOCK, &c, err))
        return false;
    if (flag_block_has(&c->block, uid)) {
        flag_block_drop(&c->block, uid);
        c->dirty = true;
    }
    return true;
}

/* ---- reading ---- */

bool flags_find(struct store *s, const struct folder *f, uint32_t uid, const struct flag_entry **e, struct err *err)
{
    struct flag_cached *c;

    if (!get_block(s, f, uid / FLAG_BLOCK, &c, err))
        return false;
    *e = flag_block_has(&c->block, uid) ? &c->block.at[uid % FLAG_BLOCK] : NULL;
    return true;
}

bool flags_overlay(struct store *s, const struct folder *f, struct store_message *m, struct err *err)
{
    const struct flag_entry *e;

    if (!flags_find(s, f, m->uid, &e, err))
        return false;
    if (e != NULL) {
        m->modseq = e->modseq;
        m->flags = e->flags;
        m->more = (struct str){0};
    }
    return true;
}

struct walk {
    struct store *s;
    struct folder *f;
    uint32_t from, to;
    int64_t since;
    store_message_fn *tell;
    void *arg;
    bool enough;
};

/* From a copy: whoever is told may read other messages. */
static void tell_entries(struct walk *w, uint32_t number, const uint64_t bits[2], const struct flag_block *b)
{
    for (unsigned word = 0; word < FLAG_BLOCK / 64; word++)
        for (uint64_t left = bits[word]; left != 0 && !w->enough; left &= left - 1) {
            uint32_t uid = number * FLAG_BLOCK + word * 64 + (uint32_t)__builtin_ctzll(left);
            const struct flag_entry *e = &b->at[uid % FLAG_BLOCK];
            struct store_message m = {.uid = uid, .modseq = e->modseq, .flags = e->flags, .size = e->size};

            if (e->modseq > w->since)
                w->enough = !w->tell(w->arg, &m);
        }
}

static uint64_t from_bit(uint32_t n)
{
    return n >= 64 ? 0 : UINT64_MAX << n;
}

/* Leaves the bits of first <= uid <= last. */
static void cut(uint64_t bits[2], uint32_t first, uint32_t last)
{
    for (uint32_t word = 0; word < 2; word++) {
        uint32_t low = word * 64;

        bits[word] &= from_bit(first > low ? first - low : 0) & ~from_bit(last + 1 > low ? last + 1 - low : 0);
    }
}

static bool walk_block(struct walk *w, uint32_t number, struct err *err)
{
    uint32_t base = number * FLAG_BLOCK, first = w->from > base ? w->from - base : 0;
    uint32_t last = w->to - base < FLAG_BLOCK ? w->to - base : FLAG_BLOCK - 1;
    struct flag_cached *c;
    uint64_t bits[2];

    bits_of(w->f, number, bits);
    cut(bits, first, last);
    if (bits[0] == 0 && bits[1] == 0)
        return true;
    if (!get_block(w->s, w->f, number, &c, err))
        return false;
    if (covers(&c->block, bits)) {
        struct flag_block copy = c->block;

        tell_entries(w, number, bits, &copy);
        return true;
    }
    return flags_walk_rows(w->s, w->f, (uint32_t[]){base + first, base + last}, w->since, w->tell, w->arg, &w->enough, err);
}

bool store_flags_walk(struct store *s, struct folder *f, uint32_t from, uint32_t to, int64_t since, store_message_fn *tell,
    void *arg, struct err *err)
{
    struct walk w = {s, f, from, to, since, tell, arg, false};

    if (!store_folder_load(s, f, err))
        return false;
    for (size_t i = 0; i < f->uids.n && !w.enough; i++) {
        const struct uid_block b = f->uids.blocks[i];
        uint32_t first = b.number * UID_BLOCK, last = first + UID_BLOCK - 1;

        if (b.modseq <= since || last < from || first > to)
            continue;
        for (uint32_t at = first / FLAG_BLOCK; at <= last / FLAG_BLOCK && !w.enough; at++)
            if (at * FLAG_BLOCK <= to && at * FLAG_BLOCK + FLAG_BLOCK - 1 >= from && !walk_block(&w, at, err))
                return false;
    }
    return true;
}
