/* Does a message match a search? (RFC 9051, section 6.4.4) Used by imap_search.c, imap_sort.c and imap_thread.c. */
#pragma once
#include "imap.h"

struct match;

/* Makes a program ready: sequence sets become sets of uids, texts are folded. Keys live as long as the command. NULL: an
 * answer was said. */
struct match *match_new(struct imap *im, struct imap_search_key *root);
size_t match_memory(const struct match *m); /* bytes it has now */
void match_free(struct match *m);
enum match_result {
    MATCH_FAILED, /* the storage did */
    MATCH_NO,
    MATCH_YES,
    MATCH_UNFINISHED, /* it is time for another turn: then the same message again, if it is still there */
};
/* Whether the message matches; reads as little of it as it can. */
MUST_CHECK enum match_result match_message(struct match *m, const struct store_message *message, struct err *err);
bool match_uses_modseq(const struct match *m);
