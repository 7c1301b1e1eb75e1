/* Annotations of folders and of the account (RFC 5464; schema/mailbox/0003.sql), and the special use of a folder, which is one
 * of them (RFC 6154, section 5.4). What changes them needs an open transaction. Names are valid and in small letters.
 *
 * /shared entries have one value, /private ones one for each account that may use the folder: `reader`. All of a database
 * take at most ANNOTATIONS_BYTES, which is not a part of the quota; those of others as much again. */
#pragma once
#include "store_folder.h"

enum { ANNOTATION_VALUE_MAX = 64 * 1024, ANNOTATIONS_MAX = 200, ANNOTATIONS_BYTES = 4 * 1024 * 1024, ANNOTATION_ACCOUNT = 0 };

/* Where one stands: the number of a folder, or ANNOTATION_ACCOUNT. */
struct annotation_place {
    int64_t folder, reader;
};

/* Tells of the entry `name` and, with `levels` 1, of those just below it, with -1 of all below it, in order, until `tell`
 * returns false. `value` lives for the call. */
typedef bool store_annotation_fn(void *arg, struct str name, struct str value);
MUST_CHECK bool store_annotations_walk(struct store *s, struct annotation_place at, struct str name, int levels,
    store_annotation_fn *tell, void *arg, struct err *err);
/* A value of .p NULL removes it. */
MUST_CHECK bool store_annotation_set(struct store *s, struct annotation_place at, struct str name, struct str value, struct err *err);
/* How many there are at that place, and how many bytes they and all of the database take: those that are shared and the account's own, or
 * `of_others` the /private ones of others, which are bounded apart, so that nobody takes the owner's room. */
struct annotation_usage {
    int64_t here, here_bytes, bytes;
};
MUST_CHECK bool store_annotation_usage(struct store *s, int64_t folder, bool of_others, struct annotation_usage *usage, struct err *err);
bool store_annotation_is_of_others(const struct store *s, struct annotation_place at, struct str name);
/* The size an entry has now, as it counts; 0: there is none. */
MUST_CHECK bool store_annotation_size(struct store *s, struct annotation_place at, struct str name, int64_t *size, struct err *err);
/* What one of these counts. */
int64_t store_annotation_counts(struct str name, struct str value);
/* The second gets what the first has. */
MUST_CHECK bool store_annotations_copy(struct store *s, const struct folder *from, const struct folder *to, struct err *err);
/* Something of this is not on disk yet: what a walk tells may be taken back. */
bool store_annotations_dirty(const struct store *s);

/* "\\Sent" ..., or empty. */
MUST_CHECK bool store_folder_special(struct store *s, struct folder *f, struct str special, struct err *err);
