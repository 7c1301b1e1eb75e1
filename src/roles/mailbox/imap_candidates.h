/* Which messages of the selected mailbox may match a search, by the account's search index: the others need not be read. */
#pragma once
#include "imap.h"

enum {
    CANDIDATES_LEAST = 100, /* messages of a mailbox: fewer are read as quickly */
    CANDIDATES_TERMS = 64,  /* words of a program that are asked for; with more the messages are read */
};

struct candidates;

/* For a program whose texts are folded (match_new). NULL: every message may match, or there is no index. */
struct candidates *candidates_new(struct imap *im, const struct imap_search_key *root);
void candidates_free(struct candidates *c); /* NULL is fine */
/* Asks the index until the turn is over; true when that is done. Before that nothing may be asked of it. */
bool candidates_go_on(struct candidates *c);
/* The lowest uid at or above `from` that may match; beyond what the index knows that is `from` itself. NULL knows nothing. */
uint32_t candidates_next(const struct candidates *c, uint32_t from);
