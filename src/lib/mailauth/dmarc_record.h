/* DMARC policy records, by the standard that follows RFC 7489 (draft-ietf-dmarc-dmarcbis 4.7, 4.8, 4.10.1). Pure views
 * into the text of the TXT record.
 *
 * Nothing but the version decides whether a text is a record. Whatever is wrong behind it costs no more than that tag:
 * it counts as absent. Tags the standard does not know, and those it took out (pct, rf, ri), are passed over. */
#pragma once
#include "base/buf.h"
#include "base/str.h"

/* From the mildest to the strictest. */
enum dmarc_policy { DMARC_NONE, DMARC_QUARANTINE, DMARC_REJECT };
const char *dmarc_policy_name(enum dmarc_policy policy); /* "quarantine" */

enum dmarc_psd { DMARC_PSD_UNKNOWN, DMARC_PSD_NO, DMARC_PSD_YES };

/* When the owner wants a failure report (fo=). */
enum dmarc_failure_option { DMARC_FO_ALL = 1, DMARC_FO_ANY = 2, DMARC_FO_DKIM = 4, DMARC_FO_SPF = 8 };

/* One of p, sp, np. */
struct dmarc_request {
    bool present; /* the tag is there */
    bool valid;   /* and is a policy */
    enum dmarc_policy policy;
};

struct dmarc_record {
    struct dmarc_request p, sp, np;
    enum dmarc_psd psd;
    bool testing;                  /* t=y */
    bool dkim_strict, spf_strict;  /* adkim=s, aspf=s */
    unsigned fo;                   /* of enum dmarc_failure_option; DMARC_FO_ALL unless there is a ruf */
    struct str rua, ruf;           /* lists for dmarc_next_uri; empty: no reports are wanted */
    struct str text;               /* of the record itself */
};

/* Does the text begin with the version of DMARC? Only such TXT records count (4.10). */
bool dmarc_is_record(struct str text);
/* `text` is one for which dmarc_is_record. */
void dmarc_read(struct str text, struct dmarc_record *record);
/* What is to be done with a record whose policies are in order, or who reports can go to: take it (without a valid
 * policy as p=none, see dmarc_read_policy). False: DMARC is not applied (4.10.1). */
bool dmarc_is_usable(const struct dmarc_record *record);

/* Who asks: the policy for the domain of the record itself, for a name below it that exists, or for one that does not. */
enum dmarc_who { DMARC_DOMAIN, DMARC_SUBDOMAIN, DMARC_NO_DOMAIN };
/* The policy that was published for them (t is not looked at). */
enum dmarc_policy dmarc_choose_policy(const struct dmarc_record *record, enum dmarc_who who);
/* The policy to apply: one step milder for a domain that is testing (t=y). */
enum dmarc_policy dmarc_lower(const struct dmarc_record *record, enum dmarc_policy policy);

struct dmarc_uri {
    struct str uri;     /* RFC 3986, without the size */
    uint64_t limit;     /* bytes of the largest report, from "!10m" of RFC 7489; 0: none. Only for information */
};
/* Cuts the next well-formed URI off *list; those that are none are passed over. False at the end. */
bool dmarc_next_uri(struct str *list, struct dmarc_uri *uri);
/* Appends the address of a mailto: URI, percent signs decoded, without its headers ("?subject=..."). False for another
 * scheme, and for what cannot be an address. */
bool dmarc_uri_address(struct str uri, struct buf *out);
