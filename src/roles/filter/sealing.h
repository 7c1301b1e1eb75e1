/* The ARC set of one stranger's message that goes on to another server (docs/forwarding.md): part of the machine in message.c, which says
 * when to ask, as signing.h is.
 *
 *   NONE --- sealing_begin ---> KEYS (asked for; the body is hashed meanwhile) --- sealing_take_keys ---> KNOWN
 *        --- sealing_start, when the judge is done ---> READY --- sealing_ask ---> ASKED --- sealing_take ---> READY, once more ---> DONE
 *
 * Without a key of any of the domains, or for a message that must not be sealed, it is NONE again. */
#pragma once
#include "ipc/ipc.h"
#include "mailauth/arc_seal.h"

enum { SEALING_DOMAINS_MAX = 4 };

enum sealing_state { SEALING_NONE, SEALING_KEYS, SEALING_KNOWN, SEALING_READY, SEALING_ASKED, SEALING_DONE };

struct sealing {
    enum sealing_state state;
    struct arc_seal *seal;
    struct buf domains; /* in whose name it may be sealed, each ended by NUL; the first one is being tried */
    size_t domain_count;
    struct str selector; /* owned */
    enum dkim_algorithm algorithm;
    struct buf fields;   /* the set, when it is done */
};

void sealing_init(struct sealing *s);
void sealing_clear(struct sealing *s);
/* Before the end of the header: mail for this domain goes on. The first few different ones count. */
void sealing_note_domain(struct sealing *s, struct str domain);
/* At the end of the header, as it will be sent. False: there is nothing to ask for. */
bool sealing_begin(struct sealing *s, struct str header, int64_t now);
void sealing_body(struct sealing *s, struct str bytes);
/* Does it wait for an answer? */
bool sealing_waits(const struct sealing *s);
/* The domain whose keys are to be asked for in state KEYS. */
struct str sealing_domain(const struct sealing *s);
/* The answers; 0, or the code of a refusal (451). After keys it may be KEYS again: the next domain. */
unsigned sealing_take_keys(struct sealing *s, const struct msg_dkim_keys_reply *reply);
unsigned sealing_take(struct sealing *s, const struct msg_dkim_sign_reply *reply);
/* In state KNOWN, all of the message is there: what the judge found of its chain, and the whole Authentication-Results field. False: it is not
 * to be sealed. */
bool sealing_start(struct sealing *s, const struct arc_outcome *chain, struct str results);
/* In state READY. The views live as long as s. */
void sealing_ask(struct sealing *s, struct msg_dkim_sign_ask *ask);
size_t sealing_held(const struct sealing *s);
