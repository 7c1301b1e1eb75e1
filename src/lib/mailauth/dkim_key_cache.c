/* See dkim_key_cache.h. */
#include "dkim_key_cache.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct entry {
    struct map_node node;
    struct link link; /* the one used last comes first */
    enum dkim_algorithm algorithm;
    struct str text;  /* owned */
    EVP_PKEY *pkey;
    unsigned bits;
};

struct dkim_key_cache {
    struct map keys;
    struct list order;
};

struct dkim_key_cache *dkim_key_cache_new(void)
{
    struct dkim_key_cache *cache = xcalloc(1, sizeof *cache);

    map_init(&cache->keys);
    list_init(&cache->order);
    return cache;
}

static void drop(struct dkim_key_cache *cache, struct entry *e)
{
    map_remove(&cache->keys, &e->node);
    list_remove(&e->link);
    str_free(&e->text);
    EVP_PKEY_free(e->pkey);
    free(e);
}

void dkim_key_cache_free(struct dkim_key_cache *cache)
{
    if (cache == NULL)
        return;
    LIST_EACH(&cache->order, it)
        drop(cache, CONTAINER(it, struct entry, link));
    map_clear(&cache->keys);
    free(cache);
}

static struct entry *find(const struct dkim_key_cache *cache, enum dkim_algorithm algorithm, struct str text)
{
    for (struct map_node *node = map_find(&cache->keys, map_hash_str(text)); node != NULL; node = map_find_next(node)) {
        struct entry *e = CONTAINER(node, struct entry, node);

        if (e->algorithm == algorithm && str_eq(e->text, text))
            return e;
    }
    return NULL;
}

struct evp_pkey_st *dkim_key_cache_find(struct dkim_key_cache *cache, enum dkim_algorithm algorithm, struct str text, unsigned *bits)
{
    struct entry *e = cache == NULL ? NULL : find(cache, algorithm, text);

    if (e == NULL || EVP_PKEY_up_ref(e->pkey) != 1)
        return NULL;
    list_remove(&e->link);
    list_add_first(&cache->order, &e->link);
    *bits = e->bits;
    return e->pkey;
}

void dkim_key_cache_add(struct dkim_key_cache *cache, enum dkim_algorithm algorithm, struct str text, struct evp_pkey_st *pkey, unsigned bits)
{
    struct entry *e;

    if (cache == NULL || find(cache, algorithm, text) != NULL || EVP_PKEY_up_ref(pkey) != 1)
        return;
    if (cache->keys.count >= DKIM_KEY_CACHE_MAX)
        drop(cache, CONTAINER(cache->order.head.prev, struct entry, link));
    e = xcalloc(1, sizeof *e);
    *e = (struct entry){.algorithm = algorithm, .text = str_dup(text), .pkey = pkey, .bits = bits};
    map_add(&cache->keys, &e->node, map_hash_str(text));
    list_add_first(&cache->order, &e->link);
}
