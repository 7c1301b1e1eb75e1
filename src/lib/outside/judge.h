/* Inside of the checks: what judgements work with. */
#pragma once
#include "check.h"

struct outside_check {
    const struct outside_facts *facts;
    const struct outside_clock *clock;
    int64_t now;
    unsigned scope;
    struct outside_records records;
    struct arena arena;
    struct outside_question questions[OUTSIDE_QUESTIONS];
    size_t question_count;
    struct outside_probe probes[OUTSIDE_PROBES];
    size_t probe_count;
    struct outside_result results[OUTSIDE_RESULTS];
    size_t result_count;
    bool gave_up;
    bool waits;      /* the judgement that runs misses an answer */
    const struct outside_row *row; /* the one that runs */
    uint32_t done;   /* a bit for each row of the table */
};

/* One check: a row of the table. */
struct outside_row {
    const char *name;
    enum outside_scope scope;
    void (*judge)(struct outside_check *c);
    const char *why;
};

/* The answer, or NULL: it is not there yet, the judgement shall return (waits is set). With other questions that can be asked at the
 * same time: look for all of them first. */
const struct outside_question *judge_look(struct outside_check *c, struct str name, unsigned type);
const struct outside_probe *judge_probe(struct outside_check *c, const struct ip *ip, unsigned port, struct str rcpt);
/* DNS failed to answer: nothing is known. */
bool judge_is_silent(const struct outside_question *q);
/* A result; publish may be NULL. */
void judge_note(struct outside_check *c, struct str item, enum outside_level level, const struct outside_record *publish, const char *format, ...)
    PRINTF(5, 6);
/* The same: it could not be found out. */
void judge_note_unknown(struct outside_check *c, struct str item, const char *format, ...) PRINTF(3, 4);
/* Formatted, in memory of the check. */
struct str judge_text(struct outside_check *c, const char *format, ...) PRINTF(2, 3);

/* The first record of this kind (and name, unless it is empty) that should be published; NULL: none. */
const struct outside_record *judge_expected(const struct outside_check *c, enum outside_kind kind, struct str name);
/* Is one of the answer's records, written out, this text? */
bool judge_holds(const struct outside_question *q, struct str data);
/* The answer's records written out, for people. */
struct str judge_found(struct outside_check *c, const struct outside_question *q);

/* The addresses of the server: of the facts, or of DNS. False: not known yet. */
bool judge_own_addresses(struct outside_check *c, struct ip out[OUTSIDE_ADDRESSES], size_t *n);
/* Those, and of the pools, with their HELO names. False: not known yet. */
bool judge_senders(struct outside_check *c, struct outside_sender out[OUTSIDE_ADDRESSES + OUTSIDE_SENDERS], size_t *n);
/* Does this name lead to one of the server's addresses? False also while that is not known (waits). */
bool judge_leads_here(struct outside_check *c, struct str name);
/* What is done with both answers. */
bool judge_answer_has(const struct outside_question *q, const struct ip *ip);

/* judge_server.c */
void judge_address(struct outside_check *c);
void judge_ptr(struct outside_check *c);
void judge_helo(struct outside_check *c);
void judge_dnsbl(struct outside_check *c);
void judge_port_out(struct outside_check *c);
void judge_port_in(struct outside_check *c);
void judge_open_relay(struct outside_check *c);
void judge_clock(struct outside_check *c);
/* judge_certificate.c */
void judge_certificate(struct outside_check *c);
void judge_tlsa(struct outside_check *c);
void judge_caa(struct outside_check *c);
/* judge_domain.c */
void judge_mx(struct outside_check *c);
void judge_srv(struct outside_check *c);
void judge_autoconfig(struct outside_check *c);
/* judge_policy.c */
void judge_spf(struct outside_check *c);
void judge_helo_spf(struct outside_check *c);
void judge_dkim(struct outside_check *c);
void judge_dmarc(struct outside_check *c);
void judge_sts(struct outside_check *c);
void judge_tlsrpt(struct outside_check *c);
