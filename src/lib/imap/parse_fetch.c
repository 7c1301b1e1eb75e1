/* FETCH and STORE: their arguments (RFC 9051, sections 6.4.5 and 6.4.6). See parse.h. */
#include "parse.h"

/* ---- sections ---- */

static bool path(struct imap_parser *p, struct imap_section *section)
{
    uint64_t number;
    size_t n = 1;

    for (size_t i = 0; i < p->rest.n && (ascii_is_digit(p->rest.p[i]) || p->rest.p[i] == '.'); i++)
        n += p->rest.p[i] == '.';
    section->path = imap_room_for(p, n, 2, sizeof *section->path);
    if (section->path == NULL)
        return false;
    while (p->rest.n > 0 && ascii_is_digit(p->rest.p[0])) {
        if (!imap_number(p, UINT32_MAX, &number) || number == 0)
            return imap_expected(p, "A part number expected");
        section->path[section->depth++] = (uint32_t)number;
        if (!imap_take(p, '.'))
            return true;
    }
    return true;
}

static bool header_list(struct imap_parser *p, struct imap_section *section)
{
    section->fields = imap_room_for(p, IMAP_FIELDS_MAX, 2, sizeof *section->fields);
    if (section->fields == NULL || !imap_space(p) || !imap_need(p, '('))
        return false;
    do {
        if (section->field_count == IMAP_FIELDS_MAX)
            return imap_expected(p, "So many header fields in one list are too many");
        if (!imap_astring(p, &section->fields[section->field_count++]))
            return imap_expected(p, "The names of header fields expected");
    } while (imap_take(p, ' '));
    return imap_need(p, ')');
}

static bool section_text(struct imap_parser *p, struct imap_section *section)
{
    static const struct {
        const char *name;
        enum imap_section_part part;
    } parts[] = {{"HEADER", IMAP_HEADER}, {"HEADER.FIELDS", IMAP_HEADER_FIELDS},
        {"HEADER.FIELDS.NOT", IMAP_HEADER_FIELDS_NOT}, {"TEXT", IMAP_TEXT}, {"MIME", IMAP_MIME}};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (imap_take_word(p, parts[i].name)) {
            section->part = parts[i].part;
            if (section->part == IMAP_MIME && section->depth == 0)
                return imap_expected(p, "MIME is of a part: BODY[1.MIME]");
            return (section->part != IMAP_HEADER_FIELDS && section->part != IMAP_HEADER_FIELDS_NOT) ||
                   header_list(p, section);
        }
    return imap_expected(p, "A section is HEADER, HEADER.FIELDS (...), TEXT, MIME or part numbers");
}

/* "[...]"; `text`: more than numbers may stand there. */
static bool section(struct imap_parser *p, bool text, struct imap_section *section)
{
    bool ends_with_dot;

    if (!imap_need(p, '[') || !path(p, section))
        return false;
    if (imap_take(p, ']'))
        return p->rest.p[-2] != '.' || imap_expected(p, "A part number expected");
    ends_with_dot = p->rest.p[-1] == '.';
    if (!text || (section->depth > 0 && !ends_with_dot))
        return imap_expected(p, "] expected");
    return section_text(p, section) && imap_need(p, ']');
}

bool imap_section(struct imap_parser *p, struct imap_section *out)
{
    return section(p, true, out);
}

/* "<offset.length>", or nothing. */
static bool partial(struct imap_parser *p, struct imap_item *item)
{
    if (!imap_take(p, '<'))
        return true;
    item->partial = true;
    if (!imap_number(p, INT64_MAX, &item->offset) || !imap_need(p, '.') || !imap_number(p, INT64_MAX, &item->length))
        return false;
    return imap_need(p, '>') && (item->length > 0 || imap_expected(p, "A part of no bytes cannot be fetched"));
}

/* ---- items ---- */

static const struct item_name {
    const char *name;
    enum imap_item_kind kind;
    enum { PLAIN, SECTION, NUMBERS, NUMBERS_ONLY, PREVIEW } form;
    bool peek;
} items[] = {
    {"FLAGS", IMAP_ITEM_FLAGS, PLAIN, true}, {"UID", IMAP_ITEM_UID, PLAIN, true},
    {"INTERNALDATE", IMAP_ITEM_INTERNALDATE, PLAIN, true}, {"RFC822.SIZE", IMAP_ITEM_SIZE, PLAIN, true},
    {"ENVELOPE", IMAP_ITEM_ENVELOPE, PLAIN, true}, {"BODYSTRUCTURE", IMAP_ITEM_BODYSTRUCTURE, PLAIN, true},
    {"MODSEQ", IMAP_ITEM_MODSEQ, PLAIN, true}, {"EMAILID", IMAP_ITEM_EMAILID, PLAIN, true},
    {"THREADID", IMAP_ITEM_THREADID, PLAIN, true}, {"SAVEDATE", IMAP_ITEM_SAVEDATE, PLAIN, true},
    {"PREVIEW", IMAP_ITEM_PREVIEW, PREVIEW, true}, {"RFC822", IMAP_ITEM_RFC822, PLAIN, false},
    {"RFC822.HEADER", IMAP_ITEM_RFC822_HEADER, PLAIN, true}, {"RFC822.TEXT", IMAP_ITEM_RFC822_TEXT, PLAIN, false},
    {"BODY", IMAP_ITEM_BODY, SECTION, false}, {"BODY.PEEK", IMAP_ITEM_BODY, SECTION, true},
    {"BINARY", IMAP_ITEM_BINARY, NUMBERS, false}, {"BINARY.PEEK", IMAP_ITEM_BINARY, NUMBERS, true},
    {"BINARY.SIZE", IMAP_ITEM_BINARY_SIZE, NUMBERS_ONLY, true},
};

/* "(LAZY)" behind PREVIEW (RFC 8970), or nothing. */
static bool preview(struct imap_parser *p, struct imap_item *item)
{
    struct str before = p->rest;

    if (imap_take(p, ' ') && imap_take(p, '(')) {
        if (!imap_take_word(p, "LAZY"))
            return imap_expected(p, "PREVIEW has one modifier: LAZY");
        item->lazy = true;
        return imap_need(p, ')');
    }
    p->rest = before;
    return true;
}

static bool item_rest(struct imap_parser *p, const struct item_name *name, struct imap_item *item)
{
    bool has_section = p->rest.n > 0 && p->rest.p[0] == '[';

    switch (name->form) {
    case PLAIN:
        return true;
    case PREVIEW:
        return preview(p, item);
    case NUMBERS:
        return section(p, false, &item->section) && partial(p, item);
    case NUMBERS_ONLY:
        return section(p, false, &item->section);
    case SECTION:
        if (has_section)
            return section(p, true, &item->section) && partial(p, item);
        item->kind = IMAP_ITEM_STRUCTURE;
        item->peek = true;
        return !name->peek || imap_expected(p, "[ expected");
    }
    return false;
}

static bool one_item(struct imap_parser *p, struct imap_fetch *fetch)
{
    struct imap_item *item = &fetch->items[fetch->item_count++];
    struct str word;

    *item = (struct imap_item){0};
    if (!imap_word(p, &word))
        return imap_expected(p, "What to fetch is missing");
    for (size_t i = 0; i < sizeof items / sizeof *items; i++)
        if (str_ieq(word, str_of(items[i].name))) {
            item->kind = items[i].kind;
            item->peek = items[i].peek;
            return item_rest(p, &items[i], item);
        }
    return imap_expected(p, "Unknown item to fetch");
}

/* ALL, FAST, FULL: short for several. */
static bool macro(struct imap_parser *p, struct imap_fetch *fetch)
{
    static const enum imap_item_kind kinds[] = {IMAP_ITEM_FLAGS, IMAP_ITEM_INTERNALDATE, IMAP_ITEM_SIZE, IMAP_ITEM_ENVELOPE,
        IMAP_ITEM_STRUCTURE};
    static const char *const names[] = {"FAST", "ALL", "FULL"};

    for (size_t i = 0; i < 3; i++)
        if (imap_take_word(p, names[i])) {
            for (size_t k = 0; k < 3 + i; k++)
                fetch->items[fetch->item_count++] = (struct imap_item){.kind = kinds[k], .peek = true};
            return true;
        }
    return false;
}

bool imap_fetch_items(struct imap_parser *p, struct imap_fetch *fetch)
{
    fetch->items = arena_alloc(p->arena, (p->rest.n / 3 + 6) * sizeof *fetch->items);
    if (fetch->items == NULL)
        return imap_expected(p, "The command is too large");
    if (!imap_take(p, '('))
        return macro(p, fetch) || one_item(p, fetch);
    do {
        if (!one_item(p, fetch))
            return false;
    } while (imap_take(p, ' '));
    return imap_need(p, ')');
}

static bool fetch_modifier(struct imap_parser *p, struct imap_fetch *fetch)
{
    if (imap_take_word(p, "CHANGEDSINCE")) {
        fetch->changed_since_given = true;
        return imap_space(p) && imap_number(p, INT64_MAX, &fetch->changed_since);
    }
    if (imap_take_word(p, "VANISHED")) {
        fetch->vanished = true;
        return true;
    }
    if (imap_take_word(p, "PARTIAL") && fetch->partial_from == 0)
        return imap_space(p) && imap_partial(p, &fetch->partial_from, &fetch->partial_to);
    return imap_expected(p, "Unknown modifier of FETCH");
}

bool imap_parse_fetch(struct imap_parser *p, struct imap_command *c)
{
    struct imap_fetch *fetch = &c->fetch;

    if (!imap_space(p) || !imap_set(p, &fetch->set) || !imap_space(p) || !imap_fetch_items(p, fetch))
        return false;
    if (imap_take(p, ' ') && !imap_at_end(p)) {
        if (!imap_need(p, '('))
            return false;
        do {
            if (!fetch_modifier(p, fetch))
                return false;
        } while (imap_take(p, ' '));
        if (!imap_need(p, ')'))
            return false;
    }
    if (fetch->vanished && (!c->uid || !fetch->changed_since_given))
        return imap_expected(p, "VANISHED needs UID FETCH and CHANGEDSINCE");
    if (fetch->partial_from != 0 && !c->uid) /* RFC 9394, section 3.3 */
        return imap_expected(p, "PARTIAL needs UID FETCH");
    return imap_end(p);
}

/* ---- STORE ---- */

static bool store_modifiers(struct imap_parser *p, struct imap_store *store)
{
    if (!imap_take(p, '('))
        return true;
    if (!imap_take_word(p, "UNCHANGEDSINCE"))
        return imap_expected(p, "Unknown modifier of STORE");
    store->unchanged_since_given = true;
    return imap_space(p) && imap_number(p, INT64_MAX, &store->unchanged_since) && imap_need(p, ')') && imap_space(p);
}

static bool store_flags(struct imap_parser *p, struct imap_flags *flags)
{
    if (p->rest.n > 0 && p->rest.p[0] == '(')
        return imap_flag_list(p, flags);
    if (!imap_flags_room(p, flags))
        return false;
    do {
        if (!imap_one_flag(p, flags))
            return false;
    } while (imap_take(p, ' '));
    return true;
}

bool imap_parse_store(struct imap_parser *p, struct imap_command *c)
{
    struct imap_store *store = &c->store;
    struct str word;

    if (!imap_space(p) || !imap_set(p, &store->set) || !imap_space(p) || !store_modifiers(p, store))
        return false;
    if (imap_take(p, '+'))
        store->kind = IMAP_STORE_ADD;
    else if (imap_take(p, '-'))
        store->kind = IMAP_STORE_REMOVE;
    if (!imap_word(p, &word))
        return false;
    store->silent = str_ieq(word, STR("FLAGS.SILENT"));
    if (!store->silent && !str_ieq(word, STR("FLAGS")))
        return imap_expected(p, "FLAGS or FLAGS.SILENT expected");
    return imap_space(p) && store_flags(p, &store->flags) && imap_end(p);
}
