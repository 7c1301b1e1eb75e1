/* An IMAP client's memory of its mailbox, kept from what the server tells and from nothing else. It ends the program when
 * the server says something malformed, or something that cannot be: a number nobody has, an EXPUNGE at the wrong time. */
#pragma once
#include "base/buf.h"

enum { CACHE_MESSAGES = 4000, CACHE_FLAGS = 200 };

struct cached {
    uint32_t uid; /* 0: not told yet */
    bool has_flags;
    char flags[CACHE_FLAGS];
};

struct imap_cache {
    struct buf rest; /* of a response that is not complete */
    bool selected, selecting, idling, qresync;
    bool no_expunge;  /* while FETCH, STORE or SEARCH by number is under way */
    bool waits;       /* for a tagged answer */
    bool bye;
    bool lax;         /* commands are not followed: numbers are looked at, no more */
    char status[8];   /* of the last tagged answer */
    struct cached messages[CACHE_MESSAGES];
    size_t n;
    uint64_t uidvalidity;
    uint64_t highest, told, seen; /* HIGHESTMODSEQ; of responses since the last tagged answer */
    uint64_t saved;               /* where the client may go on: it knew of everything then */
    struct cached old[CACHE_MESSAGES]; /* of before a SELECT with QRESYNC */
    size_t old_n, selected_n; /* selected_n: as many there were; what came since is told as ever */
    bool counted;
};

void cache_init(struct imap_cache *c);
void cache_clear(struct imap_cache *c);
/* The connection is gone: what is known stays. */
void cache_lost(struct imap_cache *c);
void cache_feed(struct imap_cache *c, struct str bytes);
/* A command goes out: SELECT with or without QRESYNC, one that forbids EXPUNGE, or another. */
void cache_selects(struct imap_cache *c, bool qresync);
void cache_commands(struct imap_cache *c, bool no_expunge);
/* What it knows must be so. */
void cache_compare(const struct imap_cache *c, const struct imap_cache *truth, const char *who);
