#include "base/map.h"
#include "base/err.h"
#include "base/random.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 16, SHORT_TEXT = 512 };

static const unsigned char *hash_key(void)
{
    static unsigned char key[crypto_shorthash_KEYBYTES];
    static bool made;

    if (!made) {
        random_bytes(key, sizeof key);
        made = true;
    }
    return key;
}

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_clear(struct map *m)
{
    free(m->slots);
    map_init(m);
}

uint64_t map_hash_str(struct str key)
{
    uint64_t hash;

    crypto_shorthash(
        (unsigned char *)&hash, (const unsigned char *)(key.n ? key.p : ""), key.n, hash_key());
    return hash;
}

uint64_t map_hash_istr(struct str key)
{
    char folded[SHORT_TEXT];
    size_t n = key.n < sizeof folded ? key.n : sizeof folded;

    for (size_t i = 0; i < n; i++)
        folded[i] = ascii_lower(key.p[i]);
    return map_hash_str((struct str){folded, n});
}

uint64_t map_hash_number(uint64_t key)
{
    return map_hash_str((struct str){(const char *)&key, sizeof key});
}

static void grow(struct map *m)
{
    size_t size = m->size ? m->size * 2 : FIRST_SIZE;
    struct map_node **slots = xcalloc(size, sizeof *slots);

    for (size_t i = 0; i < m->size; i++)
        for (struct map_node *n = m->slots[i], *next; n != NULL; n = next) {
            next = n->next;
            n->next = slots[n->hash & (size - 1)];
            slots[n->hash & (size - 1)] = n;
        }
    free(m->slots);
    m->slots = slots;
    m->size = size;
}

void map_add(struct map *m, struct map_node *node, uint64_t hash)
{
    struct map_node **slot;

    if (m->count >= m->size)
        grow(m);
    slot = &m->slots[hash & (m->size - 1)];
    node->hash = hash;
    node->next = *slot;
    node->in_map = true;
    *slot = node;
    m->count++;
}

void map_remove(struct map *m, struct map_node *node)
{
    struct map_node **at;

    if (!node->in_map)
        return;
    at = &m->slots[node->hash & (m->size - 1)];
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    node->next = NULL;
    node->in_map = false;
    m->count--;
}

struct map_node *map_find(const struct map *m, uint64_t hash)
{
    struct map_node *n = m->size ? m->slots[hash & (m->size - 1)] : NULL;

    while (n != NULL && n->hash != hash)
        n = n->next;
    return n;
}

struct map_node *map_find_next(const struct map_node *node)
{
    struct map_node *n = node->next;

    while (n != NULL && n->hash != node->hash)
        n = n->next;
    return n;
}

struct map_node *map_walk(const struct map *m, const struct map_node *after)
{
    size_t slot = 0;

    if (after != NULL) {
        if (after->next != NULL)
            return after->next;
        slot = (after->hash & (m->size - 1)) + 1;
    }
    for (; slot < m->size; slot++)
        if (m->slots[slot] != NULL)
            return m->slots[slot];
    return NULL;
}
