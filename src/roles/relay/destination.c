/* A destination: a recipient domain (by MX) or the hosts of a route. Its plan is looked up once for
 * all deliveries that wait for it and kept as long as DNS allows. */
#include "relay.h"
#include "base/metric.h"
#include "smtp/address.h"
#include "tls_lookup.h"
#include "tls_rule.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

enum { QUERIES_MAX = 1 + 2 * PLAN_TARGETS, KEPT_MAX = 20000, LEAST_TTL = 5, LONGEST_TTL = 3600,
    LOOKUP_SECONDS = 60, KEEP_SECONDS = 120 };

static struct metric lookups = METRIC_COUNTER("staffetta_relay_lookups_total", "Destinations looked up.");
static struct metric lookup_failures = METRIC_COUNTER("staffetta_relay_lookup_failures_total",
    "Look-ups that gave no server.");

/* One question: which target's addresses; the MX question has none. */
struct question {
    struct dns_query query;
    size_t target;
    bool open;
};

struct destination {
    struct map_node node;
    struct relay *relay;
    struct str name, hosts; /* owned */
    struct str domain;      /* A-labels */
    enum route_kind route;
    enum route_tls tls;
    struct list waiting;    /* while it is looked up */
    size_t deliveries;
    struct plan *plan;      /* NULL until looked up */
    struct plan *making;    /* while it is looked up */
    struct question *questions; /* while it is looked up */
    struct tls_lookup *published; /* the last part of that */
    size_t question_count, open_questions;
    uint32_t ttl;
    int64_t asked, last_used;
    uint64_t window;        /* what queue was told */
};

static void finish_lookup(struct destination *dest);

static uint64_t hash_of(const struct delivery *d)
{
    return map_hash_istr(d->destination) + (uint64_t)d->way.route * 31 + (uint64_t)d->way.tls;
}

static bool is_for(const struct destination *dest, const struct delivery *d)
{
    return dest->route == d->way.route && dest->tls == d->way.tls && str_ieq(dest->name, d->destination) &&
           str_eq(dest->hosts, d->hosts);
}

static struct destination *find_or_add(struct relay *relay, struct delivery *d)
{
    struct map_node *node = map_find(&relay->destinations, hash_of(d));
    struct destination *dest;

    for (; node != NULL; node = map_find_next(node))
        if (is_for(CONTAINER(node, struct destination, node), d))
            return CONTAINER(node, struct destination, node);
    dest = xcalloc(1, sizeof *dest);
    dest->relay = relay;
    dest->name = str_dup(d->destination);
    dest->hosts = str_dup(d->hosts);
    dest->domain = str_dup(d->domain);
    dest->route = d->way.route;
    dest->tls = d->way.tls;
    list_init(&dest->waiting);
    map_add(&relay->destinations, &dest->node, hash_of(d));
    return dest;
}

static void drop_questions(struct destination *dest)
{
    tls_lookup_free(dest->published);
    dest->published = NULL;
    for (size_t i = 0; i < dest->question_count; i++)
        dns_client_cancel(&dest->relay->dns, &dest->questions[i].query);
    free(dest->questions);
    dest->questions = NULL;
    dest->question_count = dest->open_questions = 0;
}

static void free_destination(struct destination *dest)
{
    map_remove(&dest->relay->destinations, &dest->node);
    drop_questions(dest);
    plan_drop(dest->plan);
    plan_drop(dest->making);
    str_free(&dest->name);
    str_free(&dest->hosts);
    str_free(&dest->domain);
    free(dest);
}

/* ---- looking up ---- */

static void note_ttl(struct destination *dest, const struct msg_dns_reply *reply)
{
    if (reply->ttl < dest->ttl)
        dest->ttl = (uint32_t)reply->ttl;
}

static void on_published(void *owner)
{
    finish_lookup(owner);
}

/* The servers are known; what is published about TLS with them is asked before the plan is used. */
static void ask_published(struct destination *dest)
{
    dest->published = tls_lookup_start(dest->relay, dest->making, dest->domain, dest->plan, on_published, dest);
    if (dest->published == NULL)
        finish_lookup(dest);
}

static void end_question(struct destination *dest, struct question *q)
{
    q->open = false;
    if (--dest->open_questions == 0)
        ask_published(dest);
}

static void on_address(struct dns_query *query, const struct msg_dns_reply *reply)
{
    struct destination *dest = query->owner;
    struct question *q = CONTAINER(query, struct question, query);

    if (reply->status == DNS_OK)
        note_ttl(dest, reply);
    plan_take_addresses(&dest->making->targets[q->target], (enum dns_type)query->type, reply);
    end_question(dest, q);
}

static struct question *new_question(struct destination *dest)
{
    struct question *q = &dest->questions[dest->question_count++];

    *q = (struct question){.open = true};
    dest->open_questions++;
    return q;
}

static void ask_addresses_of(struct destination *dest, size_t target, enum dns_type type)
{
    struct question *q = new_question(dest);

    q->target = target;
    if (!dns_client_ask(&dest->relay->dns, &q->query, str_of(dest->making->targets[target].host),
        type, on_address, dest))
        q->open = false, dest->open_questions--;
}

static void ask_addresses(struct destination *dest)
{
    bool ipv6 = role_config(dest->relay->role)->relay.ipv6;

    dest->open_questions++; /* holds the end back until all are asked */
    for (size_t i = 0; i < dest->making->n; i++) {
        if (dest->making->targets[i].literal)
            continue;
        ask_addresses_of(dest, i, DNS_A);
        if (ipv6)
            ask_addresses_of(dest, i, DNS_AAAA);
    }
    if (--dest->open_questions == 0)
        ask_published(dest);
}

static void on_mx(struct dns_query *query, const struct msg_dns_reply *reply)
{
    struct destination *dest = query->owner;
    struct question *q = CONTAINER(query, struct question, query);
    uint16_t port = (uint16_t)role_config(dest->relay->role)->relay.port;

    q->open = false;
    dest->open_questions--;
    if (reply->status == DNS_OK)
        note_ttl(dest, reply);
    if (plan_take_mx(dest->making, dest->domain, port, reply))
        ask_addresses(dest);
    else
        finish_lookup(dest);
}

static uint16_t default_port(const struct destination *dest)
{
    if (dest->route == ROUTE_LMTP)
        return 24;
    return dest->tls == TLS_IMPLICIT ? 465 : 25;
}

/* The domain as it is asked for: A-labels, no literal. */
static bool ascii_domain(struct destination *dest, struct ip *literal)
{
    const char *why = NULL;
    struct buf text;
    bool ok;

    *literal = (struct ip){0};
    if (dest->domain.n > 0 && dest->domain.p[0] == '[')
        return domain_literal(dest->domain, literal);
    buf_init(&text, DNS_NAME_TEXT);
    ok = domain_write(dest->domain, &text, &why);
    if (ok) {
        str_free(&dest->domain);
        dest->domain = str_dup(buf_str(&text));
    }
    buf_clear(&text);
    return ok;
}

static void start_lookup(struct destination *dest)
{
    uint16_t port = (uint16_t)role_config(dest->relay->role)->relay.port;
    struct ip literal;

    metric_add(&lookups, 1);
    dest->making = plan_new();
    dest->questions = xcalloc(QUERIES_MAX, sizeof dest->questions[0]);
    dest->ttl = LONGEST_TTL;
    dest->asked = clock_monotonic();
    if (dest->route != ROUTE_MX || dest->hosts.n > 0) {
        plan_take_hosts(dest->making, dest->hosts, default_port(dest));
        ask_addresses(dest);
    } else if (!ascii_domain(dest, &literal)) {
        plan_refuse(dest->making, 550, REASON_DNS, "5.1.2 %.*s is no mail domain",
            dest->domain.n > 200 ? 200 : (int)dest->domain.n, dest->domain.n ? dest->domain.p : "");
        finish_lookup(dest);
    } else if (literal.family != 0) {
        plan_take_literal(dest->making, &literal, port);
        finish_lookup(dest);
    } else if (!dns_client_ask(
                   &dest->relay->dns, &new_question(dest)->query, dest->domain, DNS_MX, on_mx, dest)) {
        plan_refuse(dest->making, 550, REASON_DNS, "5.1.2 %.*s is no mail domain", STR_ARG(dest->domain));
        finish_lookup(dest);
    }
}

static void refuse(struct destination *dest, struct delivery *d)
{
    const struct plan_verdict *v = &dest->plan->verdict;

    delivery_finish(dest->relay, d,
        &(struct client_outcome){v->code >= 500 ? DELIVERY_FAILED : DELIVERY_DEFERRED, v->reason, v->code, false, false,
            str_of(v->text)},
        NULL);
}

/* The plan is there: on to the site, or back to queue with the verdict. */
static void go_on(struct destination *dest, struct delivery *d)
{
    list_remove(&d->link);
    if (dest->plan->verdict.code != 0) {
        refuse(dest, d);
        return;
    }
    d->plan = plan_hold(dest->plan);
    if (delivery_obeys_policies(dest->relay, d))
        site_take(dest->relay, d, false);
}

static void finish_lookup(struct destination *dest)
{
    struct plan_self self = {role_config(dest->relay->role)->hostname, relay_is_us, dest->relay};
    int64_t ttl = dest->ttl < dest->making->published_ttl ? dest->ttl : dest->making->published_ttl;

    if (ttl < LEAST_TTL)
        ttl = LEAST_TTL;
    drop_questions(dest);
    plan_finish(dest->making, dest->route == ROUTE_MX ? dest->domain : dest->hosts, &self);
    plan_drop(dest->plan);
    dest->plan = dest->making;
    dest->making = NULL;
    /* A verdict is not kept: the resolver caches what may be cached. */
    dest->plan->expires = dest->plan->verdict.code != 0 ? 0 : clock_monotonic() + ttl * SECOND;
    metric_add(&lookup_failures, dest->plan->verdict.code != 0);
    dest->deliveries++; /* keeps it while the last delivery leaves */
    LIST_EACH(&dest->waiting, it)
        go_on(dest, CONTAINER(it, struct delivery, link));
    dest->deliveries--;
}

/* ---- for the others ---- */

void destination_take(struct relay *relay, struct delivery *d)
{
    struct destination *dest = find_or_add(relay, d);

    dest->last_used = clock_monotonic();
    if (dest->deliveries >= DELIVERIES_PER_DESTINATION) {
        delivery_finish(relay, d,
            &(struct client_outcome){DELIVERY_DEFERRED, REASON_LIMIT, 451, false, false,
                STR("4.3.2 too many deliveries to this destination are under way")},
            NULL);
        return;
    }
    d->at = dest;
    dest->deliveries++;
    if (dest->plan != NULL && dest->plan->expires > dest->last_used) {
        go_on(dest, d);
        return;
    }
    list_add_last(&dest->waiting, &d->link);
    if (dest->making == NULL)
        start_lookup(dest);
}

struct str destination_domain(const struct destination *d)
{
    return d->domain;
}

void destination_leave(struct delivery *d)
{
    if (d->at != NULL)
        d->at->deliveries--;
    d->at = NULL;
}

/* The resolver is silent or gone: nobody waits for ever. */
static void give_up_lookup(struct destination *dest)
{
    plan_refuse(dest->making, 451, REASON_DNS, "4.4.3 the look-up of %.*s took too long",
        dest->name.n > 200 ? 200 : (int)dest->name.n, dest->name.n ? dest->name.p : "");
    finish_lookup(dest);
}

void destination_sweep(struct relay *relay, int64_t now)
{
    int64_t keep = relay->destinations.count > KEPT_MAX ? 0 : KEEP_SECONDS * SECOND;
    struct map_node *node = map_walk(&relay->destinations, NULL);

    while (node != NULL) {
        struct destination *dest = CONTAINER(node, struct destination, node);

        node = map_walk(&relay->destinations, node);
        if (dest->making != NULL && now - dest->asked > LOOKUP_SECONDS * SECOND)
            give_up_lookup(dest);
        else if (dest->deliveries == 0 && dest->making == NULL && now - dest->last_used > keep)
            free_destination(dest);
    }
}

void destination_send_window(struct relay *relay, struct destination *dest, uint64_t window)
{
    if (dest == NULL || dest->window == window)
        return;
    dest->window = window;
    for (unsigned i = 0; i < role_peers(relay->role, ROLE_QUEUE); i++) {
        struct channel *queue = role_peer(relay->role, ROLE_QUEUE, i);

        if (queue != NULL)
            ipc_send_window(queue, &(struct msg_window){window, dest->name});
    }
}

void destination_forget_windows(struct relay *relay)
{
    for (struct map_node *n = map_walk(&relay->destinations, NULL); n != NULL; n = map_walk(&relay->destinations, n))
        CONTAINER(n, struct destination, node)->window = 0;
}

void destination_close(struct relay *relay)
{
    for (struct map_node *node; (node = map_walk(&relay->destinations, NULL)) != NULL;)
        free_destination(CONTAINER(node, struct destination, node));
    map_clear(&relay->destinations);
}
