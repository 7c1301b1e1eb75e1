/* New DKIM keys, and their records. */
#pragma once
#include "dkim_rows.h"

/* Makes a key and adds its row, in state waiting, inside a transaction of the caller. An RSA key takes a tenth of a second or
 * so. selector empty: one is chosen from the date. False with ERR_LIMIT when the domain has too many keys, ERR_PERMANENT when the
 * selector is taken. *row: what was added, if not NULL. */
MUST_CHECK bool dkim_make(struct store *store, struct dkim_rows *rows, enum dkim_algorithm algorithm, struct str selector,
    int64_t now, struct err *err);
/* Lower-case letters, digits and inner hyphens, at most 63: one label of a name. */
bool dkim_is_selector(struct str text);
/* "rsa20261122._domainkey.example.org" */
void dkim_write_name(struct buf *out, struct str domain, const struct dkim_row *row);
/* "v=DKIM1; k=rsa; p=..."; without the key for one that is over. */
void dkim_write_record(struct buf *out, const struct dkim_row *row);
/* The same as a line of a zone file (RFC 1035 5.1), cut into strings of at most 255 octets. */
void dkim_write_zone_line(struct buf *out, struct str domain, const struct dkim_row *row);
