/* The DNS tree walk (draft-ietf-dmarc-dmarcbis 4.10): which names are asked for a record on the way from a domain to the
 * root, and which domain the answers make its Organizational Domain. Questions are asked by the owner (dmarc.c).
 *
 * At most DMARC_WALK_MAX names: of a domain of more than 7 labels, itself and then its last 7, 6 ... 1. */
#pragma once
#include "dmarc_record.h"

enum { DMARC_WALK_MAX = 8 };

struct dmarc_step {
    size_t labels; /* of the name that was asked */
    bool found;    /* it has one record */
    enum dmarc_psd psd;
    struct str text; /* of the record */
};

struct dmarc_walk {
    struct str domain; /* lower case, A-labels, without the last dot */
    size_t labels;     /* of it */
    size_t next;       /* labels of the name to be asked next; 0: the walk is over */
    struct dmarc_step steps[DMARC_WALK_MAX];
    size_t n;
};

void dmarc_walk_begin(struct dmarc_walk *walk, struct str domain);
/* The name whose record is wanted next ("_dmarc." is to stand before it). Not after the end. */
struct str dmarc_walk_target(const struct dmarc_walk *walk);
/* What was found there: `text` is one record, or empty for none (or for several, which count as none). */
void dmarc_walk_add(struct dmarc_walk *walk, struct str text);

/* What is known of a name from another walk; NULL: it did not pass there. */
const struct dmarc_step *dmarc_walk_known(const struct dmarc_walk *walk, struct str name);
/* The domain's last labels. */
struct str dmarc_walk_suffix(const struct dmarc_walk *walk, size_t labels);
/* After the end: the Organizational Domain (4.10.2); never empty. */
struct str dmarc_walk_organisation(const struct dmarc_walk *walk);
/* After the end, or after the first step when that found a record: whose record applies to mail of the domain (4.10.1).
 * NULL: DMARC does not apply. */
const struct dmarc_step *dmarc_walk_policy(const struct dmarc_walk *walk);
