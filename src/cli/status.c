/* staffetta status, staffetta check-sandbox. */
#include "cli/verb.h"

static const struct verb_option status_options[] = {{"verify", NULL, "verify"}, {"accept", NULL, "accept"}, {0}};

const struct verb status_verbs[] = {
    {"", "", 0, 0, status_options,
        "processes, listeners and the numbers that tell how the server is doing; with --verify whether they all add up",
        LAYOUT_STATUS, 0},
    {0}};

const struct verb check_sandbox_verbs[] = {
    {"", "", 0, 0, NULL, "what each role tried and whether the kernel refused it", LAYOUT_TABLE, 0}, {0}};
