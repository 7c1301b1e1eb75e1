/* staffetta pool: source addresses for outgoing mail, and who uses which. */
#include "cli/verb.h"

static const struct verb_option settings[] = {{"weight", "N", NULL}, {"ehlo", "NAME", NULL}, {0}};
static const struct verb_option list_options[] = {{"limit", "N", NULL}, {0}};

const struct verb pool_verbs[] = {
    {"add", "POOL ADDRESS", 2, 2, settings, "adds a source address to a pool", LAYOUT_DETAILS, 0},
    {"list", "[TEXT]", 0, 1, list_options, "lists pools", LAYOUT_TABLE, 0, "no pools"},
    {"show", "POOL", 1, 1, NULL, "shows one pool", LAYOUT_TABLE, 0},
    {"set", "POOL ADDRESS", 2, 2, settings, "changes a source address", LAYOUT_DETAILS, 0},
    {"remove", "POOL [ADDRESS]", 1, 2, NULL, "removes a source address, or the whole pool", LAYOUT_DETAILS, 0},
    {"bind", "MATCH POOL", 2, 2, NULL, "sends mail of sender:DOMAIN or class:bulk from a pool", LAYOUT_DETAILS, 0},
    {"unbind", "MATCH", 1, 1, NULL, "ends that", LAYOUT_DETAILS, 0},
    {"bindings", "[TEXT]", 0, 1, list_options, "lists who is bound to which pool", LAYOUT_TABLE, 0, "no bindings"},
    {0}};
