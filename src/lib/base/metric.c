/* Prometheus text of this process's metrics. The registry is per process: it is the one global that
 * metrics are for. */
#include "base/metric.h"

#include <inttypes.h>

static struct metric *first;

static const int64_t bounds[METRIC_BUCKETS] = {
    1000, 5000, 10000, 50000, 100000, 500000, 1000000, 5000000, 20000000, 60000000};

void metric_show(struct metric *m)
{
    struct metric **at = &first;

    if (m->registered)
        return;
    while (*at != NULL && str_cmp(str_of((*at)->name), str_of(m->name)) <= 0)
        at = &(*at)->next;
    m->next = *at;
    *at = m;
    m->registered = true;
}

void metric_add(struct metric *m, int64_t n)
{
    metric_show(m);
    m->value += n;
}

void metric_set(struct metric *m, int64_t value)
{
    metric_show(m);
    m->value = value;
}

void metric_observe(struct metric *m, int64_t microseconds)
{
    size_t i = 0;

    metric_show(m);
    while (i < METRIC_BUCKETS && microseconds > bounds[i])
        i++;
    m->bucket[i]++;
    m->value += microseconds;
}

static void write_histogram(struct buf *out, const struct metric *m, const char *labels)
{
    uint64_t count = 0;

    for (size_t i = 0; i <= METRIC_BUCKETS; i++) {
        count += m->bucket[i];
        if (i < METRIC_BUCKETS)
            buf_addf(out, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", m->name, labels,
                (double)bounds[i] / 1e6, count);
    }
    buf_addf(out, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", m->name, labels, count);
    buf_addf(out, "%s_sum{%s} %g\n", m->name, labels, (double)m->value / 1e6);
    buf_addf(out, "%s_count{%s} %" PRIu64 "\n", m->name, labels, count);
}

void metric_write(struct buf *out, const char *role, unsigned copy)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    const char *last = "";

    for (const struct metric *m = first; m != NULL; m = m->next) {
        struct buf labels;

        if (!str_eq(str_of(last), str_of(m->name)))
            buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, kinds[m->kind]);
        last = m->name;
        buf_init(&labels, 512);
        buf_addf(&labels, "role=\"%s\",copy=\"%u\"%s%s%c", role, copy, m->labels ? "," : "",
            m->labels ? m->labels : "", 0);
        if (m->kind == METRIC_IS_HISTOGRAM)
            write_histogram(out, m, labels.p);
        else
            buf_addf(out, "%s{%s} %" PRId64 "\n", m->name, labels.p, m->value);
        buf_clear(&labels);
    }
}
