/* The messages of a mailbox, over IMAP. See reader.h. */
#include "cli/migrate/reader.h"
#include "cli/migrate/migrate.h"

#include <inttypes.h>
#include <string.h>

enum { RANGE = ITEMS_WINDOW, RANGE_MAX = 1 << 30 };

/* ---- opening ---- */

static void on_select(void *owner, const struct imap_answer *a)
{
    struct reader *r = owner;
    uint64_t value;

    if (a->kind == IMAP_SAYS_EXISTS)
        r->last = a->number; /* for now: how many */
    if (imap_answer_code_is(a, "UIDVALIDITY") && str_to_u64(str_skip(a->code, 12), UINT32_MAX, &value))
        r->uidvalidity = (uint32_t)value;
}

static void on_last(void *owner, const struct imap_answer *a)
{
    struct reader *r = owner;

    if (a->kind == IMAP_SAYS_FETCH && a->told & IMAP_TOLD_UID && a->uid > r->last)
        r->last = a->uid;
}

static bool find_last(struct reader *r, struct err *err)
{
    struct imap_answer answer;
    bool any = r->last > 0;

    r->last = 0;
    if (!any)
        return true;
    return peer_ask(r->peer, STR("FETCH * (UID)"), on_last, r, &answer, err) &&
           (answer.kind == IMAP_SAYS_OK || answer.kind == IMAP_SAYS_NO || err_set(err, ERR_TEMPORARY, "%s: FETCH: %.*s", r->peer->name, STR_ARG(answer.text)));
}

bool reader_open(struct reader *r, struct peer *peer, struct str name, bool *refused, struct err *why, struct err *err)
{
    struct imap_answer answer;
    struct buf command;
    bool done;

    *r = (struct reader){.peer = peer, .next = 1, .range = RANGE};
    *refused = false;
    buf_init(&command, 64 * 1024);
    buf_add(&command, STR("EXAMINE "));
    buf_add(&command, name);
    done = peer_ask(peer, buf_str(&command), on_select, r, &answer, err);
    buf_clear(&command);
    if (!done)
        return false;
    *refused = answer.kind != IMAP_SAYS_OK;
    if (*refused) {
        err_set(why, ERR_PERMANENT, "the server says: %.*s", STR_ARG(answer.text));
        return true;
    }
    return find_last(r, err);
}

/* ---- listing ---- */

struct listing {
    struct item *items;
    size_t max, n;
    uint64_t from, to;
    bool more; /* some did not fit: all above the last item are listed again */
};

/* Where it belongs, in the order of uids; NULL: it is there already, or there is no room. */
static struct item *place(struct listing *l, uint32_t uid)
{
    size_t i = l->n;

    while (i > 0 && l->items[i - 1].at > uid)
        i--;
    if (i > 0 && l->items[i - 1].at == uid)
        return NULL;
    if (l->n == l->max) {
        l->more = true;
        if (i == l->max)
            return NULL;
        item_clear(&l->items[--l->n]);
    }
    memmove(&l->items[i + 1], &l->items[i], (l->n - i) * sizeof *l->items);
    l->n++;
    return &l->items[i];
}

static void on_item(void *owner, const struct imap_answer *a)
{
    struct listing *l = owner;
    struct str flags = a->flags, keyword;
    struct buf words;
    unsigned system;
    struct item *item;

    if (a->kind != IMAP_SAYS_FETCH || (a->told & (IMAP_TOLD_UID | IMAP_TOLD_SIZE)) != (IMAP_TOLD_UID | IMAP_TOLD_SIZE) ||
        a->uid < l->from || a->uid > l->to)
        return;
    item = place(l, a->uid);
    if (item == NULL)
        return;
    *item = (struct item){.at = a->uid, .size = a->size, .received = a->told & IMAP_TOLD_DATE ? a->received : 0};
    buf_init(&words, 64 * 1024);
    while (imap_answer_next_flag(&flags, &system, &keyword)) {
        item->flags |= system;
        migrate_keyword(&words, keyword);
    }
    item->keywords = str_dup(buf_str(&words));
    buf_clear(&words);
}

static bool list_range(struct reader *r, struct listing *l, struct err *err)
{
    struct imap_answer answer;
    struct buf command;
    bool done;

    buf_init(&command, 200);
    buf_addf(&command, "UID FETCH %" PRIu64 ":%" PRIu64 " (UID FLAGS INTERNALDATE RFC822.SIZE)", l->from, l->to);
    done = peer_ask(r->peer, buf_str(&command), on_item, l, &answer, err);
    buf_clear(&command);
    if (done && answer.kind != IMAP_SAYS_OK)
        done = err_set(err, ERR_TEMPORARY, "%s: listing messages: the server says: %.*s", r->peer->name, STR_ARG(answer.text));
    return done;
}

bool reader_list(struct reader *r, struct item *items, size_t max, size_t *n, struct err *err)
{
    struct listing l = {.items = items, .max = max};

    while (l.n == 0 && r->next <= r->last) {
        l.from = r->next;
        l.to = r->next + r->range - 1 < r->last ? r->next + r->range - 1 : r->last;
        if (!reader_finish(r, err) || !list_range(r, &l, err)) {
            *n = l.n;
            return false;
        }
        r->next = l.more ? items[l.n - 1].at + 1 : l.to + 1;
        if (l.n > 0)
            r->range = RANGE;
        else if (r->range < RANGE_MAX)
            r->range *= 2; /* a gap */
    }
    *n = l.n;
    return true;
}

/* ---- bodies ---- */

bool reader_want(struct reader *r, uint32_t uid, struct err *err)
{
    struct buf command;
    bool sent;

    if (r->asked_count == READER_AHEAD)
        return true;
    buf_init(&command, 200);
    peer_begin(r->peer, r->asked[r->asked_count].tag);
    r->asked[r->asked_count++].uid = uid;
    buf_addf(&command, "UID FETCH %" PRIu32 " (UID BODY.PEEK[])\r\n", uid);
    sent = peer_send(r->peer, buf_str(&command), err);
    buf_clear(&command);
    return sent;
}

static void forget_first(struct reader *r)
{
    memmove(&r->asked[0], &r->asked[1], --r->asked_count * sizeof r->asked[0]);
}

/* Reads on until a body begins or the first question is answered; that is then forgotten. */
static bool next_body(struct reader *r, bool *body, uint64_t *size, struct imap_answer *a, struct err *err)
{
    for (;;) {
        if (!peer_read(r->peer, true, a, body, size, err))
            return false;
        if (*body)
            return true;
        if (a->kind == IMAP_SAYS_BYE)
            return err_set(err, ERR_TEMPORARY, "%s: the server ended the session: %.*s", r->peer->name, STR_ARG(a->text));
        if (str_eq(a->tag, str_of(r->asked[0].tag))) {
            forget_first(r);
            return true;
        }
    }
}

static bool skip_body(struct reader *r, struct err *err)
{
    struct str piece;

    do
        if (!peer_body(r->peer, &piece, err))
            return false;
    while (piece.n > 0);
    return true;
}

/* The first question's answer, thrown away. */
static bool skip_answer(struct reader *r, struct err *err)
{
    size_t before = r->asked_count;
    struct imap_answer a;
    bool body;
    uint64_t size;

    if (r->reading && !skip_body(r, err))
        return false;
    r->reading = false;
    while (r->asked_count == before)
        if (!next_body(r, &body, &size, &a, err) || (body && !skip_body(r, err)))
            return false;
    return true;
}

bool reader_finish(struct reader *r, struct err *err)
{
    while (r->asked_count > 0)
        if (!skip_answer(r, err))
            return false;
    return true;
}

bool reader_body(struct reader *r, uint32_t uid, uint64_t *size, struct err *why, struct err *err)
{
    struct imap_answer a;
    bool body;

    *size = 0;
    if (r->reading && !skip_answer(r, err))
        return false;
    while (r->asked_count > 0 && r->asked[0].uid != uid)
        if (!skip_answer(r, err))
            return false;
    if (r->asked_count == 0 && !reader_want(r, uid, err))
        return false;
    if (!next_body(r, &body, size, &a, err))
        return false;
    if (!body) {
        *size = 0;
        if (a.kind == IMAP_SAYS_OK)
            err_set(why, ERR_PERMANENT, "it is gone, or the server does not give it");
        else
            err_set(why, ERR_PERMANENT, "the server says: %.*s", STR_ARG(a.text));
        return true;
    }
    r->reading = true;
    if (*size == 0) {
        err_set(why, ERR_PERMANENT, "it is empty");
        return skip_answer(r, err);
    }
    return true;
}

/* What stands behind the literal, up to the tagged answer. */
static bool end_body(struct reader *r, struct err *err)
{
    uint32_t uid = r->asked[0].uid;
    size_t before = r->asked_count;
    struct imap_answer a;
    bool body;
    uint64_t size;

    r->reading = false;
    while (r->asked_count == before) {
        if (!next_body(r, &body, &size, &a, err))
            return false;
        if (body)
            return err_set(err, ERR_TEMPORARY, "%s: the server gives more than it was asked for", r->peer->name);
        if (a.kind == IMAP_SAYS_FETCH && a.told & IMAP_TOLD_BODY && a.told & IMAP_TOLD_UID && a.uid != uid)
            return err_set(err, ERR_TEMPORARY, "%s: the server gives another message than it was asked for", r->peer->name);
    }
    return true;
}

bool reader_read(struct reader *r, struct str *piece, struct err *err)
{
    if (!r->reading) {
        *piece = (struct str){0};
        return true;
    }
    return peer_body(r->peer, piece, err) && (piece->n > 0 || end_body(r, err));
}
