/* DMARC (draft-ietf-dmarc-dmarcbis): is the domain in the From field the one that SPF or DKIM vouch for, and what does
 * its owner want done if not? A pure machine like spf.h: DNS questions go out through `ask`, one at a time; an answer
 * comes in with dmarc_answer. The owner gives up by dmarc_give_up when its time limit is over (temperror).
 *
 * Bounded: DMARC_AUTHORS_MAX authors, DMARC_SIGNERS_MAX signing domains, DMARC_WALK_MAX questions for each of these,
 * records of DMARC_RECORD_MAX bytes (a larger one counts as none). Domains of identifiers that cannot be aligned (no
 * common Organizational Domain is possible) are never asked for, nor is a name that a walk of the author asked already.
 *
 * Of several authors the worst outcome counts: fail (the strictest policy), temperror, permerror, none, pass. */
#pragma once
#include "dmarc_author.h"
#include "dmarc_record.h"
#include "ipc/messages.h"

enum { DMARC_SIGNERS_MAX = 16, DMARC_RECORD_MAX = 4096 };

struct dmarc;

struct dmarc_world {
    void (*ask)(void *owner, struct str name, unsigned type); /* TXT; CNAME to learn whether the name exists */
    void (*done)(void *owner); /* once; from inside dmarc_start, dmarc_answer or dmarc_give_up. Do not free it there */
};

/* The words of RFC 8601. */
enum dmarc_result {
    DMARC_RESULT_PASS,
    DMARC_RESULT_NONE,      /* no record applies, or there is no author who has a domain */
    DMARC_RESULT_PERMERROR, /* the record cannot be used, or the From field is missing, repeated or malformed */
    DMARC_RESULT_TEMPERROR, /* DNS failed and might have made the difference */
    DMARC_RESULT_FAIL,
};
const char *dmarc_result_name(enum dmarc_result result);

struct dmarc_outcome {
    enum dmarc_result result;
    enum dmarc_policy policy;    /* what to do (sp, np and t are in it); other than none only with fail, and with temperror where it was
                                    found and an identifier that could not be checked would be aligned: a fail, as far as is known */
    enum dmarc_policy published; /* of these: before t took a step off */
    bool bad_from;               /* nothing can be said about who the author is: no From field, several, too many authors,
                                    none that can be read, or not all were looked at in time */
    struct str author;           /* the Author Domain this is about; empty: there is none */
    struct str policy_domain;    /* whose record it is; empty: no record */
    struct dmarc_record record;
    bool spf_aligned, dkim_aligned; /* for reports */
    const char *reason;             /* in words */
};

struct dmarc *dmarc_new(const struct dmarc_world *world, void *owner);
void dmarc_free(struct dmarc *dmarc);
size_t dmarc_held(const struct dmarc *dmarc); /* bytes of memory; 0 for NULL */
/* Before the start. Each From field, as it is written. */
void dmarc_add_from(struct dmarc *dmarc, struct str value);
/* The domain that passed SPF as MAIL FROM (or as HELO where MAIL FROM was empty). At most once. */
void dmarc_add_spf(struct dmarc *dmarc, struct str domain);
/* The d= of a signature that passed. */
void dmarc_add_dkim(struct dmarc *dmarc, struct str domain);
/* Such a domain, where SPF or the signature could not be checked to the end because DNS failed. Aligned, and no other is, it is temperror (5.3.6). */
void dmarc_add_unsure(struct dmarc *dmarc, struct str domain, bool spf);
/* Does an author's domain have anything to do with this one: the same, below it, or above? */
bool dmarc_may_concern(const struct dmarc *dmarc, struct str domain);
void dmarc_start(struct dmarc *dmarc);
/* What became of the last question; records as in dns_reply. */
void dmarc_answer(struct dmarc *dmarc, enum dns_status status, struct str records);
/* What is known of the authors looked at before still counts. */
void dmarc_give_up(struct dmarc *dmarc);

/* After done; valid until dmarc_free. */
const struct dmarc_outcome *dmarc_outcome_of(const struct dmarc *dmarc);
