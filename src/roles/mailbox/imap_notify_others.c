/* NOTIFY of mailboxes that others share (RFC 5465 with RFC 4314). See imap_notify.h.
 *
 * A session whose set may mean mailboxes of others listens to the databases of those owners that directory names (a hint, as for LIST),
 * NOTIFY_OTHERS_MAX at most. Of each it keeps the mailboxes it may look up, by their names: when names or rights change there, what it
 * may see now is compared with that, so a right that is granted looks like a mailbox that was made, one that is taken away like one that was
 * deleted, and nothing is told of what was never seen. Rights are looked at again whenever something is told. An owner may share thousands:
 * looking, comparing and telling go on over as many turns as they take, and a session whose lists take more than NOTIFY_SEEN_MAX hears that
 * it is told nothing more. Such a database rests as any other does, and listening does not keep it from being removed, restored or opened anew after a failure: then the session hears that
 * it has missed something. */
#include "base/log.h"
#include "imap.h"
#include "imap_notify.h"
#include "imap_notify_seen.h"

#include <inttypes.h>
#include <stdlib.h>

enum { NOTIFY_OTHERS_MAX = 50, NOTIFY_SEEN_MAX = 8 * 1024 * 1024, SEES = ACL_LOOKUP | ACL_READ };

struct notify_owner {
    struct link link;
    struct imap *im;
    struct box *box;
    struct box_watcher watcher;
    struct str prefix;       /* of his mailboxes for this client; owned */
    uint64_t events, folders; /* versions of his store: told up to here */
    uint64_t who;            /* among those who listen to it */
    bool looked, entered;    /* `seen` is made; and what NOTIFY SET says of it was said */
    bool names_changed, by_others; /* since it was looked; by somebody else than this client */
    struct seen_list seen;
    bool looking, stopped;   /* `next` is being made; the walk stopped */
    bool tells;              /* how it differs is to be told */
    struct seen_list next;
    int64_t looked_at;       /* the last folder that it knows */
    bool comparing;          /* `was` with `seen` */
    struct seen_list was;
    size_t at;               /* where telling goes on */
};

/* ---- what is seen ---- */

static bool add_seen(void *arg, int64_t folder, unsigned rights)
{
    struct notify_owner *o = arg;
    const struct folder *f = store_folder_by_id(o->box->store, folder);
    struct buf name;

    o->looked_at = folder;
    if (f != NULL && rights & ACL_LOOKUP) {
        buf_init(&name, 64 * 1024);
        buf_add(&name, o->prefix);
        buf_add(&name, f->name);
        seen_add(&o->next, folder, rights, buf_str(&name));
        buf_clear(&name);
    }
    o->stopped = imap_pause_between_rows(o->im);
    return !o->stopped;
}

size_t imap_notify_others_memory(const struct imap *im)
{
    size_t bytes = 0;

    LIST_EACH(&im->notify->owners, it) {
        const struct notify_owner *o = CONTAINER(it, const struct notify_owner, link);

        bytes += o->seen.bytes + o->next.bytes + o->was.bytes;
    }
    return bytes;
}

static bool sees_too_much(struct imap *im)
{
    return imap_notify_others_memory(im) > NOTIFY_SEEN_MAX || !imap_gathers(im, im->gathered);
}

/* A part of it; needs names and rights that are on disk. False: there is more, or too much. On failure it is as if nothing could be seen. */
static bool look(struct notify_owner *o)
{
    struct err err = {0};

    o->looking = true;
    o->stopped = false;
    if (!imap_shared_folders(o->im, o->box, o->looked_at, add_seen, o, &err)) {
        log_warning("imap-notify", "account=%" PRId64 " reason=%s", o->box->account, err.text);
        seen_clear(&o->next);
        o->stopped = false;
    }
    if (sees_too_much(o->im)) {
        o->im->notify->lost_owner = true;
        return false;
    }
    if (o->stopped)
        return false;
    seen_sort(&o->next);
    o->was = o->seen;
    o->seen = o->next;
    o->next = (struct seen_list){0};
    o->looked_at = 0;
    o->looking = false;
    return true;
}

static struct notify_owner *owner_of(const struct imap *im, struct str name)
{
    if (im->notify != NULL)
        LIST_EACH(&im->notify->owners, it) {
            struct notify_owner *o = CONTAINER(it, struct notify_owner, link);

            if (str_starts(name, o->prefix))
                return o;
        }
    return NULL;
}

bool imap_notify_sees(const struct imap *im, struct str name)
{
    const struct notify_owner *o = owner_of(im, name);

    return o != NULL && seen_named(&o->seen, name) != NULL;
}

bool imap_notify_sees_below(const struct imap *im, struct str name)
{
    const struct notify_owner *o = owner_of(im, name);

    return o != NULL && seen_has_below(&o->seen, name);
}

/* ---- whose databases ---- */

static void owner_free(struct notify_owner *o)
{
    list_remove(&o->link);
    list_remove(&o->watcher.link);
    if (o->box->store != NULL)
        store_unlisten(o->box->store);
    box_leave(o->box);
    seen_clear(&o->seen);
    seen_clear(&o->next);
    seen_clear(&o->was);
    str_free(&o->prefix);
    free(o);
}

void imap_notify_others_end(struct imap *im)
{
    for (struct link *first; (first = list_first(&im->notify->owners)) != NULL;)
        owner_free(CONTAINER(first, struct notify_owner, link));
    im->notify->owner_count = 0;
    im->notify->lost_owner = false;
}

static void listen_to(struct notify_owner *o)
{
    store_listen(o->box->store);
    o->who = store_listener(o->box->store);
    o->events = o->folders = store_version(o->box->store);
}

static void on_changed(struct box_watcher *w)
{
    struct imap *im = CONTAINER(w, struct notify_owner, watcher)->im;

    im->watcher.changed(&im->watcher);
}

static bool may_rest(struct box_watcher *w)
{
    struct imap *im = CONTAINER(w, struct notify_owner, watcher)->im;

    return im->watcher.may_rest(&im->watcher);
}

static void on_rest(struct box_watcher *w)
{
    store_unlisten(CONTAINER(w, struct notify_owner, watcher)->box->store);
}

static void on_woken(struct box_watcher *w)
{
    listen_to(CONTAINER(w, struct notify_owner, watcher));
}

/* NULL: his database cannot be had; it is passed over. */
static struct notify_owner *owner_new(struct imap *im, int64_t account, struct str address)
{
    struct notify_owner *o;
    struct err err = {0};
    struct box *box = boxes_enter_existing(session_boxes(im->session), account, &err);
    struct buf prefix;

    if (box == NULL)
        return NULL;
    o = xcalloc(1, sizeof *o);
    o->im = im;
    o->box = box;
    box_set_address(box, address);
    buf_init(&prefix, sizeof IMAP_OTHERS + 1 + IPC_ADDRESS);
    buf_addf(&prefix, IMAP_OTHERS "/%.*s/", STR_ARG(address));
    o->prefix = str_dup(buf_str(&prefix));
    buf_clear(&prefix);
    o->watcher = (struct box_watcher){.changed = on_changed, .may_rest = may_rest, .rests = on_rest, .woken = on_woken};
    box_watch(box, &o->watcher);
    list_add_last(&im->notify->owners, &o->link);
    im->notify->owner_count++;
    listen_to(o);
    return o;
}

/* ---- at the command ---- */

bool imap_notify_wants_others(const struct imap *im)
{
    const struct imap_notify_set *set = &im->notify->set;
    bool wants = false;

    for (size_t i = 0; i < set->n && !wants; i++) {
        const struct imap_notify_group *g = &set->groups[i];

        wants = g->filter == IMAP_NOTIFY_SUBSCRIBED;
        for (size_t k = 0; k < g->name_count && !wants; k++)
            wants = str_starts(g->names[k], STR(IMAP_OTHERS));
    }
    return wants && (im->info->flags & SESSION_ADMIN) == 0;
}

/* Some name in the set may be one of his mailboxes. */
static bool may_mean(const struct imap_notify_set *set, struct str prefix)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct imap_notify_group *g = &set->groups[i];

        if (g->filter == IMAP_NOTIFY_SUBSCRIBED)
            return true;
        for (size_t k = 0; k < g->name_count; k++)
            if (str_starts(g->names[k], prefix) || (g->filter == IMAP_NOTIFY_SUBTREE && str_starts(prefix, g->names[k])) ||
                str_eq(g->names[k], str_sub(prefix, 0, prefix.n - 1)))
                return true;
    }
    return false;
}

/* One that may be looked up, but not read, is no mailbox to hear of, and that is said (section 3.1). False: there is more. */
static bool tell_no_access(struct notify_owner *o)
{
    struct imap *im = o->im;

    for (; o->at < o->seen.n; o->at++) {
        const struct seen *seen = &o->seen.all[o->at];

        if (imap_pause_between_rows(im))
            return false;
        if ((seen->rights & SEES) != SEES && imap_notify_events(im, seen->name, false) != 0) {
            buf_add(&im->out, STR("* LIST (\\NoAccess) \"/\" "));
            imap_write_mailbox(&im->out, seen->name, imap_utf8(im));
            buf_add(&im->out, STR("\r\n"));
        }
    }
    o->at = 0;
    return true;
}

struct notify_search {
    struct str owners; /* what is left of directory's answer */
    imap_step *then;
};

/* One after the other: the last one's names may still be on their way to the disk. False: they are waited for, or there is more. */
static bool look_at_last(struct imap *im)
{
    struct link *last = im->notify->owners.head.prev;
    struct notify_owner *o = list_empty(&im->notify->owners) ? NULL : CONTAINER(last, struct notify_owner, link);

    im->box = im->home;
    if (o == NULL || o->entered)
        return true;
    if (!o->looked && !store_names_are_on_disk(o->box->store)) {
        im->box = o->box;
        imap_settle(im);
        return false;
    }
    o->looked = o->looked || look(o);
    o->entered = o->looked && tell_no_access(o);
    return o->entered;
}

static void enter_next(struct imap *im, struct notify_search *search)
{
    struct str line, number;
    struct notify_owner *o;
    uint64_t account;

    if (!str_next(&search->owners, '\n', &line) || !str_next(&line, ' ', &number) || !str_to_u64(number, INT64_MAX, &account) ||
        account == 0 || !shares_is_ours(accounts_shares(im->info->accounts), (int64_t)account))
        return;
    o = owner_new(im, (int64_t)account, line);
    if (o != NULL && !may_mean(&im->notify->set, o->prefix)) {
        owner_free(o);
        im->notify->owner_count--;
    }
}

static void enter_some(struct imap *im)
{
    struct notify_search *search = im->work;

    im->step = enter_some;
    while (look_at_last(im)) {
        if (search->owners.n == 0 || im->notify->owner_count == NOTIFY_OTHERS_MAX) {
            search->then(im);
            return;
        }
        if (imap_pause(im))
            return;
        enter_next(im, search);
    }
    if (im->notify->lost_owner)
        search->then(im);
}

static void on_owners(struct shares_waiter *w, const struct shares_answer *answer)
{
    struct imap *im = CONTAINER(w, struct imap, locating.waiter);
    struct notify_search *search = im->work;

    im->waiting = false;
    if (answer->failed)
        buf_add(&im->out, STR("* NO [UNAVAILABLE] Mailboxes of others cannot be found now\r\n"));
    else
        box_set_address(im->home, answer->asker);
    search->owners = arena_str(&im->arena, answer->owners);
    if (search->owners.p == NULL)
        imap_no(im, "LIMIT", "The command takes too much memory");
    else
        im->step = enter_some;
    session_wake(im->session);
}

void imap_notify_others_begin(struct imap *im, imap_step *then)
{
    struct notify_search *search = imap_alloc(im, sizeof *search);

    if (search == NULL)
        return;
    *search = (struct notify_search){.then = then};
    im->work = search;
    imap_ask_owners(im, on_owners);
}

/* ---- how they stand now ---- */

static void tell_status(struct imap *im, const struct notify_owner *o, const struct seen *seen, unsigned items)
{
    const struct folder *f = store_folder_by_id(o->box->store, seen->folder);
    unsigned events = f == NULL || f == im->view.folder ? 0 : imap_notify_events(im, seen->name, false);

    if (events & IMAP_EVENTS_MESSAGE && (imap_rights(im, o->box, f) & SEES) == SEES)
        imap_write_status(im, o->box, f, seen->name, items | (events & IMAP_EVENT_FLAGS ? IMAP_STATUS_HIGHESTMODSEQ : 0));
}

bool imap_notify_others_status(struct imap *im, unsigned items)
{
    LIST_EACH(&im->notify->owners, it) {
        struct notify_owner *o = CONTAINER(it, struct notify_owner, link);

        for (; o->at < o->seen.n && o->box->store != NULL; o->at++) {
            if (imap_pause_between_rows(im))
                return false;
            tell_status(im, o, &o->seen.all[o->at], items);
        }
    }
    return true;
}

/* ---- names and rights ---- */

static void tell_name(struct imap *im, struct str name, bool exists, struct str before)
{
    if (imap_notify_events(im, name, false) & IMAP_EVENT_NAME || (before.n > 0 && imap_notify_events(im, before, false) & IMAP_EVENT_NAME))
        imap_notify_tell_name(im, name, exists, before);
}

/* The one above is affected too, unless it is above all that he shares. */
static void tell_made_or_gone(struct notify_owner *o, struct str name, bool exists)
{
    ptrdiff_t slash = str_rfind(name, '/');
    struct str above = str_sub(name, 0, (size_t)slash);

    tell_name(o->im, name, exists, STR(""));
    if (above.n >= o->prefix.n)
        tell_name(o->im, above, seen_named(&o->seen, above) != NULL, STR(""));
}

/* It has its new name because one above it was renamed, and that is told. */
static bool goes_along(const struct notify_owner *o, struct str from, struct str to)
{
    for (size_t k = o->prefix.n; k < to.n; k++) {
        struct str rest = str_skip(to, k);
        const struct seen *above = *rest.p == '/' && str_ends(from, rest) ? seen_named(&o->seen, str_sub(to, 0, k)) : NULL;
        const struct seen *before = above != NULL ? seen_find(&o->was, above->folder) : NULL;

        if (before != NULL && str_eq(before->name, str_sub(from, 0, from.n - rest.n)))
            return true;
    }
    return false;
}

static void tell_of_one_now(struct notify_owner *o, const struct seen *now)
{
    const struct seen *before = seen_find(&o->was, now->folder);

    if (before == NULL)
        tell_made_or_gone(o, now->name, true);
    else if (!str_eq(before->name, now->name) && !goes_along(o, before->name, now->name))
        tell_name(o->im, now->name, true, before->name);
}

/* First what is gone. False: there is more. */
static bool tell_difference(struct notify_owner *o)
{
    for (; o->at < o->was.n + o->seen.n; o->at++) {
        if (imap_pause_between_rows(o->im))
            return false;
        if (o->at >= o->was.n)
            tell_of_one_now(o, &o->seen.all[o->at - o->was.n]);
        else if (seen_find(&o->seen, o->was.all[o->at].folder) == NULL)
            tell_made_or_gone(o, o->was.all[o->at].name, false);
    }
    return true;
}

/* False: there is more. What is not on disk yet is looked at when it is. */
static bool look_again(struct notify_owner *o)
{
    if (!o->comparing) {
        if ((!o->names_changed && !o->looking) || !store_names_are_on_disk(o->box->store))
            return true;
        if (!o->looking) {
            o->tells = o->by_others;
            o->names_changed = o->by_others = false;
        }
        if (!look(o))
            return false;
        o->at = o->tells ? 0 : o->was.n + o->seen.n;
        o->comparing = true;
    }
    if (!tell_difference(o))
        return false;
    seen_clear(&o->was);
    o->comparing = false;
    return true;
}

/* ---- annotations ---- */

static void tell_annotations(struct notify_owner *o, const struct store_event *e)
{
    const struct seen *seen = seen_find(&o->seen, e->folder);
    const struct folder *f = store_folder_by_id(o->box->store, e->folder);

    if (seen != NULL && f != NULL && imap_notify_events(o->im, seen->name, false) & IMAP_EVENT_METADATA &&
        (imap_rights(o->im, o->box, f) & SEES) == SEES)
        imap_notify_tell_annotations(o->im, seen->name, e);
}

/* ---- telling ---- */

static void tell_messages(struct notify_owner *o, const struct folder *f)
{
    struct imap *im = o->im;
    const struct seen *seen = seen_find(&o->seen, f->id);

    if (seen != NULL && f != im->view.folder && (imap_rights(im, o->box, f) & SEES) == SEES)
        imap_notify_tell_messages(im, o->box, f, seen->name, f->messages_at > o->folders, false);
}

/* False: there is more. */
static bool tell_events(struct notify_owner *o)
{
    struct store *s = o->box->store;

    for (const struct store_event *e = store_event_after(s, o->events); e != NULL; e = store_event_next(s, e)) {
        bool is_own = e->by == o->who;

        if (imap_pause(o->im))
            return false;
        if (e->kind == STORE_ANNOTATED && !is_own)
            tell_annotations(o, e);
        if (e->kind == STORE_CREATED || e->kind == STORE_DELETED || e->kind == STORE_RENAMED || e->kind == STORE_RIGHTS) {
            o->names_changed = true;
            o->by_others |= !is_own;
        }
        o->events = e->version;
    }
    return true;
}

/* Events first: a mailbox is told before what is in it. False: there is more. */
static bool tell_owner(struct notify_owner *o)
{
    struct store *s = o->box->store;

    if (!tell_events(o) || !look_again(o))
        return false;
    for (struct folder *f; (f = store_folder_changed_after(s, o->folders)) != NULL; o->folders = f->changed_at) {
        if (imap_pause(o->im))
            return false;
        tell_messages(o, f);
    }
    o->events = o->folders = store_version(s);
    return true;
}

static bool is_behind(const struct notify_owner *o)
{
    const struct store *s = o->box->store;

    return o->box->broken || (s != NULL && (o->events != store_version(s) || o->folders != store_version(s) || o->comparing ||
                                               ((o->names_changed || o->looking) && store_names_are_on_disk(s))));
}

bool imap_notify_others_behind(const struct imap *im)
{
    if (im->notify == NULL)
        return false;
    if (im->notify->lost_owner)
        return true;
    LIST_EACH(&im->notify->owners, it)
        if (is_behind(CONTAINER(it, const struct notify_owner, link)))
            return true;
    return false;
}

bool imap_notify_others_tell(struct imap *im)
{
    if (im->notify->lost_owner) {
        imap_notify_overflow(im);
        return true;
    }
    LIST_EACH(&im->notify->owners, it) {
        struct notify_owner *o = CONTAINER(it, struct notify_owner, link);

        if (!is_behind(o))
            continue;
        if (o->box->broken || store_events_lost(o->box->store, o->events)) {
            imap_notify_overflow(im); /* which listens to nobody any more */
            return true;
        }
        if (!tell_owner(o))
            return false;
    }
    return true;
}

uint64_t imap_notify_who(const struct imap *im)
{
    if (im->notify == NULL)
        return 0;
    if (im->box == im->home)
        return im->notify->who;
    LIST_EACH(&im->notify->owners, it)
        if (CONTAINER(it, const struct notify_owner, link)->box == im->box)
            return CONTAINER(it, const struct notify_owner, link)->who;
    return 0;
}

void imap_notify_forget(struct imap *im, const struct box *box)
{
    if (im->notify == NULL)
        return;
    LIST_EACH(&im->notify->owners, it) {
        struct notify_owner *o = CONTAINER(it, struct notify_owner, link);

        if (o->box == box && im->box != box) { /* else a command is in it, and the session goes */
            owner_free(o);
            im->notify->owner_count--;
            im->notify->lost_owner = true;
            session_wake(im->session);
            return;
        }
    }
}
