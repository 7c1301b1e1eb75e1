/* Which messages a program of SEARCH, SORT or THREAD finds: looked for over as many turns as it takes. */
#pragma once
#include "imap_match.h"

struct finding {
    struct match *match;
    uint32_t at;         /* the next uid to look at; 0: all were */
    struct uid_set uids; /* found */
    int64_t modseq;      /* the highest of them */
};

/* False: an answer was said. */
MUST_CHECK bool finding_begin(struct imap *im, struct finding *f, struct imap_search_key *root);
/* True when all were looked at. */
bool finding_go_on(struct imap *im, struct finding *f, struct err *err);
void finding_clear(struct finding *f);
