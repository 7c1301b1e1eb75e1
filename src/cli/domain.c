/* staffetta domain: the domains this server is responsible for. */
#include "cli/verb.h"

#define LIMIT {"limit", "N", NULL}

static const struct verb_option add_options[] = {
    {"backup-mx", NULL, "kind=backup-mx"}, {"kind", "local|backup-mx", NULL}, {"catch-all", "ADDRESS|none", NULL},
    {"enabled", "yes|no", NULL}, {"return-path", "plain|sign|junk|refuse", NULL}, {0}};
static const struct verb_option set_options[] = {
    {"catch-all", "ADDRESS|none", NULL}, {"kind", "local|backup-mx", NULL}, {"enabled", "yes|no", NULL},
    {"return-path", "plain|sign|junk|refuse", NULL}, {0}};
static const struct verb_option list_options[] = {LIMIT, {0}};

const struct verb domain_verbs[] = {
    {"add", "NAME", 1, 1, add_options,
        "takes on a domain; with --backup-mx only to pass its mail on", LAYOUT_DETAILS, 0},
    {"list", "[TEXT]", 0, 1, list_options, "lists domains", LAYOUT_TABLE, 0, "no domains"},
    {"show", "NAME", 1, 1, NULL, "shows one domain", LAYOUT_DETAILS, 0},
    {"set", "NAME", 1, 1, set_options, "changes a domain; --catch-all=none ends it; --return-path says whether the return paths of its mail are signed", LAYOUT_DETAILS, 0},
    {"remove", "NAME", 1, 1, NULL, "gives up a domain that has no accounts or aliases", LAYOUT_DETAILS, 0},
    {0}};
