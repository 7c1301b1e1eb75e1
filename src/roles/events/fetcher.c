/* See fetcher.h. */
#include "fetcher.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "net/https.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CA_MAX = 8 * 1024 * 1024, REFRESH_PAUSE = 10 /* seconds */ };

static struct metric fetched = METRIC_COUNTER_L("staffetta_events_policy_fetches_total", "result=\"ok\"", "MTA-STS policies fetched.");
static struct metric not_fetched = METRIC_COUNTER_L("staffetta_events_policy_fetches_total", "result=\"failed\"", "MTA-STS policies fetched.");

struct waiter {
    struct link link;
    struct channel *to;
    uint64_t id;
};

/* A policy that is being fetched: the addresses, then the policy itself. */
struct fetch {
    struct map_node node;
    struct fetcher *fetcher;
    char domain[DNS_NAME_TEXT], host[DNS_NAME_TEXT];
    struct sts_record record;
    struct list waiters;
    struct dns_query queries[2];
    unsigned open;
    struct ip addresses[HTTPS_ADDRESSES];
    size_t address_count;
    struct https_get *get;
};

/* The last fetch of a domain that failed. */
struct failure {
    struct map_node node;
    struct link link;
    char domain[DNS_NAME_TEXT];
    struct sts_failed failed;
    enum tls_result report;
};

static int64_t now_seconds(void)
{
    return clock_now() / SECOND;
}

/* ---- failures ---- */

static struct failure *find_failure(const struct fetcher *f, struct str domain)
{
    struct map_node *node = map_find(&f->failures, map_hash_istr(domain));

    for (; node != NULL; node = map_find_next(node))
        if (str_ieq(str_of(CONTAINER(node, struct failure, node)->domain), domain))
            return CONTAINER(node, struct failure, node);
    return NULL;
}

static void forget_failure(struct fetcher *f, struct failure *failure)
{
    map_remove(&f->failures, &failure->node);
    list_remove(&failure->link);
    free(failure);
}

static void note_failure(struct fetcher *f, const struct fetch *fetch, enum tls_result report)
{
    struct failure *failure = find_failure(f, str_of(fetch->domain));
    struct link *oldest = list_first(&f->by_age);

    if (failure != NULL)
        forget_failure(f, failure);
    else if (f->failures.count >= FAILURES_MAX && oldest != NULL)
        forget_failure(f, CONTAINER(oldest, struct failure, link));
    failure = xcalloc(1, sizeof *failure);
    snprintf(failure->domain, sizeof failure->domain, "%s", fetch->domain);
    failure->failed = (struct sts_failed){now_seconds(), fetch->record};
    failure->report = report;
    map_add(&f->failures, &failure->node, map_hash_istr(str_of(failure->domain)));
    list_add_last(&f->by_age, &failure->link);
}

/* ---- answers ---- */

static void reply(struct channel *to, uint64_t id, const struct sts_cached *cached, struct str text, enum tls_result failure)
{
    bool known = sts_is_fresh(cached, now_seconds());
    struct msg_sts_reply m = {.id = id, .known = known, .failure = failure};

    if (known) {
        m.ttl = (uint64_t)(cached->fetched + (int64_t)cached->max_age - now_seconds());
        m.policy = text;
    }
    ipc_send_sts_reply(to, &m);
}

static void fetch_free(struct fetch *fetch)
{
    struct fetcher *f = fetch->fetcher;

    https_cancel(fetch->get);
    for (size_t i = 0; i < 2; i++)
        dns_client_cancel(&f->dns, &fetch->queries[i]);
    LIST_EACH(&fetch->waiters, it) {
        list_remove(it);
        free(CONTAINER(it, struct waiter, link));
    }
    map_remove(&f->fetches, &fetch->node);
    free(fetch);
}

static void finish(struct fetch *fetch, const struct sts_cached *cached, struct str text, enum tls_result report)
{
    LIST_EACH(&fetch->waiters, it) {
        const struct waiter *w = CONTAINER(it, struct waiter, link);

        reply(w->to, w->id, cached, text, report);
    }
    fetch_free(fetch);
}

/* What was known before counts as long as it is fresh. */
static void fail(struct fetch *fetch, enum sts_fetch result, const char *why)
{
    struct fetcher *f = fetch->fetcher;
    struct sts_cached cached;
    enum tls_result report;
    struct buf text;

    buf_init(&text, STS_POLICY_MAX);
    policies_get(f->policies, str_of(fetch->domain), &cached, &text);
    report = sts_after_fetch(&cached, result, now_seconds()).report;
    metric_add(&not_fetched, 1);
    log_info("sts-failed", "domain=%s result=%s reason=%s", fetch->domain, tls_result_name(report), why);
    note_failure(f, fetch, report);
    finish(fetch, &cached, buf_str(&text), report);
    buf_clear(&text);
}

static void succeed(struct fetch *fetch, const struct sts_policy *policy, struct str text)
{
    struct fetcher *f = fetch->fetcher;
    struct sts_cached cached = {.present = true, .record = fetch->record, .mode = policy->mode, .max_age = policy->max_age,
        .fetched = now_seconds()};
    struct failure *before = find_failure(f, str_of(fetch->domain));

    if (before != NULL)
        forget_failure(f, before);
    metric_add(&fetched, 1);
    log_info("sts-fetched", "domain=%s id=%s mode=%s", fetch->domain, fetch->record.id, sts_mode_name(policy->mode));
    policies_put(f->policies, str_of(fetch->domain), &fetch->record, text, cached.fetched);
    finish(fetch, &cached, text, TLS_OK);
}

/* ---- fetching ---- */

static enum sts_fetch judge(const struct https_answer *a, struct sts_policy *policy, const char **why)
{
    static const enum sts_fetch results[] = {[HTTPS_ANSWERED] = STS_FETCHED, [HTTPS_UNREACHABLE] = STS_UNREACHABLE,
        [HTTPS_CERTIFICATE] = STS_CERTIFICATE, [HTTPS_TOO_LARGE] = STS_TOO_LARGE};

    *why = a->why;
    if (a->result != HTTPS_ANSWERED)
        return results[a->result];
    if (a->status != 200) {
        *why = "the status of the answer is not 200";
        return STS_STATUS;
    }
    if (!sts_is_media_type(a->content_type)) {
        *why = "the answer is no text/plain";
        return STS_MEDIA_TYPE;
    }
    return sts_policy_read(a->body, policy, why) ? STS_FETCHED : STS_INVALID;
}

static void on_fetched(void *owner, const struct https_answer *a)
{
    struct fetch *fetch = owner;
    struct sts_policy policy;
    const char *why;
    enum sts_fetch result = judge(a, &policy, &why);

    fetch->get = NULL;
    if (result == STS_FETCHED)
        succeed(fetch, &policy, a->body);
    else
        fail(fetch, result, why);
}

static void on_address(struct dns_query *query, const struct msg_dns_reply *m)
{
    struct fetch *fetch = query->owner;
    struct fetcher *f = fetch->fetcher;

    /* Half of the room for each family. */
    if (m->status == DNS_OK)
        fetch->address_count += dns_read_addresses(m->records, (enum dns_type)query->type, fetch->addresses + fetch->address_count,
            HTTPS_ADDRESSES / 2);
    if (--fetch->open > 0)
        return;
    if (fetch->address_count == 0) {
        fail(fetch, STS_UNREACHABLE, "the name of the policy server has no address");
        return;
    }
    fetch->get = https_start(f->https,
        &(struct https_request){.host = str_of(fetch->host), .path = STR("/.well-known/mta-sts.txt"),
            .port = (uint16_t)role_config(f->role)->relay.mta_sts_port, .addresses = fetch->addresses,
            .address_count = fetch->address_count, .longest = STS_POLICY_MAX, .within = FETCH_SECONDS * SECOND},
        on_fetched, fetch);
}

static struct fetch *find_fetch(const struct fetcher *f, struct str domain)
{
    struct map_node *node = map_find(&f->fetches, map_hash_istr(domain));

    for (; node != NULL; node = map_find_next(node))
        if (str_ieq(str_of(CONTAINER(node, struct fetch, node)->domain), domain))
            return CONTAINER(node, struct fetch, node);
    return NULL;
}

/* NULL: too many are under way, or there is no such name. */
static struct fetch *start(struct fetcher *f, struct str domain, const struct sts_record *record)
{
    struct fetch *fetch;
    char host[DNS_NAME_TEXT];
    int n = snprintf(host, sizeof host, "mta-sts.%.*s", STR_ARG(domain));

    if (f->fetches.count >= FETCHES_MAX || n < 0 || (size_t)n >= sizeof host || !dns_name_can_be_asked(str_of(host)))
        return NULL;
    fetch = xcalloc(1, sizeof *fetch);
    fetch->fetcher = f;
    fetch->record = *record;
    memcpy(fetch->domain, host + 8, (size_t)n - 8 + 1);
    memcpy(fetch->host, host, (size_t)n + 1);
    list_init(&fetch->waiters);
    map_add(&f->fetches, &fetch->node, map_hash_istr(domain));
    policies_tried(f->policies, domain, now_seconds());
    fetch->open = 2;
    (void)dns_client_ask(&f->dns, &fetch->queries[0], str_of(fetch->host), DNS_A, on_address, fetch);
    (void)dns_client_ask(&f->dns, &fetch->queries[1], str_of(fetch->host), DNS_AAAA, on_address, fetch);
    return fetch;
}

static void wait_for(struct fetch *fetch, struct channel *to, uint64_t id)
{
    struct waiter *w = xcalloc(1, sizeof *w);

    w->to = to;
    w->id = id;
    list_add_last(&fetch->waiters, &w->link);
}

/* ---- questions of relay ---- */

static bool read_ask(const struct msg_sts_ask *m, struct sts_record *record)
{
    if (m->lookup > STS_LOOKUP_FAILED || !dns_name_can_be_asked(m->domain) || m->record.n > STS_ID_MAX)
        return false;
    *record = (struct sts_record){""};
    if (m->record.n > 0)
        memcpy(record->id, m->record.p, m->record.n);
    return true;
}

void fetcher_on_ask(struct fetcher *f, struct channel *from, const struct msg_sts_ask *m)
{
    struct sts_failed failed = {.at = 0};
    struct failure *before = find_failure(f, m->domain);
    struct fetch *fetch = NULL;
    struct sts_cached cached = {.present = false};
    struct sts_record record;
    struct buf text;

    buf_init(&text, STS_POLICY_MAX);
    if (!read_ask(m, &record)) {
        reply(from, m->id, &cached, buf_str(&text), TLS_OK);
        return;
    }
    policies_get(f->policies, m->domain, &cached, &text);
    if (before != NULL)
        failed = before->failed;
    if (sts_next_step(&cached, (enum sts_lookup)m->lookup, &record, &failed, now_seconds()) == STS_FETCH) {
        fetch = find_fetch(f, m->domain);
        if (fetch == NULL)
            fetch = start(f, m->domain, &record);
    }
    /* The same policy as before is only made sure of: that takes nobody's time. */
    if (fetch != NULL && !(sts_is_fresh(&cached, now_seconds()) && strcmp(cached.record.id, record.id) == 0))
        wait_for(fetch, from, m->id);
    else
        reply(from, m->id, &cached, buf_str(&text), before != NULL && m->lookup == STS_LOOKUP_FOUND ? before->report : TLS_OK);
    buf_clear(&text);
}

void fetcher_on_dns(struct fetcher *f, const struct msg_dns_reply *m)
{
    dns_client_reply(&f->dns, m);
}

void fetcher_peer_up(struct fetcher *f, const struct channel *peer)
{
    if (channel_role(peer) == ROLE_RESOLVER)
        dns_client_resend(&f->dns);
}

void fetcher_peer_gone(struct fetcher *f, const struct channel *peer)
{
    for (struct map_node *n = map_walk(&f->fetches, NULL); n != NULL; n = map_walk(&f->fetches, n))
        LIST_EACH(&CONTAINER(n, struct fetch, node)->waiters, it) {
            if (CONTAINER(it, struct waiter, link)->to != peer)
                continue;
            list_remove(it);
            free(CONTAINER(it, struct waiter, link));
        }
}

/* ---- start, refreshes ---- */

static void send_dns(void *world, const struct msg_dns_ask *ask)
{
    struct fetcher *f = world;
    struct channel *resolver = role_peer(f->role, ROLE_RESOLVER, 0);

    if (resolver != NULL)
        ipc_send_dns_ask(resolver, ask); /* else asked again when it is back */
}

/* What was not asked for is fetched anew before it ends (RFC 8461 10.2), one policy at a time. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct fetcher *f = arg;
    struct sts_record record;
    struct buf domain;

    (void)fd;
    (void)what;
    buf_init(&domain, DNS_NAME_TEXT);
    if (f->fetches.count == 0 && policies_oldest(f->policies, now_seconds(), STS_REFRESH, &domain, &record) &&
        start(f, buf_str(&domain), &record) == NULL)
        policies_tried(f->policies, buf_str(&domain), now_seconds());
    buf_clear(&domain);
}

static struct str read_ca(struct str path)
{
    char name[4096], piece[16384];
    struct str copy = {0};
    struct buf text;
    size_t n;
    FILE *f;

    if (path.n == 0 || path.n >= sizeof name)
        return copy;
    snprintf(name, sizeof name, "%.*s", STR_ARG(path));
    f = fopen(name, "re");
    if (f == NULL) {
        log_warning("ca-file", "file=%s reason=cannot be read, no MTA-STS policy can be fetched", name);
        return copy;
    }
    buf_init(&text, CA_MAX);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_add(&text, (struct str){piece, n});
    fclose(f);
    copy = text.failed ? copy : str_dup(buf_str(&text));
    buf_clear(&text);
    return copy;
}

bool fetcher_open(struct fetcher *f, struct role *role, const char *path, struct err *err)
{
    struct str ca = read_ca(role_config(role)->relay.ca_file);
    bool ok;

    *f = (struct fetcher){.role = role, .timer = event_new(role_base(role), -1, EV_PERSIST, on_timer, f)};
    ok = https_new(&f->https, role_base(role), ca, err);
    str_free(&ca);
    if (!ok || f->timer == NULL)
        return ok && err_set(err, ERR_TEMPORARY, "no timer");
    f->policies = policies_open(path);
    map_init(&f->fetches);
    map_init(&f->failures);
    list_init(&f->by_age);
    dns_client_init(&f->dns, send_dns, f);
    metric_show(&fetched);
    metric_show(&not_fetched);
    event_add(f->timer, &(struct timeval){REFRESH_PAUSE, 0});
    return true;
}

void fetcher_close(struct fetcher *f)
{
    struct map_node *node;

    while ((node = map_walk(&f->fetches, NULL)) != NULL)
        fetch_free(CONTAINER(node, struct fetch, node));
    LIST_EACH(&f->by_age, it)
        forget_failure(f, CONTAINER(it, struct failure, link));
    map_clear(&f->fetches);
    map_clear(&f->failures);
    dns_client_clear(&f->dns);
    policies_close(f->policies);
    https_free(f->https);
    event_free(f->timer);
}
