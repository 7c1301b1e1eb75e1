/* Sequence sets (RFC 9051, section 9: sequence-set, uid-set): "1:5,7,9:*". A set is a list of ranges,
 * in the order given until imap_set_normalize; numbers are 1..2^32-1, `*` stays a mark until it is
 * resolved against the mailbox. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

enum { IMAP_SET_STAR = 0 }; /* as an end of a range: the largest number in use */

struct imap_range {
    uint32_t from, to; /* both inclusive; IMAP_SET_STAR for `*` */
};
struct imap_set {
    struct imap_range *ranges;
    size_t n;
    bool saved; /* "$": the result of the last SEARCH (RFC 5182) */
    uint32_t least; /* of a resolved one: lower numbers do not count (MESSAGELIMIT); 0: all do */
};

/* Reads a set from the beginning of *rest. False: malformed, or more than the arena allows. */
bool imap_set_parse(struct str *rest, struct arena *arena, struct imap_set *set);
/* Resolves `*` to `largest` (0: an empty mailbox), puts every range the right way round, sorts, joins. */
void imap_set_normalize(struct imap_set *set, uint32_t largest);
/* For normalized sets. */
bool imap_set_has(const struct imap_set *set, uint32_t number);
/* The first of its ranges that does not end below `number`; set->n: none. */
size_t imap_set_from(const struct imap_set *set, uint32_t number);
uint64_t imap_set_count(const struct imap_set *set);

/* Builds the text of a set from numbers that come in rising order: "1:5,7". */
struct imap_set_writer {
    struct buf *out;
    uint32_t first, last; /* 0: nothing yet */
    bool any;
};
void imap_set_add(struct imap_set_writer *w, uint32_t number);
void imap_set_add_range(struct imap_set_writer *w, uint32_t from, uint32_t to);
void imap_set_end(struct imap_set_writer *w);
