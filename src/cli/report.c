/* staffetta report: what others report about mail in the name of our domains. */
#include "cli/verb.h"

static const struct verb_option options[] = {{"days", "N", NULL}, {"limit", "N", NULL}, {0}};

const struct verb report_verbs[] = {
    {"show", "DOMAIN", 1, 1, options,
        "sums up what reports of the last 7 days say of mail in the name of a domain: who sent it, what was done, what passed", LAYOUT_TABLE, 0,
        "no reports"},
    {"list", "[DOMAIN]", 0, 1, options, "lists the reports of the last 7 days", LAYOUT_TABLE, 0, "no reports"},
    {0}};
