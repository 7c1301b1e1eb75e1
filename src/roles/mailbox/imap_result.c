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

/* RFC 5182, section 2.1: with MIN or MAX alone only those are kept. */
static void save(struct imap *im, const struct imap_result *r, unsigned returns)
{
    struct uid_set *saved = &im->view.saved;
    unsigned ends = returns & (IMAP_RETURN_MIN | IMAP_RETURN_MAX);
    bool all = ends == 0 || returns & (IMAP_RETURN_ALL | IMAP_RETURN_COUNT | IMAP_RETURN_PARTIAL);

    uid_set_clear(saved);
    for (uint32_t i = 0; all && i < r->n; i++)
        uid_set_add(saved, r->uids[i]);
    if (r->n > 0 && ends & IMAP_RETURN_MIN)
        uid_set_add(saved, r->uids[0]);
    if (r->n > 0 && ends & IMAP_RETURN_MAX)
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

/* The places from..to, from the end when they are negative (RFC 9394). */
static void tell_partial(struct imap *im, const struct imap_result *r)
{
    const struct imap_search *what = &im->command.search;
    int64_t a = what->partial_from, b = what->partial_to, count = r->n, low, high;
    struct imap_set_writer w = {.out = &im->out};

    buf_addf(&im->out, " PARTIAL (%" PRId64 ":%" PRId64 " ", a, b);
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
    if (low > high)
        buf_add(&im->out, STR("NIL"));
    for (int64_t i = low; i <= high; i++)
        imap_set_add(&w, imap_told_number(im, r->uids[i - 1]));
    imap_set_end(&w);
    buf_add_char(&im->out, ')');
}

static void tell_rest(struct imap *im)
{
    struct imap_result *r = im->work;
    unsigned returns = im->command.search.returns;
    struct buf *out = &im->out;

    if (returns & IMAP_RETURN_PARTIAL)
        tell_partial(im, r);
    if (returns & IMAP_RETURN_COUNT)
        buf_addf(out, " COUNT %" PRIu32, r->n);
    if (r->modseq > 0 && r->n > 0)
        buf_addf(out, " MODSEQ %" PRId64, r->modseq);
    buf_add(out, STR("\r\n"));
    imap_ok(im, NULL, "Done");
}

/* A range at a time; only rising numbers make one (RFC 5267, section 3.2). */
static void tell_all(struct imap *im)
{
    struct imap_result *r = im->work;

    while (r->at < r->n) {
        uint32_t first = imap_told_number(im, r->uids[r->at]), last = first;

        buf_add(&im->out, r->at == 0 ? STR(" ALL ") : STR(","));
        while (++r->at < r->n && last < UINT32_MAX && imap_told_number(im, r->uids[r->at]) == last + 1)
            last++;
        buf_add_number(&im->out, first);
        if (last > first) {
            buf_add_char(&im->out, ':');
            buf_add_number(&im->out, last);
        }
        if (imap_pause(im))
            return;
    }
    tell_rest(im);
}

static void tell_extended(struct imap *im, const struct imap_result *r)
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
        save(im, r, what->returns);
    if (!what->esearch)
        im->step = tell_plain;
    else if (what->returns & ~(unsigned)IMAP_RETURN_SAVE)
        tell_extended(im, r);
    else
        imap_ok(im, NULL, "Done");
}
