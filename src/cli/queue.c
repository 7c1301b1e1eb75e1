/* staffetta queue: messages on their way. */
#include "cli/verb.h"

#define FILTERS                                                                                    \
    {"recipient", "ADDRESS", NULL}, {"sender", "ADDRESS", NULL}, {"domain", "NAME", NULL},         \
        {"class", "transactional|bulk", NULL}, {"state", "waiting|held|active", NULL}, {"older", "TIME", "older_than"}, \
        {"younger", "TIME", "younger_than"}, {"reply", "WORDS", NULL}, {"limit", "N", NULL}

static const struct verb_option filters[] = {FILTERS, {"after", "ID/N", NULL}, {0}};
static const struct verb_option some[] = {FILTERS, {"all", NULL, "all=yes"}, {0}};

const struct verb queue_verbs[] = {
    {"summary", "", 0, 0, NULL, "how much waits, and for which destinations", LAYOUT_TABLE, 0},
    {"list", "", 0, 0, filters, "lists recipients that wait", LAYOUT_TABLE, 0, "nothing waits"},
    {"show", "QUEUE-ID", 1, 1, NULL, "shows a message and each of its recipients", LAYOUT_DETAILS, 0},
    {"hold", "[QUEUE-ID]", 0, 1, some, "keeps messages back until they are released",
        LAYOUT_DETAILS, VERB_NEEDS_OPTION},
    {"release", "[QUEUE-ID]", 0, 1, some, "lets held messages go", LAYOUT_DETAILS, VERB_NEEDS_OPTION},
    {"retry", "[QUEUE-ID]", 0, 1, some, "tries again now", LAYOUT_DETAILS, VERB_NEEDS_OPTION},
    {"delete", "[QUEUE-ID]", 0, 1, some, "deletes without a word to the sender", LAYOUT_DETAILS, VERB_NEEDS_OPTION},
    {"export", "QUEUE-ID", 1, 1, NULL, "writes the message to standard output", LAYOUT_TEXT, 0},
    {"salvage", "FILE", 1, 1, NULL,
        "copies what can be read of a damaged shard, while the server is stopped", LAYOUT_DETAILS,
        0},
    {0}};
