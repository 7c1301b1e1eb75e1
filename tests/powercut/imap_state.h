/* What an IMAP client can see of the account of imap_world.h, all of it, to be held against what it saw at another time. */
#pragma once
#include "imap_world.h"

enum { IMAP_LOOKER = 7 }; /* the client that looks */

/* Works until nothing is left to do; `notice` is called after each turn and each flush (NULL: nobody). */
typedef void imap_rest_fn(void);
void imap_rest(imap_rest_fn *notice);
/* Whether the client is answered OK; *got is what it was told, until the next call. */
bool imap_ask(unsigned client, struct str *got, const char *format, ...) PRINTF(3, 4);

/* Folders, subscriptions, annotations, counters, and every message with its flags, times and a hash of its bytes, a line each;
 * false when the server did not answer, which *why says. */
bool imap_state_look(struct buf *state, char *why, size_t size);
/* The word of a message's text (imap_word) behind the uid on a line of a message's bytes; false: not such a line. */
bool imap_state_word(struct str line, char folder[40], unsigned *uid, unsigned *word);
/* Whether no uid that is in both means another message. */
bool imap_state_follows(struct str before, struct str after, char *why, size_t size);
/* The first line that differs. */
void imap_state_differ(struct str is, struct str should, char *why, size_t size);
bool imap_next_line(struct str *rest, struct str *line);
