/* staffetta alias: addresses that stand for others, here or outside. */
#include "cli/verb.h"

static const struct verb_option list_options[] = {{"domain", "NAME", NULL}, {"limit", "N", NULL}, {0}};
static const struct verb_option set_options[] = {{"enabled", "yes|no", NULL}, {0}};
static const struct verb_option remove_options[] = {{"to", "ADDRESS", NULL}, {0}};

const struct verb alias_verbs[] = {
    {"add", "ADDRESS TARGET...", 2, -1, set_options, "makes an alias to one or more addresses", LAYOUT_DETAILS, 0},
    {"list", "[TEXT]", 0, 1, list_options, "lists aliases", LAYOUT_TABLE, 0, "no aliases"},
    {"show", "ADDRESS", 1, 1, NULL, "shows one alias", LAYOUT_DETAILS, 0},
    {"set", "ADDRESS [TARGET...]", 1, -1, set_options, "replaces the targets, or switches the alias on or off",
        LAYOUT_DETAILS, 0},
    {"remove", "ADDRESS", 1, 1, remove_options, "removes an alias, or with --to one of its targets", LAYOUT_DETAILS, 0},
    {0}};
