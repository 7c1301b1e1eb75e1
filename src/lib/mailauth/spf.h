/* May this address send for this name? check_host() of RFC 7208 4, a pure machine: DNS questions go
 * out through `ask`, one at a time; an answer comes in with spf_answer. It needs no clock: the owner
 * gives up by spf_give_up when its own time limit for the whole check is over (4.6.4: 20 seconds at
 * least), and the result is temperror then.
 *
 * Bounded: 10 terms that ask DNS, 2 questions without an answer, 10 names of an MX or PTR, 64 KB. */
#pragma once
#include "base/ip.h"
#include "base/str.h"
#include "ipc/messages.h"
#include "spf_record.h"

enum { SPF_TERMS_MAX = 10, SPF_VOIDS_MAX = 2, SPF_NAMES_MAX = 10 };

struct spf;

struct spf_world {
    void (*ask)(void *owner, struct str name, unsigned type); /* A, AAAA, MX, PTR or TXT */
    void (*done)(void *owner); /* once; from inside spf_start, spf_answer or spf_give_up */
};

/* Copied by spf_new. */
struct spf_subject {
    struct ip ip;
    struct str helo;
    struct str sender;   /* MAIL FROM; empty: postmaster@helo is checked (2.4) */
    struct str receiver; /* our name, for %{r} */
    int64_t now;         /* wall time, for %{t} */
};

struct spf *spf_new(const struct spf_world *world, void *owner, const struct spf_subject *subject);
void spf_free(struct spf *spf);
size_t spf_held(const struct spf *spf); /* bytes of memory; 0 for NULL */
void spf_start(struct spf *spf);
/* What became of the last question; records as in dns_reply. */
void spf_answer(struct spf *spf, enum dns_status status, struct str records);
void spf_give_up(struct spf *spf);

/* After done; valid until spf_free. */
enum spf_result spf_result_of(const struct spf *spf);
struct str spf_domain_of(const struct spf *spf); /* that was checked: of the sender, or the HELO name */
/* Why, in words: the mechanism that matched, or what is wrong. */
struct str spf_reason_of(const struct spf *spf);
/* What the owner of the domain wants to be told to a sender who failed (6.2), printable ASCII; empty: nothing. */
struct str spf_explanation_of(const struct spf *spf);
