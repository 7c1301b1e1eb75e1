/* What happened to folders. See store_events.h.
 *
 * An event goes with its transaction: pending, committed, and with the sync it gets its version. What happened to messages is
 * seen by comparing what was on disk with what is now. */
#include "store_private.h"

#include <stdlib.h>

static void event_free(struct store_event *e)
{
    list_remove(&e->link);
    str_free(&e->name);
    str_free(&e->what);
    free(e);
}

static size_t bytes_of(struct str name, struct str what)
{
    return sizeof(struct store_event) + name.n + what.n;
}

static size_t event_bytes(const struct store_event *e)
{
    return bytes_of(e->name, e->what);
}

static void drop_all(struct list *events)
{
    for (struct link *it; (it = list_first(events)) != NULL;)
        event_free(CONTAINER(it, struct store_event, link));
}

void events_free(struct store *s)
{
    drop_all(&s->events_pending);
    drop_all(&s->events_committed);
    drop_all(&s->events);
}

void events_prepare(struct store *s)
{
    list_init(&s->events_pending);
    list_init(&s->events_committed);
    list_init(&s->events);
    list_init(&s->recent);
}

void store_listen(struct store *s)
{
    s->listeners++;
}

void store_unlisten(struct store *s)
{
    if (--s->listeners > 0)
        return;
    drop_all(&s->events);
    s->event_count = s->event_bytes = 0;
    s->events_floor = s->version;
}

void store_by(struct store *s, uint64_t who)
{
    s->by = who;
}

uint64_t store_listener(struct store *s)
{
    return ++s->last_listener;
}

/* ---- what happens ---- */

static struct store_event *add(struct store *s, enum store_event_kind kind, int64_t folder, struct str name, struct str what)
{
    struct store_event *e;

    if (s->listeners == 0)
        return NULL;
    if (s->pending_count == EVENTS_MAX || s->pending_bytes + bytes_of(name, what) > EVENTS_BYTES) { /* they would not be kept */
        s->pending_lost = true;
        return NULL;
    }
    e = xcalloc(1, sizeof *e);
    *e = (struct store_event){.kind = kind, .folder = folder, .name = str_dup(name), .what = str_dup(what), .by = s->by};
    list_add_last(&s->events_pending, &e->link);
    s->pending_count++;
    s->pending_bytes += event_bytes(e);
    return e;
}

void events_add(struct store *s, enum store_event_kind kind, const struct folder *f, struct str before)
{
    (void)add(s, kind, f->id, f->name, before);
}

void events_add_rights(struct store *s, int64_t folder)
{
    (void)add(s, STORE_RIGHTS, folder, STR(""), STR(""));
}

void events_add_subscription(struct store *s, struct str name, bool subscribed)
{
    (void)add(s, subscribed ? STORE_SUBSCRIBED : STORE_UNSUBSCRIBED, 0, name, STR(""));
}

void store_annotated(struct store *s, int64_t folder, int64_t reader, struct str entries)
{
    struct store_event *e = add(s, STORE_ANNOTATED, folder, STR(""), entries);

    if (e != NULL)
        e->reader = reader;
}

void events_committed(struct store *s)
{
    for (struct link *it; (it = list_first(&s->events_pending)) != NULL;) {
        list_remove(it);
        list_add_last(&s->events_committed, it);
    }
    s->committed_lost |= s->pending_lost;
    s->pending_lost = false;
}

static void not_pending(struct store *s, const struct store_event *e)
{
    s->pending_count--;
    s->pending_bytes -= event_bytes(e);
}

/* What was committed before and is not synced keeps its place in the count. */
void events_rolled_back(struct store *s)
{
    for (struct link *it; (it = list_first(&s->events_pending)) != NULL;) {
        struct store_event *e = CONTAINER(it, struct store_event, link);

        not_pending(s, e);
        event_free(e);
    }
    s->pending_lost = false;
}

static void drop_first(struct store *s)
{
    struct link *it = list_first(&s->events);
    struct store_event *first;

    if (it == NULL)
        return;
    first = CONTAINER(it, struct store_event, link);
    s->events_floor = first->version;
    s->event_count--;
    s->event_bytes -= event_bytes(first);
    event_free(first);
}

static void publish(struct store *s, struct store_event *e)
{
    e->version = ++s->version;
    list_remove(&e->link);
    list_add_last(&s->events, &e->link);
    s->event_count++;
    s->event_bytes += event_bytes(e);
    while (!list_empty(&s->events) && (s->event_count > EVENTS_MAX || s->event_bytes > EVENTS_BYTES))
        drop_first(s);
}

/* Each message that came in took a uid, so what else is missing has gone. */
static bool messages_changed(const struct folder *f)
{
    return f->committed.uidnext != f->durable.uidnext || f->committed.messages != f->durable.messages;
}

static void look_at_folder(struct store *s, struct folder *f)
{
    bool messages = messages_changed(f);

    if (!messages && !f->flags_committed)
        return;
    f->flags_committed = false;
    f->changed_at = ++s->version;
    if (messages)
        f->messages_at = f->changed_at;
    list_remove(&f->recent);
    list_add_last(&s->recent, &f->recent);
}

void events_synced(struct store *s)
{
    for (struct link *it; (it = list_first(&s->events_committed)) != NULL;) {
        struct store_event *e = CONTAINER(it, struct store_event, link);

        not_pending(s, e);
        if (s->listeners > 0)
            publish(s, e);
        else
            event_free(e);
    }
    if (s->committed_lost && s->listeners > 0)
        s->events_floor = ++s->version;
    s->committed_lost = false;
    if (s->listeners == 0)
        return;
    LIST_EACH(&s->folders, it)
        look_at_folder(s, CONTAINER(it, struct folder, link));
}

/* ---- who was told how much ---- */

uint64_t store_version(const struct store *s)
{
    return s->version;
}

bool store_events_lost(const struct store *s, uint64_t version)
{
    return version < s->events_floor;
}

/* The newest stand at the end, and mostly only these are asked for. */
const struct store_event *store_event_after(const struct store *s, uint64_t version)
{
    const struct store_event *found = NULL;

    for (struct link *it = s->events.head.prev; it != &s->events.head; it = it->prev) {
        const struct store_event *e = CONTAINER(it, const struct store_event, link);

        if (e->version <= version)
            break;
        found = e;
    }
    return found;
}

struct folder *store_folder_changed_after(const struct store *s, uint64_t version)
{
    struct folder *found = NULL;

    for (struct link *it = s->recent.head.prev; it != &s->recent.head; it = it->prev) {
        struct folder *f = CONTAINER(it, struct folder, recent);

        if (f->changed_at <= version)
            break;
        found = f;
    }
    return found;
}

struct folder *store_folder_changed_next(const struct store *s, const struct folder *f)
{
    return f->recent.next == &s->recent.head ? NULL : CONTAINER(f->recent.next, struct folder, recent);
}

const struct store_event *store_event_next(const struct store *s, const struct store_event *e)
{
    return e->link.next == &s->events.head ? NULL : CONTAINER(e->link.next, const struct store_event, link);
}
