/* What is found out about one message from a stranger: SPF of MAIL FROM and of HELO, iprev, the DKIM signatures, the ARC
 * chain, then DMARC (docs/mailauth.md). A pure machine around those of lib/mailauth:
 *
 *   judge_start --- fields --- judge_header_end --- body --- judge_end --- (questions open) --- done
 *
 * Questions to DNS go out through `ask`, at most one for each asker at a time; an answer comes in with judge_answer,
 * whenever it comes, also from inside `ask`. The owner ends the wait in two steps: judge_hurry gives up what DMARC waits for, since a
 * sender who has a slow name server may not escape the policy of the domain he pretends to be; judge_give_up ends that too. What is
 * open then is temperror.
 *
 * Bounded by the machines inside: some 30 KB, 64 KB of SPF records and twice that of DMARC's, two copies of the header until its end,
 * one of its fields of ARC after that. judge_held counts all of it. The body is hashed as it passes, for signatures that are there;
 * never held. */
#pragma once
#include "base/ip.h"
#include "mailauth/arc_verify.h"
#include "mailauth/auth_results.h"
#include "mailauth/dkim_verify.h"
#include "mime/header.h"

enum judge_asker { JUDGE_SPF, JUDGE_HELO, JUDGE_IPREV, JUDGE_DKIM, JUDGE_ARC, JUDGE_DMARC, JUDGE_ASKERS };

struct judge;

struct judge_world {
    /* `name` lives until ask returns. False: it cannot be asked, which counts as DNS that fails. */
    bool (*ask)(void *owner, enum judge_asker who, struct str name, unsigned type);
    void (*done)(void *owner); /* once, after judge_end: from inside it, judge_answer, judge_hurry or judge_give_up */
};

/* Copied by judge_new, but for the host name. */
struct judge_subject {
    struct ip client;
    struct str helo, sender; /* of MAIL FROM, empty for the null path */
    struct str hostname;     /* ours; borrowed: lives longer */
    int64_t now;             /* wall time */
    bool utf8;               /* an internationalised message */
    bool dmarc;              /* is DMARC looked at? */
    struct dkim_key_cache *keys; /* of the messages before; borrowed. NULL: each key is made anew */
};

struct judge *judge_new(const struct judge_world *world, void *owner, const struct judge_subject *subject);
void judge_free(struct judge *j);
void judge_start(struct judge *j);
void judge_field(struct judge *j, const struct header_field *f); /* each, as it came, in order */
void judge_header_end(struct judge *j);
void judge_body(struct judge *j, struct str bytes);
void judge_end(struct judge *j);
void judge_answer(struct judge *j, enum judge_asker who, enum dns_status status, struct str records);
/* Both after judge_end. True: something was open. */
bool judge_hurry(struct judge *j);
void judge_give_up(struct judge *j);

bool judge_is_done(const struct judge *j);
size_t judge_held(const struct judge *j); /* bytes of memory, about */
const struct ip *judge_client(const struct judge *j);

/* ---- after done; views are valid until judge_free ---- */

/* Of MAIL FROM, or of HELO for the null path. */
enum spf_result judge_spf(const struct judge *j);
bool judge_has_null_path(const struct judge *j);
struct str judge_spf_domain(const struct judge *j);
struct str judge_spf_explanation(const struct judge *j);
enum iprev_result judge_iprev(const struct judge *j);
size_t judge_signatures(const struct judge *j); /* that were looked at */
const struct dkim_outcome *judge_signature(const struct judge *j, size_t number);
const struct arc_outcome *judge_arc(const struct judge *j);
struct arc_set judge_arc_set(const struct judge *j, unsigned instance); /* of a chain that passed: 1 to its sets */
const struct dmarc_outcome *judge_dmarc(const struct judge *j); /* NULL: not looked at */
/* Writes the whole Authentication-Results field. */
void judge_write_field(const struct judge *j, struct buf *out);
/* "dmarc=pass (a.example) spf=pass (a.example) iprev=pass dkim=fail (b.example)", for the log and `staffetta trace`; at most 3.5 KB. */
void judge_write_summary(const struct judge *j, struct buf *out);
