/* MESSAGELIMIT (RFC 9738): how many messages one command works on. See imap.h; the rules as they are kept here are in docs/imap.md.
 *
 * FETCH, STORE, MOVE, UID EXPUNGE and SEARCH work on those with the highest uids and say the lowest of them; what must be whole or
 * not at all (COPY, APPEND) and what makes no sense of a part (SORT, THREAD, a range of PARTIAL) is refused. A client that sees the uid
 * goes on below it. */
#include "imap.h"

#include <inttypes.h>
#include <stdio.h>

const char *imap_limit_code(struct imap *im)
{
    snprintf(im->limit_code, sizeof im->limit_code, "MESSAGELIMIT %" PRIu32, im->info->command_limit);
    return im->limit_code;
}

bool imap_is_over_limit(const struct imap *im, uint64_t messages)
{
    return im->info->command_limit != 0 && !im->unasked && messages > im->info->command_limit;
}

/* ---- which are the highest ---- */

/* The lowest of the highest uids of these ranges that the limit allows; 0: it allows all. */
static uint32_t least_of_ranges(const struct imap *im, const struct imap_set *set)
{
    const struct uid_set *known = &im->view.known;
    uint32_t room = im->info->command_limit, least = 0;

    for (size_t i = set->n; i-- > 0;) {
        const struct imap_range *r = &set->ranges[i];
        uint32_t up_to = r->to == UINT32_MAX ? known->count : uid_set_below(known, r->to + 1);
        uint32_t n = up_to - uid_set_below(known, r->from);

        if (n > room)
            return room > 0 ? uid_set_at(known, up_to - room + 1) : least;
        if (n > 0)
            least = uid_set_at(known, up_to - n + 1);
        room -= n;
    }
    return 0;
}

static uint32_t least_saved(const struct imap *im)
{
    uint64_t count = 0;
    struct imap_set saved = {.saved = true};
    uint32_t uid = 0;

    for (uint32_t at = 0; (at = imap_view_next(im, &saved, at + 1)) != 0;)
        count++;
    for (uint64_t skip = count > im->info->command_limit ? count - im->info->command_limit + 1 : 0; skip > 0; skip--)
        uid = imap_view_next(im, &saved, uid + 1);
    return uid;
}

uint32_t imap_limit_least(const struct imap *im, const struct imap_set *set)
{
    if (im->info->command_limit == 0 || im->unasked || im->view.known.count <= im->info->command_limit)
        return 0;
    return set->saved ? least_saved(im) : least_of_ranges(im, set);
}

void imap_limit_set(struct imap *im, struct imap_set *set)
{
    set->least = imap_limit_least(im, set);
    im->limited = set->least;
}

/* ---- what a search has to look at ---- */

static void intersect(struct arena *arena, struct imap_set *a, const struct imap_set *b)
{
    struct imap_range *both = arena_alloc(arena, (a->n + b->n + 1) * sizeof *both);
    size_t n = 0;

    if (both == NULL)
        return;
    for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
        uint32_t from = a->ranges[i].from > b->ranges[k].from ? a->ranges[i].from : b->ranges[k].from;
        bool first_ends = a->ranges[i].to < b->ranges[k].to;
        uint32_t to = first_ends ? a->ranges[i].to : b->ranges[k].to;

        if (from <= to)
            both[n++] = (struct imap_range){from, to};
        if (first_ends)
            i++;
        else
            k++;
    }
    a->ranges = both;
    a->n = n;
}

/* `$` as ranges; NULL: there is no room for them. */
static struct imap_set saved_ranges(struct imap *im)
{
    struct imap_set set = {.ranges = arena_alloc(&im->arena, ((size_t)im->view.saved.count + 1) * sizeof *set.ranges)};

    for (uint32_t uid = 0; set.ranges != NULL && (uid = uid_set_next(&im->view.saved, uid + 1)) != 0;) {
        if (set.n > 0 && set.ranges[set.n - 1].to + 1 == uid)
            set.ranges[set.n - 1].to = uid;
        else
            set.ranges[set.n++] = (struct imap_range){uid, uid};
    }
    return set;
}

/* The sets that every match must be in: those of the program's own keys, not what stands below OR and NOT. */
static void narrow(struct imap *im, const struct imap_search_key *k, struct imap_set *to)
{
    struct imap_set saved;

    if (k->key == IMAP_KEY_AND) {
        for (const struct imap_search_key *c = k->first; c != NULL; c = c->next)
            narrow(im, c, to);
    } else if (k->key == IMAP_KEY_UID || k->key == IMAP_KEY_SEQUENCE) {
        saved = k->set.saved ? saved_ranges(im) : k->set;
        if (saved.ranges != NULL || (!k->set.saved && saved.n == 0))
            intersect(&im->arena, to, &saved);
    }
}

uint32_t imap_limit_search(struct imap *im, const struct imap_search_key *root)
{
    struct imap_range all = {1, UINT32_MAX};
    struct imap_set set = {.ranges = &all, .n = 1};

    if (im->info->command_limit == 0 || im->view.known.count <= im->info->command_limit)
        return 0;
    narrow(im, root, &set);
    return imap_limit_least(im, &set);
}

/* ---- saying it ---- */

/* In the tagged OK, or, when that has a code already, in an untagged NO before it. */
void imap_limit_tell(struct imap *im)
{
    struct str text = buf_str(&im->answer), ok = STR(" OK ");
    size_t head = im->tag.n + ok.n;
    struct buf code;

    if (im->limited == 0 || text.n < head || !str_starts(str_skip(text, im->tag.n), ok))
        return;
    text = str_skip(text, head);
    buf_init(&code, IMAP_OUTPUT_MAX);
    buf_addf(&code, "[%s %" PRIu32 "] ", imap_limit_code(im), im->limited);
    if (str_starts(text, STR("["))) {
        buf_addf(&im->out, "* NO %.*sNot all of them, go on below that uid\r\n", STR_ARG(buf_str(&code)));
    } else {
        buf_add(&code, text);
        im->answer.n = head;
        buf_add(&im->answer, buf_str(&code));
    }
    buf_clear(&code);
}
