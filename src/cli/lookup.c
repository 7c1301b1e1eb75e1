/* staffetta lookup: what this server's own resolver says. */
#include "cli/verb.h"

static const struct verb_option lookup_options[] = {{"within", "SECONDS", NULL}, {0}};

const struct verb lookup_verbs[] = {
    {"", "NAME[/TYPE]...", 1, 200, lookup_options,
        "asks the server's own resolver for records (A unless a type is named), and tells whether DNSSEC has validated them", LAYOUT_TABLE, 0},
    {0}};
