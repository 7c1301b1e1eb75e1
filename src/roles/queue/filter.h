/* Which recipients a command is about: recipient= sender= domain= class= state= reply= older_than=
 * younger_than=, all of those given. Addresses may hold '*' for any characters; case does not matter. */
#pragma once
#include "base/str.h"
#include "store.h"

enum { FILTER_ANY = -1, FILTER_ACTIVE = 100 };

struct filter {
    struct str recipient, sender, domain, reply; /* .n == 0: any; views into the arguments */
    bool has_sender;
    int class; /* enum mail_class or FILTER_ANY */
    int state; /* enum rcpt_state, FILTER_ACTIVE or FILTER_ANY */
    int64_t older_than, younger_than; /* microseconds, 0: any */
    uint64_t message;                 /* 0: any */
    uint64_t limit;                   /* 0: none */
    uint64_t after_message, after_n;
    bool selects; /* anything above was given that makes a choice */
};

/* args as in ipc/args.h; word 1 is a queue id if given. False with *why and the *word it is about. */
bool filter_parse(struct filter *f, struct str args, const char **why, struct str *word);
/* What the recipient's row alone can tell. active: it is being delivered. */
bool filter_matches_rcpt(const struct filter *f, const struct rcpt_row *r, bool active, int64_t now);
/* The rest; asked only when has_sender. */
bool filter_matches_sender(const struct filter *f, struct str sender);
/* "90s", "15m", "4h", "5d"; a bare number is seconds. */
bool filter_parse_span(struct str text, int64_t *span);
/* '*' stands for any characters. */
bool filter_glob(struct str pattern, struct str text);
