/* The table of commands and the short argument lists. See command.h; the longer ones are in parse_*.c. */
#include "parse.h"

typedef bool parse_fn(struct imap_parser *p, struct imap_command *c);

static bool nothing(struct imap_parser *p, struct imap_command *c)
{
    (void)c;
    return imap_end(p);
}

static bool one_mailbox(struct imap_parser *p, struct imap_command *c)
{
    return imap_space(p) && imap_mailbox(p, &c->mailbox.name) && imap_end(p);
}

/* CREATE name [(USE (\Sent ...))], RFC 6154. */
static bool create(struct imap_parser *p, struct imap_command *c)
{
    struct imap_mailbox *m = &c->mailbox;

    if (!imap_space(p) || !imap_mailbox(p, &m->name))
        return false;
    if (!imap_take(p, ' ') || imap_at_end(p))
        return imap_end(p);
    m->special = imap_room(p, 2, sizeof *m->special);
    if (m->special == NULL || !imap_need(p, '('))
        return false;
    if (!imap_take_word(p, "USE"))
        return imap_expected(p, "CREATE knows the parameter USE");
    if (!imap_space(p) || !imap_need(p, '('))
        return false;
    if (!imap_take(p, ')')) {
        do {
            const char *begin = p->rest.p;
            struct str name;

            if (!imap_take(p, '\\') || !imap_atom(p, &name))
                return imap_expected(p, "A special use begins with \\");
            m->special[m->special_count++] = str_from(begin, name.n + 1);
        } while (imap_take(p, ' '));
        if (!imap_need(p, ')'))
            return false;
    }
    return imap_need(p, ')') && imap_end(p);
}

static bool rename_mailbox(struct imap_parser *p, struct imap_command *c)
{
    return imap_space(p) && imap_mailbox(p, &c->mailbox.name) && imap_space(p) && imap_mailbox(p, &c->mailbox.to) &&
           imap_end(p);
}

static bool copy(struct imap_parser *p, struct imap_command *c)
{
    return imap_space(p) && imap_set(p, &c->copy.set) && imap_space(p) && imap_mailbox(p, &c->copy.mailbox) && imap_end(p);
}

/* UID EXPUNGE has a set, EXPUNGE has none. */
static bool expunge(struct imap_parser *p, struct imap_command *c)
{
    return (!c->uid || (imap_space(p) && imap_set(p, &c->copy.set))) && imap_end(p);
}

/* Blank-separated atoms until the end, at least one. */
static bool words(struct imap_parser *p, struct imap_command *c)
{
    c->words.words = imap_room(p, 2, sizeof *c->words.words);
    if (c->words.words == NULL || !imap_space(p))
        return false;
    do {
        if (!imap_atom(p, &c->words.words[c->words.n++]))
            return false;
    } while (imap_take(p, ' ') && !imap_at_end(p));
    return imap_end(p);
}

/* NIL, or (field value field value ...), at most 30 pairs (RFC 2971). */
static bool id(struct imap_parser *p, struct imap_command *c)
{
    c->words.words = imap_room(p, 2, sizeof *c->words.words);
    if (c->words.words == NULL || !imap_space(p))
        return false;
    if (imap_take_word(p, "NIL"))
        return imap_end(p);
    if (!imap_need(p, '('))
        return false;
    if (imap_take(p, ')'))
        return imap_end(p);
    do {
        if (c->words.n >= 60)
            return imap_expected(p, "ID takes at most 30 pairs");
        if (!imap_string(p, &c->words.words[c->words.n++]) || !imap_space(p) ||
            !imap_nstring(p, &c->words.words[c->words.n++]))
            return imap_expected(p, "ID takes pairs of strings");
    } while (imap_take(p, ' '));
    return imap_need(p, ')') && imap_end(p);
}

static bool login(struct imap_parser *p, struct imap_command *c)
{
    return imap_space(p) && imap_astring(p, &c->login.user) && imap_space(p) && imap_astring(p, &c->login.password) &&
           imap_end(p);
}

static bool authenticate(struct imap_parser *p, struct imap_command *c)
{
    if (!imap_space(p) || !imap_atom(p, &c->login.mechanism))
        return false;
    if (imap_take(p, ' ') && !imap_at_end(p)) { /* RFC 4959 */
        c->login.has_initial = true;
        c->login.initial = p->rest;
        p->rest = str_skip(p->rest, p->rest.n);
    }
    return imap_end(p);
}

/* SETQUOTA root (RESOURCE limit ...) */
static bool set_quota(struct imap_parser *p, struct imap_command *c)
{
    struct imap_words *w = &c->words;

    w->words = imap_room(p, 2, sizeof *w->words);
    if (w->words == NULL || !imap_space(p) || !imap_astring(p, &w->name) || !imap_space(p) || !imap_need(p, '('))
        return false;
    if (imap_take(p, ')'))
        return imap_end(p);
    do {
        if (!imap_atom(p, &w->words[w->n++]) || !imap_space(p) || !imap_atom(p, &w->words[w->n++]))
            return false;
    } while (imap_take(p, ' '));
    return imap_need(p, ')') && imap_end(p);
}

static bool quota_root(struct imap_parser *p, struct imap_command *c)
{
    return imap_space(p) && imap_astring(p, &c->mailbox.name) && imap_end(p);
}

/* mailbox identifier [rights], RFC 4314. */
static bool access_right(struct imap_parser *p, struct imap_command *c)
{
    struct imap_mailbox *m = &c->mailbox;

    return imap_space(p) && imap_mailbox(p, &m->name) && imap_space(p) && imap_astring(p, &m->to) &&
           (c->verb != IMAP_SETACL || (imap_space(p) && imap_astring(p, &m->text))) && imap_end(p);
}

/* What carries messages or has a grammar of its own is read by its owner: the text behind the verb is left as it is. */
static bool own_grammar(struct imap_parser *p, struct imap_command *c)
{
    c->text = p->rest;
    p->rest = str_skip(p->rest, p->rest.n);
    return true;
}

static const struct {
    const char *name;
    unsigned states;
    bool uid;
    parse_fn *parse;
} verbs[] = {
#define IMAP_VERB_ROW(name, states, uid, parse) [IMAP_##name] = {#name, states, uid, parse},
    IMAP_VERBS(IMAP_VERB_ROW)
#undef IMAP_VERB_ROW
};

const char *imap_verb_name(enum imap_verb verb)
{
    return verbs[verb].name;
}

unsigned imap_verb_states(enum imap_verb verb)
{
    return verbs[verb].states;
}

static bool find_verb(struct str word, bool uid, enum imap_verb *verb)
{
    for (size_t i = 0; i < IMAP_VERB_COUNT; i++)
        if (str_ieq(word, str_of(verbs[i].name)) && (!uid || verbs[i].uid)) {
            *verb = (enum imap_verb)i;
            return true;
        }
    return false;
}

/* An astring without "+". */
bool imap_tag_is_valid(struct str tag)
{
    static const char never[] = "+({\"*";

    for (size_t i = 0; i < sizeof never - 1; i++)
        if (str_find(tag, never[i]) >= 0)
            return false;
    return tag.n > 0 && tag.n <= IMAP_TAG_MAX && str_is_printable(tag) && str_find(tag, ' ') < 0;
}

static bool tag(struct imap_parser *p, struct str *out)
{
    size_t n = 0;

    while (n < p->rest.n && p->rest.p[n] != ' ')
        n++;
    *out = str_sub(p->rest, 0, n);
    if (!imap_tag_is_valid(*out)) {
        *out = (struct str){0};
        return imap_expected(p, "A tag expected");
    }
    p->rest = str_skip(p->rest, n);
    return true;
}

bool imap_command_verb(struct str text, struct str *tag_out, bool *uid, enum imap_verb *verb, struct str *rest)
{
    struct imap_parser p = {.rest = text};
    struct str word;

    if (!tag(&p, tag_out) || !imap_space(&p) || !imap_word(&p, &word))
        return false;
    *uid = str_ieq(word, STR("UID"));
    if (*uid && (!imap_space(&p) || !imap_word(&p, &word)))
        return false;
    *rest = p.rest;
    return find_verb(word, *uid, verb);
}

bool imap_command_parse(struct str text, bool utf8, struct arena *arena, struct imap_command *command, const char **why)
{
    struct imap_parser p = {.arena = arena, .utf8 = utf8};

    *command = (struct imap_command){0};
    *why = "Unknown command";
    if (imap_command_verb(text, &command->tag, &command->uid, &command->verb, &p.rest)) {
        bool understood = verbs[command->verb].parse(&p, command);

        command->written = p.written;
        command->normalized = p.normalized;
        if (understood)
            return true;
        *why = p.why != NULL ? p.why : "The command is not understood";
    } else if (command->tag.n == 0) {
        *why = "A tag and a command expected";
    }
    return false;
}
