/* Never waits for a slow reader of the log: lines are lost then, with a note where.
 *
 * One line an event on standard error, for people or as JSON. Lines are collected and written by
 * log_flush(), which the role's loop calls once a turn; errors are written at once.
 *
 *   log_event(LOG_LEVEL_INFO, "accepted", "message=%s size=%zu from=%.*s", ...);
 *
 * The format is a list of key=value pairs separated by one blank; a value runs up to the next
 * " key=" written in the format, so values may hold blanks and whatever looks like a key. Control bytes
 * are escaped: a remote peer cannot write lines or pairs of its own into the log. */
#pragma once
#include "base/err.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

void log_open(const char *role, unsigned copy); /* the name on every line: "smtp[0]" */
void log_set(enum log_level least, bool json);
bool log_wants(enum log_level level);
void log_event(enum log_level level, const char *event, const char *format, ...) PRINTF(3, 4);
void log_flush(void);
/* The last line of a process that cannot go on, from the handler of a signal: no memory is asked for, no randomness.
 * `reason` is a literal without quotes. */
void log_last_words(const char *reason);

#define log_debug(event, ...)                                                                      \
    do {                                                                                           \
        if (log_wants(LOG_LEVEL_DEBUG))                                                            \
            log_event(LOG_LEVEL_DEBUG, event, __VA_ARGS__);                                        \
    } while (0)
#define log_info(event, ...) log_event(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_warning(event, ...) log_event(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_error(event, ...) log_event(LOG_LEVEL_ERROR, event, __VA_ARGS__)
