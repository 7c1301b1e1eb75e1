/* Files of `staffetta account backup`: the account's database, as SQLite reads it, and behind it a block of 1,024 bytes that
 * says what it is and holds the checksum (docs/backup.md). */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdio.h>

enum { ARCHIVE_TRAILER = 1024, ARCHIVE_SUM = 64 };

struct archive {
    char address[520], time[32];
    uint64_t account, size; /* size: of the database */
    char sum[ARCHIVE_SUM + 1];
};

/* The trailer, exactly ARCHIVE_TRAILER bytes. */
void archive_write(const struct archive *a, char out[ARCHIVE_TRAILER]);
/* False: it is none. */
MUST_CHECK bool archive_parse(struct str trailer, struct archive *a);
/* Reads the trailer of a file and then all of it; false when they do not agree, or it cannot be read. */
MUST_CHECK bool archive_verify(const char *path, struct archive *a, struct err *err);
