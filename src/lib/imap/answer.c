/* Responses of an IMAP server. See answer.h. */
#include "answer.h"

enum { DEPTH_MAX = 50 };

/* ---- values that are passed over ---- */

static bool skip_value(struct imap_parser *p)
{
    unsigned depth = 0;

    do {
        struct str ignored;

        while (imap_take(p, ' '))
            ;
        if (imap_take(p, '(')) {
            if (++depth > DEPTH_MAX)
                return false;
        } else if (imap_take(p, ')')) {
            if (depth-- == 0)
                return false;
        } else if (p->rest.n > 0 && (p->rest.p[0] == '"' || p->rest.p[0] == '{')) {
            if (!imap_string(p, &ignored))
                return false;
        } else {
            size_t n = 0;

            while (n < p->rest.n && str_find(STR(" ()\r\n"), p->rest.p[n]) < 0)
                n++;
            if (n == 0)
                return false;
            p->rest = str_skip(p->rest, n);
        }
    } while (depth > 0);
    return true;
}

/* "(...)" without parentheses inside. */
static bool flat_list(struct imap_parser *p, struct str *inside)
{
    ptrdiff_t end = str_find(p->rest, ')');

    if (!imap_need(p, '(') || end < 1)
        return false;
    *inside = str_sub(p->rest, 0, (size_t)end - 1);
    p->rest = str_skip(p->rest, (size_t)end);
    return true;
}

/* ---- FETCH ---- */

static bool body(struct imap_parser *p, bool streamed, struct imap_answer *a)
{
    ptrdiff_t end = str_find(p->rest, '\n');

    a->told |= IMAP_TOLD_BODY;
    if (!streamed || p->rest.n == 0 || p->rest.p[0] != '{') {
        bool is = p->rest.n > 0 && p->rest.p[0] != 'N' && p->rest.p[0] != 'n';

        if (!is)
            a->told &= ~(unsigned)IMAP_TOLD_BODY; /* NIL */
        return skip_value(p);
    }
    if (end < 0)
        return false;
    p->rest = str_skip(p->rest, (size_t)end + 1);
    return true;
}

static bool fetch_item(struct imap_parser *p, struct str name, bool streamed, struct imap_answer *a)
{
    uint64_t number;

    if (str_ieq(name, STR("UID"))) {
        a->told |= IMAP_TOLD_UID;
        if (!imap_number(p, UINT32_MAX, &number))
            return false;
        a->uid = (uint32_t)number;
        return true;
    }
    if (str_ieq(name, STR("FLAGS"))) {
        a->told |= IMAP_TOLD_FLAGS;
        return flat_list(p, &a->flags);
    }
    if (str_ieq(name, STR("RFC822.SIZE"))) {
        a->told |= IMAP_TOLD_SIZE;
        return imap_number(p, INT64_MAX, &a->size);
    }
    if (str_ieq(name, STR("INTERNALDATE"))) {
        struct imap_parser date = *p;

        if (imap_date_time(&date, &a->received))
            a->told |= IMAP_TOLD_DATE;
        return skip_value(p); /* also a date that is none */
    }
    if (str_ieq(name, STR("BODY[]")))
        return body(p, streamed, a);
    return skip_value(p);
}

static bool fetch(struct imap_parser *p, bool streamed, struct imap_answer *a)
{
    if (!imap_space(p) || !imap_need(p, '('))
        return false;
    while (!imap_take(p, ')')) {
        size_t n = 0, depth = 0;
        struct str name;

        /* "BODY[HEADER.FIELDS (A B)]" is one name */
        for (; n < p->rest.n && (depth > 0 || (p->rest.p[n] != ' ' && p->rest.p[n] != ')')); n++) {
            depth += p->rest.p[n] == '[';
            if (p->rest.p[n] == ']' && depth > 0)
                depth--;
        }
        name = str_sub(p->rest, 0, n);
        p->rest = str_skip(p->rest, n);
        if (n == 0 || !imap_space(p) || !fetch_item(p, name, streamed, a))
            return false;
        imap_take(p, ' ');
    }
    return true;
}

/* ---- LIST, NAMESPACE ---- */

static bool list(struct imap_parser *p, struct imap_answer *a)
{
    struct str delimiter;

    if (!imap_space(p) || !flat_list(p, &a->flags) || !imap_space(p) || !imap_nstring(p, &delimiter) || !imap_space(p))
        return false;
    a->delimiter = delimiter.n == 1 ? delimiter.p[0] : 0;
    return imap_astring(p, &a->name);
}

static bool namespace(struct imap_parser *p, struct imap_answer *a)
{
    struct str delimiter;

    if (!imap_space(p) || !imap_take(p, '(') || !imap_need(p, '('))
        return false;
    if (!imap_string(p, &a->name) || !imap_space(p) || !imap_nstring(p, &delimiter))
        return false;
    a->delimiter = delimiter.n == 1 ? delimiter.p[0] : 0;
    return true;
}

/* ---- OK, NO, BAD, BYE, PREAUTH ---- */

static void status(struct imap_parser *p, struct imap_answer *a)
{
    ptrdiff_t end;

    imap_take(p, ' ');
    if (imap_take(p, '[')) {
        end = str_find(p->rest, ']');
        if (end >= 0) {
            a->code = str_sub(p->rest, 0, (size_t)end);
            p->rest = str_skip(p->rest, (size_t)end + 1);
            imap_take(p, ' ');
        }
    }
    a->text = p->rest;
}

static const struct {
    const char *word;
    enum imap_answer_kind kind;
} words[] = {
    {"OK", IMAP_SAYS_OK}, {"NO", IMAP_SAYS_NO}, {"BAD", IMAP_SAYS_BAD}, {"BYE", IMAP_SAYS_BYE}, {"PREAUTH", IMAP_SAYS_PREAUTH},
    {"CAPABILITY", IMAP_SAYS_CAPABILITY}, {"LIST", IMAP_SAYS_LIST}, {"LSUB", IMAP_SAYS_LSUB},
    {"NAMESPACE", IMAP_SAYS_NAMESPACE}, {"STATUS", IMAP_SAYS_STATUS}, {"XMARKED", IMAP_SAYS_XMARKED},
};

static bool read_kind(struct imap_parser *p, struct imap_answer *a)
{
    struct str word;

    if (!imap_word(p, &word))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_ieq(word, str_of(words[i].word)))
            a->kind = words[i].kind;
    return a->kind != IMAP_SAYS_OTHER;
}

static bool numbered(struct imap_parser *p, bool streamed, struct imap_answer *a)
{
    if (!imap_number(p, UINT32_MAX, &a->number) || !imap_space(p))
        return false;
    if (imap_take_word(p, "EXISTS"))
        a->kind = IMAP_SAYS_EXISTS;
    else if (imap_take_word(p, "FETCH"))
        a->kind = IMAP_SAYS_FETCH;
    return a->kind != IMAP_SAYS_FETCH || fetch(p, streamed, a);
}

static bool untagged(struct imap_parser *p, bool streamed, struct imap_answer *a)
{
    if (p->rest.n > 0 && ascii_is_digit(p->rest.p[0]))
        return numbered(p, streamed, a);
    if (!read_kind(p, a))
        return false;
    if (a->kind == IMAP_SAYS_LIST || a->kind == IMAP_SAYS_LSUB)
        return list(p, a);
    if (a->kind == IMAP_SAYS_NAMESPACE)
        return namespace(p, a);
    status(p, a);
    return true;
}

void imap_answer_parse(struct str text, bool streamed, struct arena *arena, struct imap_answer *a)
{
    struct imap_parser p = {.rest = text, .arena = arena};
    bool understood;

    *a = (struct imap_answer){0};
    if (imap_take(&p, '+')) {
        a->kind = IMAP_SAYS_CONTINUE;
        imap_take(&p, ' ');
        a->text = p.rest;
        return;
    }
    if (imap_take(&p, '*')) {
        understood = imap_take(&p, ' ') && untagged(&p, streamed, a);
    } else {
        ptrdiff_t end = str_find(p.rest, ' ');

        a->tag = end < 0 ? p.rest : str_sub(p.rest, 0, (size_t)end);
        p.rest = str_skip(p.rest, a->tag.n + 1);
        understood = read_kind(&p, a) && a->kind <= IMAP_SAYS_BAD;
        if (understood)
            status(&p, a);
    }
    if (!understood)
        a->kind = IMAP_SAYS_OTHER;
}

bool imap_answer_begins_body(struct str text)
{
    ptrdiff_t open = str_rfind(text, '{');
    struct str before = str_sub(text, 0, open < 0 ? 0 : (size_t)open);

    if (str_ends(before, STR("~")))
        before.n--;
    return before.n > 7 && str_ieq(str_skip(before, before.n - 7), STR("BODY[] "));
}

/* ---- words ---- */

bool imap_answer_next_flag(struct str *flags, unsigned *system, struct str *keyword)
{
    static const struct {
        const char *name;
        unsigned flag;
    } known[] = {{"\\Seen", IMAP_SEEN}, {"\\Answered", IMAP_ANSWERED}, {"\\Flagged", IMAP_FLAGGED},
        {"\\Deleted", IMAP_DELETED}, {"\\Draft", IMAP_DRAFT}};
    struct str word;

    *system = 0;
    *keyword = (struct str){0};
    if (!str_next_word(flags, &word))
        return false;
    if (word.p[0] != '\\')
        *keyword = word;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_ieq(word, str_of(known[i].name)))
            *system = known[i].flag;
    return true;
}

bool imap_answer_has(struct str list_of, const char *word)
{
    struct str one;

    while (str_next_word(&list_of, &one))
        if (str_ieq(one, str_of(word)))
            return true;
    return false;
}

bool imap_answer_code_is(const struct imap_answer *a, const char *word)
{
    struct str w = str_of(word);

    return str_istarts(a->code, w) && (a->code.n == w.n || a->code.p[w.n] == ' ');
}
