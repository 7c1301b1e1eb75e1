/* See dkim_watch.h. What was learnt about one domain, and what follows from it, is one commit; whatever comes in between is seen then,
 * because the rows are read again. Nothing here has to be remembered: the next hour begins from the rows. */
#include "dkim_watch.h"

#include "base/clock.h"
#include "base/log.h"
#include "directory.h"
#include "dkim_make.h"
#include "dkim_schedule.h"

#include <event2/event.h>
#include <stdlib.h>

enum { LOOK_SECONDS = 30, FIRST_SECONDS = 60, PAUSE_SECONDS = 1, ROUND_SECONDS = 3600 };

struct look_query {
    struct dns_query dns;
    struct dkim_look *look;
    struct dkim_row row;
    enum dkim_record found;
    bool asked, open;
};

struct dkim_look {
    struct directory *d;
    struct event *limit;
    void (*done)(void *arg);
    void *arg;
    struct name domain;
    size_t n, open;
    struct look_query queries[DKIM_ROWS_MAX];
};

/* ---- what is due ---- */

static void tell_changes(const struct dkim_rows *rows, const struct look_query *before, size_t n)
{
    for (size_t i = 0; i < rows->n; i++) {
        const struct dkim_row *row = &rows->rows[i];

        for (size_t k = 0; k < n; k++)
            if (str_eq(str_of(before[k].row.selector), str_of(row->selector)) && before[k].row.state != row->state)
                log_info("dkim", "domain=%s selector=%s state=%s before=%s", rows->domain.p, row->selector, dkim_state_words[row->state],
                    dkim_state_words[before[k].row.state]);
        if (row->changed && row->state == DKIM_ACTIVE && !row->by_hand &&
            (row->record == DKIM_RECORD_MISSING || row->record == DKIM_RECORD_OTHER))
            log_warning("dkim", "domain=%s selector=%s record=%s reason=mail is signed with a key whose record is not in DNS", rows->domain.p,
                row->selector, dkim_record_words[row->record]);
    }
}

static bool is_ours(struct directory *d, struct str domain, bool *local, struct err *err)
{
    struct domain row;
    bool found;

    if (!store_get_domain(&d->store, domain, &row, &found, err))
        return false;
    *local = found && row.local && row.enabled;
    return true;
}

/* One key at a time: an RSA key takes long. */
static bool make_one(struct directory *d, struct dkim_rows *rows, const struct dkim_schedule *schedule, bool *made, struct err *err)
{
    int64_t now = clock_now();
    unsigned wanted;
    bool local;

    *made = false;
    if (!is_ours(d, name_str(&rows->domain), &local, err))
        return false;
    wanted = (local ? dkim_schedule_missing(rows) : 0) | dkim_schedule_aged(rows, schedule, now);
    for (unsigned a = 0; a < DKIM_ALGORITHMS; a++) {
        if (!(wanted & 1u << a) || rows->n >= DKIM_ROWS_MAX)
            continue;
        *made = true;
        if (!dkim_make(&d->store, rows, (enum dkim_algorithm)a, STR(""), now, err))
            return false;
        log_info("dkim", "domain=%s selector=%s state=waiting reason=publish its record: staffetta dkim show %s", rows->domain.p,
            rows->rows[rows->n - 1].selector, rows->domain.p);
        return true;
    }
    return true;
}

static bool work(struct directory *d, struct dkim_rows *rows, struct look_query *found, size_t n, bool *made, struct err *err)
{
    const struct config *config = role_config(d->role);
    const struct dkim_schedule schedule = {config->dkim.rotate, config->dkim.publish_wait, config->dkim.retire_keep};
    int64_t now = clock_now();

    if (!dkim_rows_get(&d->store, name_str(&rows->domain), rows, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct dkim_row *row = found[i].asked ? dkim_rows_find(rows, str_of(found[i].row.selector)) : NULL;

        if (row != NULL && row->state < DKIM_EXPIRED)
            dkim_schedule_looked(row, found[i].found, now);
    }
    dkim_schedule_advance(rows, &schedule, now);
    return dkim_rows_put(&d->store, rows, err) && make_one(d, rows, &schedule, made, err);
}

static bool any_change(const struct dkim_rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        if (rows->rows[i].changed || rows->rows[i].gone)
            return true;
    return false;
}

/* True when a key was made, so that the next one waits a little. */
static bool settle(struct directory *d, struct str domain, struct look_query *found, size_t n)
{
    struct dkim_rows *rows = xcalloc(1, sizeof *rows);
    struct err err = {0};
    bool made = false, done;

    name_set(&rows->domain, domain);
    done = db_begin(d->store.db, &err);
    if (done && !work(d, rows, found, n, &made, &err)) {
        db_rollback(d->store.db);
        done = false;
    } else if (done && !made && !any_change(rows)) {
        db_rollback(d->store.db);
    } else if (done) {
        done = db_commit(d->store.db, &err);
        lookup_changed(&d->lookup);
        if (done)
            tell_changes(rows, found, n);
    }
    if (!done)
        answers_trouble(d, "dkim schedule", &err);
    free(rows);
    return made;
}

/* ---- DNS ---- */

static enum dkim_record judge(struct dkim_look *look, const struct look_query *q, const struct msg_dns_reply *m)
{
    struct str rest = m->records, rdata;
    struct err err = {0};
    bool fits = false;
    unsigned n = 0;
    struct buf text;

    if (m->status != DNS_OK)
        return m->status == DNS_NXDOMAIN || m->status == DNS_NODATA ? DKIM_RECORD_MISSING : DKIM_RECORD_UNKNOWN;
    buf_init(&text, IPC_LIST);
    for (; dns_next_record(&rest, &rdata); n++) {
        buf_reset(&text);
        if (dns_read_txt(rdata, &text) && !dkim_signer_try(&look->d->signer, name_str(&look->domain), &q->row, buf_str(&text), &fits, &err))
            answers_trouble(look->d, "dkim record", &err);
    }
    buf_clear(&text);
    return n == 0 ? DKIM_RECORD_MISSING : n == 1 && fits ? DKIM_RECORD_OK : err.kind != ERR_NONE ? DKIM_RECORD_UNKNOWN : DKIM_RECORD_OTHER;
}

void dkim_look_cancel(struct dkim_look *look)
{
    if (look == NULL)
        return;
    for (size_t i = 0; i < look->n; i++)
        dns_client_cancel(&look->d->dns, &look->queries[i].dns);
    if (look->limit != NULL)
        event_free(look->limit);
    free(look);
}

static void finish(struct dkim_look *look)
{
    void (*done)(void *) = look->done;
    void *arg = look->arg;

    (void)settle(look->d, name_str(&look->domain), look->queries, look->n);
    dkim_look_cancel(look);
    done(arg);
}

static void on_answer(struct dns_query *dns, const struct msg_dns_reply *reply)
{
    struct look_query *q = dns->owner;
    struct dkim_look *look = q->look;

    q->open = false;
    q->found = judge(look, q, reply);
    if (--look->open == 0)
        finish(look);
}

static void on_limit(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    finish(arg); /* what is not answered by now is unknown */
}

static void ask(struct dkim_look *look, struct look_query *q)
{
    struct buf name;

    buf_init(&name, 2 * IPC_NAME);
    dkim_write_name(&name, name_str(&look->domain), &q->row);
    q->look = look;
    q->found = DKIM_RECORD_UNKNOWN;
    q->asked = true;
    q->open = dns_client_ask(&look->d->dns, &q->dns, buf_str(&name), DNS_TXT, on_answer, q);
    look->open += q->open;
    buf_clear(&name);
}

static bool resolver_exists(const struct directory *d)
{
    return role_peers(d->role, ROLE_RESOLVER) > 0;
}

static struct dkim_look *look_new(struct directory *d, struct str domain, const struct dkim_rows *rows, bool all)
{
    struct dkim_look *look = xcalloc(1, sizeof *look);
    int64_t now = clock_now();

    look->d = d;
    name_set(&look->domain, domain);
    for (size_t i = 0; i < rows->n; i++) {
        struct look_query *q = &look->queries[look->n++];

        q->row = rows->rows[i];
        if (all ? q->row.state < DKIM_EXPIRED : dkim_schedule_looks(&q->row, now))
            ask(look, q);
    }
    return look;
}

static struct dkim_look *look_start(struct directory *d, struct str domain, bool all, void (*done)(void *arg), void *arg)
{
    struct dkim_rows *rows = xcalloc(1, sizeof *rows);
    struct timeval limit = {LOOK_SECONDS, 0};
    struct dkim_look *look = NULL;
    struct err err = {0};

    if (!dkim_rows_get(&d->store, domain, rows, &err))
        answers_trouble(d, "dkim keys", &err);
    else if (rows->n > 0 && resolver_exists(d))
        look = look_new(d, domain, rows, all);
    free(rows);
    if (look == NULL || look->open == 0) {
        dkim_look_cancel(look);
        return NULL;
    }
    look->done = done;
    look->arg = arg;
    look->limit = evtimer_new(role_base(d->role), on_limit, look);
    if (look->limit == NULL || event_add(look->limit, &limit) != 0)
        fatal("dkim: no timer");
    return look;
}

struct dkim_look *dkim_look_start(struct directory *d, struct str domain, void (*done)(void *arg), void *arg)
{
    return look_start(d, domain, true, done, arg);
}

/* ---- once an hour, one domain after the other ---- */

static void next_after(struct directory *d, int seconds)
{
    struct timeval pause = {seconds, 0};

    if (event_add(d->dkim_round, &pause) != 0)
        fatal("dkim: no timer");
}

static void on_domain_done(void *arg)
{
    struct directory *d = arg;

    d->dkim_look = NULL;
    next_after(d, 0);
}

/* The next domain; without a question for DNS it is settled at once. A domain of which a key was made comes again, for the one that
 * may be missing still. */
static void on_round(evutil_socket_t fd, short what, void *arg)
{
    struct directory *d = arg;
    struct name last = d->dkim_at;
    struct err err = {0};
    bool found = false;

    (void)fd;
    (void)what;
    if (d->dkim_look != NULL)
        return;
    if (!store_text(&d->store, SQL_DOMAIN_NEXT, (struct str[]){name_str(&last)}, 1, &d->dkim_at, &found, &err))
        answers_trouble(d, "dkim round", &err);
    if (!found) {
        d->dkim_at.n = 0;
        next_after(d, ROUND_SECONDS);
        return;
    }
    d->dkim_look = look_start(d, name_str(&d->dkim_at), false, on_domain_done, d);
    if (d->dkim_look != NULL)
        return;
    if (settle(d, name_str(&d->dkim_at), NULL, 0)) {
        d->dkim_at = last;
        next_after(d, PAUSE_SECONDS);
    } else {
        next_after(d, 0);
    }
}

void dkim_watch_soon(struct directory *d)
{
    if (d->dkim_round != NULL && d->dkim_look == NULL && d->dkim_at.n == 0)
        next_after(d, FIRST_SECONDS);
}

static void send_question(void *world, const struct msg_dns_ask *ask)
{
    struct directory *d = world;
    struct channel *resolver = role_peer(d->role, ROLE_RESOLVER, 0);

    if (resolver != NULL)
        ipc_send_dns_ask(resolver, ask);
}

void on_dns_reply(struct role *role, struct channel *from, const struct msg_dns_reply *m)
{
    (void)from;
    dns_client_reply(&((struct directory *)role_state(role))->dns, m);
}

void dkim_watch_peer_up(struct directory *d, struct channel *c)
{
    if (channel_role(c) == ROLE_RESOLVER)
        dns_client_resend(&d->dns);
}

/* Without a server there is one command and no rounds. */
void dkim_watch_open(struct directory *d)
{
    dns_client_init(&d->dns, send_question, d);
    if (role_copy(d->role) != 0 || !resolver_exists(d))
        return;
    d->dkim_round = evtimer_new(role_base(d->role), on_round, d);
    if (d->dkim_round == NULL)
        fatal("dkim: no timer");
    next_after(d, FIRST_SECONDS);
}
