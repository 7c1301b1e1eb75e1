/* What has changed since the last time: the results of a check, and those of the day before as text. Pure.
 *
 * The text has a line for each problem: level, check, item, what is so, the record to publish; with tabs between them. What could not be
 * found out is as it was before. Only a problem that comes, goes or has another level is a change: its words (days that are
 * left) may differ every day. */
#pragma once
#include "check.h"

enum { OUTSIDE_STATE_MAX = 16 * 1024, OUTSIDE_LETTER_MAX = 64 * 1024 };

/* Appends the problems of now to `now`, and each change, for people, to `letter`; both must be empty and have these ceilings.
 * Problems for which there is no room are left out of both. Returns how many changes there are. */
size_t outside_watch_compare(const struct outside_check *c, struct str before, struct buf *now, struct buf *letter);
/* Cuts the next problem off the text. False at the end. */
struct outside_problem {
    struct str level, check, item, text, publish;
};
bool outside_watch_next(struct str *rest, struct outside_problem *problem);

/* The whole message about the changes of a subject: from and to the postmaster `address`. id: without brackets. */
void outside_watch_mail(struct str hostname, struct str subject, struct str address, struct str id, size_t changes, struct str letter, int64_t now,
    struct buf *out);
