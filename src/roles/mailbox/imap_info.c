/* What is kept of each message for FETCH, SORT and THREAD; a content that came before there was such a thing is read
 * whole once. See imap.h. */
#include "imap.h"
#include "summary.h"

#include <inttypes.h>
#include <string.h>

static bool read_whole(struct imap *im, const struct store_message *m, struct summary *summary, struct err *err)
{
    for (int64_t at = 0; at < m->size;) {
        struct str piece;

        if (!store_read(im->box->store, m->content, at, &piece, err))
            return false;
        if (piece.n == 0)
            return err_set(err, ERR_PERMANENT, "content %" PRId64 " is shorter than its message", m->content);
        summary_add(summary, piece);
        at += (int64_t)piece.n;
    }
    return true;
}

static bool make(struct imap *im, const struct store_message *m, struct err *err)
{
    struct summary *summary = summary_new();
    struct content_info info;
    bool done = read_whole(im, m, summary, err);

    if (done) {
        summary_end(summary, &info);
        done = box_begin(im->box, err);
        if (done && !store_info_put(im->box->store, m->content, &info, err)) {
            box_fail(im->box, err);
            done = false;
        }
        if (done)
            box_touch(im->box);
    }
    summary_free(summary);
    return done;
}

bool imap_info(struct imap *im, const struct store_message *m, unsigned what, struct content_info *info, struct err *err)
{
    struct store *s = im->box->store;
    bool found;

    if (!store_info_get(s, m->content, what, info, &found, err))
        return false;
    if (found)
        return true;
    return make(im, m, err) && store_info_get(s, m->content, what, info, &found, err) &&
           (found || err_set(err, ERR_PERMANENT, "content %" PRId64 ": its summary was not kept", m->content));
}

uint64_t imap_ref(struct str refs, size_t i)
{
    uint64_t ref = 0;

    if ((i + 1) * sizeof ref <= refs.n)
        memcpy(&ref, refs.p + i * sizeof ref, sizeof ref);
    return ref;
}

uint64_t imap_thread_id(struct str refs)
{
    uint64_t oldest = imap_ref(refs, 1);

    return oldest ? oldest : imap_ref(refs, 0);
}
