/* Secret keys for addresses that we sign ourselves: those of forwarded mail (srs.h) and our own return paths
 * (return_path.h). Several are valid at a time, so that one can follow another while bounces are still on their way. */
#pragma once
#include "base/buf.h"

enum { PATH_KEYS_MAX = 4, PATH_KEY_OCTETS = 32, PATH_MAC_OCTETS = 32 };

struct path_key {
    unsigned char octets[PATH_KEY_OCTETS];
    unsigned number; /* 0 to 9, of no other valid key: a return path names it */
};
struct path_keys {
    struct path_key keys[PATH_KEYS_MAX]; /* the first one signs, all of them are accepted */
    size_t n;
};
void path_keys_clear(struct path_keys *keys); /* overwrites them */

/* What an address in a bounce is. */
enum path_result {
    PATH_PLAIN,   /* not of this kind */
    PATH_GOOD,
    PATH_FORGED,  /* not signed by us, or its parts are none */
    PATH_EXPIRED, /* signed by us, too long ago */
};
const char *path_result_name(enum path_result result); /* "good" */

/* The MAC (HMAC-SHA-256) of these texts, each with its length before it and ASCII letters made lower case: others may
 * have changed their case on the way. */
void path_mac(const struct path_key *key, const struct str *texts, size_t n, unsigned char mac[PATH_MAC_OCTETS]);
/* The same octets, in a time that does not tell how many of them; `given` in any case. */
bool path_same(struct str made, struct str given);
/* A recipient's whole address from the plain text of its local part ("a b", not "\"a b\"") and its domain. False: it is
 * no address. */
bool path_write(struct str local, struct str domain, struct buf *out);
/* The plain text of an address's local part. */
void path_local(struct str address, struct buf *out, struct str *domain);
