/* See imap_match.h. Keys are asked in the order of what they cost: what stands in the row, what stands in the header, the text
 * of the bodies. A key whose text was not looked for yet says no for the time being, and `wanted` what must be looked at before they
 * are asked again. Texts are compared as readers see them: decoded, in UTF-8, without regard to case (RFC 5051). */
#include "imap_match.h"
#include "base/clock.h"
#include "base/metric.h"
#include "imap_scan.h"
#include "mime/fold.h"

#include <stdio.h>
#include <stdlib.h>

static struct metric compared = METRIC_COUNTER("staffetta_imap_messages_compared_total", "Messages that a search looked at.");

/* Each is looked for in each message, in one turn. */
enum { KEYWORDS_MAX = 1000 };

struct match {
    struct imap *im;
    unsigned keywords;      /* how many the program has */
    struct imap_search_key *root;
    bool uses_modseq;
    struct scan *scan;      /* of the message looked at */
    int64_t content;        /* whose texts are being looked for; 0: none */
    enum scan_level wanted; /* to be known before it can be said whether the message matches; SCAN_ROW: nothing more */
    bool thread_known;
    uint64_t thread;        /* of the message looked at */
    const struct store_message *message;
    struct err *err;
    bool failed;
    int64_t now;
};

/* ---- making ready ---- */

/* Numbers that no message has are left out. */
static void resolve(struct imap *im, struct imap_search_key *k)
{
    struct imap_view *v = &im->view;
    struct imap_set *set = &k->set;
    size_t n = 0;

    if (set->saved)
        return;
    imap_set_normalize(set, k->key == IMAP_KEY_UID ? uid_set_last(&v->known) : v->known.count);
    if (k->key == IMAP_KEY_UID)
        return;
    for (size_t i = 0; i < set->n; i++) {
        struct imap_range r = set->ranges[i];

        if (r.from > v->known.count)
            continue;
        set->ranges[n++] = (struct imap_range){uid_set_at(&v->known, r.from),
            uid_set_at(&v->known, r.to > v->known.count ? v->known.count : r.to)};
    }
    set->n = n;
}

static bool fold(struct imap *im, struct str *text)
{
    struct buf folded;

    buf_init(&folded, 1 << 20);
    mime_casefold(*text, &folded);
    *text = arena_str(&im->arena, buf_str(&folded));
    buf_clear(&folded);
    return text->p != NULL;
}

static bool is_text(enum imap_key key)
{
    return key == IMAP_KEY_HEADER || key == IMAP_KEY_BODY || key == IMAP_KEY_TEXT;
}

/* 0: in the row, 1: in the header, 2: in the body. */
static int own_cost(const struct imap_search_key *k)
{
    if (k->key == IMAP_KEY_BODY || k->key == IMAP_KEY_TEXT)
        return 2;
    return k->key == IMAP_KEY_HEADER || k->key == IMAP_KEY_THREADID || (k->key >= IMAP_KEY_SENT_BEFORE && k->key <= IMAP_KEY_SENT_SINCE);
}

/* A key costs what the dearest one below it does. */
static bool prepare(struct match *m, struct imap_search_key *k)
{
    struct imap *im = m->im;

    if (k->key == IMAP_KEY_SEQUENCE || k->key == IMAP_KEY_UID)
        resolve(im, k);
    if (k->key == IMAP_KEY_MODSEQ) {
        m->uses_modseq = true;
        imap_enable_condstore(im);
    }
    m->keywords += k->key == IMAP_KEY_KEYWORD;
    if (m->keywords > KEYWORDS_MAX || (is_text(k->key) && !fold(im, &k->text)))
        return false;
    if (is_text(k->key))
        k->number = scan_add(m->scan, k);
    k->cost = own_cost(k);
    for (struct imap_search_key *c = k->first; c != NULL; c = c->next) {
        if (!prepare(m, c))
            return false;
        if (c->cost > k->cost)
            k->cost = c->cost;
    }
    return true;
}

struct match *match_new(struct imap *im, struct imap_search_key *root)
{
    struct match *m = xcalloc(1, sizeof *m);

    m->im = im;
    m->root = root;
    m->now = clock_now();
    m->scan = scan_new(im);
    if (prepare(m, root))
        return m;
    match_free(m);
    imap_no(im, "LIMIT", "The search is too large");
    return NULL;
}

void match_free(struct match *m)
{
    if (m == NULL)
        return;
    scan_free(m->scan);
    free(m);
}

size_t match_memory(const struct match *m)
{
    return scan_memory(m->scan);
}

bool match_uses_modseq(const struct match *m)
{
    return m->uses_modseq;
}

/* ---- what stands in the row ---- */

static int64_t day_of(int64_t time)
{
    int64_t seconds = time / SECOND;

    return seconds / 86400 - (seconds % 86400 < 0);
}

static bool compare_day(enum imap_key key, enum imap_key before, int64_t day, int64_t wanted)
{
    if (key == before)
        return day < wanted;
    return key == before + 1 ? day == wanted : day >= wanted;
}

static bool has_keyword(const struct match *m, struct str name)
{
    struct folder *f = m->im->view.folder;

    for (size_t i = 0; i < f->keywords_durable; i++)
        if (str_ieq(f->keywords[i], name))
            return store_has_keyword(m->message->flags, m->message->more, (int)i);
    return false;
}

static bool in_set(const struct match *m, const struct imap_search_key *k)
{
    return k->set.saved ? uid_set_has(&m->im->view.saved, m->message->uid) : imap_set_has(&k->set, m->message->uid);
}

static bool is_emailid(const struct match *m, struct str text)
{
    char id[32];
    int n = snprintf(id, sizeof id, "M%llx", (unsigned long long)m->message->content);

    return str_eq(text, str_from(id, (size_t)n));
}

/* ---- what must be read ---- */

/* The cheapest of what must be known comes first. */
static void want(struct match *m, enum scan_level level)
{
    if (level != SCAN_ROW && (m->wanted == SCAN_ROW || level < m->wanted))
        m->wanted = level;
}

static bool sent_on(struct match *m, const struct imap_search_key *k)
{
    enum scan_level level;
    int64_t sent = scan_sent(m->scan, &level);

    want(m, level);
    return compare_day(k->key, IMAP_KEY_SENT_BEFORE, sent, k->day);
}

static bool in_text(struct match *m, const struct imap_search_key *k)
{
    enum scan_level level;
    bool found = scan_found(m->scan, k->number, &level);

    want(m, level);
    return found;
}

static bool is_thread(struct match *m, struct str text)
{
    struct content_info info;
    char id[32];
    int n;

    if (!m->thread_known && !imap_info(m->im, m->message, STORE_KEYS, &info, m->err)) {
        m->failed = true;
        return false;
    }
    if (!m->thread_known)
        m->thread = imap_thread_id(info.refs);
    m->thread_known = true;
    n = snprintf(id, sizeof id, "T%016llx", (unsigned long long)m->thread);
    return m->thread != 0 && str_eq(text, str_from(id, (size_t)n));
}

/* ---- keys ---- */

static bool matches(struct match *m, const struct imap_search_key *k);

static bool all_match(struct match *m, const struct imap_search_key *k)
{
    for (int price = 0; price <= 2; price++)
        for (const struct imap_search_key *c = k->first; c != NULL; c = c->next)
            if (c->cost == price && !matches(m, c))
                return false;
    return true;
}

static bool matches(struct match *m, const struct imap_search_key *k)
{
    const struct store_message *msg = m->message;

    switch (k->key) {
    case IMAP_KEY_ALL: case IMAP_KEY_OLD: return true;
    case IMAP_KEY_AND: return all_match(m, k);
    case IMAP_KEY_OR:
        return k->first->cost <= k->first->next->cost ? matches(m, k->first) || matches(m, k->first->next)
                                                      : matches(m, k->first->next) || matches(m, k->first);
    case IMAP_KEY_NOT: return !matches(m, k->first);
    case IMAP_KEY_SEQUENCE: case IMAP_KEY_UID: return in_set(m, k);
    case IMAP_KEY_FLAG: return (msg->flags & k->flag) != 0;
    case IMAP_KEY_KEYWORD: return has_keyword(m, k->text);
    case IMAP_KEY_HEADER: case IMAP_KEY_BODY: case IMAP_KEY_TEXT: return in_text(m, k);
    case IMAP_KEY_BEFORE: case IMAP_KEY_ON: case IMAP_KEY_SINCE:
        return compare_day(k->key, IMAP_KEY_BEFORE, day_of(msg->received), k->day);
    case IMAP_KEY_SENT_BEFORE: case IMAP_KEY_SENT_ON: case IMAP_KEY_SENT_SINCE: return sent_on(m, k);
    case IMAP_KEY_SAVED_BEFORE: case IMAP_KEY_SAVED_ON: case IMAP_KEY_SAVED_SINCE:
        return compare_day(k->key, IMAP_KEY_SAVED_BEFORE, day_of(msg->saved), k->day);
    case IMAP_KEY_SAVEDATE_SUPPORTED: return true;
    case IMAP_KEY_LARGER: return (uint64_t)msg->size > k->number;
    case IMAP_KEY_SMALLER: return (uint64_t)msg->size < k->number;
    case IMAP_KEY_OLDER: return (m->now - msg->received) / SECOND >= (int64_t)k->number;
    case IMAP_KEY_YOUNGER: return (m->now - msg->received) / SECOND <= (int64_t)k->number;
    case IMAP_KEY_MODSEQ: return (uint64_t)msg->modseq >= k->number;
    case IMAP_KEY_NEW: case IMAP_KEY_RECENT: return false; /* we keep no \Recent */
    case IMAP_KEY_EMAILID: return is_emailid(m, k->text);
    case IMAP_KEY_THREADID: return is_thread(m, k->text);
    }
    return false;
}

static void open_message(struct match *m, const struct store_message *message)
{
    metric_add(&compared, 1);
    m->content = message->content;
    m->thread_known = false;
    scan_open(m->scan, message);
}

enum match_result match_message(struct match *m, const struct store_message *message, struct err *err)
{
    bool yes, done;

    if (m->content != message->content)
        open_message(m, message);
    m->message = message;
    m->err = err;
    m->failed = false;
    for (;;) {
        m->wanted = SCAN_ROW;
        yes = matches(m, m->root);
        if (m->failed)
            return MATCH_FAILED;
        if (m->wanted == SCAN_ROW) {
            m->content = 0;
            return yes ? MATCH_YES : MATCH_NO;
        }
        if (!scan_go_on(m->scan, m->wanted, &done, err))
            return MATCH_FAILED;
        if (!done)
            return MATCH_UNFINISHED;
    }
}
