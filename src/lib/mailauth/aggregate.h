/* DMARC aggregate reports (RFC 9990, as draft-ietf-dmarc-aggregate-reporting): one result as it is counted, and the report of
 * a day as XML. Pure. Reading reports of others is aggregate_read.h.
 *
 * Messages with equal results are one row with a count. A row is kept as text (aggregate_pack): a line of fields with tabs
 * between them, then a line for each signature; control characters in values become '?'. */
#pragma once
#include "dmarc_record.h"

enum aggregate_action { AGGREGATE_NONE, AGGREGATE_PASS, AGGREGATE_QUARANTINE, AGGREGATE_REJECT, AGGREGATE_ACTIONS };
const char *aggregate_action_name(enum aggregate_action action); /* "quarantine" */

/* Why something else was done than the owner of the domain asks for. */
enum aggregate_reason {
    AGGREGATE_NO_REASON,
    AGGREGATE_LOCAL_POLICY,
    AGGREGATE_MAILING_LIST,
    AGGREGATE_OTHER,
    AGGREGATE_TEST_MODE,
    AGGREGATE_FORWARDER,
    AGGREGATE_REASONS,
};
const char *aggregate_reason_name(enum aggregate_reason reason); /* "local_policy"; "" for none */

enum {
    AGGREGATE_SIGNATURES_MAX = 16,
    AGGREGATE_VALUE_MAX = 255,  /* of one value; what is longer is cut */
    AGGREGATE_ROW_MAX = 16384,  /* of a packed row */
    AGGREGATE_MARK = 33,        /* room for the mark of a row, with NUL */
};

struct aggregate_signature {
    struct str domain, selector, result;
};

/* Views. Empty values are left out of the report, but for envelope_from (the null path). */
struct aggregate_row {
    struct str source; /* the client's address */
    enum aggregate_action action;
    bool dkim_aligned, spf_aligned;
    enum aggregate_reason reason;
    struct str comment;
    struct str header_from, envelope_from, envelope_to;
    struct str spf_domain, spf_result; /* of MAIL FROM; spf_result empty: not looked at */
    struct aggregate_signature signatures[AGGREGATE_SIGNATURES_MAX];
    size_t signature_count;
};

void aggregate_pack(const struct aggregate_row *row, struct buf *out);
/* Views into `text`. False for what aggregate_pack does not write. */
bool aggregate_unpack(struct str text, struct aggregate_row *row);
/* The same for equal rows, another for others: letters and digits. */
void aggregate_mark(struct str packed, char mark[AGGREGATE_MARK]);

/* ---- the report ---- */

struct aggregate_report {
    struct str organisation, contact, submitter; /* submitter: the domain that reports */
    struct str domain;                           /* of the policy */
    struct str record;                           /* its text */
    int64_t begins, ends;                        /* seconds since 1970, both inside the period */
    uint64_t left_out;                           /* messages that no row counts */
};

void aggregate_write_id(const struct aggregate_report *r, struct buf *out);        /* "2026-11-22.example.org@submitter" */
void aggregate_write_file_name(const struct aggregate_report *r, struct buf *out); /* "submitter!example.org!1!2.xml.gz" */
void aggregate_write_head(const struct aggregate_report *r, struct buf *out);
void aggregate_write_row(const struct aggregate_row *row, uint64_t count, struct buf *out);
void aggregate_write_end(struct buf *out);
