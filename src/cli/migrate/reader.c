/* The messages of a mailbox, over IMAP. See reader.h. */
#include "cli/migrate/reader.h"
#include "cli/migrate/migrate.h"

#include <inttypes.h>
#include <stdio.h>
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

/* ---- bodies ----
 *
 * Servers answer questions that were sent ahead in their order, but may say the tagged OKs of several together, later
 * (Dovecot). So a body belongs to the question with the uid that stands before it, and a question is forgotten when both its
 * body and its tagged answer were there. */

static struct asked *find_uid(struct reader *r, uint32_t uid)
{
    for (size_t i = 0; i < r->asked_count; i++)
        if (r->asked[i].uid == uid && !r->asked[i].given_up)
            return &r->asked[i];
    return NULL;
}

static void forget(struct reader *r, struct asked *a)
{
    size_t i = (size_t)(a - r->asked);

    r->asked_count--;
    memmove(&r->asked[i], &r->asked[i + 1], (r->asked_count - i) * sizeof r->asked[0]);
}

bool reader_want(struct reader *r, uint32_t uid, struct err *err)
{
    struct buf command;
    bool sent;

    if (r->asked_count == READER_AHEAD)
        return true;
    buf_init(&command, 200);
    r->asked[r->asked_count] = (struct asked){.uid = uid};
    peer_begin(r->peer, r->asked[r->asked_count++].tag);
    buf_addf(&command, "UID FETCH %" PRIu32 " (UID BODY.PEEK[])\r\n", uid);
    sent = peer_send(r->peer, buf_str(&command), err);
    buf_clear(&command);
    return sent;
}

/* A body stands before us: whose is it? */
static void on_body(struct reader *r, const struct imap_answer *a, uint64_t size)
{
    r->held = true;
    r->held_size = size;
    r->held_uid = a->told & IMAP_TOLD_UID ? a->uid : 0;
    for (size_t i = 0; r->held_uid == 0 && i < r->asked_count; i++)
        if (!r->asked[i].seen)
            r->held_uid = r->asked[i].uid;
    for (size_t i = 0; i < r->asked_count; i++)
        r->asked[i].seen |= r->asked[i].uid == r->held_uid;
}

static void on_tagged(struct reader *r, const struct imap_answer *a)
{
    for (size_t i = 0; i < r->asked_count; i++) {
        struct asked *one = &r->asked[i];

        if (!str_eq(a->tag, str_of(one->tag)))
            continue;
        if (one->seen || one->given_up) {
            forget(r, one);
            return;
        }
        one->refused = true;
        if (a->kind != IMAP_SAYS_OK)
            snprintf(one->why, sizeof one->why, "the server says: %.*s", STR_ARG(a->text));
        else
            snprintf(one->why, sizeof one->why, "it is gone, or the server does not give it");
        return;
    }
}

/* One answer, or the beginning of a body (r->held). */
static bool read_answer(struct reader *r, struct err *err)
{
    struct imap_answer a;
    bool body;
    uint64_t size;

    if (!peer_read(r->peer, true, &a, &body, &size, err))
        return false;
    if (body)
        on_body(r, &a, size);
    else if (a.kind == IMAP_SAYS_BYE)
        return err_set(err, ERR_TEMPORARY, "%s: the server ended the session: %.*s", r->peer->name, STR_ARG(a.text));
    else if (a.tag.n > 0)
        on_tagged(r, &a);
    return true;
}

/* The body before us, or the rest of the one being read. */
static bool skip_body(struct reader *r, struct err *err)
{
    struct str piece = {0};

    while (r->held || r->reading) {
        if (!peer_body(r->peer, &piece, err))
            return false;
        if (piece.n == 0)
            r->held = r->reading = false;
    }
    return true;
}

static void forget_refused(struct reader *r)
{
    for (size_t i = r->asked_count; i > 0; i--)
        if (r->asked[i - 1].refused)
            forget(r, &r->asked[i - 1]);
}

bool reader_finish(struct reader *r, struct err *err)
{
    for (;;) {
        forget_refused(r);
        if (!skip_body(r, err))
            return false;
        if (r->asked_count == 0)
            return true;
        if (!read_answer(r, err))
            return false;
    }
}

/* The question for this one is on its way, once. */
static bool ensure_asked(struct reader *r, uint32_t uid, struct err *err)
{
    const struct asked *asked = find_uid(r, uid);

    if (asked != NULL && (!asked->seen || (r->held && r->held_uid == uid)))
        return true;
    if ((r->asked_count == READER_AHEAD || asked != NULL) && !reader_finish(r, err))
        return false;
    return reader_want(r, uid, err);
}

/* Until its body stands before us, or it is known that there will be none (*gone). */
static bool await_body(struct reader *r, uint32_t uid, bool *gone, struct err *why, struct err *err)
{
    for (*gone = false;;) {
        struct asked *mine = find_uid(r, uid);

        if (r->held && r->held_uid == uid)
            return true;
        if (mine->refused || (r->held && find_uid(r, r->held_uid) > mine)) {
            err_set(why, ERR_PERMANENT, "%s", mine->refused ? mine->why : "it is gone, or the server does not give it");
            *gone = true;
            mine->given_up = true;
            if (mine->refused)
                forget(r, mine);
            return true;
        }
        if (r->held ? !skip_body(r, err) : !read_answer(r, err))
            return false;
    }
}

bool reader_body(struct reader *r, uint32_t uid, uint64_t *size, struct err *why, struct err *err)
{
    bool gone;

    *size = 0;
    if ((r->reading && !skip_body(r, err)) || !ensure_asked(r, uid, err) || !await_body(r, uid, &gone, why, err))
        return false;
    if (gone)
        return true;
    *size = r->held_size;
    r->held = false;
    r->reading = true;
    if (*size == 0) {
        err_set(why, ERR_PERMANENT, "it is empty");
        return skip_body(r, err);
    }
    return true;
}

bool reader_read(struct reader *r, struct str *piece, struct err *err)
{
    *piece = (struct str){0};
    if (!r->reading)
        return true;
    if (!peer_body(r->peer, piece, err))
        return false;
    r->reading = piece->n > 0;
    return true;
}
