/* A database that takes the place of another (docs/backup.md). See store.h.
 *
 * RFC 9051, section 2.3.1.1: when uids do not persist, the uidvalidity must be greater than before. The messages that came after
 * the backup are gone and their uids would be given again; those that were expunged since are back. So every folder gets a
 * uidvalidity above all that the account ever had, and its clients begin anew. Uids, modseqs and the numbers of folders (which
 * are MAILBOXIDs) stay above those of the old database as well; contents have numbers that are never given twice. */
#include "store_private.h"
#include "base/clock.h"

#include <inttypes.h>

static bool set_folder(struct store *s, const struct folder *f, int64_t uidvalidity, int64_t uidnext, int64_t modseq, struct err *err)
{
    struct stmt *set = stmt_new(s->db,
        "UPDATE folder SET uidvalidity = $1, uidnext = $2, modseq = $3 WHERE account = $4 AND id = $5");
    bool done;

    stmt_int(set, uidvalidity);
    stmt_int(set, uidnext);
    stmt_int(set, modseq);
    stmt_int(set, s->account);
    stmt_int(set, f->id);
    done = stmt_run(set, err);
    stmt_free(set);
    return done;
}

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* A folder that was made after the backup had a number: one above it is made and removed, so that none is given again. */
static bool use_up_numbers(struct store *s, int64_t last, struct err *err)
{
    struct folder *f;

    if (last <= s->last_id)
        return true;
    s->last_id = last;
    return store_folder_create(s, STR("\\restored"), STR(""), &f, err) && store_folder_delete(s, f, err);
}

static bool supersede(struct store *s, struct store *old, struct err *err)
{
    int64_t uidvalidity = max(clock_now() / SECOND, s->last_uidvalidity + 1), modseq = s->highest_modseq + 1;

    if (old != NULL) {
        uidvalidity = max(uidvalidity, old->last_uidvalidity + 1);
        modseq = max(modseq, old->highest_modseq + 1);
    }
    if (old != NULL && !use_up_numbers(s, old->last_id, err))
        return false;
    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;) {
        struct folder *before = old == NULL ? NULL : store_folder_by_id(old, f->id);

        f->uidvalidity = uidvalidity;
        f->now.uidnext = max(f->now.uidnext, before == NULL ? 0 : before->now.uidnext);
        f->now.modseq = modseq;
        f->changed = true;
        if (!set_folder(s, f, uidvalidity, f->now.uidnext, modseq, err))
            return false;
    }
    s->last_uidvalidity = uidvalidity;
    return true;
}

bool store_supersede(struct store *s, struct store *old, struct err *err)
{
    if (!store_begin(s, err))
        return false;
    if (supersede(s, old, err))
        return store_commit(s, err);
    store_rollback(s);
    return false;
}
