/* The walk of a command over the table, a stretch a turn. What a filter says of addresses and replies
 * goes into the database's own search, which passes over a million rows in a fraction of a second; the
 * rest of the filter looks only at the rows that are left. */
#include "command.h"
#include "queue.h"

enum {
    STRETCH_ROWS = 8192,
    LOOK_AT_ONCE = 512, /* rows that are left, a turn: each may need a look at its message */
    PATTERN_MAX = 4096,
};

/* '*' becomes '%'; what LIKE would read otherwise is quoted. */
static void add_pattern(struct buf *b, struct str glob)
{
    for (size_t i = 0; i < glob.n; i++) {
        char c = glob.p[i];

        if (c == '%' || c == '_' || c == '\\')
            buf_add_char(b, '\\');
        buf_add_char(b, c == '*' ? '%' : c);
    }
}

/* A pattern too long for the database is left to filter_matches_rcpt alone. */
static void keep_or_any(struct buf *b)
{
    if (!b->failed)
        return;
    buf_clear(b);
    buf_init(b, PATTERN_MAX);
    buf_add(b, STR("%"));
}

void command_walk_init(struct command *c)
{
    const struct filter *f = &c->filter;

    buf_init(&c->address, PATTERN_MAX);
    buf_init(&c->reply, PATTERN_MAX);
    if (f->recipient.n) {
        add_pattern(&c->address, f->recipient);
    } else {
        buf_add(&c->address, STR("%"));
        add_pattern(&c->address, f->domain);
    }
    buf_add(&c->reply, STR("%"));
    for (size_t i = 0; i < f->reply.n; i++) {
        if (f->reply.p[i] == '*')
            buf_add_char(&c->reply, '*');
        else
            add_pattern(&c->reply, str_sub(f->reply, i, i + 1));
    }
    buf_add(&c->reply, STR("%"));
    keep_or_any(&c->address);
    keep_or_any(&c->reply);
    c->at.message = f->message ? f->message : f->after_message;
    c->at.n = f->message ? 0 : f->after_n;
}

void command_walk_clear(struct command *c)
{
    buf_clear(&c->address);
    buf_clear(&c->reply);
}

bool command_walk_begin(struct queue *q, struct command *c, struct err *err)
{
    c->looked = 0;
    c->whole = false;
    c->stretch = (struct rcpt_place){c->filter.message, INT64_MAX};
    if (!c->filter.message && !store_find_stretch(q->store, &c->at, STRETCH_ROWS, &c->stretch, err))
        return false;
    store_match_begin(q->store, &c->at, &c->stretch, buf_str(&c->address), buf_str(&c->reply));
    return true;
}

bool command_walk_next(struct queue *q, struct command *c, struct rcpt_row *r)
{
    if (c->looked == LOOK_AT_ONCE)
        return false;
    c->whole = !store_match_next(q->store, r);
    if (c->whole)
        return false;
    c->looked++;
    c->at = (struct rcpt_place){r->message, r->n};
    return true;
}

bool command_walk_end(struct queue *q, struct command *c, struct err *err)
{
    if (c->whole) {
        c->at = c->stretch;
        c->ended = c->ended || c->filter.message || c->at.message == RCPT_PLACE_LAST.message;
    }
    return store_match_end(q->store, err);
}
