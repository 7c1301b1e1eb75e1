/* GETMETADATA and SETMETADATA (RFC 5464, section 5), and the names of entries, which LIST (RFC 9590) has too. See parse.h. */
#include "parse.h"

enum { ENTRY_LEVELS = 2, VENDOR_LEVELS = 4 };

/* ---- names of entries ---- */

static bool has_control(struct str name)
{
    return !str_is_printable(name) || str_find(name, '*') >= 0 || str_find(name, '%') >= 0;
}

static size_t count_levels(struct str name)
{
    size_t levels = 0;

    for (size_t i = 0; i < name.n; i++)
        levels += name.p[i] == '/';
    return levels;
}

static bool is_below(struct str name, struct str above)
{
    return str_starts(name, above) && (name.n == above.n || name.p[above.n] == '/');
}

static const char *fault_of(struct str name)
{
    if (name.n > IMAP_ENTRY_NAME_MAX)
        return "The name of an entry is too long";
    if (has_control(name))
        return "The name of an entry is printable US-ASCII without * and %";
    if (!is_below(name, STR("/private")) && !is_below(name, STR("/shared")))
        return "The name of an entry begins with /private or /shared";
    if (str_ends(name, STR("/")))
        return "The name of an entry does not end with /";
    for (size_t i = 1; i < name.n; i++)
        if (name.p[i] == '/' && name.p[i - 1] == '/')
            return "The name of an entry has no empty level";
    return NULL;
}

/* Small letters: the case does not matter. */
static bool fold(struct imap_parser *p, struct str *name)
{
    char *to = arena_alloc(p->arena, name->n + 1);

    if (to == NULL)
        return imap_expected(p, "The command is too large");
    for (size_t i = 0; i < name->n; i++)
        to[i] = ascii_lower(name->p[i]);
    name->p = to;
    return true;
}

bool imap_entry_name(struct imap_parser *p, struct str *name)
{
    const char *fault;

    if (!imap_astring(p, name) || !fold(p, name))
        return false;
    fault = fault_of(*name);
    return fault == NULL || imap_expected(p, fault);
}

/* One that can have a value: not only what stands above others. */
static bool has_all_levels(struct imap_parser *p, struct str name)
{
    bool vendor = is_below(name, STR("/private/vendor")) || is_below(name, STR("/shared/vendor"));

    return count_levels(name) >= (vendor ? VENDOR_LEVELS : ENTRY_LEVELS) ||
           imap_expected(p, vendor ? "Below vendor an entry is /vendor/TOKEN/NAME" : "The name of an entry has two levels at least");
}

static bool is_new(struct imap_parser *p, const struct imap_metadata *m, struct str name)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(m->entries[i].name, name))
            return imap_expected(p, "An entry stands there twice");
    return true;
}

/* ---- GETMETADATA ---- */

static bool depth(struct imap_parser *p, struct imap_metadata *m)
{
    if (imap_take_word(p, "infinity")) {
        m->depth = IMAP_DEPTH_ALL;
        return true;
    }
    if (!imap_take(p, '0') && !imap_take(p, '1'))
        return imap_expected(p, "DEPTH is 0, 1 or infinity");
    m->depth = p->rest.p[-1] == '1' ? IMAP_DEPTH_ONE : IMAP_DEPTH_NONE;
    return true;
}

static bool option(struct imap_parser *p, struct imap_metadata *m)
{
    if (imap_take_word(p, "MAXSIZE")) {
        m->has_maxsize = true;
        return imap_space(p) && imap_number(p, UINT32_MAX, &m->maxsize);
    }
    if (imap_take_word(p, "DEPTH"))
        return imap_space(p) && depth(p, m);
    return imap_expected(p, "GETMETADATA knows the options MAXSIZE and DEPTH");
}

/* "(MAXSIZE 1024 DEPTH 1)" and the blank behind it, if it stands there; what begins with '/' are entries. */
static bool options(struct imap_parser *p, struct imap_metadata *m)
{
    if (p->rest.n < 2 || p->rest.p[0] != '(' || !ascii_is_alpha(p->rest.p[1]))
        return true;
    imap_take(p, '(');
    do {
        if (!option(p, m))
            return false;
    } while (imap_take(p, ' '));
    return imap_need(p, ')') && imap_space(p);
}

static bool room(struct imap_parser *p, struct imap_metadata *m)
{
    m->entries = imap_room_for(p, IMAP_ENTRIES_MAX, 8, sizeof *m->entries); /* "/shared " is the shortest */
    return m->entries != NULL;
}

static bool is_full(struct imap_parser *p, const struct imap_metadata *m)
{
    return m->n == IMAP_ENTRIES_MAX && !imap_expected(p, "So many entries in one command are too many");
}

static bool entries(struct imap_parser *p, struct imap_metadata *m)
{
    bool many = imap_take(p, '(');

    do {
        struct str name;

        if (is_full(p, m) || !imap_entry_name(p, &name))
            return false;
        m->entries[m->n++].name = name;
    } while (many && imap_take(p, ' '));
    return !many || imap_need(p, ')');
}

/* The grammar has the options first, the examples of the RFC have them behind the mailbox. */
bool imap_parse_getmetadata(struct imap_parser *p, struct imap_command *c)
{
    struct imap_metadata *m = &c->metadata;

    return imap_space(p) && options(p, m) && imap_mailbox(p, &m->mailbox) && imap_space(p) && options(p, m) && room(p, m) &&
           entries(p, m) && imap_end(p);
}

/* ---- SETMETADATA ---- */

bool imap_parse_setmetadata(struct imap_parser *p, struct imap_command *c)
{
    struct imap_metadata *m = &c->metadata;

    if (!imap_space(p) || !imap_mailbox(p, &m->mailbox) || !imap_space(p) || !imap_need(p, '(') || !room(p, m))
        return false;
    do {
        struct imap_entry e;

        if (is_full(p, m) || !imap_entry_name(p, &e.name) || !has_all_levels(p, e.name) || !is_new(p, m, e.name) ||
            !imap_space(p) || !imap_nstring(p, &e.value))
            return false;
        m->entries[m->n++] = e;
    } while (imap_take(p, ' '));
    return imap_need(p, ')') && imap_end(p);
}
