/* staffetta credential: logins of programs and devices that only send. */
#include "cli/verb.h"

#define SETTINGS                                                                                   \
    {"messages-per-hour", "N|default|none", NULL}, {"recipients-per-hour", "N|default|none", NULL}, {"enabled", "yes|no", NULL}, \
        {"password", "TEXT", NULL}

static const struct verb_option add_options[] = {{"account", "ADDRESS", NULL}, {"domain", "NAME", NULL}, SETTINGS, {0}};
static const struct verb_option set_options[] = {SETTINGS, {0}};
static const struct verb_option list_options[] = {
    {"account", "ADDRESS", NULL}, {"domain", "NAME", NULL}, {"limit", "N", NULL}, {0}};

const struct verb credential_verbs[] = {
    {"add", "NAME", 1, 1, add_options, "makes a login that may send for an account or a whole domain", LAYOUT_DETAILS,
        VERB_PASSWORD},
    {"list", "[TEXT]", 0, 1, list_options, "lists credentials", LAYOUT_TABLE, 0, "no credentials"},
    {"show", "NAME", 1, 1, NULL, "shows one credential", LAYOUT_DETAILS, 0},
    {"set", "NAME", 1, 1, set_options, "changes a credential; --password asks for a new one", LAYOUT_DETAILS,
        VERB_MAY_PASSWORD},
    {"remove", "NAME", 1, 1, NULL, "removes a credential", LAYOUT_DETAILS, 0},
    {0}};
