#include "imap_state.h"
#include "base/clock.h"
#include "base/list.h"
#include "cut.h"
#include "roles/mailbox/box_search.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDERS = 24, NAME = 40, ROUNDS = 10000 };

/* ---- asking ---- */

static bool somebody_waits(void)
{
    struct box *box = boxes_find(world_boxes, IMAP_WORLD_ACCOUNT);

    return box != NULL && link_in_list(&box->dirty) && !box->held;
}

void imap_rest(imap_rest_fn *notice)
{
    for (unsigned n = 0; n < ROUNDS; n++) {
        world_turn();
        if (notice != NULL)
            notice();
        if (sessions_ready(world_sessions))
            continue;
        if (!somebody_waits())
            return;
        if (notice != NULL && cut_random(3) == 0)
            boxes_fill(world_boxes, SECOND / 50); /* a search index takes in what is on disk, and that is not all now */
        if (notice != NULL && cut_random(4) > 0)
            (void)boxes_flush(world_boxes); /* by the log of additions, where that is possible */
        else
            boxes_finish(world_boxes);
        if (notice != NULL)
            notice();
    }
    fatal("the sessions never rest");
}

bool imap_ask(unsigned client, struct str *got, const char *format, ...)
{
    char line[300];
    va_list args;
    int64_t end;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    client_say(client, "x ");
    client_say(client, line);
    client_say(client, "\r\n");
    imap_rest(NULL);
    *got = client_got(client);
    end = str_rfind(str_sub(*got, 0, got->n > 2 ? got->n - 2 : 0), '\n');
    return imap_clients[client].open && str_starts(str_skip(*got, (size_t)(end + 1)), STR("x OK"));
}

/* A response with its literals, and what comes behind it. */
static bool next_response(struct str *rest, struct str *response)
{
    size_t at = 0;

    while (at < rest->n) {
        int64_t end = str_find(str_skip(*rest, at), '\n');
        struct str line;
        int64_t open;

        if (end < 1)
            return false;
        line = str_sub(*rest, at, at + (size_t)end - 1);
        at += (size_t)end + 1;
        open = str_rfind(line, '{');
        if (open >= 0 && str_ends(line, STR("}"))) {
            at += strtoul(line.p + open + 1, NULL, 10);
            continue;
        }
        if (at > rest->n)
            return false;
        *response = str_sub(*rest, 0, at - 2);
        *rest = str_skip(*rest, at);
        return true;
    }
    return false;
}

/* ---- looking ---- */

struct look {
    struct buf *state;
    char *why;
    size_t size;
    char folders[FOLDERS][NAME];
    size_t n;
    char *folder;
    uint64_t uidvalidity;
};

static uint64_t hash_of(struct str bytes)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < bytes.n; i++)
        hash = (hash ^ (unsigned char)bytes.p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Without the sequence number, and with a hash in the place of a literal. */
static void add_fetch(struct look *l, struct str response)
{
    int64_t open = str_find(response, '('), literal = str_find(response, '\n');
    struct str items = str_skip(response, (size_t)open);
    unsigned word = 0;

    if (literal < 0) {
        buf_addf(l->state, "message %s %" PRIu64 " %.*s\n", l->folder, l->uidvalidity, STR_ARG(items));
        return;
    }
    items = str_sub(response, (size_t)open, (size_t)literal - 1);
    if (sscanf(response.p + literal + 1, "Subject: w%u", &word) != 1)
        word = 0;
    buf_addf(l->state, "bytes %s %" PRIu64 " %.*s w%u %016" PRIx64 "\n", l->folder, l->uidvalidity, STR_ARG(items), word,
        hash_of(str_skip(response, (size_t)literal + 1)));
}

static void add_line(struct look *l, struct str response)
{
    char name[NAME];

    if (l->folder != NULL && sscanf(response.p, "* OK [UIDVALIDITY %" SCNu64, &l->uidvalidity) == 1)
        buf_addf(l->state, "folder %s %" PRIu64 "\n", l->folder, l->uidvalidity);
    if (l->folder != NULL && str_ifind(str_sub(response, 0, response.n < 20 ? response.n : 20), STR(" FETCH (")) > 0) {
        add_fetch(l, response);
        return;
    }
    if (l->folder == NULL && str_starts(response, STR("* LIST (")) && str_ifind(response, STR("\\NonExistent")) < 0 && l->n < FOLDERS &&
        sscanf(response.p + (size_t)str_rfind(response, ' '), " %39[^\r]", name) == 1)
        memcpy(l->folders[l->n++], name, NAME);
    buf_addf(l->state, "%s: %.*s\n", l->folder != NULL ? l->folder : "", STR_ARG(response));
}

PRINTF(2, 3) static bool look_with(struct look *l, const char *format, ...)
{
    struct str got, response;
    char line[200];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (!imap_ask(IMAP_LOOKER, &got, "%s", line)) {
        snprintf(l->why, l->size, "%s: %.*s", line, (int)(got.n < 200 ? got.n : 200), got.n > 0 ? got.p : "");
        return false;
    }
    while (next_response(&got, &response))
        if (!str_starts(response, STR("x OK")))
            add_line(l, response);
    return true;
}

static bool look_into(struct look *l, char *folder)
{
    l->folder = folder;
    return look_with(l, "STATUS %s (MESSAGES UNSEEN DELETED SIZE)", folder) && look_with(l, "EXAMINE %s", folder) &&
           look_with(l, "UID FETCH 1:* (FLAGS MODSEQ INTERNALDATE SAVEDATE EMAILID THREADID RFC822.SIZE)") &&
           look_with(l, "UID FETCH 1:* (BODY.PEEK[])") && look_with(l, "UNSELECT") &&
           look_with(l, "GETMETADATA (DEPTH infinity) %s (/private /shared)", folder);
}

bool imap_state_look(struct buf *state, char *why, size_t size)
{
    struct look l = {.state = state, .why = why, .size = size};
    bool right;

    buf_reset(state);
    client_open(IMAP_LOOKER);
    right = look_with(&l, "LIST \"\" * RETURN (SUBSCRIBED SPECIAL-USE)");
    for (size_t i = 0; right && i < l.n; i++)
        right = look_into(&l, l.folders[i]);
    l.folder = NULL;
    l.n = FOLDERS;
    right = right && look_with(&l, "LIST (SUBSCRIBED) \"\" *") &&
            look_with(&l, "GETMETADATA (DEPTH infinity) \"\" (/private /shared)");
    if (imap_clients[IMAP_LOOKER].open)
        client_close(IMAP_LOOKER);
    return right;
}

/* ---- comparing ---- */

bool imap_next_line(struct str *rest, struct str *line)
{
    int64_t end = str_find(*rest, '\n');

    if (end < 0)
        return false;
    *line = str_sub(*rest, 0, (size_t)end);
    *rest = str_skip(*rest, (size_t)end + 1);
    return true;
}

bool imap_state_word(struct str line, char folder[40], unsigned *uid, unsigned *word)
{
    int64_t at = str_ifind(line, STR("} w"));

    return str_starts(line, STR("bytes ")) && at > 0 && sscanf(line.p, "bytes %39s %*u (UID %u", folder, uid) == 2 &&
           sscanf(line.p + at, "} w%u", word) == 1;
}

void imap_state_differ(struct str is, struct str should, char *why, size_t size)
{
    struct str a = {0}, b = {0};
    bool more_a, more_b;

    do {
        more_a = imap_next_line(&is, &a);
        more_b = imap_next_line(&should, &b);
    } while (more_a && more_b && str_eq(a, b));
    snprintf(why, size, "is \"%.*s\", should be \"%.*s\"", more_a ? (int)a.n : 0, a.p, more_b ? (int)b.n : 0, b.p);
}

/* Up to the uid. */
static bool find_named(struct str state, struct str name, struct str *found)
{
    while (imap_next_line(&state, found))
        if (str_starts(*found, name))
            return true;
    return false;
}

bool imap_state_follows(struct str before, struct str after, char *why, size_t size)
{
    struct str line, was;

    while (imap_next_line(&after, &line)) {
        char folder[40];
        unsigned uid, word;
        int64_t end = str_ifind(line, STR(" BODY[]"));

        if (!imap_state_word(line, folder, &uid, &word) || end < 0)
            continue;
        if (find_named(before, str_sub(line, 0, (size_t)end), &was) && !str_eq(was, line)) {
            snprintf(why, size, "is \"%.*s\", was \"%.*s\"", STR_ARG(line), STR_ARG(was));
            return false;
        }
    }
    return true;
}
