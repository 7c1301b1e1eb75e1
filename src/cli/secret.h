/* A password: asked without echo on a terminal, else one line of standard input. Never on the command
 * line, never in a log, wiped when done. */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum { SECRET_MAX = 512 };

struct secret {
    char text[SECRET_MAX];
    size_t n;
};

/* False after a message on standard error. On a terminal it asks twice. */
bool secret_read(struct secret *s);
/* One that exists already: the first line of a file, or, without its path, asked for once or a line of standard input. */
MUST_CHECK bool secret_read_once(struct secret *s, struct str file, struct err *err);
struct str secret_str(const struct secret *s);
void secret_clear(struct secret *s);
