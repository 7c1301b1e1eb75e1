/* Prometheus text of many processes as one: each metric's HELP and TYPE once, its samples together. */
#pragma once
#include "base/buf.h"
#include "base/str.h"

struct exposition;

struct exposition *exposition_new(size_t ceiling); /* of the whole text */
void exposition_free(struct exposition *e);
/* Adds the text of one process; lines that are no samples or comments are dropped. */
void exposition_add(struct exposition *e, struct str text);
/* Everything added so far. False when it went over the ceiling (out then holds a part). */
bool exposition_write(const struct exposition *e, struct buf *out);
/* The sum of a metric's samples over all processes; `labels` (may be NULL) must be among its labels.
 * False when there is no such sample. */
bool exposition_sum(const struct exposition *e, const char *name, const char *labels, int64_t *sum);
/* The largest instead: ages. */
bool exposition_largest(const struct exposition *e, const char *name, const char *labels, int64_t *largest);
