/* Keys that were read from their records before, for verifying many messages in one process: to make a key usable costs
 * more than to check an RSA signature with it. Keyed by the text of the key itself, so that a record that has changed, or
 * one of another name, is never taken for it. Bounded: DKIM_KEY_CACHE_MAX keys, the one longest unused goes first. */
#pragma once
#include "dkim_signature.h"

enum { DKIM_KEY_CACHE_MAX = 1000 };

struct evp_pkey_st;
struct dkim_key_cache;

struct dkim_key_cache *dkim_key_cache_new(void);
void dkim_key_cache_free(struct dkim_key_cache *cache);
/* A reference of the caller's own, or NULL; its size in bits. cache may be NULL. */
struct evp_pkey_st *dkim_key_cache_find(struct dkim_key_cache *cache, enum dkim_algorithm algorithm, struct str text, unsigned *bits);
void dkim_key_cache_add(struct dkim_key_cache *cache, enum dkim_algorithm algorithm, struct str text, struct evp_pkey_st *pkey, unsigned bits);
