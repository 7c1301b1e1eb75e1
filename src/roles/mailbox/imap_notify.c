/* NOTIFY: the command, and who wants what (RFC 5465, sections 3 and 6). See imap.h; what is told and when is in imap_events.c.
 *
 * INBOXES is the same as PERSONAL, as the RFC has it where mail may be filed into any mailbox. */
#include "imap_notify.h"
#include "base/log.h"
#include "imap.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- life ---- */

struct imap_notify *imap_notify_get(struct imap *im)
{
    struct imap_notify *n = im->notify;

    if (n != NULL)
        return n;
    n = im->notify = xcalloc(1, sizeof *n);
    arena_init(&n->arena, NOTIFY_ARENA_MAX);
    list_init(&n->owners);
    imap_notify_wake(im);
    return n;
}

/* Nothing can change while the database is closed. */
void imap_notify_rest(struct imap *im)
{
    if (im->notify != NULL)
        store_unlisten(im->home->store);
}

void imap_notify_wake(struct imap *im)
{
    struct imap_notify *n = im->notify;

    if (n == NULL)
        return;
    store_listen(im->home->store);
    n->who = store_listener(im->home->store);
    n->version = store_version(im->home->store);
}

static void set_free(struct imap_notify *n)
{
    n->set = (struct imap_notify_set){0};
    arena_clear(&n->arena);
    str_free(&n->text);
    n->new_from = n->new_to = 0;
}

void imap_notify_end(struct imap *im)
{
    if (im->notify == NULL)
        return;
    if (im->home->store != NULL)
        store_unlisten(im->home->store);
    imap_notify_others_end(im);
    set_free(im->notify);
    free(im->notify);
    im->notify = NULL;
}

void imap_notify_nothing(struct imap *im)
{
    struct imap_notify *n = imap_notify_get(im);

    imap_notify_others_end(im);
    set_free(n);
    n->on = true;
    n->version = store_version(im->home->store);
    if (n->flags_skipped && im->view.folder != NULL)
        im->view.version = IMAP_VIEW_BEHIND;
    n->flags_skipped = false;
}

size_t imap_notify_memory(const struct imap *im)
{
    return im->notify != NULL ? im->notify->text.n + im->notify->arena.used + imap_notify_others_memory(im) : 0;
}

/* ---- who wants what ---- */

static bool is_at_or_below(struct str name, struct str above)
{
    return str_starts(name, above) && (name.n == above.n || name.p[above.n] == '/');
}

static bool has_name(const struct imap_notify_group *g, struct str name, bool below)
{
    for (size_t i = 0; i < g->name_count; i++)
        if (below ? is_at_or_below(name, g->names[i]) : str_eq(name, g->names[i]))
            return true;
    return false;
}

static bool is_subscribed(struct imap *im, struct str name)
{
    struct err err = {0};
    bool subscribed;

    if (store_is_subscribed(im->home->store, name, &subscribed, &err))
        return subscribed;
    log_warning("imap-notify", "account=%" PRId64 " reason=%s", im->info->account, err.text);
    return false;
}

/* `subscribed`: -1 until it is known, so that it is asked once however many groups there are. */
static bool matches(struct imap *im, const struct imap_notify_group *g, struct str name, bool own, int *subscribed)
{
    switch (g->filter) {
    case IMAP_NOTIFY_INBOXES:
    case IMAP_NOTIFY_PERSONAL: return own;
    case IMAP_NOTIFY_SUBSCRIBED:
        if (*subscribed < 0)
            *subscribed = is_subscribed(im, name);
        return *subscribed;
    case IMAP_NOTIFY_SUBTREE: return has_name(g, name, true);
    case IMAP_NOTIFY_MAILBOXES: return has_name(g, name, false);
    case IMAP_NOTIFY_SELECTED:
    case IMAP_NOTIFY_SELECTED_DELAYED: break;
    }
    return false;
}

/* Several groups may be about one mailbox. */
unsigned imap_notify_events(struct imap *im, struct str name, bool own)
{
    const struct imap_notify_set *set = &im->notify->set;
    unsigned events = im->enabled & IMAP_ENABLED_METADATA ? IMAP_EVENT_METADATA | IMAP_EVENT_SERVER_METADATA : 0;
    int subscribed = -1;

    for (size_t i = 0; i < set->n; i++)
        if ((set->groups[i].events & ~events) != 0 && matches(im, &set->groups[i], name, own, &subscribed))
            events |= set->groups[i].events;
    return events;
}

unsigned imap_notify_selected(const struct imap *im)
{
    const struct imap_notify *n = im->notify;

    if (n == NULL || !n->on)
        return IMAP_EVENTS_MESSAGE;
    return n->set.selected != NULL ? n->set.selected->events : 0;
}

/* ---- the command ---- */

struct status_walk {
    int64_t *folders;
    size_t n, at;
};

static unsigned condstore(const struct imap *im)
{
    return im->enabled & IMAP_ENABLED_CONDSTORE ? IMAP_STATUS_HIGHESTMODSEQ : 0;
}

/* RFC 5465, section 3.1: what each response must have. */
static unsigned status_items(unsigned events)
{
    return IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT | IMAP_STATUS_UIDVALIDITY | IMAP_STATUS_UNSEEN |
           (events & IMAP_EVENT_FLAGS ? IMAP_STATUS_HIGHESTMODSEQ : 0);
}

static void tell_status(struct imap *im)
{
    struct status_walk *w = im->work;

    for (; w->at < w->n; w->at++) {
        struct folder *f;
        unsigned events;

        if (imap_pause(im))
            return;
        f = store_folder_by_id(im->home->store, w->folders[w->at]);
        events = f == NULL || f == im->view.folder ? 0 : imap_notify_events(im, f->name, true) & IMAP_EVENTS_MESSAGE;
        if (events != 0)
            imap_write_status(im, im->home, f, f->name, status_items(events) | condstore(im));
    }
    if (!imap_notify_others_status(im, status_items(0) | condstore(im)))
        return;
    imap_ok(im, NULL, "You will hear of it");
}

static void begin_status(struct imap *im)
{
    struct store *s = im->home->store;
    struct status_walk *w = imap_alloc(im, sizeof *w);

    if (w == NULL)
        return;
    w->folders = imap_alloc(im, (store_folder_count(s) + 1) * sizeof *w->folders);
    if (w->folders == NULL)
        return;
    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;)
        w->folders[w->n++] = f->id;
    im->work = w;
    im->step = tell_status;
}

static void begin_telling(struct imap *im)
{
    const struct imap_notify_set *set = &im->notify->set;

    if (set->status)
        begin_status(im);
    else
        imap_ok(im, NULL, set->is_set ? "You will hear of it" : "You will hear of nothing");
}

static void refuse_events(struct imap *im)
{
    imap_answer_begin(im, "NO");
    buf_add(&im->answer, STR("[BADEVENT ("));
    imap_write_events(&im->answer);
    buf_add(&im->answer, STR(")] There is no such event"));
    imap_answer_end(im);
}

static void refuse_memory(struct imap *im)
{
    struct err err = {0};

    if (!imap_gathered_too_much(&err))
        imap_failed(im, &err);
}

/* What happened in the selected mailbox before is told with this command, what happens from now on as it says. After NONE nothing
 * is told, not even of the selected mailbox. */
void imap_on_notify(struct imap *im)
{
    struct str text = str_dup(im->command.text);
    struct imap_notify_set set;
    struct arena arena;
    const char *why;

    arena_init(&arena, NOTIFY_ARENA_MAX);
    if (text.n > NOTIFY_TEXT_MAX) {
        imap_no(im, "LIMIT", "These are too many mailboxes, try with fewer or with a subtree");
    } else if (!imap_notify_parse(text, imap_utf8(im), &arena, &set, &why)) {
        imap_bad(im, why);
    } else if (set.bad_event) {
        refuse_events(im);
    } else if (!imap_gathers(im, text.n + arena.used)) {
        refuse_memory(im);
    } else {
        imap_notify_nothing(im);
        im->notify->text = text;
        im->notify->arena = arena;
        im->notify->set = set;
        if (imap_notify_wants_others(im))
            imap_notify_others_begin(im, begin_telling);
        else
            begin_telling(im);
        return;
    }
    arena_clear(&arena);
    str_free(&text);
}
