/* staffetta account: mailboxes and their passwords. */
#include "cli/verb.h"

#define SETTINGS                                                                                   \
    {"quota", "SIZE|none", NULL}, {"quota-messages", "N|none", NULL}, {"messages-per-hour", "N|default|none", NULL},      \
        {"recipients-per-hour", "N|default|none", NULL}, {"kind", "normal|sending-only", NULL},                 \
        {"send-as", "own|domain|any", NULL}, {"enabled", "yes|no", NULL}

static const struct verb_option settings[] = {SETTINGS, {"password", "TEXT", NULL}, {0}};
static const struct verb_option remove_options[] = {{"force", NULL, "force=yes"}, {0}};
static const struct verb_option restore_options[] = {{"overwrite", NULL, "overwrite"}, {0}};
static const struct verb_option list_options[] = {{"domain", "NAME", NULL}, {"limit", "N", NULL}, {0}};

const struct verb account_verbs[] = {
    {"add", "ADDRESS", 1, 1, settings,
        "makes a mailbox; the password is asked for, or is the first line of standard input",
        LAYOUT_DETAILS, VERB_PASSWORD},
    {"list", "[TEXT]", 0, 1, list_options, "lists accounts", LAYOUT_TABLE, 0, "no accounts"},
    {"show", "ADDRESS", 1, 1, NULL, "shows one account, and how much it holds", LAYOUT_DETAILS,
        VERB_WITH_USAGE},
    {"set", "ADDRESS", 1, 1, settings, "changes an account; --password asks for a new one", LAYOUT_DETAILS,
        VERB_MAY_PASSWORD},
    {"remove", "ADDRESS", 1, 1, remove_options, "removes an account and its mailbox", LAYOUT_DETAILS, 0},
    {"backup", "ADDRESS FILE", 2, 2, NULL, "writes the mailbox of an account into a file, while the server runs", LAYOUT_DETAILS,
        VERB_BACKUP},
    {"restore", "ADDRESS FILE", 2, 2, restore_options,
        "gives an account the mailbox of a backup; one that is not empty is replaced with --overwrite only", LAYOUT_DETAILS,
        VERB_BACKUP},
    {"verify", "FILE", 1, 1, NULL, "tells whether a backup is whole and could be restored: checksum, pages, counts, every message", LAYOUT_DETAILS, VERB_BACKUP},
    {0}};
