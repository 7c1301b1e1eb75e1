/* The ESMTP parameters behind an address: "SIZE=100 BODY=8BITMIME SMTPUTF8" (RFC 5321 4.1.2), read by
 * a table of the command. */
#pragma once
#include "smtp/command.h"

enum parameter_value { VALUE_NONE, VALUE_NEEDED };

struct parameter {
    const char *keyword;
    unsigned extension; /* EXT_ bit that must be offered */
    enum parameter_value value;
    /* Stores the value; false: `reason` is the reply. */
    bool (*read)(void *out, struct str value);
    const char *reason;
};

/* rest: what follows the path. Each keyword may come once. */
bool parameters_read(struct str rest, const struct parameter *table, size_t n, unsigned extensions,
    void *out, struct refusal *no);
