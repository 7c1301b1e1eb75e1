/* The certificates in force, for metrics and `staffetta status`: how long each is good for. */
#pragma once
#include "base/buf.h"

struct role;

/* A row for each: {"kind": "certificate", "name", "not_after", "days_left"}. */
void certificates_rows(struct role *role, void (*row)(void *owner, struct str json), void *owner);
/* Sets the metric; before metrics are written. */
void certificates_count(struct role *role);
void certificates_show_metric(void);
