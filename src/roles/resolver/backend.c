/* See backend.h. Where questions go: the servers of the configuration, else those of resolv.conf,
 * else from the root down. Answers are validated when there is a trust anchor. */
#include "backend.h"
#include "base/log.h"
#include "dns/packet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound-event.h>
#include <unbound.h>

enum { FILE_MAX = 64 * 1024, RECORDS_MAX = IPC_LIST, FORWARDERS_MAX = 8 };

struct backend {
    struct ub_ctx *ctx;
    backend_answered_fn *answered;
    void *owner;
    /* Of the answer that is being handed on. */
    struct buf records;
    struct dns_packet packet;
};

/* One call of libunbound's; freed in its callback. A cancelled one has no question. */
struct lookup {
    struct backend *backend;
    struct question *question;
};

static const char *const options[][2] = {
    {"do-not-query-localhost:", "no"}, /* a resolver on this machine is the usual set-up */
    {"outgoing-range:", "256"},
    {"num-queries-per-thread:", "2048"},
    {"outgoing-num-tcp:", "32"},
    {"msg-cache-size:", "16m"},
    {"rrset-cache-size:", "32m"},
    {"cache-max-negative-ttl:", "900"},
    {"val-log-level:", "0"},
};

static struct str read_file(const char *path)
{
    FILE *f = fopen(path, "re");
    struct buf text;
    char piece[4096];
    size_t n;
    struct str copy;

    if (f == NULL)
        return (struct str){0};
    buf_init(&text, FILE_MAX);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_add(&text, (struct str){piece, n});
    fclose(f);
    copy = text.failed ? (struct str){0} : str_dup(buf_str(&text));
    buf_clear(&text);
    return copy;
}

void backend_files_read(struct backend_files *files, const struct config *config)
{
    char path[4096];

    *files = (struct backend_files){.resolv_conf = read_file("/etc/resolv.conf")};
    if (config->dnssec_anchor.n == 0 || config->dnssec_anchor.n >= sizeof path)
        return;
    snprintf(path, sizeof path, "%.*s", STR_ARG(config->dnssec_anchor));
    files->anchor = read_file(path);
    if (files->anchor.n == 0)
        log_warning("dnssec-off", "file=%s reason=no trust anchor in this file, answers are not validated", path);
}

void backend_files_clear(struct backend_files *files)
{
    str_free(&files->anchor);
    str_free(&files->resolv_conf);
}

static bool add_forwarder(struct ub_ctx *ctx, struct str server, struct err *err)
{
    char text[128];
    int failed;

    if (server.n >= sizeof text)
        return err_set(err, ERR_PERMANENT, "dns: \"%.*s\" is no server address", STR_ARG(server));
    snprintf(text, sizeof text, "%.*s", STR_ARG(server));
    failed = ub_ctx_set_fwd(ctx, text);
    if (failed)
        return err_set(err, ERR_PERMANENT, "dns: server %s: %s", text, ub_strerror(failed));
    return true;
}

/* The "nameserver" lines (resolv.conf(5)). */
static bool add_system_forwarders(struct ub_ctx *ctx, struct str text, struct err *err)
{
    struct str line, word, server;
    size_t n = 0;

    while (n < FORWARDERS_MAX && str_next(&text, '\n', &line)) {
        struct ip ip;

        if (!str_next_word(&line, &word) || !str_eq(word, STR("nameserver")) || !str_next_word(&line, &server) ||
            !ip_parse(server, &ip))
            continue;
        if (!add_forwarder(ctx, server, err))
            return false;
        n++;
    }
    return true;
}

static bool add_anchors(struct ub_ctx *ctx, struct str text, struct err *err)
{
    struct str line;

    while (str_next(&text, '\n', &line)) {
        char record[2048];
        int failed;

        line = str_trim(line);
        if (line.n == 0 || line.p[0] == ';' || line.p[0] == '#')
            continue;
        if (line.n >= sizeof record)
            return err_set(err, ERR_PERMANENT, "dnssec_anchor: a line is too long");
        snprintf(record, sizeof record, "%.*s", STR_ARG(line));
        failed = ub_ctx_add_ta(ctx, record);
        if (failed)
            return err_set(err, ERR_PERMANENT, "dnssec_anchor: %s", ub_strerror(failed));
    }
    return true;
}

/* libunbound answers for these itself. Whoever forwards to a resolver means that one to know them: names of the own network, and
 * of its addresses. Must be the last step: it ends the configuration of the context. */
static bool ask_for_local_zones(struct ub_ctx *ctx, struct err *err)
{
    static const char *const zones[] = {"127.in-addr.arpa.", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa."};

    int failed = ub_ctx_set_option(ctx, "unblock-lan-zones:", "yes");

    if (failed)
        return err_set(err, ERR_PERMANENT, "libunbound: option unblock-lan-zones: %s", ub_strerror(failed));
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        failed = ub_ctx_zone_remove(ctx, zones[i]);
        if (failed)
            return err_set(err, ERR_PERMANENT, "libunbound: zone %s: %s", zones[i], ub_strerror(failed));
    }
    return true;
}

static bool configure(
    struct ub_ctx *ctx, const struct config *config, const struct backend_files *files, struct err *err)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        int failed = ub_ctx_set_option(ctx, options[i][0], options[i][1]);

        if (failed)
            return err_set(err, ERR_PERMANENT, "libunbound: option %s %s: %s", options[i][0], options[i][1],
                ub_strerror(failed));
    }
    for (size_t i = 0; i < config->dns.n; i++)
        if (!add_forwarder(ctx, config->dns.items[i], err))
            return false;
    if (config->dns.n == 0 && !add_system_forwarders(ctx, files->resolv_conf, err))
        return false;
    if (config->dnssec_anchor.n > 0 && !add_anchors(ctx, files->anchor, err))
        return false;
    return config->dns.n == 0 || ask_for_local_zones(ctx, err);
}

bool backend_new(struct backend **backend, struct event_base *base, const struct config *config,
    const struct backend_files *files, backend_answered_fn *answered, void *owner, struct err *err)
{
    struct ub_ctx *ctx = ub_ctx_create_event(base);

    if (ctx == NULL)
        return err_set(err, ERR_TEMPORARY, "libunbound does not start");
    if (!configure(ctx, config, files, err)) {
        ub_ctx_delete(ctx);
        return false;
    }
    *backend = xcalloc(1, sizeof **backend);
    **backend = (struct backend){.ctx = ctx, .answered = answered, .owner = owner};
    buf_init(&(*backend)->records, RECORDS_MAX);
    return true;
}

void backend_free(struct backend *b)
{
    if (b == NULL)
        return;
    ub_ctx_delete(b->ctx);
    buf_clear(&b->records);
    free(b);
}

static enum dns_status status_of(unsigned rcode, const struct dns_packet *packet)
{
    if (rcode == DNS_RCODE_NXDOMAIN)
        return DNS_NXDOMAIN;
    if (rcode != DNS_RCODE_OK)
        return DNS_SERVFAIL;
    return packet->count > 0 ? DNS_OK : DNS_NODATA;
}

/* What libunbound found, as a reply; its strings live in the backend until the next one. */
static void make_reply(struct backend *b, const struct question *q, int rcode, struct str packet, int security,
    const char *why, struct msg_dns_reply *reply)
{
    buf_reset(&b->records);
    *reply = (struct msg_dns_reply){.status = rcode == DNS_RCODE_NXDOMAIN ? DNS_NXDOMAIN : DNS_SERVFAIL};
    if (security == 1) {
        reply->status = DNS_BOGUS;
        reply->text = why != NULL ? str_of(why) : STR("DNSSEC validation failed");
    } else if (rcode == DNS_RCODE_OK && !dns_read_packet(packet, q->type, &b->records, &b->packet)) {
        reply->text = STR("damaged answer");
    } else if (rcode == DNS_RCODE_OK) {
        reply->status = status_of(b->packet.rcode, &b->packet);
        reply->secure = security == 2;
        reply->ttl = b->packet.ttl;
        reply->canonical = str_of(b->packet.canonical);
        reply->records = buf_str(&b->records);
    }
    if (reply->status == DNS_SERVFAIL && reply->text.n == 0)
        reply->text = STR("the name servers failed to answer");
    reply->text = str_sub(reply->text, 0, IPC_TEXT);
}

static void on_found(void *arg, int rcode, void *packet, int n, int security, char *why, int limited)
{
    struct lookup *lookup = arg;
    struct question *q = lookup->question;
    struct backend *b = lookup->backend;
    struct msg_dns_reply reply;

    (void)limited;
    free(lookup);
    make_reply(b, q, rcode, (struct str){packet, packet != NULL && n > 0 ? (size_t)n : 0}, security, why, &reply);
    b->answered(b->owner, q, &reply);
}

bool backend_start(struct backend *b, struct question *q)
{
    struct lookup *lookup = xcalloc(1, sizeof *lookup);
    bool alive = true;
    int id = 0, failed;

    *lookup = (struct lookup){b, q};
    q->alive = &alive;
    failed = ub_resolve_event(b->ctx, q->name, (int)q->type, 1, lookup, on_found, &id);
    if (alive) {
        q->alive = NULL;
        q->backend_id = id;
        q->backend_data = lookup;
    }
    if (failed) {
        log_warning("dns-start", "name=%s reason=%s", q->name, ub_strerror(failed));
        if (alive)
            free(lookup);
        return !alive;
    }
    return true;
}

void backend_cancel(struct backend *b, struct question *q)
{
    if (ub_cancel(b->ctx, q->backend_id) == 0)
        free(q->backend_data);
    q->backend_data = NULL;
}
