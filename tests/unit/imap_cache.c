#include "imap_cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cache_init(struct imap_cache *c)
{
    *c = (struct imap_cache){0};
    buf_init(&c->rest, 64 * 1024 * 1024);
}

void cache_clear(struct imap_cache *c)
{
    buf_clear(&c->rest);
}

void cache_lost(struct imap_cache *c)
{
    buf_reset(&c->rest);
    c->selected = c->selecting = c->idling = c->waits = c->bye = c->no_expunge = false;
    c->told = c->seen = 0;
}

_Noreturn static void wrong(const char *why, const char *line)
{
    fatal("%s: %.600s", why, line);
}

/* ---- messages ---- */

static void remove_at(struct cached *list, size_t *n, size_t i)
{
    memmove(list + i, list + i + 1, (*n - i - 1) * sizeof *list);
    --*n;
}

/* Where it is, or could be: among those whose uids were not told, between its neighbours. */
static size_t place_of(const struct cached *list, size_t n, uint32_t uid, bool known)
{
    size_t place = n;

    for (size_t i = 0; i < n && list[i].uid <= uid; i++) {
        if (list[i].uid == uid)
            return i;
        place = list[i].uid == 0 ? i : n;
    }
    return known ? n : place;
}

static void vanish(struct cached *list, size_t *n, uint32_t uid, bool earlier, const char *line)
{
    size_t i = place_of(list, *n, uid, earlier);

    if (i == *n && !earlier)
        wrong("VANISHED a uid that was not there", line);
    if (i == *n)
        return;
    for (size_t k = i; list[i].uid == 0 && k > 0 && list[k - 1].uid == 0; k--)
        list[k - 1].has_flags = false; /* it could have been this one */
    for (size_t k = i; list[i].uid == 0 && k + 1 < *n && list[k + 1].uid == 0; k++)
        list[k + 1].has_flags = false;
    remove_at(list, n, i);
}

static void on_vanished(struct imap_cache *c, const char *rest, const char *line)
{
    bool earlier = strncmp(rest, "(EARLIER) ", 10) == 0;

    if (!c->lax && (!c->qresync || (!earlier && c->no_expunge)))
        wrong("VANISHED at the wrong time", line);
    for (rest += earlier ? 10 : 0; *rest != 0;) {
        char *end;
        unsigned long from = strtoul(rest, &end, 10), to = from;

        if (end == rest || from == 0)
            wrong("malformed set", line);
        if (*end == ':')
            to = strtoul(end + 1, &end, 10);
        if (to < from || (*end != 0 && *end != ','))
            wrong("malformed set", line);
        if (c->lax && !earlier && to - from >= c->n)
            wrong("VANISHED more than there are", line);
        if (c->lax && !earlier)
            c->n -= to - from + 1;
        for (unsigned long uid = from; uid <= to && uid < from + 100000 && !c->lax; uid++)
            if (c->selecting)
                vanish(c->old, &c->old_n, (uint32_t)uid, true, line);
            else
                vanish(c->messages, &c->n, (uint32_t)uid, earlier, line);
        rest = *end == ',' ? end + 1 : end;
    }
}

static void on_exists(struct imap_cache *c, size_t n, const char *line)
{
    if (c->lax) {
        c->n = n;
        return;
    }
    if (c->selecting && !c->counted) {
        memcpy(c->old, c->messages, c->n * sizeof *c->old);
        c->old_n = c->n;
        c->selected_n = n;
        c->n = 0;
        c->counted = true;
    }
    if (n < c->n || n > CACHE_MESSAGES || !(c->selected || c->selecting))
        wrong("EXISTS with fewer than there are", line);
    memset(c->messages + c->n, 0, (n - c->n) * sizeof *c->messages);
    c->n = n;
}

static void on_expunge(struct imap_cache *c, size_t n, const char *line)
{
    if (n == 0 || n > c->n)
        wrong("EXPUNGE of nothing", line);
    if (c->lax) {
        c->n--;
        return;
    }
    if (c->no_expunge || !c->waits || !c->selected || c->qresync)
        wrong("EXPUNGE at the wrong time", line);
    remove_at(c->messages, &c->n, n - 1);
}

/* Outside of literals and quoted strings. */
static const char *item(const char *items, const char *name)
{
    size_t n = strlen(name);

    for (const char *at = items; (at = strstr(at, name)) != NULL; at++)
        if ((at == items || at[-1] == ' ') && strchr(items, '{') == NULL && strchr(items, '"') == NULL)
            return at + n;
    return NULL;
}

static void on_fetch(struct imap_cache *c, size_t n, const char *items, const char *line)
{
    struct cached *m = c->messages + (n - 1);
    const char *uid = item(items, "UID "), *flags = item(items, "FLAGS ("), *modseq = item(items, "MODSEQ (");

    if (n == 0 || n > c->n)
        wrong("FETCH of a number nobody has", line);
    if (c->lax)
        return;
    if (!c->selected && !c->selecting)
        wrong("FETCH without a mailbox", line);
    if (uid != NULL) {
        uint32_t is = (uint32_t)strtoul(uid, NULL, 10);

        if (is == 0 || (m->uid != 0 && m->uid != is) || (n > 1 && m[-1].uid >= is) || (n < c->n && m[1].uid != 0 && m[1].uid <= is))
            wrong("a message has another uid than it had", line);
        m->uid = is;
    }
    if (flags != NULL) {
        size_t length = strcspn(flags, ")");

        if (length >= CACHE_FLAGS)
            wrong("too many flags", line);
        snprintf(m->flags, CACHE_FLAGS, "%.*s", (int)length, flags);
        m->has_flags = true;
    }
    if (modseq != NULL && strtoull(modseq, NULL, 10) > c->seen)
        c->seen = strtoull(modseq, NULL, 10);
}

/* ---- after SELECT with QRESYNC: what was known and is still there, and what is new, must be all ---- */

static void join_old(struct imap_cache *c, const char *line)
{
    size_t k = 0;

    for (size_t i = 0; i < c->n; i++) {
        if (c->messages[i].uid == 0) {
            if (k == c->old_n && i < c->selected_n)
                wrong("QRESYNC did not tell of a message", line);
            if (k == c->old_n)
                break;
            c->messages[i] = c->old[k++];
        } else if (k < c->old_n && c->old[k].uid == c->messages[i].uid) {
            k++;
        }
        if (i > 0 && c->messages[i - 1].uid >= c->messages[i].uid)
            wrong("QRESYNC told a number that is another message's", line);
    }
    if (k < c->old_n)
        wrong("QRESYNC did not tell that a message is gone", line);
}

static bool knows_all(const struct imap_cache *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->messages[i].uid == 0 || !c->messages[i].has_flags)
            return false;
    return true;
}

static void on_tagged(struct imap_cache *c, const char *line)
{
    const char *status = strchr(line, ' ');

    if (strncmp(line, "e ", 2) == 0) /* ENABLE, in one breath with what follows */
        return;
    if (status == NULL || sscanf(status, " %7[A-Z]", c->status) != 1 || (strcmp(c->status, "OK") != 0 && strcmp(c->status, "NO") != 0 && strcmp(c->status, "BAD") != 0))
        wrong("malformed answer", line);
    if (c->selecting) {
        c->selecting = false;
        c->selected = strcmp(c->status, "OK") == 0;
        if (c->selected && c->old_n > 0)
            join_old(c, line);
        c->old_n = 0;
    }
    if (c->told != 0)
        c->highest = c->told;
    else if (c->seen > c->highest)
        c->highest = c->seen;
    c->told = c->seen = 0;
    if (c->selected && knows_all(c))
        c->saved = c->highest;
    c->waits = c->idling = c->no_expunge = false;
}

/* ---- lines ---- */

static void on_status(struct imap_cache *c, const char *text)
{
    uint64_t n;

    if (sscanf(text, "[UIDVALIDITY %" SCNu64 "]", &n) == 1) {
        if (n != c->uidvalidity)
            c->old_n = 0;
        c->uidvalidity = n;
    }
    if (sscanf(text, "[HIGHESTMODSEQ %" SCNu64 "]", &n) == 1)
        c->told = n;
    if (strncmp(text, "[CLOSED]", 8) == 0)
        c->selected = false;
}

static void on_search(const struct imap_cache *c, const char *numbers, const char *line)
{
    for (char *end; *numbers == ' ' && numbers[1] != '('; numbers = end) {
        strtoul(numbers, &end, 10);
        if (end == numbers + 1)
            wrong("malformed SEARCH", line);
    }
    (void)c;
}

static void on_number(struct imap_cache *c, const char *line)
{
    char *end;
    size_t n = strtoul(line + 2, &end, 10);

    if (strcmp(end, " EXISTS") == 0)
        on_exists(c, n, line);
    else if (strcmp(end, " EXPUNGE") == 0)
        on_expunge(c, n, line);
    else if (strncmp(end, " FETCH (", 8) == 0 && end[strlen(end) - 1] == ')')
        on_fetch(c, n, end + 8, line);
    else if (strcmp(end, " RECENT") != 0)
        wrong("unknown response", line);
}

static const char *const others[] = {"CAPABILITY ", "LIST (", "LSUB (", "STATUS ", "METADATA ", "FLAGS (", "NAMESPACE ", "ENABLED", "ID ", "QUOTA ", "QUOTAROOT ", "ACL ", "LISTRIGHTS ", "MYRIGHTS ",
    "ESEARCH ", "SORT", "THREAD"};

static void on_untagged(struct imap_cache *c, const char *line)
{
    const char *word = line + 2;

    if (word[0] >= '0' && word[0] <= '9') {
        on_number(c, line);
        return;
    }
    if (strncmp(word, "OK ", 3) == 0) {
        on_status(c, word + 3);
        return;
    }
    if (strncmp(word, "VANISHED ", 9) == 0) {
        on_vanished(c, word + 9, line);
        return;
    }
    if (strncmp(word, "SEARCH", 6) == 0) {
        on_search(c, word + 6, line);
        return;
    }
    if (strncmp(word, "BYE ", 4) == 0) {
        c->bye = true;
        return;
    }
    if (strncmp(word, "BAD ", 4) == 0 || strncmp(word, "NO ", 3) == 0)
        return; /* to a command without a tag */
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strncmp(word, others[i], strlen(others[i])) == 0)
            return;
    wrong("unknown response", line);
}

static void on_response(struct imap_cache *c, const char *line)
{
    if (strncmp(line, "* ", 2) == 0)
        on_untagged(c, line);
    else if (strncmp(line, "+ ", 2) != 0)
        on_tagged(c, line);
}

static ptrdiff_t line_end(struct str bytes)
{
    for (size_t i = 0; i + 1 < bytes.n; i++)
        if (bytes.p[i] == '\r' && bytes.p[i + 1] == '\n')
            return (ptrdiff_t)i;
    return -1;
}

/* A whole response with its literals; 0: it is not complete. */
static size_t response_length(struct str bytes)
{
    size_t at = 0;

    for (;;) {
        ptrdiff_t end = line_end(str_skip(bytes, at));
        struct str line;
        ptrdiff_t open;

        if (end < 0)
            return 0;
        line = str_sub(bytes, at, at + (size_t)end);
        for (size_t i = 0; i < line.n; i++)
            if (line.p[i] == 0 || line.p[i] == '\r' || line.p[i] == '\n')
                wrong("a control in a line", line.p);
        at += (size_t)end + 2;
        open = str_rfind(line, '{');
        if (open < 0 || !str_ends(line, STR("}")))
            return at;
        at += strtoul(line.p + open + 1, NULL, 10);
        if (at > bytes.n)
            return 0;
    }
}

void cache_feed(struct imap_cache *c, struct str bytes)
{
    size_t n, from = 0;

    buf_add(&c->rest, bytes);
    while ((n = response_length(str_skip(buf_str(&c->rest), from))) > 0) {
        char *line = c->rest.p + from;

        line[n - 2] = 0; /* literals may hold NUL: items behind them are not looked at */
        on_response(c, line);
        from += n;
    }
    buf_consume(&c->rest, from);
}

void cache_selects(struct imap_cache *c, bool qresync)
{
    size_t n = 0;

    c->selecting = c->waits = true;
    c->counted = c->selected = c->no_expunge = false;
    for (size_t i = 0; qresync && i < c->n; i++)
        if (c->messages[i].uid != 0)
            c->messages[n++] = c->messages[i];
    c->n = n;
    c->highest = 0;
}

void cache_commands(struct imap_cache *c, bool no_expunge)
{
    c->waits = true;
    c->no_expunge = no_expunge;
}

void cache_compare(const struct imap_cache *c, const struct imap_cache *truth, const char *who)
{
    if (c->n != truth->n)
        fatal("%s knows %zu messages, there are %zu", who, c->n, truth->n);
    for (size_t i = 0; i < c->n; i++) {
        const struct cached *is = &c->messages[i], *should = &truth->messages[i];

        if (is->uid != 0 && is->uid != should->uid)
            fatal("%s: message %zu has uid %" PRIu32 ", not %" PRIu32, who, i + 1, should->uid, is->uid);
        if (is->has_flags && strcmp(is->flags, should->flags) != 0)
            fatal("%s: uid %" PRIu32 " has flags (%s), not (%s)", who, should->uid, should->flags, is->flags);
    }
}
