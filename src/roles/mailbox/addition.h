/* A record of the log of additions, and the groups they stand in (docs/mailbox.md, The log of additions). Pure: bytes in, bytes
 * out. What is read may be anything.
 *
 * A group: a mark of 8 bytes, the run, the number of the group (8 each), the length of all of it, the number of records (4 each), a
 * checksum of everything else (8); then the records. A record: its length, the length of its keywords (4 each), eleven numbers of 8 bytes in the order
 * of struct addition, the keywords, the bytes. All numbers are little-endian. */
#pragma once
#include "base/buf.h"

#include <stdint.h>

enum { ADDITION_HEADER = 40, ADDITION_BLOCK = 4096, ADDITION_GROUP_MAX = 2 * 1024 * 1024, ADDITION_MORE_MAX = 4096 };

struct addition {
    int64_t account, folder, uidvalidity, uid, modseq, received, saved, flags, features, content;
    int64_t mark; /* of a delivery (store_was_delivered), 0 for none */
    struct str more, bytes;
};

struct addition_group {
    uint64_t run, number;
    uint32_t length, count;
};

/* Appends the record. */
void addition_write(struct buf *out, const struct addition *a);
/* The next record; false at the end, or where there is none. Views into `records`. */
bool addition_read(struct str *records, struct addition *a);
/* Fills the header, for which the first ADDITION_HEADER of n bytes are kept free. */
void addition_seal(char *group, size_t n, uint64_t run, uint64_t number, uint32_t count);
/* The header of a group, if these bytes begin with one; whether the rest of it is there is not known yet. */
bool addition_header(struct str bytes, struct addition_group *g);
/* The bytes, as many as its header said, are what was sealed. */
bool addition_is_whole(struct str group);
