/* SEARCH, SORT and THREAD: their arguments (RFC 9051, section 6.4.4; RFC 5256 and the extensions named in command.h). */
#include "parse.h"

#include <string.h>

enum { NESTING_MAX = 50 };

static bool key(struct imap_parser *p, unsigned depth, struct imap_search_key **out);

static struct imap_search_key *new_key(struct imap_parser *p, enum imap_key kind)
{
    struct imap_search_key *k = arena_alloc(p->arena, sizeof *k);

    if (k == NULL)
        imap_expected(p, "The search is too large");
    else
        k->key = kind;
    return k;
}

/* What follows the name of a key. */
enum form { ALONE, TEXT, TEXT_OF_FIELD, FIELD_AND_TEXT, DAY, NUMBER, SPAN, ATOM, UIDS, UID_ABOVE, UID_BELOW, ONE_KEY, TWO_KEYS, MODSEQ };

static const struct key_name {
    const char *name;
    enum imap_key key;
    enum form form;
    unsigned flag;   /* IMAP_KEY_FLAG */
    bool negated;
} keys[] = {
    {"ALL", IMAP_KEY_ALL, ALONE, 0, false},
    {"ANSWERED", IMAP_KEY_FLAG, ALONE, IMAP_ANSWERED, false}, {"UNANSWERED", IMAP_KEY_FLAG, ALONE, IMAP_ANSWERED, true},
    {"DELETED", IMAP_KEY_FLAG, ALONE, IMAP_DELETED, false}, {"UNDELETED", IMAP_KEY_FLAG, ALONE, IMAP_DELETED, true},
    {"DRAFT", IMAP_KEY_FLAG, ALONE, IMAP_DRAFT, false}, {"UNDRAFT", IMAP_KEY_FLAG, ALONE, IMAP_DRAFT, true},
    {"FLAGGED", IMAP_KEY_FLAG, ALONE, IMAP_FLAGGED, false}, {"UNFLAGGED", IMAP_KEY_FLAG, ALONE, IMAP_FLAGGED, true},
    {"SEEN", IMAP_KEY_FLAG, ALONE, IMAP_SEEN, false}, {"UNSEEN", IMAP_KEY_FLAG, ALONE, IMAP_SEEN, true},
    {"KEYWORD", IMAP_KEY_KEYWORD, ATOM, 0, false}, {"UNKEYWORD", IMAP_KEY_KEYWORD, ATOM, 0, true},
    {"NEW", IMAP_KEY_NEW, ALONE, 0, false}, {"OLD", IMAP_KEY_OLD, ALONE, 0, false}, {"RECENT", IMAP_KEY_RECENT, ALONE, 0, false},
    {"BCC", IMAP_KEY_HEADER, TEXT_OF_FIELD, 0, false}, {"CC", IMAP_KEY_HEADER, TEXT_OF_FIELD, 0, false},
    {"FROM", IMAP_KEY_HEADER, TEXT_OF_FIELD, 0, false}, {"SUBJECT", IMAP_KEY_HEADER, TEXT_OF_FIELD, 0, false},
    {"TO", IMAP_KEY_HEADER, TEXT_OF_FIELD, 0, false}, {"HEADER", IMAP_KEY_HEADER, FIELD_AND_TEXT, 0, false},
    {"BODY", IMAP_KEY_BODY, TEXT, 0, false}, {"TEXT", IMAP_KEY_TEXT, TEXT, 0, false},
    {"BEFORE", IMAP_KEY_BEFORE, DAY, 0, false}, {"ON", IMAP_KEY_ON, DAY, 0, false}, {"SINCE", IMAP_KEY_SINCE, DAY, 0, false},
    {"SENTBEFORE", IMAP_KEY_SENT_BEFORE, DAY, 0, false}, {"SENTON", IMAP_KEY_SENT_ON, DAY, 0, false},
    {"SENTSINCE", IMAP_KEY_SENT_SINCE, DAY, 0, false}, {"SAVEDBEFORE", IMAP_KEY_SAVED_BEFORE, DAY, 0, false},
    {"SAVEDON", IMAP_KEY_SAVED_ON, DAY, 0, false}, {"SAVEDSINCE", IMAP_KEY_SAVED_SINCE, DAY, 0, false},
    {"SAVEDATESUPPORTED", IMAP_KEY_SAVEDATE_SUPPORTED, ALONE, 0, false},
    {"LARGER", IMAP_KEY_LARGER, NUMBER, 0, false}, {"SMALLER", IMAP_KEY_SMALLER, NUMBER, 0, false},
    {"OLDER", IMAP_KEY_OLDER, SPAN, 0, false}, {"YOUNGER", IMAP_KEY_YOUNGER, SPAN, 0, false},
    {"MODSEQ", IMAP_KEY_MODSEQ, MODSEQ, 0, false}, {"UID", IMAP_KEY_UID, UIDS, 0, false},
    {"UIDAFTER", IMAP_KEY_UID, UID_ABOVE, 0, false}, {"UIDBEFORE", IMAP_KEY_UID, UID_BELOW, 0, false},
    {"EMAILID", IMAP_KEY_EMAILID, ATOM, 0, false}, {"THREADID", IMAP_KEY_THREADID, ATOM, 0, false},
    {"NOT", IMAP_KEY_NOT, ONE_KEY, 0, false}, {"OR", IMAP_KEY_OR, TWO_KEYS, 0, false},
};

/* MODSEQ ["/flags/..." all|shared|priv] number (RFC 7162, section 3.1.5): all flags share one sequence here. */
static bool modseq(struct imap_parser *p, uint64_t *number)
{
    struct str entry;

    if (p->rest.n > 0 && p->rest.p[0] == '"' &&
        (!imap_string(p, &entry) || !imap_space(p) ||
            !(imap_take_word(p, "all") || imap_take_word(p, "shared") || imap_take_word(p, "priv")) || !imap_space(p)))
        return imap_expected(p, "MODSEQ is followed by a number, or by an entry, its type and a number");
    return imap_number(p, INT64_MAX, number);
}

static bool utf8_text(struct imap_parser *p, struct str *text)
{
    return imap_astring(p, text) && (str_is_utf8(*text) || imap_expected(p, "The text is not UTF-8"));
}

/* UIDAFTER, UIDBEFORE (RFC 9738, section 3.2): one uid. Unlike 7:* the set has no message when there is none above. */
static bool uids_beside(struct imap_parser *p, bool above, struct imap_set *set)
{
    uint64_t uid;

    if (!imap_number(p, UINT32_MAX, &uid) || (uid == 0 && !imap_expected(p, "A uid is not 0")))
        return false;
    *set = (struct imap_set){.ranges = arena_alloc(p->arena, sizeof *set->ranges)};
    if (set->ranges == NULL)
        return imap_expected(p, "The command is too large");
    set->ranges[0] = above ? (struct imap_range){(uint32_t)uid + 1, UINT32_MAX} : (struct imap_range){1, (uint32_t)uid - 1};
    set->n = uid == (above ? UINT32_MAX : 1) ? 0 : 1;
    return true;
}

static bool argument(struct imap_parser *p, const struct key_name *name, unsigned depth, struct imap_search_key *k)
{
    switch (name->form) {
    case ALONE:
        return true;
    case TEXT_OF_FIELD:
        k->name = str_of(name->name);
        return imap_space(p) && utf8_text(p, &k->text);
    case FIELD_AND_TEXT:
        return imap_space(p) && imap_astring(p, &k->name) && imap_space(p) && utf8_text(p, &k->text);
    case TEXT:
        return imap_space(p) && utf8_text(p, &k->text);
    case DAY:
        return imap_space(p) && imap_date(p, &k->day);
    case NUMBER:
        return imap_space(p) && imap_number(p, INT64_MAX, &k->number);
    case SPAN: /* RFC 5032: not zero */
        return imap_space(p) && imap_number(p, INT64_MAX, &k->number) && (k->number > 0 || imap_expected(p, "Seconds expected"));
    case MODSEQ:
        return imap_space(p) && modseq(p, &k->number);
    case ATOM:
        return imap_space(p) && imap_astring(p, &k->text);
    case UIDS:
        return imap_space(p) && imap_set(p, &k->set);
    case UID_ABOVE:
    case UID_BELOW:
        return imap_space(p) && uids_beside(p, name->form == UID_ABOVE, &k->set);
    case ONE_KEY:
        return imap_space(p) && key(p, depth + 1, &k->first);
    case TWO_KEYS:
        return imap_space(p) && key(p, depth + 1, &k->first) && imap_space(p) && key(p, depth + 1, &k->first->next);
    }
    return false;
}

static bool negate(struct imap_parser *p, struct imap_search_key **k)
{
    struct imap_search_key *not = new_key(p, IMAP_KEY_NOT);

    if (not == NULL)
        return false;
    not->first = *k;
    *k = not;
    return true;
}

static bool named_key(struct imap_parser *p, unsigned depth, struct imap_search_key **out)
{
    struct str word;

    if (!imap_word(p, &word))
        return imap_expected(p, "A search key expected");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (str_ieq(word, str_of(keys[i].name))) {
            *out = new_key(p, keys[i].key);
            if (*out == NULL)
                return false;
            (*out)->flag = keys[i].flag;
            return argument(p, &keys[i], depth, *out) && (!keys[i].negated || negate(p, out));
        }
    return imap_expected(p, "Unknown search key");
}

static bool keys_until_end(struct imap_parser *p, unsigned depth, struct imap_search_key **out)
{
    struct imap_search_key *all = new_key(p, IMAP_KEY_AND), **last;

    if (all == NULL)
        return false;
    last = &all->first;
    do {
        if (!key(p, depth, last))
            return false;
        last = &(*last)->next;
    } while (imap_take(p, ' '));
    *out = all;
    return true;
}

static bool key(struct imap_parser *p, unsigned depth, struct imap_search_key **out)
{
    char c = p->rest.n > 0 ? p->rest.p[0] : 0;

    *out = NULL;
    if (depth > NESTING_MAX)
        return imap_expected(p, "The search is nested too deeply");
    if (c == '(')
        return imap_take(p, '(') && keys_until_end(p, depth + 1, out) && imap_need(p, ')');
    if (ascii_is_digit(c) || c == '*' || c == '$') {
        *out = new_key(p, IMAP_KEY_SEQUENCE);
        return *out != NULL && imap_set(p, &(*out)->set);
    }
    return named_key(p, depth, out);
}

/* ---- around the keys ---- */

static bool one_return(struct imap_parser *p, struct imap_search *search)
{
    static const struct {
        const char *name;
        unsigned flag;
    } names[] = {{"MIN", IMAP_RETURN_MIN}, {"MAX", IMAP_RETURN_MAX}, {"ALL", IMAP_RETURN_ALL}, {"COUNT", IMAP_RETURN_COUNT},
        {"SAVE", IMAP_RETURN_SAVE}};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (imap_take_word(p, names[i].name)) {
            search->returns |= names[i].flag;
            return true;
        }
    if (imap_take_word(p, "PARTIAL")) {
        if (search->returns & IMAP_RETURN_PARTIAL)
            return imap_expected(p, "PARTIAL stands once");
        search->returns |= IMAP_RETURN_PARTIAL;
        return imap_space(p) && imap_partial(p, &search->partial_from, &search->partial_to);
    }
    return imap_expected(p, "RETURN has MIN, MAX, ALL, COUNT, SAVE and PARTIAL");
}

/* " RETURN (...)", or nothing. */
static bool returns(struct imap_parser *p, struct imap_search *search)
{
    struct str before = p->rest;

    if (!imap_take(p, ' ') || !imap_take_word(p, "RETURN")) {
        p->rest = before;
        return true;
    }
    search->esearch = true;
    if (!imap_space(p) || !imap_need(p, '('))
        return false;
    if (!imap_take(p, ')')) {
        do {
            if (!one_return(p, search))
                return false;
        } while (imap_take(p, ' '));
        if (!imap_need(p, ')'))
            return false;
    }
    if (search->returns == 0)
        search->returns = IMAP_RETURN_ALL;
    if ((search->returns & IMAP_RETURN_PARTIAL) && (search->returns & IMAP_RETURN_ALL))
        return imap_expected(p, "PARTIAL and ALL exclude each other");
    return true;
}

const char imap_bad_charset[] = "[BADCHARSET (US-ASCII UTF-8)] Texts are UTF-8 here";

static bool charset(struct imap_parser *p)
{
    struct str name;

    if (!imap_astring(p, &name))
        return false;
    return str_ieq(name, STR("UTF-8")) || str_ieq(name, STR("US-ASCII")) || imap_expected(p, imap_bad_charset);
}

static bool program(struct imap_parser *p, struct imap_command *c)
{
    return imap_space(p) && keys_until_end(p, 0, &c->search.root) && imap_end(p);
}

bool imap_parse_search(struct imap_parser *p, struct imap_command *c)
{
    struct str before;

    if (!returns(p, &c->search))
        return false;
    before = p->rest;
    if (imap_take(p, ' ') && imap_take_word(p, "CHARSET")) {
        if (!imap_space(p) || !charset(p))
            return false;
    } else {
        p->rest = before;
    }
    return program(p, c);
}

static bool one_criterion(struct imap_parser *p, struct imap_sort_criterion *criterion)
{
    static const char *const names[] = {[IMAP_SORT_ARRIVAL] = "ARRIVAL", [IMAP_SORT_CC] = "CC", [IMAP_SORT_DATE] = "DATE",
        [IMAP_SORT_FROM] = "FROM", [IMAP_SORT_SIZE] = "SIZE", [IMAP_SORT_SUBJECT] = "SUBJECT", [IMAP_SORT_TO] = "TO",
        [IMAP_SORT_DISPLAYFROM] = "DISPLAYFROM", [IMAP_SORT_DISPLAYTO] = "DISPLAYTO"};

    criterion->reverse = imap_take_word(p, "REVERSE");
    if (criterion->reverse && !imap_space(p))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (imap_take_word(p, names[i])) {
            criterion->key = (enum imap_sort_key)i;
            return true;
        }
    return imap_expected(p, "Unknown sort criterion");
}

/* What stands there again decides nothing. */
static bool is_first(const struct imap_search *search, enum imap_sort_key key)
{
    for (size_t i = 0; i < search->sort_count; i++)
        if (search->sort[i].key == key)
            return false;
    return true;
}

bool imap_parse_sort(struct imap_parser *p, struct imap_command *c)
{
    struct imap_search *search = &c->search;

    if (!returns(p, search) || !imap_space(p) || !imap_need(p, '('))
        return false;
    search->sort = imap_room_for(p, 16, 2, sizeof *search->sort); /* more than there are criteria */
    if (search->sort == NULL)
        return false;
    do {
        struct imap_sort_criterion *next = &search->sort[search->sort_count];

        if (!one_criterion(p, next))
            return false;
        search->sort_count += is_first(search, next->key);
    } while (imap_take(p, ' '));
    return imap_need(p, ')') && imap_space(p) && charset(p) && program(p, c);
}

bool imap_parse_thread(struct imap_parser *p, struct imap_command *c)
{
    if (!imap_space(p))
        return false;
    if (imap_take_word(p, "REFERENCES"))
        c->search.thread = IMAP_THREAD_REFERENCES;
    else if (imap_take_word(p, "ORDEREDSUBJECT"))
        c->search.thread = IMAP_THREAD_ORDEREDSUBJECT;
    else
        return imap_expected(p, "THREAD knows REFERENCES and ORDEREDSUBJECT");
    return imap_space(p) && charset(p) && program(p, c);
}
