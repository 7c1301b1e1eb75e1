/* See imap_result.h. */
#include "imap_result.h"

#include <inttypes.h>
#include <stdlib.h>

void imap_result_clear(struct imap_result *r)
{
    free(r->uids);
    r->uids = NULL;
}

uint32_t imap_told_number(const struct imap *im, uint32_t uid)
{
    return im->command.uid ? uid : imap_view_number(im, uid);
}

/* Places in the list of results, from 1; from > to: none. */
struct places {
    uint32_t from, to;
};

/* What PARTIAL asks for; negative places count from the end (RFC 9394). */
static struct places partial_places(const struct imap_search *what, const struct imap_result *r)
{
    int64_t a = what->partial_from, b = what->partial_to, count = r->n, low, high;

    if (a < 0) {
        a = count + 1 + a;
        b = count + 1 + b;
    }
    low = a < b ? a : b;
    high = a < b ? b : a;
    if (low < 1)
        low = 1;
    if (high > count)
        high = count;
    return low > high ? (struct places){1, 0} : (struct places){(uint32_t)low, (uint32_t)high};
}

/* RFC 5182, section 2.1, and RFC 9394, section 3.2: with MIN, MAX or PARTIAL alone only those are kept. */
static void save(struct imap *im, const struct imap_result *r)
{
    const struct imap_search *what = &im->command.search;
    unsigned some = what->returns & (IMAP_RETURN_MIN | IMAP_RETURN_MAX | IMAP_RETURN_PARTIAL);
    bool all = some == 0 || what->returns & (IMAP_RETURN_ALL | IMAP_RETURN_COUNT);
    struct places p = {1, r->n};
    struct uid_set *saved = &im->view.saved;

    if (!all)
        p = some & IMAP_RETURN_PARTIAL ? partial_places(what, r) : (struct places){1, 0};
    uid_set_clear(saved);
    for (uint32_t i = p.from; i <= p.to; i++)
        uid_set_add(saved, r->uids[i - 1]);
    if (r->n > 0 && some & IMAP_RETURN_MIN)
        uid_set_add(saved, r->uids[0]);
    if (r->n > 0 && some & IMAP_RETURN_MAX)
        uid_set_add(saved, r->uids[r->n - 1]);
}

/* ---- without RETURN ---- */

static void tell_plain(struct imap *im)
{
    struct imap_result *r = im->work;

    if (!r->began)
        buf_add(&im->out, im->command.verb == IMAP_SORT ? STR("* SORT") : STR("* SEARCH"));
    r->began = true;
    while (r->at < r->n) {
        buf_add_char(&im->out, ' ');
        buf_add_number(&im->out, imap_told_number(im, r->uids[r->at++]));
        if (r->at % 64 == 0 && imap_pause(im))
            return;
    }
    if (r->modseq > 0 && r->n > 0)
        buf_addf(&im->out, " (MODSEQ %" PRId64 ")", r->modseq);
    buf_add(&im->out, STR("\r\n"));
    imap_ok(im, NULL, "Done");
}

/* ---- with RETURN ---- */

static void tell_rest(struct imap *im)
{
    struct imap_result *r = im->work;
    struct buf *out = &im->out;

    if (im->command.search.returns & IMAP_RETURN_COUNT)
        buf_addf(out, " COUNT %" PRIu32, r->n);
    if (r->modseq > 0 && r->n > 0)
        buf_addf(out, " MODSEQ %" PRId64, r->modseq);
    buf_add(out, STR("\r\n"));
    imap_ok(im, NULL, "Done");
}

/* A range at a time, up to the place `end`; only rising numbers make one (RFC 5267, section 3.2). False: in another turn. */
static bool tell_numbers(struct imap *im, struct imap_result *r, uint32_t end)
{
    while (r->at < end) {
        uint32_t first = imap_told_number(im, r->uids[r->at]), last = first;

        if (r->began)
            buf_add_char(&im->out, ',');
        r->began = true;
        while (++r->at < end && last < UINT32_MAX && imap_told_number(im, r->uids[r->at]) == last + 1)
            last++;
        buf_add_number(&im->out, first);
        if (last > first) {
            buf_add_char(&im->out, ':');
            buf_add_number(&im->out, last);
        }
        if (imap_pause(im))
            return r->at == end;
    }
    return true;
}

static void tell_all(struct imap *im)
{
    struct imap_result *r = im->work;

    if (!r->began && r->n > 0)
        buf_add(&im->out, STR(" ALL "));
    if (tell_numbers(im, r, r->n))
        tell_rest(im);
}

static void tell_partial(struct imap *im)
{
    struct imap_result *r = im->work;
    struct places p = partial_places(&im->command.search, r);

    if (!r->began) {
        buf_addf(&im->out, " PARTIAL (%" PRId64 ":%" PRId64 " %s", im->command.search.partial_from, im->command.search.partial_to,
            p.from > p.to ? "NIL" : "");
        r->at = p.from - 1;
    }
    if (p.from <= p.to && !tell_numbers(im, r, p.to))
        return;
    buf_add_char(&im->out, ')');
    tell_rest(im);
}

static void tell_extended(struct imap *im, struct imap_result *r)
{
    unsigned returns = im->command.search.returns;
    struct buf *out = &im->out;

    buf_add(out, STR("* ESEARCH (TAG "));
    imap_write_string(out, buf_str(&im->tag), false);
    buf_add(out, im->command.uid ? STR(") UID") : STR(")"));
    if (r->n > 0 && returns & IMAP_RETURN_MIN)
        buf_addf(out, " MIN %" PRIu32, imap_told_number(im, r->uids[0]));
    if (r->n > 0 && returns & IMAP_RETURN_MAX)
        buf_addf(out, " MAX %" PRIu32, imap_told_number(im, r->uids[r->n - 1]));
    if (returns & IMAP_RETURN_ALL)
        im->step = tell_all;
    else if (returns & IMAP_RETURN_PARTIAL)
        im->step = tell_partial;
    else
        tell_rest(im);
}

void imap_tell_result(struct imap *im, struct imap_result *r)
{
    struct imap_search *what = &im->command.search;

    if (!what->esearch && im->enabled & IMAP_ENABLED_REV2 && im->command.verb == IMAP_SEARCH) {
        what->esearch = true;
        what->returns = IMAP_RETURN_ALL;
    }
    if (what->returns & IMAP_RETURN_SAVE)
        save(im, r);
    if (!what->esearch)
        im->step = tell_plain;
    else if (what->returns & ~(unsigned)IMAP_RETURN_SAVE)
        tell_extended(im, r);
    else
        imap_ok(im, NULL, "Done");
}
