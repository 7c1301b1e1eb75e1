/* Counters, gauges and histograms of this process, shown as Prometheus text.
 *
 * A module declares its metrics as static objects and counts on them; the first use registers them:
 *
 *   static struct metric accepted = METRIC_COUNTER("staffetta_smtp_accepted_total", "Messages answered with 250.");
 *   metric_add(&accepted, 1);
 */
#pragma once
#include "base/buf.h"

enum metric_kind { METRIC_IS_COUNTER, METRIC_IS_GAUGE, METRIC_IS_HISTOGRAM };
enum { METRIC_BUCKETS = 10 };

struct metric {
    const char *name, *help;
    const char *labels; /* "reason=\"policy\"" or NULL */
    enum metric_kind kind;
    bool registered;
    struct metric *next;
    int64_t value;                     /* histogram: sum in microseconds */
    uint64_t bucket[METRIC_BUCKETS + 1]; /* histogram */
};

#define METRIC_COUNTER(n, h) {.name = (n), .help = (h), .kind = METRIC_IS_COUNTER}
#define METRIC_COUNTER_L(n, l, h) {.name = (n), .labels = (l), .help = (h), .kind = METRIC_IS_COUNTER}
#define METRIC_GAUGE(n, h) {.name = (n), .help = (h), .kind = METRIC_IS_GAUGE}
#define METRIC_GAUGE_L(n, l, h) {.name = (n), .labels = (l), .help = (h), .kind = METRIC_IS_GAUGE}
#define METRIC_HISTOGRAM(n, h) {.name = (n), .help = (h), .kind = METRIC_IS_HISTOGRAM}

void metric_add(struct metric *m, int64_t n); /* counter, gauge */
void metric_set(struct metric *m, int64_t value); /* gauge */
void metric_observe(struct metric *m, int64_t microseconds); /* histogram of seconds: 1 ms .. 60 s */
/* Registers without counting, so that a zero is shown. */
void metric_show(struct metric *m);
/* All registered metrics; `role` and `copy` become labels. */
void metric_write(struct buf *out, const char *role, unsigned copy);
