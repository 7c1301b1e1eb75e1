/* Who a message from a program is from and for: from the command line and, with -t, its header. */
#pragma once
#include "base/buf.h"
#include "base/list.h"

enum { ENVELOPE_RCPTS = 100000, ENVELOPE_HEADER = 256 * 1024 };

struct envelope {
    struct str host;     /* completes addresses without a domain */
    struct buf sender;   /* canonical; empty for the null sender */
    struct buf rcpts;    /* each ended by NUL */
    size_t rcpt_count;
    bool utf8;           /* an address needs SMTPUTF8 */
    struct err *err;     /* the first thing wrong */
};

void envelope_init(struct envelope *e, struct str host, struct err *err);
void envelope_clear(struct envelope *e);
/* An address list as in a header or an argument. False (in err) when something in it is no address. */
MUST_CHECK bool envelope_add(struct envelope *e, struct str list);
MUST_CHECK bool envelope_set_sender(struct envelope *e, struct str address);

/* What the header says; feed it normalised text. */
struct header_facts {
    struct envelope *envelope; /* NULL: recipients are not looked for */
    bool has_from, resent, ok;
    struct buf plain, again; /* values of To, Cc, Bcc and of Resent-To ..., one list each */
};
struct header_field;
void header_facts_init(struct header_facts *f, struct envelope *e);
void header_facts_clear(struct header_facts *f);
void header_facts_field(void *facts, const struct header_field *field);
/* The header is over: its recipients go into the envelope. */
MUST_CHECK bool header_facts_end(struct header_facts *f);
