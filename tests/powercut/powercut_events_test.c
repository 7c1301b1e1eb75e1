/* Loss of power under the events role: its real batch and store, told by senders that tell again what was not
 * acknowledged when the process (not the machine) has died.
 *
 * The promises: an event that was acknowledged is there, whole, and found by its addresses; none that nobody told is
 * there; none is without its mentions; the database passes SQLite's integrity check, opens, and takes the next one.
 * What was not acknowledged when the power went may be lost. Old stories that were forgotten may come back until they
 * are forgotten again. */
#include "cut.h"
#include "cut_clock.h"
#include "base/log.h"
#include "base/msgid.h"
#include "db/db.h"
#include "roles/events/batch.h"
#include "scratch.h"

#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SENDERS = 3, TOLD = 6000, DETAILS_MOST = 20000 };
#define NEVER SIZE_MAX

struct channel {
    uint64_t seq; /* of the last event */
    bool stopped; /* nothing is read from it */
};

struct told {
    uint64_t message, seq;
    int64_t begun, time, kind; /* begun: the message */
    int sender, rcpt;
    size_t details;
    size_t acknowledged; /* place on the tape */
    bool gone;           /* its sender lost its memory with the power */
};

/* A process; dead ones stay, since they hold what they never wrote. */
struct life {
    struct life *before;
    struct batch batch;
};

static struct told told[TOLD];
static size_t told_count;
static struct channel senders[SENDERS];
static int64_t forgotten_before;
static struct life *life;
static char folder[SCRATCH_MAX], path[SCRATCH_MAX + 20];

/* ---- what the role stands on ---- */

static event_callback_fn on_time;
static void *on_time_arg;

struct event *event_new(struct event_base *base, evutil_socket_t fd, short what, event_callback_fn call, void *arg)
{
    (void)base;
    (void)fd;
    (void)what;
    on_time = call;
    on_time_arg = arg;
    return NULL;
}

int event_add(struct event *e, const struct timeval *after)
{
    (void)e;
    (void)after;
    return 0;
}

int event_del(struct event *e)
{
    (void)e;
    return 0;
}

struct event_base *role_base(struct role *role)
{
    (void)role;
    return NULL;
}

void channel_read(struct channel *c, bool on)
{
    c->stopped = !on;
}

void channel_took(struct channel *c, enum handover what)
{
    (void)c;
    (void)what;
}

void verify_equal(struct verification *v, const char *check, int64_t expected, int64_t found, const char *advice)
{
    (void)v;
    (void)check;
    (void)expected;
    (void)found;
    (void)advice;
}

void ipc_send_event_ack(struct channel *to, const struct msg_event_ack *m)
{
    for (size_t i = 0; i < told_count; i++)
        if (&senders[told[i].sender] == to && told[i].seq <= m->seq && told[i].acknowledged == NEVER && !told[i].gone)
            told[i].acknowledged = disk_length();
}

static void boot(void)
{
    struct life *fresh = calloc(1, sizeof *fresh);

    assert_non_null(fresh);
    fresh->before = life;
    life = fresh;
    for (int i = 0; i < SENDERS; i++)
        senders[i].stopped = false;
    batch_init(&life->batch, NULL, path);
    if (batch_failing(&life->batch))
        fail_msg("the database does not open");
}

static void halt(void)
{
    store_close(life->batch.store);
    life->batch.store = NULL;
}

/* ---- work ---- */

static const char *address(int number, char out[static 40])
{
    snprintf(out, 40, "Rcpt%d@there.test", number);
    return out;
}

static const char *details_of(const struct told *t)
{
    static char text[DETAILS_MOST + 1];

    memset(text, 'a' + (int)(t->seq % 26), t->details);
    text[t->details] = 0;
    return text;
}

static void say(const struct told *t)
{
    char rcpt[40];

    batch_add(&life->batch, &senders[t->sender], &(struct msg_event){.seq = t->seq, .time = t->time, .message = t->message,
        .kind = (uint64_t)t->kind, .sender = STR("from@here.test"), .rcpt = str_of(address(t->rcpt, rcpt)),
        .message_id = STR("<id@here.test>"), .details = str_of(details_of(t))});
}

static void tell_one(void)
{
    struct told *t = &told[told_count];
    int sender = (int)cut_random(SENDERS);

    if (senders[sender].stopped || told_count == TOLD)
        return;
    *t = (struct told){.message = msgid_new(), .begun = clock_now(), .time = clock_now() + (int64_t)told_count, .kind = EVENT_ACCEPTED,
        .sender = sender, .rcpt = (int)cut_random(1000), .acknowledged = NEVER, .seq = ++senders[sender].seq,
        .details = 1 + cut_random(cut_random(20) ? 300 : DETAILS_MOST)};
    if (told_count > 0 && cut_random(3)) {
        t->message = told[told_count - 1].message;
        t->begun = told[told_count - 1].begun;
        t->kind = EVENT_RELAYED;
    }
    told_count++;
    say(t);
}

static void tell_again(void)
{
    for (size_t i = 0; i < told_count; i++)
        if (told[i].acknowledged == NEVER && !told[i].gone && !senders[told[i].sender].stopped)
            say(&told[i]);
}

/* As main.c's clock does. */
static void forget_old(void)
{
    struct err err = {0};
    int64_t deleted, before = clock_now() - HOUR;
    bool more = true;

    forgotten_before = before;
    while (more && !batch_failing(&life->batch) && store_prune(life->batch.store, before, &deleted, &more, &err))
        ;
}

static void step(void)
{
    uint64_t what = cut_random(10);

    cut_set_clock(clock_now() + (int64_t)cut_random(20 * MINUTE));
    for (uint64_t n = cut_random(cut_random(8) ? 30 : 700); n > 0; n--)
        tell_one();
    if (what < 6)
        on_time(-1, 0, on_time_arg);
    else if (what < 7)
        forget_old();
}

/* A handle that failed is tried again when it is time; a dead process is followed by one that is told again. */
static void work(unsigned steps)
{
    static const int errors[] = {EIO, EIO, ENOSPC, ENOMEM, EMFILE, 0};

    while (steps-- > 0) {
        uint64_t how = cut_random(16);

        if (how < 3)
            disk_fail(1 + (unsigned)cut_random(40), cut_random(2) ? EIO : ENOSPC, true);
        else if (how < 6)
            disk_fail(1 + (unsigned)cut_random(30), errors[cut_random(sizeof errors / sizeof *errors)], false);
        else if (how < 7)
            disk_fail_sync(1, EIO);
        step();
        if (how < 3 && disk_failed() && cut_random(2)) {
            halt();
            disk_fail(0, 0, false);
            boot();
            tell_again();
        }
        disk_fail(0, 0, false);
        if (cut_random(2))
            on_time(-1, 0, on_time_arg);
        else
            continue;
        if (batch_failing(&life->batch))
            fail_msg("nothing is written though the disk is well again");
    }
}

/* ---- promises ---- */

struct look {
    struct db *db;
    char *why;
    size_t size;
};

static bool is_zero(struct look *l, const char *sql, const char *what)
{
    struct stmt *s = stmt_new(l->db, sql);
    struct err err = {0};
    bool zero = stmt_row(s) && column_int(s, 0) == 0;

    if (!stmt_done(s, &err) || !zero)
        snprintf(l->why, l->size, "%s %s", what, err.text);
    stmt_free(s);
    return zero;
}

static bool is_told(const struct told *t, struct stmt *row)
{
    char rcpt[40];

    return column_int(row, 0) == (int64_t)t->message && column_int(row, 1) == t->time && column_int(row, 2) == t->kind &&
           str_eq(column_str(row, 3), str_of(address(t->rcpt, rcpt))) &&
           str_eq(column_str(row, 4), str_of(details_of(t)));
}

/* Which of those told is there. */
static bool gather(struct look *l, bool found[TOLD])
{
    struct stmt *s = stmt_new(l->db, "SELECT message, time, kind, rcpt, details FROM event");
    struct err err = {0};
    bool right = true;

    memset(found, 0, TOLD * sizeof *found);
    while (right && stmt_row(s)) {
        size_t i = 0;

        while (i < told_count && !is_told(&told[i], s))
            i++;
        right = i < told_count && !found[i];
        found[i < told_count ? i : 0] = true;
    }
    if (!right)
        snprintf(l->why, l->size, "an event that nobody told");
    if (!stmt_done(s, &err))
        right = false;
    stmt_free(s);
    return right;
}

static bool has_all(struct look *l, const bool *found, size_t at)
{
    for (size_t i = 0; i < told_count; i++)
        if (told[i].acknowledged <= at && told[i].begun > forgotten_before && !found[i]) {
            snprintf(l->why, l->size, "event %zu was acknowledged and is lost", i);
            return false;
        }
    return true;
}

static bool looks_right(struct look *l, size_t at)
{
    static bool found[TOLD];
    struct err err = {0};

    if (!db_check_integrity(l->db, &err)) {
        snprintf(l->why, l->size, "%s", err.text);
        return false;
    }
    return is_zero(l, "SELECT count(*) FROM event e WHERE NOT EXISTS (SELECT 1 FROM mention m WHERE m.message = e.message "
                      "AND m.key = lower(e.rcpt))", "an event without its mention") &&
           is_zero(l, "SELECT count(*) FROM mention m WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.message = m.message)",
               "a mention without its event") &&
           gather(l, found) && has_all(l, found, at);
}

/* By somebody else, so not inside a transaction. */
static bool is_seen(struct look *l, const struct told *t)
{
    char sql[100];
    struct err err = {0};
    bool seen;

    if (!db_open_read_only(&l->db, path, &err)) {
        snprintf(l->why, l->size, "%s", err.text);
        return false;
    }
    snprintf(sql, sizeof sql, "SELECT count(*) = 0 FROM event WHERE message = %lld AND time = %lld", (long long)t->message,
        (long long)t->time);
    seen = is_zero(l, sql, "an event is acknowledged and not committed");
    db_close(l->db);
    return seen;
}

static bool takes_the_next(struct look *l)
{
    size_t next = told_count;

    while (told_count == next && next < TOLD)
        tell_one();
    batch_commit(&life->batch);
    if (next == TOLD)
        return true;
    if (told[next].acknowledged != NEVER)
        return is_seen(l, &told[next]);
    snprintf(l->why, l->size, "it does not take the next event");
    return false;
}

static bool keeps_promises(size_t at, char *why, size_t size)
{
    static struct told before[TOLD];
    struct look l = {.why = why, .size = size};
    size_t count = told_count;
    struct err err = {0};
    bool kept;

    memcpy(before, told, sizeof told);
    if (!db_open_read_only(&l.db, path, &err)) {
        snprintf(why, size, "%s", err.text);
        return false;
    }
    kept = looks_right(&l, at);
    db_close(l.db);
    kept = kept && takes_the_next(&l);
    memcpy(told, before, sizeof told);
    told_count = count;
    return kept;
}

static void forget_after(size_t at)
{
    for (size_t i = 0; i < told_count; i++) {
        told[i].gone |= told[i].acknowledged > at;
        told[i].acknowledged = told[i].acknowledged <= at ? 0 : NEVER;
    }
}

/* ---- the world ---- */

static void open_world(uint64_t seed)
{
    log_set(LOG_LEVEL_ERROR + 1, false);
    cut_seed(seed);
    cut_set_clock(CUT_FIRST_DAY + (int64_t)(seed % 1000) * DAY);
    scratch_make_in_memory(folder, "powercut_events");
    snprintf(path, sizeof path, "%s/events.db", folder);
    told_count = 0;
    forgotten_before = 0;
    memset(senders, 0, sizeof senders);
    disk_record(folder);
    boot();
}

static void close_world(void)
{
    halt();
    scratch_remove(folder);
}

static const char *folder_of_world(void)
{
    return folder;
}

static void what_was_acknowledged_survives_the_loss_of_power(void **state)
{
    static const struct cut_world world = {open_world, close_world, folder_of_world, boot, halt, work, cut_set_clock,
        keeps_promises, forget_after};
    static const struct cut_effort brief = {4, 2, 12, 8, 3}, thorough = {1, 3, 30, 0, DISK_LOSSES + 1};

    (void)state;
    cut_run(&world, &brief, &thorough);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_acknowledged_survives_the_loss_of_power)};

    return cmocka_run_group_tests_name("powercut_events", tests, NULL, NULL);
}
