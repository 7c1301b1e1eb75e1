/* Values of rows as people read them. */
#pragma once
#include "base/buf.h"

struct json_t;

/* The text of a value: times relative to now, sizes with a unit, switches as yes and no, no control
 * bytes. `key` decides what a number means. */
void value_format(struct buf *out, const char *key, const struct json_t *value, int64_t now);
/* The same with the time of day beside the relative time. */
void value_format_long(struct buf *out, const char *key, const struct json_t *value, int64_t now);
/* "2026-11-22T03:30:00.123Z" as microseconds; false for other text. */
bool value_time(struct str text, int64_t *time);
void value_format_span(struct buf *out, int64_t microseconds); /* "3m", "2h 5m", "4d 1h" */
void value_format_size(struct buf *out, int64_t bytes);        /* "512", "1.5K", "50M" */
void value_add_clean(struct buf *out, struct str text);
/* Columns a text takes on a terminal, one for each character. */
int value_width(struct str text);
