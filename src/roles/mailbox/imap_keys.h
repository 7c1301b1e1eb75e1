/* What SORT compares (RFC 5256, section 3; RFC 5957): a key of a message for each criterion. */
#pragma once
#include "imap.h"

/* A number or a text, by its criterion. Texts are in the order of i;unicode-casemap. */
union sort_key {
    int64_t number;
    struct str text;
};

bool sort_key_is_text(enum imap_sort_key key);
/* The first eight bytes of the order: a number, or the beginning of a text. */
uint64_t sort_key_prefix(enum imap_sort_key which, const union sort_key *key);
int sort_key_compare(enum imap_sort_key which, const union sort_key *a, const union sort_key *b);

struct sort_keys;
struct sort_keys *sort_keys_new(struct imap *im);
void sort_keys_free(struct sort_keys *k);
/* The keys of one message, in the order of the criteria; texts are put into `arena`. False: err says why. */
MUST_CHECK bool sort_keys_get(struct sort_keys *k, const struct store_message *m, const struct content_info *info,
    struct arena *arena, union sort_key *keys, struct err *err);
