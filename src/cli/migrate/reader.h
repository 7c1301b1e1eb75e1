/* Reads the messages of one mailbox of an IMAP server: export reads our own, import another one's. Listed by ranges of
 * uids, so that what others expunge meanwhile moves nothing; bodies are asked for some ahead and come in pieces. */
#pragma once
#include "cli/migrate/peer.h"
#include "cli/migrate/source.h"

enum { READER_AHEAD = 32 };

struct reader {
    struct peer *peer;
    uint32_t uidvalidity;
    uint64_t next, last;  /* uids that are still to be listed */
    uint64_t range;
    struct asked {
        char tag[16];
        uint32_t uid;
        bool seen;     /* its body has begun */
        bool refused;  /* its tagged answer came without one: why */
        bool given_up; /* nobody asks for it any more */
        char why[200];
    } asked[READER_AHEAD]; /* in the order they were sent */
    size_t asked_count;
    bool held;         /* a body begins: of which, how long */
    uint32_t held_uid;
    uint64_t held_size;
    bool reading;      /* one is being given out */
};

/* EXAMINE of a name as it stands on the wire. *refused: the server says no (why); false: the connection failed. */
MUST_CHECK bool reader_open(struct reader *r, struct peer *peer, struct str name, bool *refused, struct err *why, struct err *err);
/* The next messages: `at` is the uid; flags, keywords, received and size are filled in, the mark is not. *n 0: the end. */
MUST_CHECK bool reader_list(struct reader *r, struct item *items, size_t max, size_t *n, struct err *err);
MUST_CHECK bool reader_want(struct reader *r, uint32_t uid, struct err *err);
/* *size 0: it cannot be had, why says more. */
MUST_CHECK bool reader_body(struct reader *r, uint32_t uid, uint64_t *size, struct err *why, struct err *err);
/* Empty at its end. */
MUST_CHECK bool reader_read(struct reader *r, struct str *piece, struct err *err);
/* Whoever selects another mailbox lets what was asked come first. */
MUST_CHECK bool reader_finish(struct reader *r, struct err *err);
