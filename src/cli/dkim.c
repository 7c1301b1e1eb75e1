/* staffetta dkim: the keys that sign mail of a domain. */
#include "cli/verb.h"

static const struct verb_option make_options[] = {
    {"algorithm", "rsa|ed25519", NULL}, {"selector", "NAME", NULL}, {0}};
static const struct verb_option rotate_options[] = {{"algorithm", "rsa|ed25519", NULL}, {0}};
static const struct verb_option list_options[] = {{"limit", "N", NULL}, {0}};

const struct verb dkim_verbs[] = {
    {"make", "DOMAIN", 1, 1, make_options,
        "makes the keys that are missing, or one more with --algorithm; prints the records to publish as lines of a zone file", LAYOUT_TEXT, 0},
    {"show", "DOMAIN [SELECTOR]", 1, 2, NULL, "prints the records that belong into DNS", LAYOUT_TEXT, 0},
    {"check", "DOMAIN", 1, 1, NULL,
        "looks the records up, takes keys that are published into use; 65 unless all records are there", LAYOUT_TABLE, 0},
    {"confirm", "DOMAIN [SELECTOR]", 1, 2, NULL,
        "says that the records of waiting keys are published, where this server cannot see it", LAYOUT_TABLE, 0},
    {"rotate", "DOMAIN", 1, 1, rotate_options,
        "makes successors of the keys in use, which take their place some time after they are published", LAYOUT_TEXT, 0},
    {"revoke", "DOMAIN SELECTOR", 2, 2, NULL,
        "gives a key up at once, wipes it, and makes another where none is left; prints all records to publish", LAYOUT_TEXT, 0},
    {"list", "[TEXT]", 0, 1, list_options, "lists keys, their states and what to do about them", LAYOUT_TABLE, 0, "no keys"},
    {0}};
