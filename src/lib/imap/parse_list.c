/* LIST, LSUB, STATUS, SELECT and EXAMINE: their arguments (RFC 9051, sections 6.3.2, 6.3.9 and 6.3.11; RFC 5258, RFC 7162).
 * See parse.h. */
#include "parse.h"

struct option {
    const char *name;
    unsigned flag;
};

static const struct option *take_option(struct imap_parser *p, const struct option *options, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (imap_take_word(p, options[i].name))
            return &options[i];
    return NULL;
}

/* ---- STATUS ---- */

static const struct option status_items[] = {
    {"MESSAGES", IMAP_STATUS_MESSAGES}, {"RECENT", IMAP_STATUS_RECENT}, {"UIDNEXT", IMAP_STATUS_UIDNEXT},
    {"UIDVALIDITY", IMAP_STATUS_UIDVALIDITY}, {"UNSEEN", IMAP_STATUS_UNSEEN}, {"DELETED", IMAP_STATUS_DELETED},
    {"SIZE", IMAP_STATUS_SIZE}, {"HIGHESTMODSEQ", IMAP_STATUS_HIGHESTMODSEQ}, {"MAILBOXID", IMAP_STATUS_MAILBOXID},
    {"APPENDLIMIT", IMAP_STATUS_APPENDLIMIT}, {"DELETED-STORAGE", IMAP_STATUS_DELETED_STORAGE},
};

bool imap_status_items(struct imap_parser *p, unsigned *items)
{
    if (!imap_need(p, '('))
        return false;
    do {
        const struct option *o = take_option(p, status_items, sizeof status_items / sizeof *status_items);

        if (o == NULL)
            return imap_expected(p, "Unknown item of STATUS");
        *items |= o->flag;
    } while (imap_take(p, ' '));
    return imap_need(p, ')');
}

bool imap_parse_status(struct imap_parser *p, struct imap_command *c)
{
    return imap_space(p) && imap_mailbox(p, &c->status.mailbox) && imap_space(p) &&
           imap_status_items(p, &c->status.items) && imap_end(p);
}

/* ---- LIST ---- */

static const struct option selections[] = {
    {"SUBSCRIBED", IMAP_LIST_SUBSCRIBED}, {"REMOTE", IMAP_LIST_REMOTE}, {"RECURSIVEMATCH", IMAP_LIST_RECURSIVEMATCH},
    {"SPECIAL-USE", IMAP_LIST_SPECIAL_USE},
};
static const struct option returns[] = {
    {"SUBSCRIBED", IMAP_LIST_RETURN_SUBSCRIBED}, {"CHILDREN", IMAP_LIST_RETURN_CHILDREN},
    {"SPECIAL-USE", IMAP_LIST_RETURN_SPECIAL_USE}, {"STATUS", IMAP_LIST_RETURN_STATUS},
    {"MYRIGHTS", IMAP_LIST_RETURN_MYRIGHTS}, {"METADATA", IMAP_LIST_RETURN_METADATA},
};

static bool selection(struct imap_parser *p, struct imap_list *list)
{
    unsigned base = IMAP_LIST_SUBSCRIBED | IMAP_LIST_SPECIAL_USE;

    if (!imap_take(p, '('))
        return true;
    list->extended = true;
    if (!imap_take(p, ')')) {
        do {
            const struct option *o = take_option(p, selections, sizeof selections / sizeof *selections);

            if (o == NULL)
                return imap_expected(p, "Unknown selection option of LIST");
            list->select |= o->flag;
        } while (imap_take(p, ' '));
        if (!imap_need(p, ')'))
            return false;
    }
    if ((list->select & IMAP_LIST_RECURSIVEMATCH) && !(list->select & base)) /* RFC 5258, section 3.1 */
        return imap_expected(p, "RECURSIVEMATCH needs another selection option");
    return imap_space(p);
}

static bool patterns(struct imap_parser *p, struct imap_list *list)
{
    list->patterns = imap_room_for(p, IMAP_PATTERNS_MAX, 2, sizeof *list->patterns);
    if (list->patterns == NULL)
        return false;
    if (!imap_take(p, '('))
        return imap_list_mailbox(p, &list->patterns[list->pattern_count++]);
    list->extended = true;
    do {
        if (list->pattern_count == IMAP_PATTERNS_MAX)
            return imap_expected(p, "So many patterns in one command are too many");
        if (!imap_list_mailbox(p, &list->patterns[list->pattern_count++]))
            return false;
    } while (imap_take(p, ' '));
    return imap_need(p, ')');
}

/* The last one is not among those before it. */
static bool is_new_entry(const struct imap_list *list)
{
    for (size_t i = 0; i < list->metadata_count; i++)
        if (str_eq(list->metadata[i], list->metadata[list->metadata_count]))
            return false;
    return true;
}

/* One entry or several in parentheses (RFC 9590); twice the same counts once. */
static bool metadata_entries(struct imap_parser *p, struct imap_list *list)
{
    bool many;

    list->metadata = imap_room_for(p, IMAP_ENTRIES_MAX + 1, 2, sizeof *list->metadata);
    if (list->metadata == NULL || !imap_space(p))
        return false;
    many = imap_take(p, '(');
    do {
        if (list->metadata_count == IMAP_ENTRIES_MAX)
            return imap_expected(p, "So many entries in one command are too many");
        if (!imap_entry_name(p, &list->metadata[list->metadata_count]))
            return false;
        list->metadata_count += is_new_entry(list);
    } while (many && imap_take(p, ' '));
    return !many || imap_need(p, ')');
}

static bool one_return(struct imap_parser *p, struct imap_list *list)
{
    const struct option *o = take_option(p, returns, sizeof returns / sizeof *returns);

    if (o == NULL)
        return imap_expected(p, "Unknown return option of LIST");
    list->returns |= o->flag;
    if (o->flag == IMAP_LIST_RETURN_STATUS)
        return imap_space(p) && imap_status_items(p, &list->status);
    return o->flag != IMAP_LIST_RETURN_METADATA || metadata_entries(p, list);
}

static bool return_options(struct imap_parser *p, struct imap_list *list)
{
    if (!imap_take(p, ' ') || imap_at_end(p))
        return true;
    list->extended = true;
    if (!imap_take_word(p, "RETURN"))
        return imap_expected(p, "RETURN (...) or nothing expected");
    if (!imap_space(p) || !imap_need(p, '('))
        return false;
    if (imap_take(p, ')'))
        return true;
    do {
        if (!one_return(p, list))
            return false;
    } while (imap_take(p, ' '));
    return imap_need(p, ')');
}

bool imap_parse_list(struct imap_parser *p, struct imap_command *c)
{
    struct imap_list *list = &c->list;

    return imap_space(p) && selection(p, list) && imap_mailbox(p, &list->reference) && imap_space(p) &&
           patterns(p, list) && return_options(p, list) && imap_end(p);
}

bool imap_parse_lsub(struct imap_parser *p, struct imap_command *c)
{
    struct imap_list *list = &c->list;

    list->select = IMAP_LIST_SUBSCRIBED;
    list->patterns = imap_room(p, 2, sizeof *list->patterns);
    list->pattern_count = 1;
    return list->patterns != NULL && imap_space(p) && imap_mailbox(p, &list->reference) && imap_space(p) &&
           imap_list_mailbox(p, &list->patterns[0]) && imap_end(p);
}

/* ---- SELECT ---- */

/* "(uidvalidity modseq [known-uids] [(sequence-set uid-set)])" */
static bool qresync(struct imap_parser *p, struct imap_select *select)
{
    uint64_t uidvalidity;

    select->qresync = true;
    if (!imap_space(p) || !imap_need(p, '(') || !imap_number(p, UINT32_MAX, &uidvalidity) || !imap_space(p) ||
        !imap_number(p, INT64_MAX, &select->modseq))
        return false;
    select->uidvalidity = (uint32_t)uidvalidity;
    if (imap_take(p, ')'))
        return true;
    if (!imap_space(p) || (p->rest.n > 0 && p->rest.p[0] != '(' && !imap_set(p, &select->known_uids)))
        return false;
    if (imap_take(p, ')'))
        return true;
    imap_take(p, ' ');
    return imap_need(p, '(') && imap_set(p, &select->match_sequences) && imap_space(p) &&
           imap_set(p, &select->match_uids) && imap_need(p, ')') && imap_need(p, ')');
}

bool imap_parse_select(struct imap_parser *p, struct imap_command *c)
{
    struct imap_select *select = &c->select;

    if (!imap_space(p) || !imap_mailbox(p, &select->mailbox))
        return false;
    if (!imap_take(p, ' ') || imap_at_end(p))
        return imap_end(p);
    if (!imap_need(p, '('))
        return false;
    do {
        if (imap_take_word(p, "CONDSTORE"))
            select->condstore = true;
        else if (!imap_take_word(p, "QRESYNC"))
            return imap_expected(p, "Unknown parameter of SELECT");
        else if (!qresync(p, select))
            return false;
    } while (imap_take(p, ' '));
    return imap_need(p, ')') && imap_end(p);
}
