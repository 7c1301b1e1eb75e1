/* DKIM keys as rows of the database (schema/directory/0003.sql), all of one domain at a time. What their states mean, and the
 * crash argument, are in docs/dkim.md. Private keys do not live in these structs. */
#pragma once
#include "store.h"

#include "mailauth/dkim_signature.h"

enum { DKIM_ROWS_MAX = 32, DKIM_SELECTOR_MAX = 63, DKIM_PUBLIC_MAX = 800, DKIM_ALGORITHMS = 2 };

enum dkim_state { DKIM_WAITING, DKIM_PUBLISHED, DKIM_ACTIVE, DKIM_RETIRED, DKIM_EXPIRED, DKIM_REVOKED };
extern const char *const dkim_state_words[];
/* What DNS had when it was asked last. OTHER: a record, but not one this key can be verified with. UNKNOWN: no answer. */
enum dkim_record { DKIM_NEVER_ASKED, DKIM_RECORD_OK, DKIM_RECORD_MISSING, DKIM_RECORD_OTHER, DKIM_RECORD_UNKNOWN };
extern const char *const dkim_record_words[];

struct dkim_row {
    char selector[DKIM_SELECTOR_MAX + 1], public[DKIM_PUBLIC_MAX + 1]; /* public: p= of the record */
    enum dkim_algorithm algorithm;
    enum dkim_state state;
    enum dkim_record record;
    bool by_hand;
    int64_t made, published, used, retired, ended, looked;
    bool changed, gone; /* to be written, removed (dkim_schedule.h) */
};

struct dkim_rows {
    struct name domain;
    struct dkim_row rows[DKIM_ROWS_MAX];
    size_t n;
};

/* The columns of STORE_DKIM. */
enum { DKIM_COLUMNS = 12 };
void dkim_rows_read(struct stmt *s, struct dkim_row *row);
/* All keys of a domain, the oldest first; none is no failure. */
MUST_CHECK bool dkim_rows_get(struct store *store, struct str domain, struct dkim_rows *out, struct err *err);
/* Writes the rows that are marked, wiping the private keys of those that are over. Inside a transaction of the caller. */
MUST_CHECK bool dkim_rows_put(struct store *store, const struct dkim_rows *rows, struct err *err);
MUST_CHECK bool dkim_rows_add(struct store *store, struct str domain, const struct dkim_row *row, struct str private, struct err *err);
/* The private key (DER); empty when it was wiped or there is no such key. The caller wipes `out`. */
MUST_CHECK bool dkim_rows_private(struct store *store, struct str domain, struct str selector, struct buf *out, struct err *err);
struct dkim_row *dkim_rows_find(struct dkim_rows *rows, struct str selector);
/* The newest key of this algorithm that signs; NULL: none does. */
struct dkim_row *dkim_rows_active(struct dkim_rows *rows, enum dkim_algorithm algorithm);
