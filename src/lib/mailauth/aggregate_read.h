/* Aggregate reports of others (RFC 9990, and RFC 7489 appendix C) read as they come: XML by expat, without document types, so without
 * entities of its own; depth, text, lines and memory are bounded. What is kept of a report is its head and its lines: equal sources,
 * authors and results together, with their count. Pure. */
#pragma once
#include "base/buf.h"

enum {
    AGGREGATE_LINES_MAX = 5000,
    AGGREGATE_DEPTH_MAX = 16,
    AGGREGATE_XML_MEMORY = 4 * 1024 * 1024, /* of expat */
};

struct aggregate_line {
    struct str source, name; /* of the server that sent; domain of the author */
    struct str result;       /* "reject dkim=fail spf=fail" */
    uint64_t count;
};

struct aggregate_head {
    struct str reporter, contact, report_id, domain, policy; /* policy: "quarantine" */
    int64_t begins, ends; /* seconds */
};

struct aggregate_reader;

struct aggregate_reader *aggregate_reader_new(void);
void aggregate_reader_free(struct aggregate_reader *r);
/* False: it is no report that can be used; aggregate_reader_why says why. Nothing more is to be added then. */
bool aggregate_reader_add(struct aggregate_reader *r, struct str bytes);
/* After the last byte; false as above. */
bool aggregate_reader_end(struct aggregate_reader *r);
const char *aggregate_reader_why(const struct aggregate_reader *r);

/* After a good end, valid until free. Values are printable ASCII without control characters, cut at 255. */
void aggregate_reader_head(const struct aggregate_reader *r, struct aggregate_head *head);
/* Walks the lines, in any order; start with *at NULL. False at the end. */
bool aggregate_reader_next(const struct aggregate_reader *r, const void **at, struct aggregate_line *line);
