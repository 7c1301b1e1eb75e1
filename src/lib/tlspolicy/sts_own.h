/* MTA-STS policies of our own domains (RFC 8461 3.2): what web serves and `staffetta setup` prints the record of. Pure. */
#pragma once
#include "config/config.h"
#include "sts_policy.h"

struct sts_own {
    enum sts_mode mode;
    uint32_t max_age;    /* seconds */
    const struct str *mx; /* patterns */
    size_t mx_n;
};

/* What the configuration says of this domain, in any case of letters: its section mta_sts, or the defaults. Without mx the hostname
 * is the only one. The views live as long as the configuration. */
struct sts_own sts_own_of(const struct config *config, struct str domain);
/* The text of the policy, as https://mta-sts.DOMAIN/.well-known/mta-sts.txt serves it. `text` must have room for STS_POLICY_MAX. */
void sts_own_write(const struct sts_own *own, struct buf *text);
/* The id of that text for the record at _mta-sts.DOMAIN, "v=STSv1; id=ID": another text has another id. */
void sts_own_id(struct str text, char id[STS_ID_MAX + 1]);
