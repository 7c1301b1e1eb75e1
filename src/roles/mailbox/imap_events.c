/* What a client with NOTIFY is told, and when (RFC 5465, sections 4 and 5). See imap_notify.h and store_events.h.
 *
 * Of the selected mailbox it hears as after a command (imap_view.c), also between two commands; then what it asked to be fetched of new
 * messages: a FETCH of the server's own, whose end is not told. Of other mailboxes it hears in the order of what happened: how
 * many messages there are now, or that flags changed; names, subscriptions, annotations. Only what is on disk is told: the store
 * gives no version before. A client that reads slowly is not told more than fits the output; the rest waits in the store. */
#include "imap.h"
#include "imap_notify.h"

#include <stdio.h>

/* ---- names, subscriptions ---- */

static bool is_there(struct imap *im, struct str name)
{
    const struct folder *f = store_folder_find(im->home->store, name);

    return f != NULL && !f->created;
}

static bool has_children(struct imap *im, struct str name)
{
    for (struct folder *f = NULL; (f = store_folder_next(im->home->store, f)) != NULL;)
        if (f->name.n > name.n && str_starts(f->name, name) && f->name.p[name.n] == '/')
            return true;
    return false;
}

static void write_name(struct imap *im, struct str name, const char *attributes, struct str special, struct str before)
{
    struct buf *out = &im->out;

    buf_addf(out, "* LIST (%s", attributes);
    if (special.n > 0)
        buf_addf(out, " %.*s", STR_ARG(special));
    buf_add(out, STR(") \"/\" "));
    imap_write_mailbox(out, name, imap_utf8(im));
    if (before.n > 0) {
        buf_add(out, STR(" (\"OLDNAME\" ("));
        imap_write_mailbox(out, before, imap_utf8(im));
        buf_add(out, STR("))"));
    }
    buf_add(out, STR("\r\n"));
}

static void tell_name(struct imap *im, struct str name, bool exists, bool subscribed, struct str before)
{
    const struct folder *f = exists ? store_folder_find(im->home->store, name) : NULL;
    bool children = has_children(im, name) || imap_notify_sees_below(im, name);
    char attributes[100];

    snprintf(attributes, sizeof attributes, "%s%s%s", exists ? "" : "\\NonExistent \\Noselect ", subscribed ? "\\Subscribed " : "",
        children ? "\\HasChildren" : "\\HasNoChildren");
    write_name(im, name, attributes, f != NULL ? f->special : STR(""), before);
}

static bool is_subscribed(struct imap *im, struct str name)
{
    struct err err = {0};
    bool subscribed;

    return store_is_subscribed(im->home->store, name, &subscribed, &err) && subscribed;
}

void imap_notify_tell_name(struct imap *im, struct str name, bool exists, struct str before)
{
    tell_name(im, name, exists, is_subscribed(im, name), before);
}

/* The one above is affected too (RFC 5465, section 5.4). */
static void tell_parent(struct imap *im, struct str name)
{
    ptrdiff_t slash = str_rfind(name, '/');
    struct str above = str_sub(name, 0, slash < 0 ? 0 : (size_t)slash);

    if (slash > 0 && imap_notify_events(im, above, true) & IMAP_EVENT_NAME)
        tell_name(im, above, is_there(im, above), is_subscribed(im, above), STR(""));
}

static void on_name(struct imap *im, const struct store_event *e)
{
    unsigned events = imap_notify_events(im, e->name, true);

    if (e->kind == STORE_RENAMED)
        events |= imap_notify_events(im, e->what, true);
    if (events & IMAP_EVENT_NAME)
        tell_name(im, e->name, e->kind != STORE_DELETED, is_subscribed(im, e->name), e->what);
    if (e->kind != STORE_RENAMED)
        tell_parent(im, e->name);
}

static void on_subscription(struct imap *im, const struct store_event *e)
{
    if (imap_notify_events(im, e->name, true) & IMAP_EVENT_SUBSCRIPTION)
        tell_name(im, e->name, is_there(im, e->name) || imap_notify_sees(im, e->name), e->kind == STORE_SUBSCRIBED, STR(""));
}

/* ---- annotations ---- */

/* Names only (RFC 5464, section 4.4.2); /private ones of another account are none of ours. */
void imap_notify_tell_annotations(struct imap *im, struct str name, const struct store_event *e)
{
    struct str rest = e->what, entry;
    size_t before = im->out.n, told = 0;

    buf_add(&im->out, STR("* METADATA "));
    imap_write_mailbox(&im->out, name, imap_utf8(im));
    while (rest.n > 0 && str_next(&rest, '\n', &entry)) {
        if (entry.n == 0 || (str_starts(entry, STR("/private/")) && e->reader != im->info->account))
            continue;
        buf_add_char(&im->out, ' ');
        imap_write_astring(&im->out, entry, false);
        told++;
    }
    buf_add(&im->out, STR("\r\n"));
    if (told == 0)
        im->out.n = before;
}

static void on_annotations(struct imap *im, const struct store_event *e)
{
    const struct folder *f = store_folder_by_id(im->home->store, e->folder);
    struct str name = f != NULL ? f->name : STR("");

    if ((f != NULL || e->folder == 0) && imap_notify_events(im, name, true) & (f != NULL ? IMAP_EVENT_METADATA : IMAP_EVENT_SERVER_METADATA))
        imap_notify_tell_annotations(im, name, e);
}

/* ---- messages of other mailboxes ---- */

void imap_notify_tell_messages(struct imap *im, const struct box *box, const struct folder *f, struct str name, bool messages, bool own)
{
    unsigned items = IMAP_STATUS_UIDVALIDITY | IMAP_STATUS_UNSEEN;

    if (!(imap_notify_events(im, name, own) & (messages ? IMAP_EVENT_NEW : IMAP_EVENT_FLAGS)))
        return;
    if (messages)
        items |= IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT;
    if (im->enabled & IMAP_ENABLED_CONDSTORE)
        items |= IMAP_STATUS_HIGHESTMODSEQ;
    imap_write_status(im, box, f, name, items);
}

static void on_messages(struct imap *im, const struct folder *f)
{
    if (f != im->view.folder)
        imap_notify_tell_messages(im, im->home, f, f->name, f->messages_at > im->notify->version, true);
}

/* ---- all of it, in order ---- */

static void on_event(struct imap *im, const struct store_event *e)
{
    if (e->by == im->notify->who)
        return;
    switch (e->kind) {
    case STORE_CREATED:
    case STORE_DELETED:
    case STORE_RENAMED: on_name(im, e); break;
    case STORE_SUBSCRIBED:
    case STORE_UNSUBSCRIBED: on_subscription(im, e); break;
    case STORE_ANNOTATED: on_annotations(im, e); break;
    case STORE_RIGHTS: break; /* the owner has all */
    }
}

void imap_notify_overflow(struct imap *im)
{
    if (!im->notify->on) {
        im->notify->version = store_version(im->home->store);
        return;
    }
    buf_add(&im->out, STR("* OK [NOTIFICATIONOVERFLOW] Too much has happened, nothing more will be told\r\n"));
    imap_notify_nothing(im);
}

bool imap_notify_is_behind(const struct imap *im)
{
    return im->notify != NULL && im->home->store != NULL && im->notify->version != store_version(im->home->store);
}

static bool tell_own(struct imap *im)
{
    struct store *s = im->home->store;
    struct imap_notify *n = im->notify;
    const struct store_event *e;
    struct folder *f;

    if (!imap_notify_is_behind(im))
        return true;
    if (store_events_lost(s, n->version)) {
        imap_notify_overflow(im);
        return true;
    }
    e = store_event_after(s, n->version);
    f = store_folder_changed_after(s, n->version);
    while (e != NULL || f != NULL) {
        if (imap_pause(im))
            return false;
        if (f == NULL || (e != NULL && e->version < f->changed_at)) {
            on_event(im, e);
            n->version = e->version;
            e = store_event_next(s, e);
        } else {
            on_messages(im, f);
            n->version = f->changed_at;
            f = store_folder_changed_next(s, f);
        }
    }
    n->version = store_version(s);
    return true;
}

bool imap_events_tell(struct imap *im)
{
    return tell_own(im) && (!imap_notify_others_behind(im) || imap_notify_others_tell(im));
}

/* ---- the selected mailbox ---- */

void imap_notify_new(struct imap *im, uint32_t from, uint32_t to)
{
    struct imap_notify *n = im->notify;

    if (n == NULL || n->set.fetch.item_count == 0)
        return;
    if (n->new_from == 0)
        n->new_from = from;
    n->new_to = to;
}

void imap_notify_skipped(struct imap *im)
{
    im->notify->flags_skipped = true;
}

void imap_notify_left(struct imap *im)
{
    if (im->notify == NULL)
        return;
    im->notify->new_from = im->notify->new_to = 0;
    im->notify->flags_skipped = false;
}

/* A FETCH as if the client had sent it, but for its end. Nothing becomes \Seen by it. */
static void fetch_new(struct imap *im)
{
    struct imap_notify *n = im->notify;

    n->fetching = (struct imap_range){n->new_from, n->new_to};
    n->new_from = n->new_to = 0;
    im->command = (struct imap_command){.verb = IMAP_FETCH, .uid = true, .fetch = n->set.fetch};
    im->command.fetch.set = (struct imap_set){.ranges = &n->fetching, .n = 1};
    for (size_t i = 0; i < n->set.fetch.item_count; i++)
        n->set.fetch.items[i].peek = true;
    im->box = imap_box_between(im);
    im->unasked = true;
    im->tell_expunges = false;
    imap_on_fetch(im);
}

bool imap_notify_tell(struct imap *im)
{
    struct imap_notify *n = im->notify;

    if (n == NULL || im->home->store == NULL || !imap_input_is_between(&im->input) || im->literal != NULL)
        return true;
    if (!imap_events_tell(im))
        return false;
    if (!n->on || im->view.folder == NULL)
        return true;
    if (!im->idling) {
        im->tell_expunges = n->set.selected != NULL && n->set.selected->filter == IMAP_NOTIFY_SELECTED;
        if (!imap_view_tell_news(im))
            return false;
        imap_tell_where_it_stands(im);
    }
    if (n->new_from == 0 || !imap_view_may_read(im))
        return true;
    fetch_new(im);
    return false;
}

bool imap_notify_wants_turn(const struct imap *im)
{
    const struct imap_notify *n = im->notify;

    return n != NULL && (imap_notify_is_behind(im) || imap_notify_others_behind(im) || n->new_from != 0 || (n->on && n->set.selected != NULL && imap_view_is_behind(im)));
}
