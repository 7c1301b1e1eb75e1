/* The options of the load generator, a row each. See wanted.h. */
#include "wanted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wanted wanted = {
    .sessions = 1,
    .messages = UINT64_MAX,
    .many = 1,
    .size = 5000,
    .cycle = 1,
    .each = 1,
    .sources = 1,
    .from = "bench@load.example",
    .rcpt = "x@void.example",
    .parameters = "",
};

static void usage(void)
{
    fprintf(stderr, "usage: bench-source --port=N [--sessions=N] [--messages=N] [--seconds=N] "
                    "[--many=MESSAGES A CONNECTION]\n"
                    "       [--size=BYTES] [--from=ADDRESS] [--rcpt=ADDRESS WITH %%d OR %%a] [--cycle=N] "
                    "[--each=RECIPIENTS A MESSAGE]\n"
                    "       [--sources=LOOPBACK ADDRESSES] [--auth=BASE64 OF PLAIN] "
                    "[--parameters=OF MAIL] [--starttls] [--lmtp] [--hold [--drip]] [--skip=RECIPIENTS OF THE CYCLE]\n");
    exit(64);
}

/* One row an option; exactly one of number, text and flag is set. */
static const struct {
    const char *name;
    uint64_t *number;
    const char **text;
    bool *flag;
} options[] = {
    {"port", &wanted.port, NULL, NULL},
    {"sessions", &wanted.sessions, NULL, NULL},
    {"messages", &wanted.messages, NULL, NULL},
    {"seconds", &wanted.seconds, NULL, NULL},
    {"many", &wanted.many, NULL, NULL},
    {"size", &wanted.size, NULL, NULL},
    {"from", NULL, &wanted.from, NULL},
    {"rcpt", NULL, &wanted.rcpt, NULL},
    {"auth", NULL, &wanted.auth, NULL},
    {"parameters", NULL, &wanted.parameters, NULL},
    {"cycle", &wanted.cycle, NULL, NULL},
    {"each", &wanted.each, NULL, NULL},
    {"sources", &wanted.sources, NULL, NULL},
    {"skip", &wanted.skip, NULL, NULL},
    {"starttls", NULL, NULL, &wanted.starttls},
    {"hold", NULL, NULL, &wanted.hold},
    {"drip", NULL, NULL, &wanted.drip},
    {"lmtp", NULL, NULL, &wanted.lmtp},
};

/* "name=value" or "name" into its row; false when it is neither. */
static bool take_option(const char *arg)
{
    size_t n = strcspn(arg, "=");

    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        char *end = NULL;

        if (strlen(options[i].name) != n || strncmp(options[i].name, arg, n) != 0)
            continue;
        if (options[i].flag) {
            *options[i].flag = true;
            return arg[n] == '\0';
        }
        if (arg[n] == '\0' || arg[n + 1] == '\0')
            return false;
        if (options[i].text) {
            *options[i].text = arg + n + 1;
            return true;
        }
        *options[i].number = strtoull(arg + n + 1, &end, 10);
        return *end == '\0' && *options[i].number > 0;
    }
    return false;
}

void wanted_read(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0 || !take_option(argv[i] + 2))
            usage();
    }
    if (!wanted.port || wanted.port > UINT16_MAX ||
        (wanted.messages == UINT64_MAX && !wanted.seconds && !wanted.hold) || (wanted.lmtp && wanted.each > 1))
        usage();
}
