/* The Author Domains of a message: those in its From field (draft-ietf-dmarc-dmarcbis 4.2, 5.3.1, 11.5). RFC 5322 wants
 * one field; nothing of that is taken for granted here. */
#pragma once
#include "dns/records.h"

enum { DMARC_AUTHORS_MAX = 4 };

struct dmarc_authors {
    char domains[DMARC_AUTHORS_MAX][DNS_NAME_TEXT]; /* each once; lower case, A-labels */
    size_t n;
    unsigned fields;
    bool malformed; /* something could be no address, or has a domain that is none */
    bool too_many;  /* domains: the rest was left out */
};

/* Reads one From field; to be called for every one, `authors` being zero before the first. Members of groups count as
 * authors; an address literal (user@[192.0.2.1]) has no domain. */
void dmarc_authors_add(struct dmarc_authors *authors, struct str value);
/* The canonical form of a domain (A-labels, lower case, no last dot). False where it has none. */
bool dmarc_canonical_domain(struct str domain, char out[DNS_NAME_TEXT]);
