/* Which messages a program of SEARCH, SORT or THREAD finds: looked for over as many turns as it takes. */
#pragma once
#include "imap_match.h"

struct candidates;

struct finding {
    struct match *match;
    struct candidates *candidates; /* NULL: every message is looked at */
    bool all;            /* every message matches: rows need not be read */
    uint32_t at;         /* the next uid to look at; 0: all were */
    uint32_t least;      /* MESSAGELIMIT: lower ones are not looked at */
    struct uid_set uids; /* found */
    int64_t modseq;      /* the highest of them */
};

/* False: an answer was said. */
MUST_CHECK bool finding_begin(struct imap *im, struct finding *f, struct imap_search_key *root);
/* True when all were looked at. It waits by itself (imap_settle) for what is not on disk yet. */
bool finding_go_on(struct imap *im, struct finding *f, struct err *err);
void finding_clear(struct finding *f);
/* The highest modseq found if the program asked about modseqs, else 0. */
int64_t finding_modseq(const struct finding *f);

/* Calls `tell` for what was found from uid `*at` on, in order, with its STORE_KEYS, until the turn is over: true when all were
 * told. `tell` returns false after a failure. Waits like finding_go_on. */
typedef bool found_fn(void *arg, const struct store_message *m, const struct content_info *keys, struct err *err);
bool finding_walk(struct imap *im, const struct finding *f, uint32_t *at, found_fn *tell, void *arg, struct err *err);
