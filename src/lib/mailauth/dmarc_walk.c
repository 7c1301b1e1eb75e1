/* See dmarc_walk.h. */
#include "dmarc_walk.h"

#include <assert.h>

enum { KEPT_LABELS = 7 };

static size_t count_labels(struct str name)
{
    size_t n = name.n > 0;

    for (size_t i = 0; i < name.n; i++)
        n += name.p[i] == '.';
    return n;
}

static struct str last_labels(struct str name, size_t labels)
{
    for (size_t i = name.n; i-- > 0;)
        if (name.p[i] == '.' && labels-- == 1)
            return str_skip(name, i + 1);
    return name;
}

void dmarc_walk_begin(struct dmarc_walk *walk, struct str domain)
{
    *walk = (struct dmarc_walk){.domain = domain, .labels = count_labels(domain)};
    walk->next = walk->labels;
}

struct str dmarc_walk_suffix(const struct dmarc_walk *walk, size_t labels)
{
    return last_labels(walk->domain, labels);
}

struct str dmarc_walk_target(const struct dmarc_walk *walk)
{
    return dmarc_walk_suffix(walk, walk->next);
}

void dmarc_walk_add(struct dmarc_walk *walk, struct str text)
{
    struct dmarc_step *step = &walk->steps[walk->n++];
    struct dmarc_record record = {0};

    assert(walk->next > 0);
    if (text.n > 0)
        dmarc_read(text, &record);
    *step = (struct dmarc_step){.labels = walk->next, .found = text.n > 0, .psd = record.psd, .text = text};
    walk->next = walk->next > KEPT_LABELS ? KEPT_LABELS : walk->next - 1;
    if (step->psd != DMARC_PSD_UNKNOWN)
        walk->next = 0;
}

const struct dmarc_step *dmarc_walk_known(const struct dmarc_walk *walk, struct str name)
{
    for (size_t i = 0; i < walk->n; i++)
        if (str_eq(dmarc_walk_suffix(walk, walk->steps[i].labels), name))
            return &walk->steps[i];
    return NULL;
}

/* The record of the fewest labels, which is the last one found; NULL: there is none. */
static const struct dmarc_step *last_found(const struct dmarc_walk *walk)
{
    for (size_t i = walk->n; i-- > 0;)
        if (walk->steps[i].found)
            return &walk->steps[i];
    return NULL;
}

struct str dmarc_walk_organisation(const struct dmarc_walk *walk)
{
    const struct dmarc_step *last = last_found(walk);

    if (last == NULL)
        return walk->domain;
    if (last->psd == DMARC_PSD_YES && last->labels < walk->labels)
        return dmarc_walk_suffix(walk, last->labels + 1);
    return dmarc_walk_suffix(walk, last->labels);
}

/* The Organizational Domain below a public suffix comes before the suffix; what is between it and the author never counts. */
const struct dmarc_step *dmarc_walk_policy(const struct dmarc_walk *walk)
{
    const struct dmarc_step *own;

    if (walk->n > 0 && walk->steps[0].found)
        return &walk->steps[0];
    own = dmarc_walk_known(walk, dmarc_walk_organisation(walk));
    return own != NULL && own->found ? own : last_found(walk);
}
