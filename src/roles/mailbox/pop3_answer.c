/* Answers that take several steps: the snapshot, listings, messages, the removal after QUIT. */
#include "pop3_private.h"

#include <inttypes.h>
#include <string.h>

enum { ROWS_A_STEP = 1000, REMOVES_A_STEP = 100 };

void pop3_step_load(struct pop3 *p)
{
    enum pop3_result result = p->store->load(p->world, p);

    if (result == POP3_MORE)
        return;
    p->step = NULL;
    if (result == POP3_OK) {
        buf_addf(
            &p->out, "+OK %zu messages (%" PRIu64 " octets)\r\n", p->live, p->live_bytes);
        return;
    }
    pop3_say(p, "-ERR [SYS/TEMP] The mailbox cannot be opened now, try again later");
    p->closed = true;
}

static void end_listing(struct pop3 *p)
{
    pop3_say(p, ".");
    p->step = NULL;
}

void pop3_step_list(struct pop3 *p)
{
    for (size_t n = 0; n < ROWS_A_STEP && p->at < p->count; n++, p->at++)
        if (!(p->items[p->at].flags & POP3_DELETED))
            buf_addf(&p->out, "%zu %" PRIu32 "\r\n", p->at + 1, p->items[p->at].size);
    if (p->at == p->count)
        end_listing(p);
}

void pop3_step_uidl(struct pop3 *p)
{
    for (size_t n = 0; n < ROWS_A_STEP && p->at < p->count; n++, p->at++)
        if (!(p->items[p->at].flags & POP3_DELETED))
            buf_addf(&p->out, "%zu %08" PRIx32 "%08" PRIx32 "\r\n", p->at + 1, p->uidvalidity,
                p->items[p->at].uid);
    if (p->at == p->count)
        end_listing(p);
}

/* ---- a message ---- */

static void send_end(struct pop3 *p)
{
    if (p->send.last != '\n')
        buf_add(&p->out, STR("\r\n"));
    pop3_say(p, ".");
    p->step = NULL;
}

/* Sends a part of a line, or a line with its end; true when it was the last one wanted. */
static bool send_line_part(struct pop3 *p, struct str part)
{
    bool ends = part.p[part.n - 1] == '\n';
    size_t before = p->send.line_length, length = part.n - (ends ? 1 : 0);
    bool blank;

    if (p->send.last == '\n' && part.p[0] == '.')
        buf_add_char(&p->out, '.');
    buf_add(&p->out, part);
    p->send.last = part.p[part.n - 1];
    if (before == 0 && length == 1)
        p->send.cr_only = part.p[0] == '\r';
    else if (length > 0)
        p->send.cr_only = false;
    p->send.line_length += length;
    if (!ends)
        return false;
    blank = p->send.line_length == 0 || (p->send.line_length == 1 && p->send.cr_only);
    p->send.line_length = 0;
    p->send.cr_only = false;
    if (p->send.in_body && p->send.top)
        return --p->send.lines == 0;
    if (blank)
        p->send.in_body = true;
    return p->send.in_body && p->send.top && p->send.lines == 0;
}

/* True when the message ended early (TOP). */
static bool send_piece(struct pop3 *p, struct str piece)
{
    p->send.offset += piece.n;
    while (piece.n > 0) {
        const char *end = memchr(piece.p, '\n', piece.n);
        size_t n = end ? (size_t)(end - piece.p) + 1 : piece.n;

        if (send_line_part(p, str_sub(piece, 0, n)))
            return true;
        piece = str_skip(piece, n);
    }
    return false;
}

/* After +OK there is no way to tell of a failure but to end the connection without the final dot. */
static void step_send(struct pop3 *p)
{
    struct str piece;

    if (p->store->read(p->world, p->send.uid, p->send.offset, &piece) != POP3_OK) {
        p->closed = true;
        return;
    }
    if (piece.n == 0 || send_piece(p, piece))
        send_end(p);
}

static void send_counted(struct pop3 *p, size_t number, bool top)
{
    struct pop3_item *item = &p->items[number - 1];

    if (number > p->last)
        p->last = number;
    if (top) {
        p->counts.tops++;
        return;
    }
    item->flags |= POP3_RETRIEVED;
    p->counts.retrieved++;
    p->counts.retrieved_bytes += item->size;
}

void pop3_send_begin(struct pop3 *p, size_t number, bool top, uint64_t lines)
{
    struct pop3_item *item = &p->items[number - 1];
    struct str piece;
    enum pop3_result result;

    if ((item->flags & POP3_NEEDS_UTF8) && !(p->flags & POP3_UTF8)) {
        pop3_say(p, "-ERR [UTF8] This message needs UTF8 mode");
        return;
    }
    result = p->store->read(p->world, item->uid, 0, &piece);
    if (result != POP3_OK) {
        pop3_say(p, result == POP3_MISSING ? "-ERR This message is gone"
                                           : "-ERR [SYS/TEMP] The message cannot be read now");
        return;
    }
    memset(&p->send, 0, sizeof p->send);
    p->send.uid = item->uid;
    p->send.top = top;
    p->send.lines = lines;
    p->send.last = '\n';
    if (top)
        pop3_say(p, "+OK Top of message follows");
    else
        buf_addf(&p->out, "+OK %" PRIu32 " octets\r\n", item->size);
    send_counted(p, number, top);
    p->step = step_send;
    if (piece.n == 0 || send_piece(p, piece))
        send_end(p);
}

/* ---- QUIT ---- */

static void remove_end(struct pop3 *p, bool removed)
{
    p->step = NULL;
    p->closed = true;
    if (!removed) {
        pop3_say(p, "-ERR [SYS/TEMP] Deleted messages were not removed");
        return;
    }
    p->counts.deleted = p->count - p->live;
    buf_addf(&p->out, "+OK Goodbye, %zu messages left\r\n", p->live);
}

static void commit(struct pop3 *p)
{
    enum pop3_result result = p->store->remove_commit(p->world);

    p->waits = result == POP3_WAITS;
    p->step = NULL;
    if (!p->waits)
        remove_end(p, result == POP3_OK);
}

void pop3_step_remove(struct pop3 *p)
{
    size_t removed = 0;

    if (p->live == p->count) {
        remove_end(p, true);
        return;
    }
    for (; removed < REMOVES_A_STEP && p->at < p->count; p->at++) {
        if (!(p->items[p->at].flags & POP3_DELETED))
            continue;
        removed++;
        if (p->store->remove(p->world, p->items[p->at].uid) == POP3_FAILED) {
            p->store->remove_abort(p->world);
            remove_end(p, false);
            return;
        }
    }
    if (p->at == p->count)
        commit(p);
}

void pop3_removed(struct pop3 *p, bool removed)
{
    p->waits = false;
    remove_end(p, removed);
}
