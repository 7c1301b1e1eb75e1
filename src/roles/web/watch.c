/* See watch.h; the steps are in watch_parts.h. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "watch_parts.h"

#include <event2/event.h>
#include <stdlib.h>

enum { VALUE = 64 * 1024, ARGS = 64 * 1024, OK = 0, NOUSER = 67, NOHOST = 68 };

/* The first check of a new server waits until its records may be there; after trouble, or while it is switched off. */
#define AFTER_START (2 * MINUTE)
#define AFTER_TROUBLE (10 * MINUTE)
#define ANSWER_TIME (2 * MINUTE)

static struct metric problems[] = {
    METRIC_GAUGE_L("staffetta_web_check_problems", "level=\"warning\"", "What the daily check found wrong the last time."),
    METRIC_GAUGE_L("staffetta_web_check_problems", "level=\"error\"", "What the daily check found wrong the last time."),
};
static struct metric last_run = METRIC_GAUGE("staffetta_web_check_time_seconds", "When the daily check last came to its end, as Unix time.");
static struct metric told = METRIC_COUNTER("staffetta_web_check_changes_total", "Changes that the daily check told the postmaster.");

static void go_on(struct watch *w);

static void wake_in(struct watch *w, int64_t in)
{
    struct timeval when = {in / SECOND, in % SECOND};

    event_add(w->timer, &when);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    go_on(arg);
}

/* ---- asking ---- */

static void on_asked(void *owner, int code, struct str text)
{
    struct watch *w = owner;

    if (code != OK)
        log_debug("daily-check", "step=%d code=%d text=%.*s", (int)w->step, code, STR_ARG(text));
    w->ask = NULL;
    w->asked = true;
    w->code = code;
    wake_in(w, 0);
}

static void no_progress(void *owner, enum role_id role, unsigned copy, struct str text)
{
    (void)owner;
    (void)role;
    (void)copy;
    (void)text;
}

static void put(struct watch *w, enum role_id role, const char *command, struct str args, const struct ask_owner *events)
{
    struct ask_target target = {role, 0};
    struct ask *ask;

    w->asked = false;
    ask = ask_new(w->web, &target, 1, false, 0, str_of(command), args, events, w);
    if (ask != NULL)
        w->ask = ask;
}

static bool no_row(void *owner, struct str json)
{
    (void)owner;
    (void)json;
    return true;
}

/* ---- subjects ---- */

static struct watch_subject *subject_get(struct watch *w, struct str name)
{
    struct watch_subject *s;

    LIST_EACH(&w->subjects, it)
        if (str_eq(CONTAINER(it, struct watch_subject, link)->name, name))
            return CONTAINER(it, struct watch_subject, link);
    if (w->subject_count == WATCH_SUBJECTS)
        return NULL;
    s = xcalloc(1, sizeof *s);
    s->name = str_dup(name);
    list_add_last(&w->subjects, &s->link);
    w->subject_count++;
    return s;
}

static void subject_free(struct watch *w, struct watch_subject *s)
{
    list_remove(&s->link);
    w->subject_count--;
    str_free(&s->name);
    str_free(&s->problems);
    free(s);
}

static void show_numbers(struct watch *w)
{
    int64_t counts[2] = {0};
    struct outside_problem p;

    LIST_EACH(&w->subjects, it) {
        struct str rest = CONTAINER(it, struct watch_subject, link)->problems;

        while (outside_watch_next(&rest, &p))
            counts[str_eq(p.level, STR("error"))]++;
    }
    metric_set(&problems[0], counts[0]);
    metric_set(&problems[1], counts[1]);
}

static void set_problems(struct watch_subject *s, struct str text, int64_t at)
{
    str_free(&s->problems);
    s->problems = str_dup(text);
    s->at = at;
}

static struct str read_value(struct str json, const char *key, struct buf *out)
{
    buf_reset(out);
    (void)json_read(json, key, out);
    return buf_str(out);
}

static bool on_stored(void *owner, struct str json)
{
    struct watch *w = owner;
    struct watch_subject *s;
    struct buf value;
    uint64_t at = 0;

    buf_init(&value, VALUE);
    if (!str_to_u64(read_value(json, "at", &value), INT64_MAX, &at))
        at = 0;
    s = subject_get(w, read_value(json, "subject", &value));
    if (s != NULL)
        set_problems(s, read_value(json, "problems", &value), (int64_t)at);
    buf_clear(&value);
    return true;
}

static bool on_domain(void *owner, struct str json)
{
    struct watch_subject *s;
    struct buf value;

    buf_init(&value, VALUE);
    if (str_eq(read_value(json, "kind", &value), STR("local")) && (s = subject_get(owner, read_value(json, "name", &value))) != NULL)
        s->local = true;
    buf_clear(&value);
    return true;
}

static bool on_pool(void *owner, struct str json)
{
    outside_gather_pool(((struct watch *)owner)->gather, json);
    return true;
}

static bool on_key(void *owner, struct str json)
{
    outside_gather_key(((struct watch *)owner)->gather, json);
    return true;
}

static bool on_answer(void *owner, struct str json)
{
    outside_batch_take(&((struct watch *)owner)->batch, json);
    return true;
}

static const struct ask_owner stored_events = {on_stored, no_progress, on_asked}, domain_events = {on_domain, no_progress, on_asked},
    pool_events = {on_pool, no_progress, on_asked}, key_events = {on_key, no_progress, on_asked},
    answer_events = {on_answer, no_progress, on_asked}, no_events = {no_row, no_progress, on_asked};

/* ---- the steps ---- */

static void forget_check(struct watch *w)
{
    outside_check_free(w->check);
    w->check = NULL;
    if (w->gather != NULL)
        outside_gather_end(w->gather);
    free(w->gather);
    w->gather = NULL;
    w->batch.n = 0;
    buf_reset(&w->now);
    buf_reset(&w->letter);
    w->changes = 0;
}

static void begin_rest(struct watch *w, int64_t in)
{
    forget_check(w);
    w->step = WATCH_REST;
    w->at = NULL;
    w->filter = NULL;
    wake_in(w, in);
}

/* `check.every` after the last time; the first time soon after the start. The clock may have been set: never later than that from now. */
static int64_t until_next(struct watch *w)
{
    const struct watch_subject *server = subject_get(w, STR(""));
    int64_t every = role_config(w->web->role)->check.every, first = every < AFTER_START ? every : AFTER_START;
    int64_t left = server == NULL || server->at == 0 ? first : server->at + every - clock_now();

    return left < SECOND ? SECOND : left > every ? every : left;
}

static void load(struct watch *w)
{
    if (!w->asked) {
        put(w, ROLE_DIRECTORY, "watched", (struct str){"list\0", 5}, &stored_events);
        return;
    }
    w->asked = false;
    if (w->code != OK) {
        wake_in(w, SECOND);
        return;
    }
    show_numbers(w);
    begin_rest(w, until_next(w));
}

static void rest(struct watch *w)
{
    if (role_config(w->web->role)->check.every == 0) {
        wake_in(w, DAY); /* a reload looks again */
        return;
    }
    LIST_EACH(&w->subjects, it)
        CONTAINER(it, struct watch_subject, link)->local = false;
    w->step = WATCH_NAMES;
    outside_clock_read(&w->clock);
    put(w, ROLE_DIRECTORY, "domain", (struct str){"list\0", 5}, &domain_events);
}

static void gather_certificates(struct watch *w)
{
    struct err err = {0};

    for (size_t i = 0; i < role_certificate_count(w->web->role); i++)
        if (!outside_gather_certificate(w->gather, role_certificate_at(w->web->role, i)->chain, &err))
            log_warning("daily-check", "reason=%s", err.text);
}

static void begin_subject(struct watch *w, struct watch_subject *s)
{
    forget_check(w);
    w->at = s;
    w->gather = xcalloc(1, sizeof *w->gather);
    outside_gather_begin(w->gather, role_config(w->web->role), s->name);
    gather_certificates(w);
    w->step = WATCH_POOLS;
    put(w, ROLE_DIRECTORY, "pool", (struct str){"list\0", 5}, &pool_events);
}

/* After `s` (NULL: the first). What is a domain of ours no more is forgotten. */
static void next_subject(struct watch *w, struct watch_subject *s)
{
    struct link *it = s == NULL ? w->subjects.head.next : s->link.next;
    struct buf args;

    if (it == &w->subjects.head) {
        show_numbers(w);
        metric_set(&last_run, clock_now() / SECOND);
        begin_rest(w, until_next(w));
        return;
    }
    s = CONTAINER(it, struct watch_subject, link);
    if (s->local || s->name.n == 0) {
        begin_subject(w, s);
        return;
    }
    w->at = s;
    w->step = WATCH_DROP;
    buf_init(&args, 2000);
    buf_addf(&args, "drop%csubject=%.*s%c", 0, STR_ARG(s->name), 0);
    put(w, ROLE_DIRECTORY, "watched", buf_str(&args), &no_events);
    buf_clear(&args);
}

static void names(struct watch *w)
{
    if (w->code != OK || subject_get(w, STR("")) == NULL)
        begin_rest(w, AFTER_TROUBLE);
    else
        next_subject(w, NULL);
}

static void pools(struct watch *w)
{
    struct buf args;

    if (w->code != OK) {
        begin_rest(w, AFTER_TROUBLE);
        return;
    }
    w->step = WATCH_KEYS;
    if (w->at->name.n == 0) {
        w->code = OK;
        wake_in(w, 0);
        return;
    }
    buf_init(&args, 2000);
    buf_addf(&args, "show%c%.*s%c", 0, STR_ARG(w->at->name), 0);
    put(w, ROLE_DIRECTORY, "dkim", buf_str(&args), &key_events);
    buf_clear(&args);
}

static void keys(struct watch *w)
{
    if (w->code != OK && w->code != NOUSER && w->code != NOHOST) {
        begin_rest(w, AFTER_TROUBLE);
        return;
    }
    w->check = outside_check_new(&w->gather->facts, &w->clock, w->at->name.n > 0 ? OUTSIDE_DOMAIN : OUTSIDE_SERVER, clock_now());
    w->deadline = clock_monotonic() + role_config(w->web->role)->check.time;
    w->step = WATCH_LOOK;
    wake_in(w, 0);
}

static void store(struct watch *w)
{
    struct buf args;

    buf_init(&args, OUTSIDE_STATE_MAX + 2000);
    buf_addf(&args, "set%csubject=%.*s%cproblems=", 0, STR_ARG(w->at->name), 0);
    buf_add(&args, buf_str(&w->now));
    buf_add_char(&args, 0);
    w->step = WATCH_STORE;
    put(w, ROLE_DIRECTORY, "watched", buf_str(&args), &no_events);
    buf_clear(&args);
}

/* `postmaster` of the configuration, else that of the domain, or of the first one. */
static void choose_address(struct watch *w, struct buf *out)
{
    const struct config *config = role_config(w->web->role);
    struct str domain = w->at->name;

    LIST_EACH(&w->subjects, it)
        if (domain.n == 0 && CONTAINER(it, struct watch_subject, link)->local)
            domain = CONTAINER(it, struct watch_subject, link)->name;
    if (config->postmaster.n > 0)
        buf_add(out, config->postmaster);
    else if (domain.n > 0)
        buf_addf(out, "postmaster@%.*s", STR_ARG(domain));
}

static void compare(struct watch *w)
{
    struct buf address;

    w->changes = outside_watch_compare(w->check, w->at->problems, &w->now, &w->letter);
    if (w->changes == 0) {
        store(w);
        return;
    }
    log_warning("daily-check", "subject=%.*s changes=%zu reason=what others see has changed: see `staffetta check`",
        STR_ARG(w->at->name.n > 0 ? w->at->name : role_config(w->web->role)->hostname), w->changes);
    buf_init(&address, 1000);
    choose_address(w, &address);
    if (address.n == 0) {
        store(w); /* nobody to write to yet: there is no domain */
    } else if (watch_give(w, buf_str(&address))) {
        w->step = WATCH_GIVE;
        wake_in(w, ANSWER_TIME);
    } else {
        begin_rest(w, AFTER_TROUBLE);
    }
    buf_clear(&address);
}

/* Questions of DNS first, then connections; one command at a time. False: the check wants nothing. */
static bool ask_more_of(struct watch *w)
{
    struct buf args;

    buf_init(&args, ARGS);
    outside_batch_add_questions(&w->batch, w->check, &args);
    if (w->batch.n > 0) {
        outside_batch_end_questions(&args, w->deadline - clock_monotonic());
        put(w, ROLE_RESOLVER, "lookup", buf_str(&args), &answer_events);
    } else {
        outside_batch_add_probes(&w->batch, w->check, &args);
        if (w->batch.n > 0)
            put(w, ROLE_RELAY, "probe", buf_str(&args), &answer_events);
    }
    buf_clear(&args);
    return w->batch.n > 0;
}

static void look(struct watch *w)
{
    outside_batch_give_up(&w->batch, STR("relay does not answer"));
    if (clock_monotonic() >= w->deadline)
        outside_check_give_up(w->check);
    if (outside_check_run(w->check))
        compare(w);
    else if (!ask_more_of(w))
        fatal("the daily check waits for nothing");
}

static void stored(struct watch *w)
{
    if (w->code == OK) {
        set_problems(w->at, buf_str(&w->now), clock_now());
        metric_add(&told, (int64_t)w->changes);
        next_subject(w, w->at);
    } else {
        begin_rest(w, AFTER_TROUBLE);
    }
}

static void dropped(struct watch *w)
{
    struct watch_subject *gone = w->at;
    struct link *before = gone->link.prev;

    if (w->code != OK) {
        begin_rest(w, AFTER_TROUBLE);
        return;
    }
    subject_free(w, gone);
    next_subject(w, before == &w->subjects.head ? NULL : CONTAINER(before, struct watch_subject, link));
}

static void not_taken(struct watch *w)
{
    log_warning("daily-check", "reason=the message about changes was not taken, it is tried again later");
    begin_rest(w, AFTER_TROUBLE);
}

static void go_on(struct watch *w)
{
    static void (*const steps[])(struct watch *) = {[WATCH_LOAD] = load, [WATCH_REST] = rest, [WATCH_NAMES] = names, [WATCH_POOLS] = pools,
        [WATCH_KEYS] = keys, [WATCH_LOOK] = look, [WATCH_GIVE] = not_taken, [WATCH_STORE] = stored, [WATCH_DROP] = dropped};

    if (w->ask == NULL && !role_draining(w->web->role))
        steps[w->step](w);
}

void watch_on_txn_done(struct watch *w, struct channel *from, const struct msg_txn_done *m)
{
    if (m->code == 250)
        channel_took(from, HANDOVER_ACCEPTED);
    if (w->step != WATCH_GIVE || from != w->filter || m->id != w->txn)
        return;
    w->filter = NULL;
    if (m->code == 250)
        store(w);
    else
        not_taken(w);
}

void watch_peer_gone(struct watch *w, struct channel *peer)
{
    if (w->step == WATCH_GIVE && peer == w->filter)
        not_taken(w);
}

void watch_reload(struct watch *w)
{
    bool loaded = w->step != WATCH_LOAD;

    if (w->ask != NULL)
        ask_cancel(w->ask);
    w->ask = NULL;
    w->asked = false;
    if (loaded)
        begin_rest(w, until_next(w));
    else
        wake_in(w, 0);
}

struct watch *watch_new(struct web *web)
{
    struct watch *w = xcalloc(1, sizeof *w);

    w->web = web;
    list_init(&w->subjects);
    buf_init(&w->now, OUTSIDE_STATE_MAX);
    buf_init(&w->letter, OUTSIDE_LETTER_MAX);
    w->timer = event_new(role_base(web->role), -1, 0, on_timer, w);
    if (w->timer == NULL)
        fatal("the daily check has no timer");
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
        metric_show(&problems[i]);
    metric_show(&last_run);
    metric_show(&told);
    wake_in(w, SECOND);
    return w;
}

void watch_rows(struct watch *w, void (*row)(void *owner, struct str json), void *owner)
{
    struct outside_problem p;
    struct buf json;
    int n = 0;

    buf_init(&json, VALUE);
    LIST_EACH(&w->subjects, it) {
        const struct watch_subject *s = CONTAINER(it, struct watch_subject, link);
        struct str rest = s->problems;

        while (n < WATCH_SHOWN && outside_watch_next(&rest, &p)) {
            buf_reset(&json);
            json_open(&json);
            json_str(&json, "kind", STR("problem"));
            json_str(&json, "level", p.level);
            json_str(&json, "subject", s->name.n > 0 ? s->name : role_config(w->web->role)->hostname);
            json_str(&json, "check", p.check);
            json_str(&json, "item", p.item);
            json_str(&json, "text", p.text);
            json_close(&json);
            row(owner, buf_str(&json));
            n++;
        }
    }
    buf_clear(&json);
}
