/* The selected mailbox as a client knows it: what it is told, and in which order. See imap.h and store_folder.h.
 *
 * What is told comes from `shown`, the state that is on disk: first what is gone (unless the command forbids it), then
 * how many there are, then changed flags. Each part goes on in a later turn where it stopped. A change this client made
 * itself is not told again: the modification sequence of its STORE is its own. */
#include "imap.h"
#include "imap_notify.h"
#include "base/log.h"
#include "box_search.h"

#include <inttypes.h>

void imap_view_open(struct imap *im, struct folder *f, bool read_only)
{
    struct imap_view *v = &im->view;

    v->folder = f;
    v->read_only = read_only;
    v->rights = imap_view_rights(im);
    uid_set_copy(&v->known, &f->shown);
    v->uidnext = uid_set_last(&f->shown) + 1;
    v->modseq = v->whole = f->shown_modseq;
    v->version = f->version;
    v->keywords_told = f->keywords_durable;
    im->telling.tried = IMAP_VIEW_BEHIND;
}

/* One of somebody else. A command that is about it has it for itself, unless it is about the selected mailbox. */
static void leave_box(struct imap *im)
{
    struct imap_view *v = &im->view;

    if (v->box == NULL || v->box == im->home)
        return;
    if (im->box == v->box && im->place.box != v->box)
        im->box = im->home;
    list_remove(&v->watcher.link);
    box_search_leave(v->box);
    box_leave(v->box);
}

bool imap_view_may_read(struct imap *im)
{
    return im->view.box == im->home || (imap_view_rights(im) & ACL_READ) != 0;
}

void imap_view_close(struct imap *im)
{
    struct imap_view *v = &im->view;

    if (v->folder != NULL)
        store_folder_unwatch(v->folder);
    uid_set_clear(&v->known);
    uid_set_clear(&v->own);
    uid_set_clear(&v->saved);
    leave_box(im);
    str_free(&v->prefix);
    *v = (struct imap_view){0};
    im->telling.under_way = false;
    imap_notify_left(im);
}

/* Nothing can change while the database is closed: what is there when it is opened is what was told. */
void imap_view_rest(struct imap *im)
{
    struct imap_view *v = &im->view;

    if (v->folder == NULL)
        return;
    v->resting = v->folder->id;
    store_folder_unwatch(v->folder);
    v->folder = NULL;
}

bool imap_view_wake(struct imap *im, struct err *err)
{
    struct imap_view *v = &im->view;
    struct folder *f;

    if (v->resting == 0)
        return true;
    f = store_folder_by_id(v->box->store, v->resting);
    if (f == NULL)
        return err_set(err, ERR_PERMANENT, "folder %" PRId64 " is not there any more", v->resting);
    if (!store_folder_watch(v->box->store, f, true, err))
        return false;
    v->folder = f;
    v->version = f->version;
    im->telling.tried = IMAP_VIEW_BEHIND;
    v->resting = 0;
    return true;
}

bool imap_view_may_write(struct imap *im)
{
    if (im->view.read_only)
        imap_no(im, "READ-ONLY", "The mailbox was opened with EXAMINE");
    return !im->view.read_only;
}

/* ---- numbers ---- */

bool imap_view_resolve(struct imap *im, struct imap_set *set, bool uid)
{
    struct imap_view *v = &im->view;

    set->least = 0;
    if (set->saved)
        return true;
    if (!uid)
        for (size_t i = 0; i < set->n; i++)
            if (set->ranges[i].from > v->known.count || set->ranges[i].to > v->known.count ||
                v->known.count == 0) {
                imap_bad(im, "There is no message with such a number");
                return false;
            }
    imap_set_normalize(set, uid ? uid_set_last(&v->known) : v->known.count);
    if (!uid)
        for (size_t i = 0; i < set->n; i++) {
            set->ranges[i].from = uid_set_at(&v->known, set->ranges[i].from);
            set->ranges[i].to = uid_set_at(&v->known, set->ranges[i].to);
        }
    return true;
}

uint32_t imap_view_next(const struct imap *im, const struct imap_set *set, uint32_t from)
{
    const struct imap_view *v = &im->view;

    if (from < set->least)
        from = set->least;
    if (set->saved) {
        uint32_t uid = uid_set_next(&v->saved, from);

        while (uid != 0 && !uid_set_has(&v->known, uid))
            uid = uid_set_next(&v->saved, uid + 1);
        return uid;
    }
    for (size_t i = imap_set_from(set, from); i < set->n; i++) {
        const struct imap_range *r = &set->ranges[i];
        uint32_t uid;

        uid = uid_set_next(&v->known, from > r->from ? from : r->from);
        if (uid != 0 && uid <= r->to)
            return uid;
        if (uid == 0)
            return 0;
    }
    return 0;
}

uint32_t imap_view_number(const struct imap *im, uint32_t uid)
{
    return uid_set_rank(&im->view.known, uid);
}

/* ---- flags ---- */

void imap_view_tell_keywords(struct imap *im)
{
    struct imap_view *v = &im->view;
    struct imap_flags flags = {.system = IMAP_SEEN | IMAP_ANSWERED | IMAP_FLAGGED | IMAP_DELETED | IMAP_DRAFT,
        .keywords = v->folder->keywords, .keyword_count = v->folder->keywords_durable};
    struct imap_flags permanent = {.system = v->read_only ? 0 : imap_flags_of_rights(v->rights)};

    buf_add(&im->out, STR("* FLAGS "));
    imap_write_flags(&im->out, &flags);
    buf_add(&im->out, STR("\r\n* OK [PERMANENTFLAGS "));
    if (v->read_only || !(v->rights & ACL_WRITE)) {
        imap_write_flags(&im->out, &permanent);
    } else {
        permanent.keywords = flags.keywords;
        permanent.keyword_count = flags.keyword_count;
        imap_write_flags(&im->out, &permanent);
        if (flags.keyword_count < STORE_KEYWORDS_MAX) { /* else no new one can be made (RFC 9051, section 7.1) */
            im->out.n--;
            buf_add(&im->out, STR(" \\*)"));
        }
    }
    buf_add(&im->out, STR("] Flags\r\n"));
    v->keywords_told = v->folder->keywords_durable;
}

bool imap_view_knows_keywords(const struct imap *im)
{
    return im->view.keywords_told >= im->view.folder->keywords_durable;
}

void imap_write_message_flags(struct imap *im, const struct store_message *m)
{
    static const char *const names[] = {"\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"};
    const struct folder *f = im->view.folder;
    bool any = false;

    buf_add(&im->out, STR("FLAGS ("));
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (m->flags >> i & 1) {
            if (any)
                buf_add_char(&im->out, ' ');
            buf_add(&im->out, str_of(names[i]));
            any = true;
        }
    if (m->flags >> STORE_KEYWORD_SHIFT != 0 || m->more.n > 0)
        for (size_t i = 0; i < f->keyword_count; i++)
            if (store_has_keyword(m->flags, m->more, (int)i)) {
                buf_addf(&im->out, "%s%.*s", any ? " " : "", STR_ARG(f->keywords[i]));
                any = true;
            }
    buf_add_char(&im->out, ')');
}

void imap_write_modseq(struct imap *im, const struct store_message *m)
{
    buf_addf(&im->out, "MODSEQ (%" PRId64 ")", m->modseq);
    if (m->modseq > im->said_modseq)
        im->said_modseq = m->modseq;
}

/* ---- what is on disk ---- */

bool imap_view_is_on_disk(const struct imap *im, int64_t modseq)
{
    return modseq <= im->view.folder->shown_modseq || box_is_settled(im->view.box);
}

bool imap_view_misses_none(const struct imap *im)
{
    return imap_view_is_on_disk(im, im->view.folder->gone_modseq);
}

/* ---- what is gone ---- */

bool imap_view_has_gone(const struct imap *im)
{
    const struct imap_view *v = &im->view;

    return v->folder != NULL && !im->tell_expunges && !im->idling && v->version != v->folder->version && uid_set_next_gone(&v->known, &v->folder->shown, 1) != 0;
}

static void forget(struct imap *im, uint32_t uid)
{
    uid_set_remove(&im->view.known, uid);
    uid_set_remove(&im->view.own, uid);
    uid_set_remove(&im->view.saved, uid);
}

/* One response for all (RFC 7162, section 3.2.10). */
static bool tell_vanished(struct imap *im)
{
    struct imap_set_writer w = {.out = &im->out};
    uint32_t uid = 0;

    while ((uid = uid_set_next_gone(&im->view.known, &im->view.folder->shown, uid + 1)) != 0) {
        if (w.first == 0 && !w.any)
            buf_add(&im->out, STR("* VANISHED "));
        imap_set_add(&w, uid);
        forget(im, uid);
        if (imap_pause(im))
            break;
    }
    imap_set_end(&w);
    if (w.any)
        buf_add(&im->out, STR("\r\n"));
    return uid == 0;
}

/* From the highest down, so that no number of a later one changes. */
static bool tell_expunged(struct imap *im)
{
    uint32_t uid = UINT32_MAX;

    while ((uid = uid_set_last_gone(&im->view.known, &im->view.folder->shown, uid)) != 0) {
        buf_addf(&im->out, "* %" PRIu32 " EXPUNGE\r\n", imap_view_number(im, uid));
        forget(im, uid);
        if (imap_pause(im))
            return false;
    }
    return true;
}

/* ---- what is new, what changed ---- */

static void tell_new(struct imap *im)
{
    struct imap_view *v = &im->view;
    uint32_t before = v->known.count, from = v->uidnext;

    for (uint32_t uid = v->uidnext; (uid = uid_set_next(&v->folder->shown, uid)) != 0; uid++) {
        uid_set_add(&v->known, uid);
        v->uidnext = uid + 1;
        if (uid == UINT32_MAX)
            break;
    }
    if (v->known.count > before) {
        buf_addf(&im->out, "* %" PRIu32 " EXISTS\r\n", v->known.count);
        imap_notify_new(im, from, v->uidnext - 1);
    }
}

static bool tell_flags_of(void *arg, const struct store_message *m)
{
    struct imap *im = arg;
    struct imap_view *v = &im->view;
    bool known = uid_set_has(&v->known, m->uid);

    im->telling.at = m->uid + 1;
    im->telling.missed |= known && m->modseq > im->telling.modseq;
    if (!known || m->modseq > im->telling.modseq || (m->modseq == v->own_modseq && uid_set_has(&v->own, m->uid)))
        return true;
    if (!imap_view_knows_keywords(im))
        imap_view_tell_keywords(im);
    /* "Any FETCH response caused by a UID command" has it (RFC 9051, section 6.4.9). */
    if (imap_begin_fetch(im, m->uid, im->command.uid || im->notify != NULL || im->enabled & (IMAP_ENABLED_QRESYNC | IMAP_ENABLED_REV2)))
        buf_add_char(&im->out, ' ');
    imap_write_message_flags(im, m);
    if (im->enabled & IMAP_ENABLED_CONDSTORE) {
        buf_add_char(&im->out, ' ');
        imap_write_modseq(im, m);
    }
    buf_add(&im->out, STR(")\r\n"));
    return !imap_pause(im);
}

/* Only messages the client knew before: the others it will ask for. */
static bool tell_changed(struct imap *im)
{
    struct imap_view *v = &im->view;
    struct err err = {0};

    if (im->telling.uidnext <= 1 || im->telling.at >= im->telling.uidnext)
        return true;
    im->telling.missed |= v->folder->gone_modseq > im->telling.modseq; /* its flags may be back with a rollback */
    if (!store_flags_walk(v->box->store, v->folder, im->telling.at, im->telling.uidnext - 1, v->modseq, tell_flags_of, im, &err)) {
        log_warning("imap-view", "account=%" PRId64 " reason=%s", im->info->account, err.text);
        return true;
    }
    return !imap_pause(im);
}

bool imap_view_is_behind(const struct imap *im)
{
    const struct imap_view *v = &im->view;

    return v->folder != NULL && (im->telling.under_way || v->version != v->folder->version);
}

static void begin_telling(struct imap *im)
{
    im->telling.under_way = true;
    im->telling.missed = false;
    im->telling.at = 1;
    im->telling.uidnext = im->view.uidnext;
    im->telling.modseq = im->view.folder->shown_modseq;
    im->telling.version = im->view.folder->version;
}

bool imap_view_tell(struct imap *im)
{
    struct imap_view *v = &im->view;
    bool expunges = im->tell_expunges || im->idling, all_gone;
    unsigned events = im->tells_all ? IMAP_EVENTS_MESSAGE : imap_notify_selected(im);

    if (!imap_view_is_behind(im) || !(events & IMAP_EVENT_NEW) || !imap_view_may_read(im))
        return true;
    if (!im->telling.under_way)
        begin_telling(im);
    if (expunges && !(im->enabled & (IMAP_ENABLED_QRESYNC | IMAP_ENABLED_UIDONLY) ? tell_vanished : tell_expunged)(im))
        return false;
    tell_new(im);
    if (!(events & IMAP_EVENT_FLAGS))
        imap_notify_skipped(im);
    else if (!tell_changed(im))
        return false;
    im->telling.under_way = false;
    all_gone = expunges || uid_set_next_gone(&v->known, &v->folder->shown, 1) == 0;
    im->telling.tried = im->telling.version;
    if (im->telling.missed) /* what was is told with what comes; or again, if that is rolled back */
        return true;
    if (events & IMAP_EVENT_FLAGS)
        v->modseq = im->telling.modseq;
    if (all_gone) {
        v->version = im->telling.version;
        v->whole = v->modseq;
    }
    return true;
}

bool imap_view_tell_news(struct imap *im)
{
    if (im->view.folder == NULL || (!im->telling.under_way && im->telling.tried == im->view.folder->version))
        return true;
    return imap_view_tell(im);
}
