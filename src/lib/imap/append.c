/* APPEND and REPLACE, step by step. See append.h. */
#include "append.h"

enum state { AT_MAILBOX, AT_MESSAGE, AT_LITERAL, AFTER_LITERAL, IN_CATENATE, AFTER_PART, AT_NEXT };

void imap_append_init(struct imap_append *a, struct arena *arena, bool replace, bool utf8)
{
    *a = (struct imap_append){.arena = arena, .replace = replace, .utf8 = utf8};
}

static enum imap_append_step bad(struct imap_append *a, const struct imap_parser *p, const char *why)
{
    a->why = p != NULL && p->why != NULL ? p->why : why;
    return IMAP_APPEND_BAD;
}

/* The text ends with the announcement of a literal and nothing but that is left. */
static bool literal_is_next(struct str rest)
{
    return rest.n > 1 && (rest.p[0] == '{' || (rest.p[0] == '~' && rest.p[1] == '{')) && str_find(rest, '\n') < 0;
}

static struct str keep(struct imap_append *a, struct str text)
{
    return arena_str(a->arena, text);
}

/* ---- mailbox ---- */

static enum imap_append_step mailbox(struct imap_append *a, struct imap_parser *p)
{
    struct str tag, rest, name;
    enum imap_verb verb;
    bool uid;

    if (!imap_command_verb(p->rest, &tag, &uid, &verb, &rest))
        return bad(a, p, "Unknown command");
    p->rest = rest;
    if (a->replace && (!imap_space(p) || !imap_set(p, &a->set)))
        return bad(a, p, "A message number expected");
    if (a->replace && (a->set.saved || a->set.n != 1 || a->set.ranges[0].from != a->set.ranges[0].to))
        return bad(a, p, "REPLACE takes one message");
    if (!imap_space(p))
        return bad(a, p, NULL);
    if (literal_is_next(p->rest))
        return IMAP_APPEND_TAKE;
    if (!imap_mailbox(p, &name))
        return bad(a, p, NULL);
    a->mailbox = keep(a, name);
    if (p->written.p != NULL)
        a->written = keep(a, p->written);
    a->state = AT_MESSAGE;
    return IMAP_APPEND_BEGIN;
}

/* ---- a message ---- */

static bool keep_flags(struct imap_append *a, struct imap_parser *p)
{
    if (!imap_flag_list(p, &a->flags))
        return false;
    for (size_t i = 0; i < a->flags.keyword_count; i++) {
        a->flags.keywords[i] = keep(a, a->flags.keywords[i]);
        if (a->flags.keywords[i].p == NULL)
            return imap_expected(p, "The command is too large");
    }
    return imap_space(p);
}

/* RFC 4466, append-ext: a name and its value. */
static bool keep_mark(struct imap_append *a, struct imap_parser *p)
{
    struct str mark;

    if (!imap_space(p) || !imap_atom(p, &mark) || !imap_space(p))
        return false;
    a->mark = keep(a, mark);
    return a->mark.p != NULL || imap_expected(p, "The command is too large");
}

static enum imap_append_step message(struct imap_append *a, struct imap_parser *p)
{
    a->flags = (struct imap_flags){0};
    a->has_date = a->utf8_literal = a->catenate = false;
    a->mark = (struct str){0};
    if (!imap_space(p))
        return bad(a, p, "A message expected");
    if (p->rest.n > 0 && p->rest.p[0] == '(' && !keep_flags(a, p))
        return bad(a, p, NULL);
    if (p->rest.n > 0 && p->rest.p[0] == '"') {
        a->has_date = true;
        if (!imap_date_time(p, &a->date) || !imap_space(p))
            return bad(a, p, NULL);
    }
    if (a->marks && imap_take_word(p, "XMARK") && !keep_mark(a, p))
        return bad(a, p, NULL);
    a->state = AT_LITERAL;
    if (imap_take_word(p, "CATENATE")) {
        a->catenate = true;
        a->state = IN_CATENATE;
        if (!imap_space(p) || !imap_need(p, '('))
            return bad(a, p, NULL);
    } else if (imap_take_word(p, "UTF8")) {
        a->utf8_literal = true;
        if (!imap_space(p) || !imap_need(p, '('))
            return bad(a, p, NULL);
    }
    return IMAP_APPEND_MESSAGE_BEGIN;
}

static enum imap_append_step literal(struct imap_append *a, struct imap_parser *p)
{
    if (!literal_is_next(p->rest))
        return bad(a, p, "A literal expected");
    p->rest = str_skip(p->rest, p->rest.n);
    a->state = a->catenate ? AFTER_PART : AFTER_LITERAL;
    return IMAP_APPEND_LITERAL;
}

static enum imap_append_step after_literal(struct imap_append *a, struct imap_parser *p)
{
    if (a->utf8_literal && !imap_need(p, ')'))
        return bad(a, p, NULL);
    a->state = AT_NEXT;
    return IMAP_APPEND_MESSAGE_END;
}

/* ---- CATENATE ---- */

static enum imap_append_step part(struct imap_append *a, struct imap_parser *p)
{
    struct str url;

    a->utf8_literal = false;
    if (imap_take_word(p, "TEXT"))
        return imap_space(p) ? literal(a, p) : bad(a, p, NULL);
    if (imap_take_word(p, "UTF8")) { /* RFC 6855, section 4 */
        a->utf8_literal = true;
        return imap_space(p) && imap_need(p, '(') ? literal(a, p) : bad(a, p, NULL);
    }
    if (!imap_take_word(p, "URL"))
        return bad(a, p, "TEXT or URL expected");
    if (!imap_space(p))
        return bad(a, p, NULL);
    if (literal_is_next(p->rest))
        return IMAP_APPEND_TAKE;
    if (!imap_astring(p, &url))
        return bad(a, p, NULL);
    a->url = keep(a, url);
    if (a->url.p == NULL)
        return bad(a, p, "The command is too large");
    a->state = AFTER_PART;
    return IMAP_APPEND_URL;
}

static enum imap_append_step after_part(struct imap_append *a, struct imap_parser *p)
{
    if (a->utf8_literal && !imap_need(p, ')'))
        return bad(a, p, NULL);
    a->utf8_literal = false;
    if (imap_take(p, ' ')) {
        a->state = IN_CATENATE;
        return part(a, p);
    }
    if (!imap_need(p, ')'))
        return bad(a, p, NULL);
    a->state = AT_NEXT;
    return IMAP_APPEND_MESSAGE_END;
}

/* ---- what comes next ---- */

static enum imap_append_step next(struct imap_append *a, struct imap_parser *p)
{
    if (imap_at_end(p) || str_trim(p->rest).n == 0)
        return IMAP_APPEND_END;
    if (a->replace)
        return bad(a, p, "REPLACE takes one message");
    return message(a, p);
}

enum imap_append_step imap_append_next(struct imap_append *a, struct str text, bool whole)
{
    static enum imap_append_step (*const readers[])(struct imap_append *, struct imap_parser *) = {
        [AT_MAILBOX] = mailbox, [AT_MESSAGE] = message, [AT_LITERAL] = literal, [AFTER_LITERAL] = after_literal,
        [IN_CATENATE] = part, [AFTER_PART] = after_part, [AT_NEXT] = next};
    struct imap_parser p = {.rest = str_skip(text, a->at), .arena = a->arena, .utf8 = a->utf8};
    int state = a->state;
    bool utf8_literal = a->utf8_literal;
    enum imap_append_step step = readers[state](a, &p);

    if (step != IMAP_APPEND_TAKE) {
        a->at = text.n - p.rest.n;
    } else { /* the same is read again, with the literal */
        a->state = state;
        a->utf8_literal = utf8_literal;
    }
    if (whole && (step == IMAP_APPEND_TAKE || step == IMAP_APPEND_LITERAL))
        return bad(a, NULL, "A literal expected");
    if (a->mailbox.p == NULL && step == IMAP_APPEND_BEGIN)
        return bad(a, NULL, "The command is too large");
    return step;
}

void imap_append_streamed(struct imap_append *a)
{
    a->at = 0;
}
