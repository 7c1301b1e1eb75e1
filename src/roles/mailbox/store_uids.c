/* Which uids are in a folder: blocks in memory, in the database, and as clients may be told. See store_folder.h and
 * uid_set.h.
 *
 * A block that lost its last message is no longer in the set; its number is kept until its row is removed at commit. */
#include "store_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- loading ---- */

static bool load_rows(struct store *s, struct folder *f, struct err *err)
{
    struct stmt *load = store_stmt(s, SQL_LOAD_BLOCKS);
    bool sane = true;

    stmt_int(load, s->account);
    stmt_int(load, f->id);
    while (sane && stmt_row(load)) {
        int64_t number = column_int(load, 0);
        struct uid_block *b;

        sane = number >= 0 && number <= UINT32_MAX && uid_set_unpack(&f->uids, (uint32_t)number, column_str(load, 3));
        if (!sane)
            break;
        b = &f->uids.blocks[f->uids.n - 1];
        b->modseq = column_int(load, 1);
        b->unseen = (uint32_t)column_int(load, 2);
    }
    if (!stmt_done(load, err))
        return false;
    return sane || err_set(err, ERR_PERMANENT, "folder %" PRId64 ": a block of uids is damaged", f->id);
}

/* A folder of before there were blocks: made from its messages, saved with the next change. */
static bool make_blocks(struct store *s, struct folder *f, struct err *err)
{
    struct stmt *walk = store_stmt(s, SQL_WALK_MESSAGES);

    stmt_int(walk, s->account);
    stmt_int(walk, f->id);
    stmt_int(walk, 1);
    stmt_int(walk, UINT32_MAX);
    while (stmt_row(walk)) {
        uint32_t uid = (uint32_t)column_int(walk, 0);
        struct uid_block *b;

        uid_set_add(&f->uids, uid);
        b = uid_set_block(&f->uids, uid / UID_BLOCK);
        b->changed = true;
        b->unseen += !(column_int(walk, 2) & STORE_SEEN);
        if (column_int(walk, 1) > b->modseq)
            b->modseq = column_int(walk, 1);
    }
    return stmt_done(walk, err);
}

bool store_folder_load(struct store *s, struct folder *f, struct err *err)
{
    if (f->uids_loaded)
        return true;
    uid_set_clear(&f->uids);
    if (!(f->blocks_made ? load_rows : make_blocks)(s, f, err)) {
        uid_set_clear(&f->uids);
        return false;
    }
    f->uids_loaded = true;
    return true;
}

/* ---- changes ---- */

static void note_empty(struct folder *f, uint32_t number)
{
    f->emptied = xrealloc(f->emptied, (f->emptied_count + 1) * sizeof *f->emptied);
    f->emptied[f->emptied_count++] = number;
}

static void count(struct folder_counts *c, int64_t flags, int64_t size, int sign)
{
    c->messages += sign;
    c->bytes += sign * size;
    c->unseen += flags & STORE_SEEN ? 0 : sign;
    c->deleted += flags & STORE_TO_DELETE ? sign : 0;
    c->deleted_bytes += flags & STORE_TO_DELETE ? sign * size : 0;
}

void uids_change(struct store *s, struct folder *f, const struct uid_change *c)
{
    int64_t modseq = folder_touch(s, f);
    uint32_t number = c->uid / UID_BLOCK;
    struct uid_block *b;

    f->flags_changed |= c->was >= 0 && c->is >= 0;
    if (c->was >= 0)
        count(&f->now, c->was, c->size, -1);
    if (c->is >= 0) {
        count(&f->now, c->is, c->size, 1);
        if (c->was < 0)
            uid_set_add(&f->uids, c->uid);
    }
    b = uid_set_block(&f->uids, number);
    b->unseen += (uint32_t)(c->is >= 0 && !(c->is & STORE_SEEN));
    b->unseen -= (uint32_t)(c->was >= 0 && !(c->was & STORE_SEEN));
    b->modseq = modseq;
    b->changed = true;
    if (c->is < 0) {
        uid_set_remove(&f->uids, c->uid);
        if (uid_set_block(&f->uids, number) == NULL)
            note_empty(f, number);
    }
}

/* ---- saving ---- */

static bool save_block(struct store *s, const struct folder *f, const struct uid_block *b, struct err *err)
{
    struct stmt *save = store_stmt(s, SQL_SAVE_BLOCK);
    char bits[UID_BLOCK_BYTES];

    uid_block_pack(b, bits);
    stmt_int(save, s->account);
    stmt_int(save, f->id);
    stmt_int(save, b->number);
    stmt_int(save, b->modseq);
    stmt_int(save, b->unseen);
    stmt_blob(save, str_from(bits, sizeof bits));
    return stmt_run(save, err);
}

static bool remove_block(struct store *s, const struct folder *f, uint32_t number, struct err *err)
{
    struct stmt *take = store_stmt(s, SQL_REMOVE_BLOCK);

    stmt_int(take, s->account);
    stmt_int(take, f->id);
    stmt_int(take, number);
    if (!stmt_run(take, err))
        return false;
    take = store_stmt(s, SQL_REMOVE_FLAGS_RANGE);
    stmt_int(take, s->account);
    stmt_int(take, f->id);
    stmt_int(take, (int64_t)number * (UID_BLOCK / FLAG_BLOCK));
    stmt_int(take, (int64_t)number * (UID_BLOCK / FLAG_BLOCK) + UID_BLOCK / FLAG_BLOCK - 1);
    return stmt_run(take, err);
}

bool uids_save(struct store *s, struct folder *f, struct err *err)
{
    for (size_t i = 0; i < f->emptied_count; i++)
        if (uid_set_block(&f->uids, f->emptied[i]) == NULL && !remove_block(s, f, f->emptied[i], err))
            return false;
    f->emptied_count = 0;
    for (size_t i = 0; i < f->uids.n; i++) {
        struct uid_block *b = &f->uids.blocks[i];

        if (b->changed && !save_block(s, f, b, err))
            return false;
        b->changed = false;
    }
    if (f->uids_loaded)
        f->blocks_made = true;
    return true;
}

/* ---- what clients may be told ---- */

bool store_folder_watch(struct store *s, struct folder *f, bool settled, struct err *err)
{
    if (!store_folder_load(s, f, err))
        return false;
    f->watchers++;
    if (f->is_shown)
        return true;
    if (settled) {
        uid_set_copy(&f->shown, &f->uids);
        f->shown_modseq = f->now.modseq;
        f->is_shown = true;
        f->version++;
    } else if (store_in_transaction(s)) {
        f->changed = true; /* so that its commit notes what is there */
    } else {
        uid_set_copy(&f->waiting, &f->uids);
        f->waiting_modseq = f->now.modseq;
        f->is_waiting = true;
    }
    return true;
}

static bool is_unseen(void *arg, const struct store_message *m)
{
    uint32_t *uid = arg;

    if (!(m->flags & STORE_SEEN))
        *uid = m->uid;
    return *uid == 0;
}

bool store_first_unseen(struct store *s, struct folder *f, uint32_t *uid, struct err *err)
{
    *uid = 0;
    if (!store_folder_load(s, f, err))
        return false;
    for (size_t i = 0; i < f->uids.n && *uid == 0; i++) {
        const struct uid_block *b = &f->uids.blocks[i];

        if (b->unseen > 0 &&
            !store_flags_walk(s, f, b->number * UID_BLOCK, b->number * UID_BLOCK + UID_BLOCK - 1, -1, is_unseen, uid, err))
            return false;
    }
    return true;
}
