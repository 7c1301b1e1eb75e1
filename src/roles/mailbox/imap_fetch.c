/* FETCH (RFC 9051, section 6.4.5; CHANGEDSINCE and VANISHED of RFC 7162). See imap.h and imap_fetch.h.
 *
 * Messages that are answered from their rows are written while one statement walks over them; a message with bytes in
 * its answer is taken out of the walk and written item by item, over as many turns as it needs. What was shown with
 * BODY[] is marked \Seen at the end, in one transaction. */
#include "imap_fetch.h"
#include "base/log.h"
#include "imap/body.h"
#include "mime/part_blob.h"

#include <inttypes.h>
#include <string.h>

/* ---- life ---- */

enum { TREE_ARENA_MAX = 16 * 1024 * 1024, TEXT_MAX = 4 * 1024 * 1024 };

void fetch_init(struct fetch *f)
{
    *f = (struct fetch){.at = 1};
    arena_init(&f->tree_arena, TREE_ARENA_MAX);
    buf_init(&f->text, TEXT_MAX);
    buf_init(&f->more, STORE_KEYWORDS_MAX);
}

void fetch_clear(struct imap *im, struct fetch *f)
{
    store_unpin(im->box->store, &f->pin);
    uid_set_clear(&f->seen);
    uid_set_clear(&f->chosen);
    arena_clear(&f->tree_arena);
    buf_clear(&f->text);
    buf_clear(&f->more);
}

static void clean(struct imap *im)
{
    fetch_clear(im, im->work);
}

static bool is_bytes(enum imap_item_kind kind)
{
    return kind >= IMAP_ITEM_BODY;
}

/* What store_flags_walk reads. */
static bool is_flags(enum imap_item_kind kind)
{
    return kind == IMAP_ITEM_FLAGS || kind == IMAP_ITEM_UID || kind == IMAP_ITEM_MODSEQ || kind == IMAP_ITEM_SIZE;
}

static bool is_from_info(enum imap_item_kind kind)
{
    return kind == IMAP_ITEM_ENVELOPE || kind == IMAP_ITEM_STRUCTURE || kind == IMAP_ITEM_BODYSTRUCTURE ||
           kind == IMAP_ITEM_PREVIEW || kind == IMAP_ITEM_THREADID;
}

/* ---- the tree of a message ---- */

bool fetch_tree(struct imap *im, struct fetch *f, struct err *err)
{
    if (f->tree != NULL)
        return true;
    if (!imap_info(im, &f->message, STORE_TREE, &f->info, err))
        return false;
    arena_clear(&f->tree_arena);
    f->tree = mime_tree_unpack(f->info.tree, &f->tree_arena);
    if (f->tree == NULL)
        return err_set(err, ERR_PERMANENT, "content %" PRId64 ": its structure is damaged", f->message.content);
    return imap_gathers(im, f->tree_arena.used) || imap_gathered_too_much(err);
}

static bool write_thread_id(struct imap *im, const struct fetch *f, struct err *err)
{
    struct content_info info;
    uint64_t id;

    if (!imap_info(im, &f->message, STORE_KEYS, &info, err))
        return false;
    id = imap_thread_id(info.refs);
    if (id == 0)
        buf_add(&im->out, STR("THREADID NIL"));
    else
        buf_addf(&im->out, "THREADID (T%016" PRIx64 ")", id);
    return true;
}

static bool write_from_info(struct imap *im, struct fetch *f, const struct imap_item *item, struct err *err)
{
    if (item->kind == IMAP_ITEM_PREVIEW)
        return imap_write_preview(im, &f->message, item->lazy, err);
    if (item->kind == IMAP_ITEM_THREADID)
        return write_thread_id(im, f, err);
    if (!fetch_tree(im, f, err))
        return false;
    if (item->kind == IMAP_ITEM_ENVELOPE) {
        buf_add(&im->out, STR("ENVELOPE "));
        imap_write_envelope(&im->out, f->tree->envelope, imap_utf8(im));
    } else {
        bool extended = item->kind == IMAP_ITEM_BODYSTRUCTURE;

        buf_add(&im->out, extended ? STR("BODYSTRUCTURE ") : STR("BODY "));
        imap_write_body(&im->out, f->tree, extended, imap_utf8(im));
    }
    return true;
}

/* ---- items ---- */

static void write_row_item(struct imap *im, const struct store_message *m, enum imap_item_kind kind)
{
    struct buf *out = &im->out;

    switch ((int)kind) {
    case IMAP_ITEM_FLAGS: imap_write_message_flags(im, m); break;
    case IMAP_ITEM_UID:
        buf_add(out, STR("UID "));
        buf_add_number(out, m->uid);
        break;
    case IMAP_ITEM_INTERNALDATE:
        buf_add(out, STR("INTERNALDATE "));
        imap_write_date_time(out, m->received);
        break;
    case IMAP_ITEM_SIZE: buf_addf(out, "RFC822.SIZE %" PRId64, m->size); break;
    case IMAP_ITEM_MODSEQ: imap_write_modseq(im, m); break;
    case IMAP_ITEM_EMAILID: buf_addf(out, "EMAILID (M%" PRIx64 ")", (uint64_t)m->content); break;
    case IMAP_ITEM_SAVEDATE:
        buf_add(out, STR("SAVEDATE "));
        imap_write_date_time(out, m->saved);
        break;
    default: break;
    }
}

static void between(struct imap *im, struct fetch *f)
{
    if (!f->first)
        buf_add_char(&im->out, ' ');
    f->first = false;
}

/* The items that every answer has, whether asked for or not. */
static void begin_message(struct imap *im, struct fetch *f, const struct store_message *m)
{
    const struct imap_fetch *what = &im->command.fetch;
    bool uid = im->command.uid, modseq = what->changed_since_given;

    for (size_t i = 0; i < what->item_count; i++) {
        uid &= what->items[i].kind != IMAP_ITEM_UID;
        modseq &= what->items[i].kind != IMAP_ITEM_MODSEQ;
    }
    f->begun = im->out.n;
    f->first = !imap_begin_fetch(im, m->uid, uid);
    if (modseq) {
        between(im, f);
        write_row_item(im, m, IMAP_ITEM_MODSEQ);
    }
}

/* ---- a message with bytes, item by item ---- */

void fetch_open(struct imap *im, struct fetch *f, const struct store_message *m)
{
    f->open = true;
    f->has_left = false; /* that of the message before may have */
    f->message = *m;
    if (f->needs_bytes)
        store_pin(im->box->store, &f->pin, m->content); /* they stay until the last was sent */
    buf_reset(&f->more); /* the row goes, the message may take turns */
    buf_add(&f->more, m->more);
    f->message.more = buf_str(&f->more);
    f->item = 0;
    f->tree = NULL;
    f->streaming = false;
}

/* A command may ask for the same large item thousands of times. What stands in the row costs less than the look at the clock. */
static bool must_pause(struct imap *im, struct fetch *f, enum imap_item_kind kind)
{
    if (f->item + 1 == im->command.fetch.item_count || !(is_bytes(kind) || is_from_info(kind)) || !imap_pause(im))
        return false;
    if (!f->needs_bytes)
        store_pin(im->box->store, &f->pin, f->message.content);
    f->item++;
    return true;
}

/* The answer begins; unless BINARY is asked of what nobody knows how to decode (RFC 9051, section 7.5.2): then there is none. */
static bool begin_bytes(struct imap *im, struct fetch *f, struct err *err)
{
    bool known;

    f->begins = false;
    if (!fetch_knows_encodings(im, f, &known, err))
        return false;
    if (known)
        begin_message(im, f, &f->message);
    f->unknown_encoding |= !known;
    f->open = known;
    return true;
}

static bool write_items(struct imap *im, struct fetch *f, struct err *err)
{
    const struct imap_fetch *what = &im->command.fetch;

    if (f->begins && !begin_bytes(im, f, err))
        return false;
    if (!f->open)
        return true;
    for (; f->item < what->item_count; f->item++) {
        const struct imap_item *item = &what->items[f->item];

        if (!f->streaming) {
            between(im, f);
            if (is_bytes(item->kind)) {
                if (!fetch_begin_body(im, f, item, err))
                    return false;
            } else if (is_from_info(item->kind)) {
                if (!write_from_info(im, f, item, err))
                    return false;
            } else {
                write_row_item(im, &f->message, item->kind);
            }
        }
        if (f->streaming && !fetch_stream(im, f, item, err))
            return false;
        if (f->streaming || must_pause(im, f, item->kind))
            return true;
    }
    buf_add(&im->out, STR(")\r\n"));
    f->open = false;
    if (f->unseen_wanted && !(f->message.flags & IMAP_SEEN && imap_view_is_on_disk(im, f->message.modseq)))
        uid_set_add(&f->seen, f->message.uid);
    return true;
}

/* ---- the walk ---- */

struct walk {
    struct imap *im;
    struct err *err;
    bool failed;
};

/* A message with bytes goes on outside of the walk, which is for many. Late keywords are those of the row that is read. */
static bool take_ahead(struct fetch *f, const struct store_message *m)
{
    if (m->more.n > 0) {
        f->at = m->uid;
        return false;
    }
    f->ahead[f->ahead_n++] = *m;
    return f->ahead_n < FETCH_AHEAD;
}

static void open_ahead(struct imap *im, struct fetch *f)
{
    const struct store_message *m = &f->ahead[f->ahead_at++];

    fetch_open(im, f, m);
    f->begins = true;
}

static bool on_message(void *arg, const struct store_message *m)
{
    struct walk *w = arg;
    struct imap *im = w->im;
    struct fetch *f = im->work;

    if (!uid_set_has(&im->view.known, m->uid))
        return true;
    if (f->tells_changes && !imap_view_is_on_disk(im, m->modseq)) {
        f->at = m->uid;
        f->must_wait = f->ahead_n == 0; /* else those come first */
        return false;
    }
    f->at = m->uid == UINT32_MAX ? 0 : m->uid + 1;
    if (f->needs_bytes && (m->more.n == 0 || f->ahead_n > 0))
        return take_ahead(f, m);
    fetch_open(im, f, m);
    f->begins = f->needs_bytes;
    if (f->needs_bytes)
        return false;
    begin_message(im, f, m);
    w->failed = !write_items(im, f, w->err);
    return !w->failed && !f->open && !(f->flags_only ? imap_pause_between_rows : imap_pause)(im);
}

/* Where the range of the set that holds `uid` ends. */
static uint32_t range_end(const struct imap_set *set, uint32_t uid)
{
    size_t i = set->saved ? set->n : imap_set_from(set, uid);

    return i < set->n && set->ranges[i].from <= uid ? set->ranges[i].to : uid;
}

/* ---- the end: what was shown is marked as seen ---- */

static void answer(struct imap *im)
{
    const struct fetch *f = im->work;

    if (f->unknown_encoding)
        imap_no(im, "UNKNOWN-CTE", "Some of it is in an encoding that is not known here");
    else
        imap_ok(im, NULL, "Done");
}

static void on_marked(struct imap *im, bool stored)
{
    (void)stored; /* what was asked for was shown all the same */
    answer(im);
}

static bool mark_one(struct imap *im, uint32_t uid, struct err *err)
{
    struct store_message m;
    bool found, changed;

    return store_message_get(im->box->store, im->view.folder, uid, &m, &found, err) &&
           (!found || store_message_flags(im->box->store, im->view.folder, &m, m.flags | IMAP_SEEN, m.more, &changed, err));
}

static void mark_some(struct imap *im)
{
    struct fetch *f = im->work;
    struct err err = {0};
    uint32_t uid;

    if (!imap_still_holds(im))
        return;
    store_new_modseq(im->box->store); /* another session may have changed flags since the last turn */
    while ((uid = uid_set_next(&f->seen, 1)) != 0) {
        uid_set_remove(&f->seen, uid);
        if (!mark_one(im, uid, &err)) {
            imap_undo(im, &err);
            return;
        }
        if (imap_pause(im))
            return;
    }
    imap_release(im);
    imap_when_synced(im, on_marked);
}

static void end(struct imap *im)
{
    struct fetch *f = im->work;

    if (f->seen.count == 0) {
        answer(im);
        return;
    }
    if (imap_hold(im))
        im->step = mark_some;
}

/* In the middle of a response nothing can be said any more, unless all of it is still here. */
static void give_up(struct imap *im, const struct err *err)
{
    struct fetch *f = im->work;

    if (f->open && f->has_left) { /* what else were said would be taken for the rest of a literal */
        log_warning("imap-fetch", "account=%" PRId64 " reason=%s", im->info->account, err->text);
        buf_reset(&im->out);
        im->closed = true;
        im->step = NULL;
        return;
    }
    if (f->open && !f->begins)
        im->out.n = f->begun;
    imap_failed(im, err);
}

/* Both ends have one sign. */
static uint64_t partial_length(const struct imap_fetch *what)
{
    int64_t a = what->partial_from, b = what->partial_to;

    return (uint64_t)(a < b ? b - a : a - b) + 1;
}

/* Only so many from the beginning or the end of what the set has (RFC 9394). */
static void keep_partial(struct imap *im, struct fetch *f)
{
    const struct imap_fetch *what = &im->command.fetch;
    bool from_end = what->partial_from < 0;
    int64_t a = from_end ? -what->partial_from : what->partial_from, b = from_end ? -what->partial_to : what->partial_to;
    int64_t low = a < b ? a : b, high = a < b ? b : a, count = 0, n = 0;
    struct uid_set chosen;

    uid_set_init(&chosen);
    for (uint32_t uid = 0; from_end && (uid = imap_view_next(im, &f->set, uid + 1)) != 0;)
        count++;
    for (uint32_t uid = 0; (from_end || n < high) && (uid = imap_view_next(im, &f->set, uid + 1)) != 0;) {
        int64_t place = from_end ? count - n : n + 1;

        n++;
        if (place >= low && place <= high)
            uid_set_add(&chosen, uid);
    }
    uid_set_clear(&f->chosen);
    f->chosen = chosen;
    f->is_partial = true;
}

static uint32_t next_uid(struct imap *im, struct fetch *f)
{
    if (f->at == 0)
        return 0;
    return f->is_partial ? uid_set_next(&f->chosen, f->at) : imap_view_next(im, &f->set, f->at);
}

/* Until the turn is over; *all: nothing is left. */
static bool fetch_turn(struct imap *im, bool *all, struct err *err)
{
    struct fetch *f = im->work;
    const struct imap_fetch *what = &im->command.fetch;
    struct walk w = {im, err, false};
    bool done = true;

    if (f->ahead_at < f->ahead_n)
        f->at = f->ahead[f->ahead_at].uid;
    f->ahead_at = f->ahead_n = 0;
    f->must_wait = false;
    while (done && !f->must_wait && !imap_pause(im)) {
        uint32_t uid, to;

        if (f->open) {
            done = write_items(im, f, err);
            continue;
        }
        if (f->ahead_at < f->ahead_n) {
            open_ahead(im, f);
            continue;
        }
        f->ahead_at = f->ahead_n = 0;
        uid = next_uid(im, f);
        *all = uid == 0;
        if (*all)
            break;
        if (!imap_view_misses_none(im)) {
            f->must_wait = true;
            break;
        }
        to = f->is_partial ? uid : range_end(&f->set, uid);
        f->at = to == UINT32_MAX ? 0 : to + 1;
        done = (f->flags_only ? store_flags_walk : store_messages_walk)(im->box->store, im->view.folder, uid, to,
                   what->changed_since_given ? (int64_t)what->changed_since : -1, on_message, &w, err) && !w.failed;
    }
    return done;
}

static void fetch_some(struct imap *im)
{
    struct fetch *f = im->work;
    struct store *s = im->box->store;
    struct err err = {0};
    bool all = false, done;

    store_begin_reading(s);
    done = fetch_turn(im, &all, &err);
    store_end_reading(s);
    if (!done)
        give_up(im, &err);
    else if (all)
        end(im);
    else if (f->open)
        f->has_left = !f->begins;
    else if (f->must_wait)
        imap_settle(im);
}

/* ---- the command ---- */

static void look_at_items(struct imap *im, struct fetch *f)
{
    const struct imap_fetch *what = &im->command.fetch;
    bool may_see = !im->view.read_only && (imap_view_rights(im) & ACL_SEEN) != 0;

    f->flags_only = true;
    for (size_t i = 0; i < what->item_count; i++) {
        f->needs_bytes |= is_bytes(what->items[i].kind);
        f->flags_only &= is_flags(what->items[i].kind);
        f->unseen_wanted |= is_bytes(what->items[i].kind) && !what->items[i].peek && may_see;
        f->tells_changes |= what->items[i].kind == IMAP_ITEM_FLAGS || what->items[i].kind == IMAP_ITEM_MODSEQ;
        if (what->items[i].kind == IMAP_ITEM_MODSEQ)
            imap_enable_condstore(im);
    }
    if (what->changed_since_given)
        imap_enable_condstore(im);
    f->tells_changes |= what->changed_since_given;
}

void imap_on_fetch(struct imap *im)
{
    struct imap_fetch *what = &im->command.fetch;
    struct fetch *f;
    struct err err = {0};

    if (what->vanished && !(im->enabled & IMAP_ENABLED_QRESYNC)) {
        imap_bad(im, "ENABLE QRESYNC comes first");
        return;
    }
    if (!imap_view_resolve(im, &what->set, im->command.uid))
        return;
    if (what->partial_from == 0) {
        imap_limit_set(im, &what->set);
    } else if (imap_is_over_limit(im, partial_length(what))) {
        imap_no(im, imap_limit_code(im), "The range is too long");
        return;
    }
    f = imap_alloc(im, sizeof *f);
    if (f == NULL)
        return;
    fetch_init(f);
    f->set = what->set;
    im->work = f;
    im->clean = clean;
    look_at_items(im, f);
    if (what->partial_from != 0)
        keep_partial(im, f);
    if (what->vanished && !imap_tell_vanished(im, im->view.folder, &what->set, (int64_t)what->changed_since, &err))
        imap_failed(im, &err);
    else
        im->step = fetch_some;
}
