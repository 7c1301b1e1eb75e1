/* staffetta route: where outgoing mail goes, other than by MX. */
#include "cli/verb.h"

#define SETTINGS                                                                                   \
    {"tls", "opportunistic|none|required|verified|implicit", NULL}, {"login", "USER", NULL},       \
        {"password", "TEXT", NULL}, {"text", "WORDS", NULL}

static const struct verb_option settings[] = {SETTINGS, {0}};
static const struct verb_option set_options[] = {{"kind", "mx|smtp|lmtp|discard|fail", NULL},
    {"hosts", "HOST:PORT", NULL},
    SETTINGS, {0}};
static const struct verb_option list_options[] = {{"limit", "N", NULL}, {0}};

const struct verb route_verbs[] = {
    {"add", "MATCH KIND [HOST:PORT...]", 2, -1, settings,
        "MATCH is recipient:DOMAIN, sender:DOMAIN, class:bulk or recipient:*; KIND is mx, smtp, lmtp, discard or fail",
        LAYOUT_DETAILS, VERB_MAY_PASSWORD},
    {"list", "[TEXT]", 0, 1, list_options, "lists routes", LAYOUT_TABLE, 0, "no routes"},
    {"show", "MATCH", 1, 1, NULL, "shows one route", LAYOUT_DETAILS, 0},
    {"set", "MATCH", 1, 1, set_options, "changes a route", LAYOUT_DETAILS, VERB_MAY_PASSWORD},
    {"remove", "MATCH", 1, 1, NULL, "removes a route", LAYOUT_DETAILS, 0},
    {0}};
