/* The search indexes of open boxes: opened when something is to be taken in or asked, filled while nobody needs the process.
 * Only accounts with IMAP sessions, and with as many messages as the configuration says, have one. */
#pragma once
#include "boxes.h"
#include "search_index.h"

enum { BOX_SEARCH_OPEN = 16 }; /* indexes open at once in a process */

/* A session that may search begins, ends. */
void box_search_enter(struct box *box);
void box_search_leave(struct box *box);

/* The index if it knows something of this folder, which is all messages up to *upto; NULL: none, do without. *serial: another one
 * each time an index is opened. What it failed in is told with box_search_failed; then it is closed. */
struct search_index *box_search(struct box *box, struct folder *f, uint32_t *upto, uint64_t *serial);
void box_search_failed(struct box *box, const struct err *err);
/* Opens the account's index if it has one, and reads all of it; one that is damaged is removed. */
void box_search_check(struct box *box, struct search_index_size *size);
/* Removes it; a new one is begun. */
void box_search_remake(struct box *box);

/* When there is something to do (monotonic), INT64_MAX for never. */
int64_t boxes_fill_due(const struct boxes *b);
/* Sessions or deliveries have had something to do: filling keeps to a few turns until they rest. */
void boxes_are_busy(struct boxes *b);
/* Works for that long at most, then leaves others as much. */
void boxes_fill(struct boxes *b, int64_t within);
