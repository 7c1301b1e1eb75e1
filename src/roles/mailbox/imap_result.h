/* What SEARCH and SORT found, and telling it: "* SEARCH 2 3 5", "* SORT 5 3 2" or "* ESEARCH ..." (RFC 9051, section 7.3.4;
 * RFC 5256, 5267, 9394), over as many turns as it takes. */
#pragma once
#include "imap.h"

struct imap_result {
    uint32_t *uids; /* in the order to be told; of the heap */
    uint32_t n;
    int64_t modseq; /* the highest of them, to be told; 0: not asked for */
    uint32_t at;    /* telling goes on here */
    bool began;
};

/* Tells it as the command asked (untagged "SEARCH" or "SORT" without RETURN), keeps it for "$" where it shall, and
 * answers OK. `r` is the first thing in im->work and lives until the command's `clean`. */
void imap_tell_result(struct imap *im, struct imap_result *r);
void imap_result_clear(struct imap_result *r);
/* A uid as this command tells it. */
uint32_t imap_told_number(const struct imap *im, uint32_t uid);
