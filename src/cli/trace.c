/* staffetta trace: the whole story of a message. */
#include "cli/verb.h"

static const struct verb_option options[] = {{"limit", "N", NULL}, {"since", "TIME", NULL}, {0}};

const struct verb trace_verbs[] = {
    {"", "QUEUE-ID|MESSAGE-ID|ADDRESS", 1, 1, options,
        "tells in order what happened to a message, or to the last 20 messages from or to an address", LAYOUT_STORY, 0},
    {0}};
