#include "base/err.h"
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

bool err_set(struct err *err, enum err_kind kind, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return false;
    err->kind = kind;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return false;
}

bool err_prefix(struct err *err, const char *format, ...)
{
    char reason[sizeof err->text];
    va_list args;
    int n;

    if (err == NULL)
        return false;
    memcpy(reason, err->text, sizeof reason);
    va_start(args, format);
    n = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof err->text)
        snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s", reason);
    return false;
}

static _Noreturn void end(int code, const char *format, va_list args) PRINTF(2, 0);

static _Noreturn void end(int code, const char *format, va_list args)
{
    char text[1000];

    vsnprintf(text, sizeof text, format, args);
    log_event(LOG_LEVEL_ERROR, "fatal", "reason=%s", text);
    log_flush();
    _exit(code);
}

void fatal(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    end(EX_SOFTWARE, format, args);
}

void fatal_data(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    end(EX_DATAERR, format, args);
}

static void *check(void *p)
{
    if (p == NULL)
        fatal("out of memory");
    return p;
}

void *xmalloc(size_t n)
{
    return check(malloc(n ? n : 1));
}

void *xcalloc(size_t count, size_t size)
{
    return check(calloc(count ? count : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t n)
{
    return check(realloc(p, n ? n : 1));
}

char *xstrndup(const char *p, size_t n)
{
    char *copy = xmalloc(n + 1);

    if (n)
        memcpy(copy, p, n);
    copy[n] = 0;
    return copy;
}
