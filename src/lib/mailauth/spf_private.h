/* One SPF check from inside: shared by spf.c (records, results), spf_mechanisms.c and spf_names.c. */
#pragma once
#include "base/arena.h"
#include "dns/records.h"
#include "spf.h"
#include "spf_macro.h"

enum { SPF_FRAMES_MAX = SPF_TERMS_MAX + 1, SPF_ARENA_MAX = 64 * 1024, SPF_RECORD_MAX = 8192, SPF_TEXT_MAX = 2048, SPF_REASON_MAX = 300 };

struct spf_frame {
    struct str domain;
    bool has_record, redirected;
    struct spf_record record; /* its terms: those that were not looked at yet */
    struct str word;          /* the mechanism (or redirect) under way, as it is written */
    struct spf_term term;
};

enum spf_verdict { SPF_VERDICT_NO, SPF_VERDICT_YES, SPF_VERDICT_OPEN };

typedef void spf_answer_fn(struct spf *spf, enum dns_status status, struct str records);
typedef void spf_next_fn(struct spf *spf);

struct spf {
    const struct spf_world *world;
    void *owner;
    struct arena arena;
    struct spf_names names;
    struct spf_frame frames[SPF_FRAMES_MAX];
    size_t depth; /* frames in use */
    enum spf_verdict verdict; /* of the mechanism under way in the top frame; NO: take the next one */
    unsigned terms, voids;
    spf_answer_fn *on_answer; /* a question is open */
    char hosts[SPF_NAMES_MAX + 1][DNS_NAME_TEXT]; /* of an MX or PTR answer */
    size_t host_n, host_i;
    bool names_known;     /* those of the client's address were looked up (5.5) */
    spf_next_fn *after_names;
    struct str validated[SPF_NAMES_MAX];
    size_t validated_n;
    bool over;
    enum spf_result result;
    struct str reason, text, explanation; /* text: of the explanation, unexpanded */
};

static inline bool dns_failed(enum dns_status status)
{
    return status != DNS_OK && status != DNS_NODATA && status != DNS_NXDOMAIN;
}

/* spf.c */
struct spf_frame *spf_top(struct spf *spf);
void spf_ask(struct spf *spf, struct str name, unsigned type, spf_answer_fn *on_answer);
/* The check ends with this result; the reason is before, what, after. */
void spf_fail(struct spf *spf, enum spf_result result, const char *before, struct str what, const char *after);
/* A copy that lives as long as the check; empty where there is no more room. */
struct str spf_keep(struct spf *spf, struct str s);
/* Another term that asks DNS; false: too many, and the check is over. */
bool spf_count_term(struct spf *spf);

/* spf_mechanisms.c: starts the mechanism under way, which sets the verdict or asks first. */
void spf_start_term(struct spf *spf);

/* spf_names.c */
unsigned spf_address_type(const struct spf *spf); /* of the client's family */
/* Is one of the addresses in a network of this size with the client's? */
bool spf_holds_client(const struct spf *spf, struct str records, unsigned bits4, unsigned bits6);
/* What %{p} stands for in this domain. */
struct str spf_choose_validated(const struct spf *spf, struct str domain);
/* Expands into *name, in the arena; an empty spec is the current domain. False when that is no name DNS can be asked for. */
bool spf_expand(struct spf *spf, struct str spec, struct str *name);
/* Calls `next`, with the names of the client's address known where they are needed. */
void spf_with_names(struct spf *spf, bool needed, spf_next_fn *next);
