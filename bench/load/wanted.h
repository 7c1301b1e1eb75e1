/* wanted: what the load generator was told to do, read from its command line. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct wanted {
    uint64_t port, sessions, messages, seconds, many, size, cycle, each, sources, skip;
    const char *from, *rcpt, *auth, *parameters;
    bool starttls, hold, drip, lmtp;
};

extern struct wanted wanted;

/* Ends the program with the usage text when something is missing or wrong. */
void wanted_read(int argc, char **argv);
