/* Return paths of our own mail that only we can make (after draft-levine-batv): a bounce to any other is a forgery's. Pure
 * functions over canonical addresses (smtp/address.h).
 *
 *   user@example.org        prvs=KDDDSSSSSS=user@example.org
 *
 * K is the number of the key, DDD the day it expires modulo 1000, SSSSSS 24 bits of the MAC of both and of the address. */
#pragma once
#include "path_key.h"

enum { RETURN_PATH_DAYS = 14 }; /* as long as mail may wait here, and a bounce elsewhere */

/* The null address stays empty. One that is signed already (PATH_GOOD) stays what it is. False: it has no such form, since it
 * is no address or the local part would have over ADDRESS_LOCAL_MAX octets. */
bool return_path_make(const struct path_keys *keys, struct str address, int64_t now_seconds, struct buf *out);
/* What a bounce's recipient is; out holds the address it is for with PATH_GOOD only. */
enum path_result return_path_check(const struct path_keys *keys, struct str address, int64_t now_seconds, struct buf *out);
/* The address without its tag, whoever made it and whether it is right or not: for telling whether two senders are the same.
 * An address without such a tag comes out as it is. False: what is left is no address. */
bool return_path_unwrap(struct str address, struct buf *out);
