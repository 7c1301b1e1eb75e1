/* staffetta status, staffetta check-sandbox. */
#include "cli/verb.h"

const struct verb status_verbs[] = {
    {"", "", 0, 0, NULL, "processes, listeners and the numbers that tell how the server is doing", LAYOUT_STATUS, 0},
    {0}};

const struct verb check_sandbox_verbs[] = {
    {"", "", 0, 0, NULL, "what each role tried and whether the kernel refused it", LAYOUT_TABLE, 0}, {0}};
