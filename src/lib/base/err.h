/* One way to fail. A function that can fail because of the world returns MUST_CHECK bool and fills
 * struct err; our own bugs and lack of memory end the process through fatal(). */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF(text, first) __attribute__((format(printf, text, first)))

enum err_kind {
    ERR_NONE,
    ERR_TEMPORARY, /* may work later: disk full, DNS silent */
    ERR_PERMANENT, /* will not work by itself: bad input, wrong owner */
    ERR_LIMIT,     /* refused to protect ourselves */
    ERR_DAMAGED,   /* a file is not what it should be: nothing but a repair or a backup helps */
};

struct err {
    enum err_kind kind;
    char text[400];
};

/* Sets the reason; always returns false, so that `return err_set(...)` reads well. err may be NULL. */
bool err_set(struct err *err, enum err_kind kind, const char *format, ...) PRINTF(3, 4);
/* Puts "what: " before the reason; always returns false. */
bool err_prefix(struct err *err, const char *format, ...) PRINTF(2, 3);

/* Logs and ends the process with exit code 70; the supervisor starts the role again. */
_Noreturn void fatal(const char *format, ...) PRINTF(1, 2);
/* The same with exit code 65: our data is damaged, and a new start changes nothing before somebody has mended what the
 * text names. A server that is just starting ends with this code too, and systemd leaves it alone. */
_Noreturn void fatal_data(const char *format, ...) PRINTF(1, 2);

/* Allocation that cannot fail: fatal() when memory is gone. xcalloc clears. */
void *xmalloc(size_t n);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrndup(const char *p, size_t n);
