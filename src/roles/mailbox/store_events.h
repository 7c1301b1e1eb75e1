/* What happened to an account's folders, as far as it is on disk: for NOTIFY (RFC 5465). Kept in memory and only while somebody
 * listens.
 *
 * Everything has a version, one higher than the one before: each change of a folder's name, subscription or annotations is an
 * event; of a folder whose messages or flags changed only the last version is known. A listener that was told up to a version
 * asks for what is above it, in that order. So however slow it is, it costs nothing more: only of events there can be too many
 * (EVENTS_MAX, or EVENTS_BYTES with the names in them), and then it is told that some are lost. */
#pragma once
#include "store_folder.h"

enum { EVENTS_MAX = 2000, EVENTS_BYTES = 1024 * 1024 };
enum store_event_kind { STORE_CREATED, STORE_DELETED, STORE_RENAMED, STORE_SUBSCRIBED, STORE_UNSUBSCRIBED, STORE_ANNOTATED,
    STORE_RIGHTS };

struct store_event {
    struct link link;
    uint64_t version;
    enum store_event_kind kind;
    int64_t folder;  /* ANNOTATED: which, 0 for the account; RIGHTS: the same, 0 for any */
    struct str name; /* of the folder, then */
    struct str what; /* RENAMED: the name before; ANNOTATED: entries, a line each */
    uint64_t by;     /* who did it: store_by */
    int64_t reader;  /* ANNOTATED: whose /private entries these are */
};

void store_listen(struct store *s);
void store_unlisten(struct store *s);
/* What is done now, until somebody else says so, is done by this listener (its number; 0: by none). */
void store_by(struct store *s, uint64_t who);
uint64_t store_listener(struct store *s); /* a number for one */

/* Annotations were changed: entries, a line each; `folder` 0: of the account. Needs an open transaction. */
void store_annotated(struct store *s, int64_t folder, int64_t reader, struct str entries);

uint64_t store_version(const struct store *s);
/* The first event above that version; NULL: there is none. */
const struct store_event *store_event_after(const struct store *s, uint64_t version);
/* Events above that version are not known any more. */
bool store_events_lost(const struct store *s, uint64_t version);
/* The folder with the lowest version above that one (f->changed_at), and the next higher one; NULL: there is none. */
struct folder *store_folder_changed_after(const struct store *s, uint64_t version);
struct folder *store_folder_changed_next(const struct store *s, const struct folder *f);
const struct store_event *store_event_next(const struct store *s, const struct store_event *e);
