/* See imap_describe.h. */
#include "imap_describe.h"
#include "imap/notify.h"

#include <inttypes.h>

void describe_set(struct buf *out, const struct imap_set *set)
{
    if (set->saved)
        buf_add_char(out, '$');
    for (size_t i = 0; i < set->n; i++) {
        buf_addf(out, "%s%" PRIu32, i > 0 ? "," : "", set->ranges[i].from);
        if (set->ranges[i].to != set->ranges[i].from)
            buf_addf(out, ":%" PRIu32, set->ranges[i].to);
    }
}

void describe_flags(struct buf *out, const struct imap_flags *flags)
{
    buf_addf(out, "%x", flags->system);
    for (size_t i = 0; i < flags->keyword_count; i++)
        buf_addf(out, "+%.*s", STR_ARG(flags->keywords[i]));
}

static void section(struct buf *out, const struct imap_section *s)
{
    static const char *const parts[] = {"", "HEADER", "FIELDS", "NOT", "TEXT", "MIME"};

    buf_add_char(out, '[');
    for (size_t i = 0; i < s->depth; i++)
        buf_addf(out, "%" PRIu32 ".", s->path[i]);
    buf_addf(out, "%s", parts[s->part]);
    for (size_t i = 0; i < s->field_count; i++)
        buf_addf(out, " %.*s", STR_ARG(s->fields[i]));
    buf_add_char(out, ']');
}

static void fetch(struct buf *out, const struct imap_fetch *f)
{
    describe_set(out, &f->set);
    for (size_t i = 0; i < f->item_count; i++) {
        const struct imap_item *item = &f->items[i];

        buf_addf(out, " %d%s", item->kind, item->peek ? "p" : "");
        if (item->kind == IMAP_ITEM_BODY || item->kind == IMAP_ITEM_BINARY || item->kind == IMAP_ITEM_BINARY_SIZE)
            section(out, &item->section);
        if (item->partial)
            buf_addf(out, "<%" PRIu64 ".%" PRIu64 ">", item->offset, item->length);
        if (item->lazy)
            buf_add(out, STR("lazy"));
    }
    if (f->changed_since_given)
        buf_addf(out, " since=%" PRIu64, f->changed_since);
    if (f->vanished)
        buf_add(out, STR(" vanished"));
    if (f->partial_from != 0)
        buf_addf(out, " partial=%" PRId64 ":%" PRId64, f->partial_from, f->partial_to);
}

static void store(struct buf *out, const struct imap_store *s)
{
    describe_set(out, &s->set);
    buf_addf(out, " %c%s ", "=+-"[s->kind], s->silent ? " silent" : "");
    describe_flags(out, &s->flags);
    if (s->unchanged_since_given)
        buf_addf(out, " unchanged=%" PRIu64, s->unchanged_since);
}

static void key(struct buf *out, const struct imap_search_key *k)
{
    buf_addf(out, "%d", k->key);
    if (k->flag != 0)
        buf_addf(out, "f%x", k->flag);
    if (k->name.p != NULL)
        buf_addf(out, " %.*s", STR_ARG(k->name));
    if (k->text.p != NULL)
        buf_addf(out, " '%.*s'", STR_ARG(k->text));
    if (k->day != 0)
        buf_addf(out, " d%" PRId64, k->day);
    if (k->number != 0)
        buf_addf(out, " n%" PRIu64, k->number);
    if (k->set.n > 0 || k->set.saved) {
        buf_add_char(out, ' ');
        describe_set(out, &k->set);
    }
    if (k->first == NULL)
        return;
    buf_add_char(out, '(');
    for (const struct imap_search_key *c = k->first; c != NULL; c = c->next) {
        if (c != k->first)
            buf_add_char(out, ' ');
        key(out, c);
    }
    buf_add_char(out, ')');
}

static void search(struct buf *out, const struct imap_command *c)
{
    const struct imap_search *s = &c->search;

    if (s->esearch)
        buf_addf(out, "return=%x ", s->returns);
    if (s->partial_from != 0)
        buf_addf(out, "partial=%" PRId64 ":%" PRId64 " ", s->partial_from, s->partial_to);
    for (size_t i = 0; i < s->sort_count; i++)
        buf_addf(out, "%s%d ", s->sort[i].reverse ? "-" : "", s->sort[i].key);
    if (c->verb == IMAP_THREAD)
        buf_addf(out, "thread=%d ", s->thread);
    key(out, s->root);
}

static void list(struct buf *out, const struct imap_list *l)
{
    buf_addf(out, "%s select=%x returns=%x status=%x '%.*s'", l->extended ? "extended" : "plain", l->select, l->returns,
        l->status, STR_ARG(l->reference));
    for (size_t i = 0; i < l->pattern_count; i++)
        buf_addf(out, " '%.*s'", STR_ARG(l->patterns[i]));
    for (size_t i = 0; i < l->metadata_count; i++)
        buf_addf(out, " meta '%.*s'", STR_ARG(l->metadata[i]));
}

static void select_mailbox(struct buf *out, const struct imap_select *s)
{
    buf_addf(out, "'%.*s'%s", STR_ARG(s->mailbox), s->condstore ? " condstore" : "");
    if (!s->qresync)
        return;
    buf_addf(out, " qresync=%" PRIu32 ",%" PRIu64 " ", s->uidvalidity, s->modseq);
    describe_set(out, &s->known_uids);
    buf_add_char(out, ' ');
    describe_set(out, &s->match_sequences);
    buf_add_char(out, ' ');
    describe_set(out, &s->match_uids);
}

static void words(struct buf *out, const struct imap_words *w)
{
    if (w->name.p != NULL)
        buf_addf(out, "'%.*s' ", STR_ARG(w->name));
    for (size_t i = 0; i < w->n; i++)
        buf_addf(out, "%s%.*s", i > 0 ? " " : "", w->words[i].p == NULL ? 3 : (int)w->words[i].n,
            w->words[i].p == NULL ? "NIL" : w->words[i].p);
}

static void mailbox(struct buf *out, const struct imap_mailbox *m)
{
    buf_addf(out, "'%.*s'", STR_ARG(m->name));
    if (m->to.p != NULL)
        buf_addf(out, " '%.*s'", STR_ARG(m->to));
    if (m->text.p != NULL)
        buf_addf(out, " '%.*s'", STR_ARG(m->text));
    for (size_t i = 0; i < m->special_count; i++)
        buf_addf(out, " %.*s", STR_ARG(m->special[i]));
}

static void metadata(struct buf *out, const struct imap_metadata *m)
{
    buf_addf(out, "'%.*s' depth=%d", STR_ARG(m->mailbox), m->depth);
    if (m->has_maxsize)
        buf_addf(out, " maxsize=%" PRIu64, m->maxsize);
    for (size_t i = 0; i < m->n; i++) {
        buf_addf(out, " %.*s", STR_ARG(m->entries[i].name));
        if (m->entries[i].value.p != NULL)
            buf_addf(out, "='%.*s'", STR_ARG(m->entries[i].value));
    }
}

static void notify(struct buf *out, struct str text)
{
    struct imap_notify_set set;
    struct arena arena;
    const char *why;

    arena_init(&arena, 8 << 20);
    if (!imap_notify_parse(text, true, &arena, &set, &why))
        buf_addf(out, "%s", why);
    else
        buf_addf(out, "set=%d status=%d bad=%d items=%zu", set.is_set, set.status, set.bad_event, set.fetch.item_count);
    for (size_t i = 0; set.is_set && i < set.n; i++) {
        buf_addf(out, " (%d %x", set.groups[i].filter, set.groups[i].events);
        for (size_t k = 0; k < set.groups[i].name_count; k++)
            buf_addf(out, " '%.*s'", STR_ARG(set.groups[i].names[k]));
        buf_add_char(out, ')');
    }
    arena_clear(&arena);
}

static void arguments(struct buf *out, const struct imap_command *c)
{
    switch ((int)c->verb) {
    case IMAP_FETCH: fetch(out, &c->fetch); break;
    case IMAP_STORE: store(out, &c->store); break;
    case IMAP_SEARCH: case IMAP_SORT: case IMAP_THREAD: search(out, c); break;
    case IMAP_LIST: case IMAP_LSUB: list(out, &c->list); break;
    case IMAP_SELECT: case IMAP_EXAMINE: select_mailbox(out, &c->select); break;
    case IMAP_STATUS: buf_addf(out, "'%.*s' %x", STR_ARG(c->status.mailbox), c->status.items); break;
    case IMAP_ENABLE: case IMAP_COMPRESS: case IMAP_ID: case IMAP_SETQUOTA: words(out, &c->words); break;
    case IMAP_COPY: case IMAP_MOVE: case IMAP_EXPUNGE:
        describe_set(out, &c->copy.set);
        buf_addf(out, " '%.*s'", STR_ARG(c->copy.mailbox));
        break;
    case IMAP_LOGIN: buf_addf(out, "'%.*s' '%.*s'", STR_ARG(c->login.user), STR_ARG(c->login.password)); break;
    case IMAP_AUTHENTICATE:
        buf_addf(out, "%.*s %d '%.*s'", STR_ARG(c->login.mechanism), c->login.has_initial, STR_ARG(c->login.initial));
        break;
    case IMAP_GETMETADATA: case IMAP_SETMETADATA: metadata(out, &c->metadata); break;
    case IMAP_NOTIFY: notify(out, c->text); break;
    case IMAP_APPEND: case IMAP_REPLACE:
        buf_add(out, c->text);
        break;
    case IMAP_CREATE: case IMAP_DELETE: case IMAP_RENAME: case IMAP_SUBSCRIBE: case IMAP_UNSUBSCRIBE: case IMAP_GETQUOTA:
    case IMAP_GETQUOTAROOT: case IMAP_GETACL: case IMAP_SETACL: case IMAP_DELETEACL: case IMAP_LISTRIGHTS: case IMAP_MYRIGHTS:
        mailbox(out, &c->mailbox);
        break;
    default: break;
    }
}

void describe_command(struct buf *out, const struct imap_command *c)
{
    buf_addf(out, "%.*s %s%s ", STR_ARG(c->tag), c->uid ? "UID " : "", imap_verb_name(c->verb));
    arguments(out, c);
    while (out->n > 0 && out->p[out->n - 1] == ' ')
        out->n--;
}
