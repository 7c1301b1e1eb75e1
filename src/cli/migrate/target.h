/* Where messages are exported to: a Maildir, or mailbox files. One folder after the other, in each the messages by uid. */
#pragma once
#include "cli/migrate/source.h"

struct target;
struct target_type {
    /* Until the next one. uidvalidity and uids name what a run before has written. */
    bool (*begin_folder)(void *target, struct str name, uint32_t uidvalidity, struct err *err);
    /* Was this one written before? */
    bool (*has)(void *target, const struct item *item);
    /* A message of `size` bytes: begin, pieces, end. *again, from end: to be written once more, from the start. */
    bool (*begin)(void *target, const struct item *item, struct err *err);
    bool (*add)(void *target, struct str piece, struct err *err);
    bool (*end)(void *target, bool *again, struct err *err);
    bool (*end_folder)(void *target, struct err *err);
    /* Names of subscribed folders, at the end; may be NULL. */
    bool (*subscriptions)(void *target, const struct str *names, size_t n, struct err *err);
    void (*free)(void *target);
};

struct target {
    const struct target_type *type;
    void *state;
};

MUST_CHECK bool maildir_target_new(struct target *target, const struct migration *m, struct err *err);
MUST_CHECK bool mbox_target_new(struct target *target, const struct migration *m, struct err *err);
