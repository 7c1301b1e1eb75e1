/* A disk that can lose power, for storage tests. disk_calls.c stands between the program (SQLite's library
 * included) and the kernel: its open, write, pwrite, ftruncate, fsync, fdatasync, syncfs, mkdir, rename, link, unlink
 * and rmdir take the place of those of the C library, by their names. What happens below one folder is written
 * to a tape, in order, bytes and all; nothing is really synced, so that it is fast.
 *
 * disk_tape.c plays the tape up to any place and makes the folder that a machine may find after it lost power
 * there. It assumes no more than POSIX promises: fsync of a file makes its bytes and size durable, not its
 * name; a name becomes durable by fsync of its folder; syncfs does both for all. Of everything else, any part
 * may be there: each write or none of it, or some of its 512-byte sectors, in any order; a file may have grown
 * without its bytes (zeros, or what lay on the disk before); each creation, renaming and removal of a name may
 * have happened or not. A renaming happens wholly or not at all. When a sync fails with EIO, part of what it was
 * to write never gets to the disk, though it can be read until the power goes and later syncs succeed: so Linux
 * does it.
 *
 * The same calls can be made to fail, one at a time. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From now on what happens below the folder is on tape. What is in it counts as durable. */
void disk_record(const char *folder);
/* Nothing is recorded (the tape stays) until disk_record. */
void disk_pause(void);
size_t disk_length(void);           /* of the tape: how many operations are on it */
bool disk_is_sync(size_t at);       /* whether that one makes something durable */
size_t disk_count_syncs(void);

enum disk_loss {
    DISK_LOSES_ALL,    /* all that was not synced */
    DISK_LOSES_NOTHING,
    DISK_LOSES_NAMES,  /* of what was not synced: names, but no bytes */
    DISK_LOSES_BYTES,
    DISK_LOSES_LAST,   /* what came after some moment */
    DISK_LOSES_FILES,  /* whole files keep or lose what was not synced */
    DISK_LOSES_SOME,   /* any part, torn and out of order */
    DISK_LOSSES,
};
const char *disk_loss_name(enum disk_loss loss);
/* Writes into `folder`, which must be empty, what there may be when power is lost before the operation `at`.
 * Calls with growing `at` are fast. The same seed gives the same folder. */
void disk_lose_power(size_t at, enum disk_loss loss, uint64_t seed, const char *folder);

/* The nth of the calls from now below the folder fails with this errno; 0: a write is cut short instead, and
 * the next one goes on. n 0: none. Works while nothing is recorded too, for `folder` of the last disk_record. */
void disk_fail(unsigned n, int error, bool forever);
void disk_fail_sync(unsigned n, int error); /* the nth of the syncs */
bool disk_failed(void);

/* What is on the tape, for people. */
void disk_dump(size_t from, size_t to);
void disk_remove(const char *folder); /* with all that is in it; the folder stays */
