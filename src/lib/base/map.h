/* Intrusive hash table, keyed by a number or by text. The node sits in the element; the table owns
 * only its slots. Hashing is keyed per process (SipHash) so that a peer cannot aim at one slot. */
#pragma once
#include "base/list.h"
#include "base/str.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
    bool in_map;
};

struct map {
    struct map_node **slots;
    size_t size;  /* of slots, a power of two */
    size_t count; /* elements */
};

void map_init(struct map *m);
void map_clear(struct map *m); /* frees the slots, not the elements */

uint64_t map_hash_number(uint64_t key);
uint64_t map_hash_str(struct str key); /* exact */
uint64_t map_hash_istr(struct str key); /* ASCII case folded */

void map_add(struct map *m, struct map_node *node, uint64_t hash);
void map_remove(struct map *m, struct map_node *node); /* harmless when not in the map */
/* First node of that hash, then the next one; the caller compares the key. */
struct map_node *map_find(const struct map *m, uint64_t hash);
struct map_node *map_find_next(const struct map_node *node);
/* Any order; start with NULL. The returned element may be removed once the next one was asked for. */
struct map_node *map_walk(const struct map *m, const struct map_node *after);
