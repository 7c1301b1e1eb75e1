/* A shard's database that is damaged: what can still be read of it is copied, message by message, into a new one.
 *
 *   staffetta queue salvage data/queue/queue-0.db        while the server is stopped
 *
 * Only whole messages are taken: the envelope, every byte of the body, and each recipient that can be read. Ids are
 * gathered from three places (messages, recipients, the index of due times), stepping over what cannot be read, so
 * that one damaged page, or one that the disk cannot read, costs what is on it and no more. What is lost is said, with its sender and recipients where
 * they are known. The damaged file stays beside the new one as FILE.damaged; nothing of it is changed. */
#pragma once
#include "base/err.h"

#include <stddef.h>

struct salvage_result {
    size_t messages, recipients; /* saved */
    size_t lost;                 /* messages known of and not saved */
    size_t doubtful;             /* saved, but a recipient may be missing */
    size_t unreadable;           /* bytes that the disk does not give any more */
};

/* Stands again and again where the copy has a hole, a byte at its place modulo the length: no type of a page of
 * SQLite's begins like that, and no text has it. */
#define SALVAGE_HOLE "\xEE\x91\xC3\xF7\xF5\x9B\xD9\xE2"
enum { SALVAGE_HOLE_LENGTH = 8 };

/* Copies from the file (and its -wal) into `fresh`, which must not exist. Lines about what is lost go to standard
 * output. */
MUST_CHECK bool salvage_copy(const char *damaged, const char *fresh, struct salvage_result *result, struct err *err);
/* The command: copies, then puts the new file in place. Returns the exit code. */
int salvage_run(const char *file);
