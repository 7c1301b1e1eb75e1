/* staffetta queue: messages on their way. */
#include "cli/verb.h"

#define FILTERS                                                                                    \
    {"recipient", "ADDRESS", NULL}, {"sender", "ADDRESS", NULL}, {"domain", "NAME", NULL},         \
        {"class", "transactional|bulk", NULL}, {"state", "waiting|held|active", NULL}, {"older", "TIME", NULL}, \
        {"newer", "TIME", NULL}, {"reply", "WORDS", NULL}, {"reason", "NAME", NULL}, {"limit", "N", NULL}

static const struct verb_option filters[] = {FILTERS, {0}};

const struct verb queue_verbs[] = {
    {"summary", "", 0, 0, NULL, "how much waits, and for which destinations", LAYOUT_TABLE, 0},
    {"list", "", 0, 0, filters, "lists recipients that wait", LAYOUT_TABLE, 0},
    {"show", "QUEUE-ID", 1, 1, NULL, "shows a message and each of its recipients", LAYOUT_DETAILS, 0},
    {"hold", "[QUEUE-ID]", 0, 1, filters, "keeps messages back until they are released", LAYOUT_DETAILS, VERB_NEEDS_OPTION},
    {"release", "[QUEUE-ID]", 0, 1, filters, "lets held messages go", LAYOUT_DETAILS, VERB_NEEDS_OPTION},
    {"retry", "[QUEUE-ID]", 0, 1, filters, "tries again now", LAYOUT_DETAILS, VERB_NEEDS_OPTION},
    {"delete", "[QUEUE-ID]", 0, 1, filters, "deletes without a word to the sender", LAYOUT_DETAILS, VERB_NEEDS_OPTION},
    {"export", "QUEUE-ID", 1, 1, NULL, "writes the message to standard output", LAYOUT_TEXT, 0},
    {0}};
