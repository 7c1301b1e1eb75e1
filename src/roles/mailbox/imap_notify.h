/* NOTIFY in a session (RFC 5465), and METADATA when it was enabled (RFC 5464, section 4.1): what it wants to hear of and how much
 * it was told. Shared by imap_notify.c (the command, who wants what) and imap_events.c (telling). */
#pragma once
#include "imap.h"
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
    struct list owners;       /* struct notify_owner: who shares mailboxes that the set may mean (imap_notify_others.c) */
    size_t owner_count;
    bool lost_owner;          /* the database of one had to be let go */
};

struct imap;
struct box;
struct folder;
size_t imap_notify_memory(const struct imap *im); /* bytes that it keeps */
/* The events (enum imap_event) of a mailbox that is not selected, by its name. */
unsigned imap_notify_events(struct imap *im, struct str name, bool own);
void imap_notify_overflow(struct imap *im); /* says so, and tells nothing more */

/* ---- imap_notify_others.c ---- */
bool imap_notify_wants_others(const struct imap *im); /* the set may mean mailboxes of others */
/* Finds them and listens; then calls `then`. */
void imap_notify_others_begin(struct imap *im, imap_step *then);
void imap_notify_others_end(struct imap *im);
size_t imap_notify_others_memory(const struct imap *im); /* what it keeps of them */
/* STATUS of those there are; false: there are more, call again. */
bool imap_notify_others_status(struct imap *im, unsigned items);
bool imap_notify_others_tell(struct imap *im); /* false: there is more */
/* That name, or one below, is a mailbox of somebody else that may be looked up. */
bool imap_notify_sees(const struct imap *im, struct str name);
bool imap_notify_sees_below(const struct imap *im, struct str name);

/* ---- imap_events.c: lines about a mailbox of somebody else, by its full name ---- */
void imap_notify_tell_name(struct imap *im, struct str name, bool exists, struct str before);
void imap_notify_tell_annotations(struct imap *im, struct str name, const struct store_event *e);
/* How it stands: of its messages, or that flags changed. */
void imap_notify_tell_messages(struct imap *im, const struct box *box, const struct folder *f, struct str name, bool messages, bool own);
