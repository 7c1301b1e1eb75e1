/* Addresses that this server signs itself: return paths of mail it forwards (SRS) and of its own mail (docs/forwarding.md). They are made
 * and read here, because their keys must not leave this process; others see addresses only.
 *
 * A key signs for a month, and is accepted for another one: longer than any such address is valid. */
#pragma once
#include "mailauth/path_key.h"
#include "store.h"

struct lookup;
struct resolve_question;

struct paths {
    struct path_keys keys;
    uint64_t generation; /* of lookup, when they were read */
    bool loaded;
};

void paths_clear(struct paths *p);

/* Makes a key when there is none or the newest is a month old, and forgets those nobody needs; one commit. now: wall. */
MUST_CHECK bool paths_rotate(struct store *store, int64_t now, bool *changed, struct err *err);

enum path_kind { PATH_KIND_NONE, PATH_KIND_SRS, PATH_KIND_OWN };

struct path_found {
    enum path_kind kind;     /* NONE: an address like any other */
    enum path_result result; /* good, forged, expired */
    struct name address;     /* good: whom it leads to, canonical */
};

/* Is this recipient of a domain of ours such an address? */
MUST_CHECK bool paths_find(struct lookup *l, struct str canonical, struct path_found *out, struct err *err);
/* What to say to one that is not good, with its enhanced code. */
const char *paths_refusal(const struct path_found *path);

/* What is to be done about a bounce for this address, which is not signed. Plain: nothing. */
MUST_CHECK bool paths_bounce(struct lookup *l, struct str key, enum return_path_mode *mode, struct err *err);

/* The sender of mail that goes on to another server; empty: as it is. */
MUST_CHECK bool paths_sender(struct lookup *l, const struct resolve_question *q, struct name *out, struct err *err);
void paths_show_metrics(void);
