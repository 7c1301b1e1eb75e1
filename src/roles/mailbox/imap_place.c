/* Where a mailbox name leads, and what may be done there (RFC 4314, RFC 2342). See imap.h and store_acl.h.
 *
 * "Other Users/ann@example.org/Projects" is the mailbox Projects of Ann, for everybody but her. Directory is asked whose the address is;
 * then her database is opened here, in her own process, and her access control list is read at each command, so what is taken away is
 * gone at once; what goes beyond `sharing` in the configuration (of now) has no effect. A mailbox that may not be looked up is answered as if it were not there. A mailbox of one's own that already has such a
 * name keeps it. */
#include "imap.h"
#include "base/log.h"
#include "box_search.h"

#include <inttypes.h>

/* ---- names ---- */

bool imap_is_reserved(struct imap *im, struct str name)
{
    static const struct str others = {IMAP_OTHERS, sizeof IMAP_OTHERS - 1};

    return (im->info->flags & SESSION_ADMIN) == 0 && str_starts(name, others) && (name.n == others.n || name.p[others.n] == '/');
}

/* "Other Users/ADDRESS/NAME"; false: it is a name of one's own. A "/" before the first "@" belongs to the address. */
static bool take_apart(struct str name, struct str *address, struct str *there)
{
    static const struct str others = {IMAP_OTHERS "/", sizeof IMAP_OTHERS};
    struct str rest = str_skip(name, others.n);
    ptrdiff_t at = str_find(rest, '@'), slash;
    size_t local = at > 0 ? (size_t)at : 0;

    slash = str_find(str_skip(rest, local), '/');
    if (!str_starts(name, others) || slash < 0 || local + (size_t)slash == 0)
        return false;
    *address = str_sub(rest, 0, local + (size_t)slash);
    *there = str_skip(rest, address->n + 1);
    return there->n > 0;
}

struct str imap_full_name(struct imap *im, struct str name)
{
    struct buf full;
    struct str out;

    if (im->place.prefix.n == 0)
        return name;
    buf_init(&full, 64 * 1024);
    buf_add(&full, im->place.prefix);
    buf_add(&full, name);
    out = arena_str(&im->arena, buf_str(&full));
    buf_clear(&full);
    return out.p != NULL ? out : name; /* parsing leaves room for it */
}

void imap_write_mailbox_id(const struct imap *im, struct buf *out, const struct box *box, const struct folder *f)
{
    if (box == im->home)
        buf_addf(out, "F%" PRId64, f->id);
    else
        buf_addf(out, "F%" PRId64 "-%" PRId64, box->account, f->id);
}

/* ---- finding it ---- */

static void enter(struct imap *im, struct imap_place *place, const struct shares_answer *answer)
{
    struct shares *shares = accounts_shares(im->info->accounts);
    struct err err = {0};
    struct buf prefix;

    place->failed = answer->failed;
    if (answer->failed || answer->account == 0 || answer->account == im->home->account)
        return;
    box_set_address(im->home, answer->asker);
    if (!shares_may(shares, answer->address, answer->asker))
        return;
    place->elsewhere = !shares_is_ours(shares, answer->account);
    if (!place->elsewhere)
        place->box = boxes_enter_existing(session_boxes(im->session), answer->account, &err);
    if (place->box == NULL) {
        place->failed = err.kind != ERR_NONE && err.kind != ERR_PERMANENT;
        return;
    }
    box_set_address(place->box, answer->address);
    buf_init(&prefix, sizeof IMAP_OTHERS + 1 + IPC_ADDRESS);
    buf_addf(&prefix, IMAP_OTHERS "/%.*s/", STR_ARG(answer->address));
    place->prefix = arena_str(&im->arena, buf_str(&prefix));
    buf_clear(&prefix);
    if (place->prefix.p == NULL) {
        imap_place_leave(im, place);
        place->failed = true;
    }
}

static void on_found(struct shares_waiter *w, const struct shares_answer *answer)
{
    struct imap *im = CONTAINER(w, struct imap, locating.waiter);

    im->waiting = false;
    enter(im, im->locating.place, answer);
    im->locating.then(im);
    session_wake(im->session);
}

void imap_locate(struct imap *im, struct str name, struct imap_place *place, imap_step *then)
{
    struct str address, there;

    imap_place_leave(im, place);
    if ((im->info->flags & SESSION_ADMIN) != 0 || !take_apart(name, &address, &there) || store_folder_find(im->home->store, name) != NULL) {
        *place = (struct imap_place){.box = im->home, .name = name};
        then(im);
        return;
    }
    place->name = str_ieq(there, STR("INBOX")) ? STR("INBOX") : arena_str(&im->arena, there);
    if (place->name.p == NULL) {
        place->failed = true;
        then(im);
        return;
    }
    im->locating.place = place;
    im->locating.then = then;
    imap_ask_address(im, im->home->account, address, on_found);
}

bool imap_is_somewhere(struct imap *im, const struct imap_place *place, const char *code)
{
    if (place->box != NULL)
        return true;
    if (place->failed)
        imap_no(im, "UNAVAILABLE", "The mailbox cannot be found now, try again later");
    else if (place->elsewhere)
        imap_no(im, "UNAVAILABLE", "Its owner is served by another process: that needs copies { mailbox = 1 } in the configuration of this server");
    else
        imap_no(im, code, "There is no such mailbox");
    return false;
}

void imap_place_leave(struct imap *im, struct imap_place *place)
{
    if (place->box != NULL && place->box != im->home)
        box_leave(place->box);
    *place = (struct imap_place){0};
}

struct box *imap_box_between(const struct imap *im)
{
    return im->view.box != NULL ? im->view.box : im->home;
}

void imap_places_leave(struct imap *im)
{
    im->box = imap_box_between(im);
    imap_place_leave(im, &im->place);
    imap_place_leave(im, &im->source);
}

/* ---- rights ---- */

static bool has_effect(const struct imap *im, const struct box *box)
{
    return shares_may(accounts_shares(im->info->accounts), box->address, im->home->address);
}

static bool anyone_has(const struct imap *im)
{
    return shares_mode(accounts_shares(im->info->accounts)) == SHARING_ANYONE;
}

unsigned imap_rights(struct imap *im, struct box *box, const struct folder *f)
{
    struct err err = {0};
    unsigned rights;

    if (box == im->home)
        return ACL_ALL;
    if (!has_effect(im, box))
        return 0;
    if (store_acl_rights(box->store, f, im->home->account, anyone_has(im), &rights, &err))
        return rights;
    log_warning("imap-rights", "account=%" PRId64 " reason=%s", box->account, err.text);
    return 0;
}

bool imap_shared_folders(struct imap *im, struct box *box, int64_t above, store_acl_folder_fn *tell, void *arg, struct err *err)
{
    return !has_effect(im, box) || store_acl_folders(box->store, im->home->account, anyone_has(im), above, tell, arg, err);
}

unsigned imap_view_rights(struct imap *im)
{
    return imap_rights(im, im->view.box, im->view.folder);
}

static bool has(unsigned rights, unsigned all, unsigned any)
{
    return (rights & all) == all && (any == 0 || (rights & any) != 0);
}

bool imap_may(struct imap *im, struct box *box, const struct folder *f, unsigned all, unsigned any, const char *code)
{
    unsigned rights = f != NULL ? imap_rights(im, box, f) : 0;

    if (f != NULL && has(rights, all, any))
        return true;
    if (rights & ACL_LOOKUP)
        imap_no(im, "NOPERM", "The owner of the mailbox has not granted that");
    else
        imap_no(im, code, "There is no such mailbox");
    return false;
}

bool imap_may_read_annotations(unsigned rights)
{
    return rights & ACL_LOOKUP && rights & IMAP_RIGHTS_OF_METADATA;
}

unsigned imap_flags_of_rights(unsigned rights)
{
    return (rights & ACL_SEEN ? IMAP_SEEN : 0u) | (rights & ACL_TO_DELETE ? IMAP_DELETED : 0u) |
           (rights & ACL_WRITE ? IMAP_ANSWERED | IMAP_FLAGGED | IMAP_DRAFT : 0u);
}

/* The nearest name above that is a mailbox (RFC 4314, section 4). */
static struct folder *nearest_above(struct store *s, struct str name)
{
    ptrdiff_t slash = str_rfind(name, '/');
    struct folder *f = NULL;

    while (slash > 0 && f == NULL) {
        name = str_sub(name, 0, (size_t)slash);
        f = store_folder_find(s, name);
        slash = str_rfind(name, '/');
    }
    return f;
}

static bool note_lookup(void *arg, int64_t folder, unsigned rights)
{
    (void)folder;
    *(bool *)arg = (rights & ACL_LOOKUP) != 0;
    return !*(bool *)arg;
}

/* Some mailbox of that account may be looked up, so that the account is no secret. */
static bool knows_something(struct imap *im)
{
    struct err err = {0};
    bool any = false;

    return imap_shared_folders(im, im->box, 0, note_lookup, &any, &err) && any;
}

bool imap_may_create(struct imap *im, struct str name)
{
    struct folder *f;

    if (im->box == im->home)
        return true;
    f = store_folder_find(im->box->store, name);
    if (f != NULL && imap_rights(im, im->box, f) & ACL_LOOKUP) /* he will hear that it is there */
        return true;
    f = nearest_above(im->box->store, name);
    if (f != NULL && imap_rights(im, im->box, f) & ACL_CREATE)
        return true;
    if (knows_something(im))
        imap_no(im, "NOPERM", "The owner has not granted to make mailboxes there");
    else
        imap_no(im, "NONEXISTENT", "There is no such mailbox"); /* as if there were no such account */
    return false;
}

/* ---- the selected mailbox ---- */

static bool may_rest(struct box_watcher *w)
{
    struct imap *im = CONTAINER(w, struct imap, view.watcher);

    return im->watcher.may_rest(&im->watcher);
}

static void on_rest(struct box_watcher *w)
{
    imap_view_rest(CONTAINER(w, struct imap, view.watcher));
}

static void on_changed(struct box_watcher *w)
{
    struct imap *im = CONTAINER(w, struct imap, view.watcher);

    im->watcher.changed(&im->watcher);
}

static void on_woken(struct box_watcher *w)
{
    imap_view_woken(CONTAINER(w, struct imap, view.watcher));
}

bool imap_view_enter(struct imap *im)
{
    struct imap_view *v = &im->view;
    struct err err = {0};

    v->box = im->box;
    if (v->box == im->home)
        return true;
    if (boxes_enter(session_boxes(im->session), v->box->account, &err) == NULL) {
        v->box = NULL;
        imap_failed(im, &err);
        return false;
    }
    v->prefix = str_dup(im->place.prefix);
    v->watcher = (struct box_watcher){.changed = on_changed, .may_rest = may_rest, .rests = on_rest, .woken = on_woken};
    box_watch(v->box, &v->watcher);
    box_search_enter(v->box);
    return true;
}
