/* A message and the DNS around it, for the tests of DKIM. */
#pragma once
#include "base/buf.h"
#include "mailauth/dkim_verify.h"

enum { DKIM_KEYS = 40, DKIM_KEY_TEXT = 4000 };

struct dkim_zone {
    struct {
        char name[256], text[DKIM_KEY_TEXT];
        enum dns_status status;
    } keys[DKIM_KEYS];
    size_t n;
    unsigned asked;
    struct dkim_key_cache *keys_kept; /* NULL: none */
};

void dkim_zone_add(struct dkim_zone *zone, const char *name, const char *text);
void dkim_zone_fail(struct dkim_zone *zone, const char *name, enum dns_status status);
/* Appends the records of this name, as they cross the channel. */
enum dns_status dkim_zone_look_up(const struct dkim_zone *zone, const char *name, struct buf *out);

/* A file of tests/vectors/dkim, every line end made CRLF. The caller clears it. */
void dkim_read_message(const char *file, struct buf *message);

/* How a message comes: the body in pieces of `cut` octets, the answers before the body or after it. */
struct dkim_way {
    size_t cut;
    bool late;
};
/* Verifies; the caller frees what comes back. */
struct dkim_verify *dkim_verify_message(struct dkim_zone *zone, struct str message, uint64_t now, struct dkim_way way);
/* "pass/example.org/rsa-sha256 fail/...", one for each signature, for comparing. */
const char *dkim_describe(const struct dkim_verify *v);
/* Feeds the fields of a message to `on_field`, and returns its body. */
struct str dkim_walk_header(struct str message, void (*on_field)(void *owner, struct str field), void *owner);
