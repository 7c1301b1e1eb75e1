/* NOTIFY in a session (RFC 5465), and METADATA when it was enabled (RFC 5464, section 4.1): what it wants to hear of and how much
 * it was told. Shared by imap_notify.c (the command, who wants what) and imap_events.c (telling). */
#pragma once
#include "imap/notify.h"
#include "store_events.h"

enum { NOTIFY_TEXT_MAX = 64 * 1024, NOTIFY_ARENA_MAX = 4 * 1024 * 1024 };

struct imap_notify {
    uint64_t who;             /* among those who listen to the store */
    uint64_t version;         /* of the store: told up to here */
    bool on;                  /* NOTIFY SET is in force; else only METADATA was enabled */
    struct str text;          /* what the set was read from */
    struct arena arena;
    struct imap_notify_set set;
    bool flags_skipped;       /* changes of flags in the selected mailbox were not told */
    uint32_t new_from, new_to; /* uids of the selected mailbox to be fetched for the client; 0: none */
    struct imap_range fetching; /* the range of the FETCH under way */
};

struct imap;
size_t imap_notify_memory(const struct imap *im); /* bytes that it keeps */
/* The events (enum imap_event) of a mailbox that is not selected, by its name. */
unsigned imap_notify_events(struct imap *im, struct str name);
