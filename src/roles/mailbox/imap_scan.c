/* See imap_scan.h. Of the body a window is kept: the piece that is looked at and what stands before it, one byte less than the
 * longest text, so that a text is found across the border of two pieces. */
#include "imap_scan.h"
#include "base/err.h"
#include "imap_text.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOOK = 32 * 1024, /* bytes decoded between two looks at the clock */
    COMPARED = 16,    /* so many are compared in the time that one is decoded */
    WINDOW_MAX = 32 * 1024 * 1024,
};

struct needle {
    const struct imap_search_key *key;
    bool found;
};

struct scan {
    struct imap *im;
    struct imap_text *text; /* of the message */
    struct needle *needles;
    size_t count, capacity, missing;
    size_t longest;      /* of those for the body */
    bool wants_fields;
    enum scan_level level; /* reached */
    struct imap_text_piece piece;
    struct buf window;
    size_t next;         /* of the needles: to be compared with the piece */
    size_t work;         /* since the last look at the clock */
};

struct scan *scan_new(struct imap *im)
{
    struct scan *s = xcalloc(1, sizeof *s);

    s->im = im;
    s->text = imap_text_new(im->box->store);
    buf_init(&s->window, WINDOW_MAX);
    return s;
}

void scan_free(struct scan *s)
{
    if (s == NULL)
        return;
    imap_text_free(s->text);
    buf_clear(&s->window);
    free(s->needles);
    free(s);
}

size_t scan_memory(const struct scan *s)
{
    return imap_text_memory(s->text) + s->window.capacity + s->capacity * sizeof *s->needles;
}

size_t scan_add(struct scan *s, const struct imap_search_key *key)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 16;
        s->needles = xrealloc(s->needles, s->capacity * sizeof *s->needles);
    }
    s->needles[s->count] = (struct needle){.key = key};
    s->wants_fields |= key->key != IMAP_KEY_BODY;
    if (key->key != IMAP_KEY_HEADER && key->text.n > s->longest)
        s->longest = key->text.n;
    return s->count++;
}

/* TEXT looks at every field. */
static bool is_wanted(void *arg, struct str name)
{
    const struct scan *s = arg;

    for (size_t i = 0; i < s->count; i++) {
        const struct needle *n = &s->needles[i];

        if (!n->found && (n->key->key == IMAP_KEY_TEXT || (n->key->key == IMAP_KEY_HEADER && str_ieq(n->key->name, name))))
            return true;
    }
    return false;
}

void scan_open(struct scan *s, const struct store_message *m)
{
    s->level = SCAN_ROW;
    s->missing = s->count;
    s->next = s->count;
    s->work = 0;
    for (size_t i = 0; i < s->count; i++)
        s->needles[i].found = false;
    buf_reset(&s->window);
    imap_text_open(s->text, m, s->wants_fields ? is_wanted : NULL, s);
}

/* ---- one piece ---- */

static bool contains(struct str text, struct str part)
{
    return part.n == 0 || (text.n > 0 && memmem(text.p, text.n, part.p, part.n) != NULL);
}

/* What of the piece this one is looked for in; .p NULL: nothing. */
static struct str haystack(const struct scan *s, const struct needle *n)
{
    struct str nothing = {0};

    if (s->piece.kind == IMAP_TEXT_BODY)
        return n->key->key == IMAP_KEY_HEADER ? nothing : buf_str(&s->window);
    if (n->key->key == IMAP_KEY_TEXT)
        return s->piece.text;
    return n->key->key == IMAP_KEY_HEADER && str_ieq(n->key->name, s->piece.name) ? s->piece.value : nothing;
}

static void compare_some(struct scan *s)
{
    for (; s->next < s->count && s->work < LOOK; s->next++) {
        struct needle *n = &s->needles[s->next];
        struct str in = n->found ? (struct str){0} : haystack(s, n);

        s->work += 1 + in.n / COMPARED;
        n->found |= in.p != NULL && contains(in, n->key->text);
        s->missing -= in.p != NULL && n->found;
    }
    if (s->next == s->count && s->piece.kind == IMAP_TEXT_BODY && s->window.n >= s->longest)
        buf_consume(&s->window, s->window.n - (s->longest > 0 ? s->longest - 1 : 0));
}

static bool take_piece(struct scan *s, struct err *err)
{
    if (!imap_text_next(s->text, &s->piece, err))
        return false;
    s->work += s->piece.work + (s->level == SCAN_READY ? s->count : 0); /* each may choose fields */
    switch (s->piece.kind) {
    case IMAP_TEXT_NONE: break;
    case IMAP_TEXT_READY: s->level = SCAN_READY; break;
    case IMAP_TEXT_FIELDS: s->level = SCAN_HEADER; break;
    case IMAP_TEXT_END: s->level = SCAN_BODY; break;
    case IMAP_TEXT_BODY:
        buf_add(&s->window, s->piece.text);
        s->next = 0;
        break;
    case IMAP_TEXT_FIELD:
        s->next = 0;
        break;
    }
    return true;
}

bool scan_go_on(struct scan *s, enum scan_level level, bool *done, struct err *err)
{
    for (;;) {
        *done = s->level >= level || (s->level >= SCAN_READY && s->missing == 0);
        if (*done)
            return true;
        if (s->next < s->count)
            compare_some(s);
        else if (!take_piece(s, err))
            return false;
        if (s->work < LOOK)
            continue;
        s->work = 0;
        if (imap_pause(s->im))
            return true;
    }
}

/* ---- what is known ---- */

bool scan_found(const struct scan *s, size_t number, enum scan_level *level)
{
    const struct needle *n = &s->needles[number];
    enum scan_level wanted = n->key->key == IMAP_KEY_HEADER || (n->key->key == IMAP_KEY_TEXT && s->level < SCAN_HEADER) ? SCAN_HEADER
                                                                                                                       : SCAN_BODY;

    *level = !n->found && s->level < wanted ? wanted : SCAN_ROW;
    return n->found;
}

int64_t scan_sent(const struct scan *s, enum scan_level *level)
{
    *level = s->level < SCAN_READY ? SCAN_READY : SCAN_ROW;
    return imap_text_sent(s->text);
}
