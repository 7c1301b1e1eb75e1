/* Inside of config/: what the two passes over a parsed file share. */
#pragma once
#include "config/table.h"

#include <confuse.h>

/* One run of config_parse. */
struct reading {
    struct str path;
    struct config *config;
    cfg_t *root;
    struct err *err;
    bool failed;
};

/* Keeps the first failure only: "path:line: text". Always false. */
bool reading_fail(struct reading *r, int line, const char *format, ...) PRINTF(3, 4);
/* The line a directive was given in; that of the end of its section when it was not. */
int reading_line(cfg_t *section, const char *directive);
bool reading_given(cfg_t *section, const char *directive);
/* From the arena of the configuration; latches a failure and gives NULL when that is full. */
void *reading_alloc(struct reading *r, size_t count, size_t size);

/* Second pass: what is derived from the directives, and what they must keep among each other. */
bool reading_check(struct reading *r);
