/* NOTIFY (RFC 5465, section 8). See parse.h. */
#include "notify.h"

static const struct {
    const char *name;
    enum imap_notify_filter filter;
} filters[] = {
    {"SELECTED", IMAP_NOTIFY_SELECTED}, {"SELECTED-DELAYED", IMAP_NOTIFY_SELECTED_DELAYED}, {"INBOXES", IMAP_NOTIFY_INBOXES},
    {"PERSONAL", IMAP_NOTIFY_PERSONAL}, {"SUBSCRIBED", IMAP_NOTIFY_SUBSCRIBED}, {"SUBTREE", IMAP_NOTIFY_SUBTREE},
    {"MAILBOXES", IMAP_NOTIFY_MAILBOXES},
};
static const struct {
    const char *name;
    enum imap_event event;
} events[] = {
    {"MessageNew", IMAP_EVENT_NEW}, {"MessageExpunge", IMAP_EVENT_EXPUNGE}, {"FlagChange", IMAP_EVENT_FLAGS},
    {"MailboxName", IMAP_EVENT_NAME}, {"SubscriptionChange", IMAP_EVENT_SUBSCRIPTION},
    {"MailboxMetadataChange", IMAP_EVENT_METADATA}, {"ServerMetadataChange", IMAP_EVENT_SERVER_METADATA},
};

void imap_write_events(struct buf *out)
{
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        buf_addf(out, "%s%s", i > 0 ? " " : "", events[i].name);
}

static bool is_selected(const struct imap_notify_group *g)
{
    return g->filter == IMAP_NOTIFY_SELECTED || g->filter == IMAP_NOTIFY_SELECTED_DELAYED;
}

/* ---- which mailboxes ---- */

static bool names(struct imap_parser *p, struct imap_notify_set *set, struct imap_notify_group *g)
{
    bool many;

    if (!imap_space(p))
        return false;
    many = imap_take(p, '(');
    g->names = set->names + set->name_count;
    do {
        if (!imap_mailbox(p, &set->names[set->name_count]))
            return false;
        set->name_count++;
        g->name_count++;
    } while (many && imap_take(p, ' '));
    return !many || imap_need(p, ')');
}

static bool filter(struct imap_parser *p, struct imap_notify_set *set, struct imap_notify_group *g)
{
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        if (!imap_take_word(p, filters[i].name))
            continue;
        g->filter = filters[i].filter;
        return (g->filter != IMAP_NOTIFY_SUBTREE && g->filter != IMAP_NOTIFY_MAILBOXES) || names(p, set, g);
    }
    return imap_expected(p, "Unknown set of mailboxes");
}

/* ---- which events ---- */

/* "(fetch-att ...)" behind MessageNew. */
static bool items(struct imap_parser *p, struct imap_notify_set *set, struct imap_notify_group *g)
{
    if (!is_selected(g))
        return imap_expected(p, "Only for the selected mailbox something can be fetched");
    if (set->fetch.item_count > 0)
        return imap_expected(p, "MessageNew stands there twice");
    return imap_fetch_items(p, &set->fetch);
}

static bool event(struct imap_parser *p, struct imap_notify_set *set, struct imap_notify_group *g)
{
    struct str word;

    if (!imap_word(p, &word))
        return imap_expected(p, "An event expected");
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        if (!str_ieq(word, str_of(events[i].name)))
            continue;
        g->events |= events[i].event;
        if (events[i].event == IMAP_EVENT_NEW && str_starts(p->rest, STR(" ("))) {
            imap_take(p, ' ');
            return items(p, set, g);
        }
        return true;
    }
    set->bad_event = true; /* also AnnotationChange */
    return true;
}

static bool fits_together(struct imap_parser *p, const struct imap_notify_group *g)
{
    unsigned messages = g->events & IMAP_EVENTS_MESSAGE, both = IMAP_EVENT_NEW | IMAP_EVENT_EXPUNGE;

    if (messages != 0 && (messages & both) != both)
        return imap_expected(p, "MessageNew and MessageExpunge go together, FlagChange needs both");
    if (is_selected(g) && g->events != messages)
        return imap_expected(p, "The selected mailbox has events of messages only");
    return true;
}

/* In parentheses; without them, as an example of the RFC has it, they end with the group. */
static bool event_list(struct imap_parser *p, struct imap_notify_set *set, struct imap_notify_group *g)
{
    bool enclosed;

    if (imap_take_word(p, "NONE"))
        return true;
    enclosed = imap_take(p, '(');
    do {
        if (!event(p, set, g))
            return false;
    } while (imap_take(p, ' '));
    return (!enclosed || imap_need(p, ')')) && fits_together(p, g);
}

static bool group(struct imap_parser *p, struct imap_notify_set *set)
{
    struct imap_notify_group *g = &set->groups[set->n++];

    *g = (struct imap_notify_group){0};
    if (!imap_need(p, '(') || !filter(p, set, g) || !imap_space(p) || !event_list(p, set, g) || !imap_need(p, ')'))
        return false;
    if (!is_selected(g))
        return true;
    if (set->selected != NULL)
        return imap_expected(p, "SELECTED stands there twice");
    set->selected = g;
    return true;
}

bool imap_notify_parse(struct str text, bool utf8, struct arena *arena, struct imap_notify_set *set, const char **why)
{
    struct imap_parser parser = {.rest = text, .arena = arena, .utf8 = utf8}, *p = &parser;
    bool parsed = false;

    *set = (struct imap_notify_set){0};
    if (!imap_space(p))
        goto end;
    if (imap_take_word(p, "NONE")) {
        parsed = imap_end(p);
        goto end;
    }
    if (!imap_take_word(p, "SET") || !imap_space(p)) {
        imap_expected(p, "SET or NONE expected");
        goto end;
    }
    set->is_set = true;
    set->status = imap_take_word(p, "STATUS") && imap_take(p, ' ');
    set->groups = imap_room(p, 12, sizeof *set->groups); /* "(INBOXES X) " */
    set->names = imap_room(p, 2, sizeof *set->names);
    if (set->groups == NULL || set->names == NULL)
        goto end;
    do {
        if (!group(p, set))
            goto end;
    } while (imap_take(p, ' ') && !imap_at_end(p));
    parsed = imap_end(p);
end:
    *why = p->why != NULL ? p->why : "The command is not understood";
    return parsed;
}
