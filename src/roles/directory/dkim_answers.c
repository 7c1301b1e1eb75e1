/* Questions of filter about DKIM keys. A signature by RSA takes half a millisecond and more, so those that wait are made a few at a
 * time: between two turns of the loop everybody else is heard. */
#include "directory.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE (5 * SECOND / 1000)

static struct metric made = METRIC_COUNTER("staffetta_directory_dkim_signatures_total", "DKIM signatures made.");
static struct metric refused = METRIC_COUNTER("staffetta_directory_dkim_refused_total", "Requests for DKIM signatures that could not be met.");

struct sign_request {
    struct link link;
    struct channel *from;
    uint64_t id;
    struct str domain;                                              /* owned */
    struct str selectors[DKIM_ALGORITHMS], hashes[DKIM_ALGORITHMS]; /* owned */
};

static void request_free(struct directory *d, struct sign_request *r)
{
    list_remove(&r->link);
    d->dkim_waiting--;
    str_free(&r->domain);
    for (size_t i = 0; i < DKIM_ALGORITHMS; i++) {
        str_free(&r->selectors[i]);
        str_free(&r->hashes[i]);
    }
    free(r);
}

/* Keys are kept until anything in the database changes, here or by another process. */
static struct dkim_signer *fresh_signer(struct directory *d)
{
    (void)answers_fresh(d);
    return &d->signer;
}

void on_dkim_keys_ask(struct role *role, struct channel *from, const struct msg_dkim_keys_ask *m)
{
    struct directory *d = role_state(role);
    struct dkim_signer *s = fresh_signer(d);
    struct msg_dkim_keys_reply reply = {.id = m->id};
    struct err err = {0};

    d->books[BOOK_DKIM].came++;
    if (!dkim_signer_selector(s, m->domain, DKIM_RSA_SHA256, &reply.rsa, &err) ||
        !dkim_signer_selector(s, m->domain, DKIM_ED25519_SHA256, &reply.ed25519, &err)) {
        answers_trouble(d, "dkim keys", &err);
        reply.rsa = reply.ed25519 = STR("");
        reply.failed = 1;
    }
    d->books[BOOK_DKIM].answered++;
    ipc_send_dkim_keys_reply(from, &reply);
}

static bool sign_one(struct directory *d, const struct sign_request *r, enum dkim_algorithm algorithm, struct buf *out)
{
    struct err err = {0};

    if (r->selectors[algorithm].n == 0)
        return true;
    if (dkim_signer_sign(fresh_signer(d), r->domain, r->selectors[algorithm], algorithm, r->hashes[algorithm], out, &err)) {
        metric_add(&made, 1);
        return true;
    }
    metric_add(&refused, 1);
    if (err.kind == ERR_PERMANENT)
        log_info("dkim", "domain=%.*s reason=%s", STR_ARG(r->domain), err.text);
    else
        answers_trouble(d, "dkim signature", &err);
    return false;
}

static void answer(struct directory *d, struct sign_request *r)
{
    struct buf out[DKIM_ALGORITHMS];
    bool done = true;

    for (size_t i = 0; i < DKIM_ALGORITHMS; i++) {
        buf_init(&out[i], 2 * DKIM_SIGNATURE_BYTES);
        done = done && sign_one(d, r, (enum dkim_algorithm)i, &out[i]);
    }
    d->books[BOOK_DKIM].answered++;
    ipc_send_dkim_sign_reply(r->from, &(struct msg_dkim_sign_reply){.id = r->id,
                                          .failed = !done,
                                          .rsa_signature = done ? buf_str(&out[DKIM_RSA_SHA256]) : STR(""),
                                          .ed25519_signature = done ? buf_str(&out[DKIM_ED25519_SHA256]) : STR("")});
    for (size_t i = 0; i < DKIM_ALGORITHMS; i++)
        buf_clear(&out[i]);
    request_free(d, r);
}

static void go_on(struct directory *d)
{
    struct timeval now = {0, 0};

    if (!list_empty(&d->dkim_requests) && event_add(d->dkim_turn, &now) != 0)
        fatal("dkim: no timer");
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    int64_t until = clock_monotonic() + AT_ONCE;
    struct directory *d = arg;

    (void)fd;
    (void)what;
    while (!list_empty(&d->dkim_requests)) {
        answer(d, CONTAINER(list_first(&d->dkim_requests), struct sign_request, link));
        if (clock_monotonic() >= until)
            break;
    }
    go_on(d);
}

void on_dkim_sign_ask(struct role *role, struct channel *from, const struct msg_dkim_sign_ask *m)
{
    struct directory *d = role_state(role);
    struct sign_request *r = xcalloc(1, sizeof *r);

    d->books[BOOK_DKIM].came++;
    r->from = from;
    r->id = m->id;
    r->domain = str_dup(m->domain);
    r->selectors[DKIM_RSA_SHA256] = str_dup(m->rsa);
    r->hashes[DKIM_RSA_SHA256] = str_dup(m->rsa_hash);
    r->selectors[DKIM_ED25519_SHA256] = str_dup(m->ed25519);
    r->hashes[DKIM_ED25519_SHA256] = str_dup(m->ed25519_hash);
    list_add_last(&d->dkim_requests, &r->link);
    d->dkim_waiting++;
    go_on(d);
}

void dkim_answers_peer_gone(struct directory *d, struct channel *c)
{
    LIST_EACH(&d->dkim_requests, it) {
        struct sign_request *r = CONTAINER(it, struct sign_request, link);

        if (r->from != c)
            continue;
        d->books[BOOK_DKIM].gone++;
        request_free(d, r);
    }
}

void dkim_answers_open(struct directory *d)
{
    list_init(&d->dkim_requests);
    dkim_signer_init(&d->signer, &d->store, &d->lookup.generation);
    d->dkim_turn = evtimer_new(role_base(d->role), on_turn, d);
    if (d->dkim_turn == NULL)
        fatal("dkim: no timer");
    metric_show(&made);
    metric_show(&refused);
}
