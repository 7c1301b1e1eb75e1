/* The messages of folders, one after the other, held against what the folder's row, its blocks of uids and of flags and its keywords
 * say. See store_check.h. */
#include "store_check_private.h"
#include "store_message.h"

#include <inttypes.h>
#include <string.h>

enum { ID, UIDNEXT, MODSEQ, MESSAGES, BYTES, UNSEEN, DELETED, DELETED_BYTES, BLOCKS, M_UID, M_MODSEQ, M_FLAGS, M_SIZE, M_MORE };

static bool wrong_in(const struct check_folder *f, struct err *err, const char *why)
{
    return err_set(err, ERR_DAMAGED, "folder %" PRId64 ": %s", f->id, why);
}

/* ---- blocks ---- */

static bool compare_block(struct stmt *kept, const struct uid_block *should, const char **why)
{
    char bits[UID_BLOCK_BYTES];

    uid_block_pack(should, bits);
    if (!stmt_row(kept))
        *why = "the blocks of uids are not those of its messages";
    else if (!str_eq(column_str(kept, 2), str_from(bits, sizeof bits)))
        *why = "a block of uids has other bits than it has messages";
    else if (column_int(kept, 1) != should->unseen)
        *why = "a block of uids counts unseen messages wrongly";
    else if (column_int(kept, 0) < should->modseq)
        *why = "a block of uids is behind its messages";
    return *why == NULL;
}

static bool end_block(struct store_check *c, struct err *err)
{
    struct check_folder *f = &c->folder;
    const char *why = NULL;
    struct stmt *kept;

    if (!f->in_block)
        return true;
    f->in_block = false;
    f->block_count++;
    kept = check_ask(c, CHECK_BLOCK);
    stmt_int(kept, f->id);
    stmt_int(kept, f->block.number);
    compare_block(kept, &f->block, &why);
    return stmt_done(kept, err) && (why == NULL || wrong_in(f, err, why));
}

static bool add_to_block(struct store_check *c, uint32_t uid, int64_t modseq, bool unseen, struct err *err)
{
    struct check_folder *f = &c->folder;
    uint32_t number = uid / UID_BLOCK;

    if (!f->blocks)
        return true;
    if ((!f->in_block || f->block.number != number)) {
        if (!end_block(c, err))
            return false;
        f->block = (struct uid_block){.number = number};
        f->in_block = true;
    }
    f->block.bits[uid % UID_BLOCK / 64] |= UINT64_C(1) << uid % 64;
    f->block.unseen += unseen;
    if (modseq > f->block.modseq)
        f->block.modseq = modseq;
    return true;
}

/* ---- folders ---- */

static bool end_folder(struct store_check *c, struct err *err)
{
    struct check_folder *f = &c->folder;
    const struct folder_counts *has = &f->has, *should = &f->should;
    int64_t blocks = f->block_count;
    struct stmt *count;

    if (f->id == 0)
        return true;
    if (!end_block(c, err))
        return false;
    if (f->blocks) {
        count = check_ask(c, CHECK_BLOCKS);
        stmt_int(count, f->id);
        if (!check_number(count, 0, &blocks, err))
            return false;
    }
    c->wrong_totals += has->messages != should->messages || has->bytes != should->bytes;
    c->numbers.folders++;
    c->numbers.messages += should->messages;
    c->numbers.bytes += should->bytes;
    if (blocks != f->block_count)
        return wrong_in(f, err, "the blocks of uids are not those of its messages");
    if (f->last >= has->uidnext || should->modseq > has->modseq)
        return wrong_in(f, err, "it is behind its messages");
    if (has->unseen != should->unseen || has->deleted != should->deleted || has->deleted_bytes != should->deleted_bytes)
        return c->wrong_totals > 0 || wrong_in(f, err, "it has wrong totals of flags"); /* those are told first */
    return true;
}

static bool begin_folder(struct store_check *c, struct stmt *row, struct err *err)
{
    struct check_folder *f = &c->folder;
    struct stmt *count;

    *f = (struct check_folder){.id = column_int(row, ID), .flags_number = -1, .blocks = column_int(row, BLOCKS) != 0};
    f->has = (struct folder_counts){.uidnext = column_int(row, UIDNEXT), .modseq = column_int(row, MODSEQ), .messages = column_int(row, MESSAGES),
        .bytes = column_int(row, BYTES), .unseen = column_int(row, UNSEEN), .deleted = column_int(row, DELETED),
        .deleted_bytes = column_int(row, DELETED_BYTES)};
    if (c->version < 2)
        return true;
    count = check_ask(c, CHECK_KEYWORDS);
    stmt_int(count, f->id);
    return check_number(count, 0, &f->keywords, err);
}

/* ---- messages ---- */

/* Keywords that have no name. */
static bool is_nameless(int64_t keywords, int64_t flags, struct str more)
{
    for (int slot = (int)(keywords < STORE_KEYWORD_BITS ? keywords : STORE_KEYWORD_BITS); slot < STORE_KEYWORD_BITS; slot++)
        if (store_has_keyword(flags, more, slot))
            return true;
    for (size_t slot = STORE_KEYWORD_BITS; slot < STORE_KEYWORD_BITS + more.n * 8; slot++)
        if ((int64_t)slot >= keywords && store_has_keyword(flags, more, (int)slot))
            return true;
    return more.n > 0 && more.p[more.n - 1] == 0;
}

/* What counts of a message: the entry of its block of flags, if there is one. */
static bool find_flags(struct store_check *c, uint32_t uid, const struct flag_entry **e, struct err *err)
{
    struct check_folder *f = &c->folder;
    bool fits = true;

    *e = NULL;
    if (c->version < 6)
        return true;
    if (f->flags_number != uid / FLAG_BLOCK) {
        struct stmt *get = check_ask(c, CHECK_FLAGS);

        f->flags_number = uid / FLAG_BLOCK;
        stmt_int(get, f->id);
        stmt_int(get, f->flags_number);
        f->has_flags = stmt_row(get);
        if (f->has_flags)
            fits = flag_block_unpack(&f->flags, column_str(get, 0));
        if (!stmt_done(get, err))
            return false;
    }
    if (f->has_flags && fits && flag_block_has(&f->flags, uid))
        *e = &f->flags.at[uid % FLAG_BLOCK];
    return fits || wrong_in(f, err, "a block of flags is damaged");
}

static bool add_message(struct store_check *c, struct stmt *row, struct err *err)
{
    struct check_folder *f = &c->folder;
    uint32_t uid = (uint32_t)column_int(row, M_UID);
    int64_t modseq = column_int(row, M_MODSEQ), flags = column_int(row, M_FLAGS), size = column_int(row, M_SIZE);
    struct str more = c->version < 2 ? (struct str){0} : column_str(row, M_MORE);
    const struct flag_entry *e;

    if (!find_flags(c, uid, &e, err))
        return false;
    if (e != NULL && e->size != size)
        return wrong_in(f, err, "a block of flags has another size of a message");
    if (e != NULL) {
        modseq = e->modseq;
        flags = e->flags;
        more = (struct str){0};
    }
    if (is_nameless(f->keywords, flags, more))
        return wrong_in(f, err, "messages have keywords without a name");
    f->last = uid;
    f->should.messages++;
    f->should.bytes += size;
    f->should.unseen += !(flags & STORE_SEEN);
    if (c->version >= 2 && flags & STORE_TO_DELETE) {
        f->should.deleted++;
        f->should.deleted_bytes += size;
    }
    if (modseq > f->should.modseq)
        f->should.modseq = modseq;
    return add_to_block(c, uid, modseq, !(flags & STORE_SEEN), err);
}

/* A folder without messages comes as one row without a uid. */
bool check_message(struct store_check *c, struct stmt *row, struct err *err)
{
    if (column_int(row, ID) != c->folder.id && (!end_folder(c, err) || !begin_folder(c, row, err)))
        return false;
    return column_is_null(row, M_UID) || add_message(c, row, err);
}

bool check_messages_end(struct store_check *c, struct err *err)
{
    if (!end_folder(c, err))
        return false;
    return c->wrong_totals == 0 || err_set(err, ERR_DAMAGED, "%" PRId64 " folders with wrong totals", c->wrong_totals);
}
