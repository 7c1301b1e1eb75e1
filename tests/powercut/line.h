/* The line from queue to mailbox, both real, on one disk (disk.h), with work and promises: what was answered, what
 * was shown, what was removed, each with its place on the tape, so that what a machine finds after a loss of power
 * or a failing call can be held against it.
 *
 * The promises:
 *   a message answered with 250 is, in the end, in each of its mailboxes once, whole, and was handed to each of its
 *     other servers at least once; its sender got the report, where one was due
 *   a message that was not answered is in no mailbox more than once
 *   a message whose removal was confirmed does not come back
 *   a uid that was shown never means another message
 *   what a client was shown of other folders is there, unless a change of it was begun since; their uids and
 *     modification sequences never go back
 *   every database passes SQLite's integrity check and the mailbox's own */
#pragma once
#include "disk.h"
#include "mailroom.h"

enum { LINE_BOXES = 14, LINE_MESSAGES = 400, LINE_UIDS = 400, LINE_LOOKS = 40, LINE_FOLDERS = 12 };

struct line_deed {
    size_t begun, done; /* places on the tape */
};
#define LINE_NEVER SIZE_MAX

struct line_message {
    uint64_t txn;
    size_t size;
    unsigned boxes;    /* bit n: box n + 1 */
    bool remote, gone; /* r@remote.test; gone@remote.test, so that a report is due */
    size_t answered;   /* with 250 */
    size_t relayed, reported;
    struct line_deed expunged[LINE_BOXES];
};

struct line {
    size_t messages;
    struct line_message message[LINE_MESSAGES];
    struct {
        int message; /* that it means; 0: never shown, else number + 1 */
        size_t at;
    } shown[LINE_BOXES][LINE_UIDS];
    size_t looks[LINE_BOXES];
    struct line_look {
        size_t at, begun; /* shown there; a change was begun there */
        size_t n;
        struct mailroom_folder folders[LINE_FOLDERS];
    } look[LINE_BOXES][LINE_LOOKS];
};

/* The line's memory is shared with processes that are forked. */
extern struct line *line;

void line_open(uint64_t seed); /* a new folder, empty, everything durable, running and recording */
void line_close(void);
/* The processes die; the folder stays. Then they start. */
void line_halt(void);
void line_boot(void);
const char *line_folder(void);

void line_work(unsigned steps);
void line_deliver(unsigned boxes); /* one message, into those boxes (bit n: box n + 1), to its end */
/* Nothing fails any more: all that is queued comes to its end. */
void line_finish(void);
/* Whether everything promised before that place of the tape is kept; *why says what is not. Ends what is queued. */
bool line_keeps_promises(size_t at, char *why, size_t size);
/* The power was lost at that place: what came later was promised to nobody. */
void line_forget_after(size_t at);
