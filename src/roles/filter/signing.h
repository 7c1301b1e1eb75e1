/* The DKIM signatures of one message that is submitted (docs/dkim.md): part of the machine in message.c, which says when to ask.
 *
 *   NONE --- signing_begin ---> KEYS (asked for; the body is hashed meanwhile) --- signing_take_keys ---> KNOWN
 *        --- signing_ask, at the end ---> ASKED --- signing_take ---> DONE (the fields are there)
 *
 * A domain without keys leads back to NONE. */
#pragma once
#include "ipc/ipc.h"
#include "mailauth/dkim_sign.h"

enum signing_state { SIGNING_NONE, SIGNING_KEYS, SIGNING_KNOWN, SIGNING_ASKED, SIGNING_DONE };

struct signing {
    enum signing_state state;
    struct dkim_sign *sign;
    struct buf domain; /* of the first author, A-labels; empty: there is none that could be signed for */
    struct dkim_sign_key keys[2];
    size_t key_count;
    struct buf fields; /* the signatures, when they are done */
    bool unfit;        /* its header cannot be signed */
};

void signing_init(struct signing *s);
void signing_clear(struct signing *s);
/* The value of a From field, or an address; the first author that can be read counts. */
void signing_note_author(struct signing *s, struct str value);
/* At the end of the header. Parts of it, as they will be sent; `added` will stand on top. False: there is nothing to ask for. */
bool signing_begin(struct signing *s, struct str added, struct str header, int64_t now);
void signing_body(struct signing *s, struct str bytes);
/* Does it wait for an answer? */
bool signing_waits(const struct signing *s);
/* The answers; 0, or the code of a refusal: 451 (not now), 554 (it cannot be signed). */
unsigned signing_take_keys(struct signing *s, const struct msg_dkim_keys_reply *reply);
unsigned signing_take(struct signing *s, const struct msg_dkim_sign_reply *reply);
/* The body is over: what to ask for. The views live as long as s. */
void signing_ask(struct signing *s, struct msg_dkim_sign_ask *ask);
size_t signing_held(const struct signing *s);
