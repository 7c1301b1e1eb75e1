/* Reports on their way: closed days, plans, what is due, and what is known after each way it can end. */
#include "base/clock.h"
#include "roles/events/due.h"
#include "roles/events/letter.h"
#include "roles/events/store.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define RECORD "v=DMARC1; p=reject; rua=mailto:x@a.example"
enum { TODAY = 20779 };

struct fixture {
    char folder[SCRATCH_MAX], path[SCRATCH_MAX + 20];
    struct store *store;
    struct due *due;
    struct due_domain domain;
    uint64_t seq;
    struct err err;
};

static void reopen(struct fixture *f)
{
    store_close(f->store);
    assert_true(store_open(&f->store, f->path, &f->err));
    f->due = store_due(f->store);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    scratch_make(f->folder, "due_test");
    snprintf(f->path, sizeof f->path, "%s/events.db", f->folder);
    reopen(f);
    buf_init(&f->domain.record, 8192);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    store_close(f->store);
    buf_clear(&f->domain.record);
    scratch_remove(f->folder);
    free(f);
    return 0;
}

static void count(struct fixture *f, const char *domain, int client)
{
    char source[20];
    struct aggregate_row row = {.source = {source, (size_t)snprintf(source, sizeof source, "10.0.0.%d", client)}};
    struct msg_event e = {.seq = ++f->seq, .time = TODAY * DAY, .kind = EVENT_DMARC, .sender = str_of(domain), .message_id = STR("one")};
    struct buf details;
    bool added;

    buf_init(&details, 32768);
    buf_add(&details, STR(RECORD "\n"));
    aggregate_pack(&row, &details);
    e.details = buf_str(&details);
    assert_true(store_add(f->store, &e, &added, &f->err) && added);
    assert_true(store_commit(f->store, &f->err));
    buf_clear(&details);
}

static void close_day(struct fixture *f)
{
    int64_t day = 0;
    bool found;

    assert_true(due_open_day(f->due, &day, &found, &f->err));
    assert_true(found);
    assert_int_equal(day, TODAY);
    assert_true(due_close_day(f->due, day, &f->err));
    assert_true(due_open_day(f->due, &day, &found, &f->err));
    assert_false(found);
}

/* The next domain to be planned, or "". */
static const char *next_domain(struct fixture *f)
{
    bool found;

    assert_true(due_next_domain(f->due, &f->domain, &found, &f->err));
    return found ? f->domain.domain : "";
}

static void plan(struct fixture *f, const char *addresses, size_t n)
{
    uint64_t limits[10] = {1000, 2000};

    assert_true(due_plan(f->due, &f->domain, str_from(addresses, n), limits, 5, &f->err));
}

static bool next(struct fixture *f, int64_t now, struct due_item *item)
{
    bool found;

    assert_true(due_next(f->due, now, item, &found, &f->err));
    return found;
}

static void add_line(void *owner, const struct aggregate_row *row, uint64_t n)
{
    buf_addf(owner, "%.*s:%d ", STR_ARG(row->source), (int)n);
}

static void a_day_from_counts_to_the_end(void **state)
{
    struct fixture *f = *state;
    struct due_item item;
    char mark[AGGREGATE_MARK] = "";
    struct buf text;
    size_t n, all = 0;
    bool found;

    for (int i = 0; i < 5; i++)
        count(f, "a.example", i % 3);
    count(f, "b.example", 1);
    assert_string_equal(next_domain(f), ""); /* not before the day is closed */
    close_day(f);
    assert_string_equal(next_domain(f), "a.example");
    assert_true(str_eq(buf_str(&f->domain.record), STR(RECORD)));
    plan(f, "x@a.example\0y@a.example", 24);
    assert_string_equal(next_domain(f), "b.example");
    plan(f, "", 0);
    assert_string_equal(next_domain(f), "");
    assert_true(next(f, 5, &item));
    assert_string_equal(item.destination, "x@a.example");
    assert_int_equal(item.size_limit, 1000);
    buf_init(&text, 1000);
    do {
        assert_true(due_rows(f->due, &item, mark, 2, add_line, &text, &n, &f->err));
        all += n;
    } while (n == 2);
    assert_int_equal(all, 3);
    assert_true(str_ifind(buf_str(&text), STR("10.0.0.0:2")) >= 0 && str_ifind(buf_str(&text), STR("10.0.0.2:1")) >= 0);
    buf_clear(&text);
    assert_true(due_set(f->due, &item, DUE_SENT, 9, STR(""), &f->err));
    assert_true(due_forget(f->due, TODAY + 1, &f->err)); /* one is not sent yet: all of it stays */
    assert_true(next(f, 5, &item));
    assert_string_equal(item.destination, "y@a.example");
    assert_true(due_domain_of(f->due, &item, &f->domain, &found, &f->err) && found);
    assert_true(due_set(f->due, &item, DUE_GIVEN_UP, 9, STR("why"), &f->err));
    assert_true(due_forget(f->due, TODAY + 1, &f->err));
    assert_true(due_domain_of(f->due, &item, &f->domain, &found, &f->err) && !found);
    assert_false(next(f, INT64_MAX, &item));
    count(f, "a.example", 1); /* told late */
    assert_true(due_open_day(f->due, &(int64_t){0}, &found, &f->err) && found);
}

static void what_was_handed_over_is_looked_up(void **state)
{
    struct fixture *f = *state;
    struct msg_event accepted = {.seq = 1, .time = TODAY * DAY, .message = 77, .kind = EVENT_ACCEPTED, .rcpt = STR("x@a.example"),
        .details = STR("{}")};
    struct due_item item, other;
    bool found, taken;

    count(f, "a.example", 1);
    close_day(f);
    next_domain(f);
    plan(f, "x@a.example", 12);
    assert_true(next(f, 5, &item));
    item.message = 77;
    item.tries = 1;
    assert_true(due_set(f->due, &item, DUE_HANDED, 100, STR(""), &f->err));
    reopen(f); /* a crash */
    assert_false(next(f, INT64_MAX, &other));
    assert_true(due_unanswered(f->due, 99, &other, &found, &taken, &f->err) && !found);
    assert_true(due_unanswered(f->due, 100, &other, &found, &taken, &f->err) && found);
    assert_false(taken);
    assert_int_equal(other.message, 77);
    assert_true(store_add(f->store, &accepted, &taken, &f->err) && store_commit(f->store, &f->err));
    assert_true(due_unanswered(f->due, 100, &other, &found, &taken, &f->err) && found);
    assert_true(taken);
    assert_true(due_set(f->due, &other, DUE_WAITS, 500, STR("later"), &f->err));
    assert_false(next(f, 499, &other));
    assert_true(next(f, 500, &other));
    assert_int_equal(other.tries, 1);
}

static void a_domain_waits_for_dns(void **state)
{
    struct fixture *f = *state;

    count(f, "a.example", 1);
    count(f, "b.example", 1);
    close_day(f);
    assert_string_equal(next_domain(f), "a.example");
    assert_true(due_postpone(f->due, &f->domain, &f->err));
    assert_string_equal(next_domain(f), "b.example");
    assert_true(due_postpone(f->due, &f->domain, &f->err));
    assert_string_equal(next_domain(f), "");
    assert_true(due_wake(f->due, &f->err));
    assert_string_equal(next_domain(f), "a.example");
    assert_true(due_forget(f->due, TODAY + 8, &f->err)); /* nobody asks any more */
    assert_string_equal(next_domain(f), "");
}

static void a_letter_holds_what_was_added(void **state)
{
    struct letter l;
    struct letter_head head = {.from = STR("a@b.example"), .to = STR("c@d.example"), .subject = STR("s"), .message_id = STR("i@b.example"),
        .file_name = STR("f.gz"), .type = STR("application/gzip"), .words = STR("w"), .multipart = STR("mixed")};
    struct buf out;

    (void)state;
    letter_begin(&l);
    for (int i = 0; i < 2000; i++)
        letter_add(&l, STR("<record>the same again</record>"));
    assert_true(letter_end(&l));
    assert_true(l.packed.n < 2000 && l.packed.n > 20);
    assert_true((unsigned char)l.packed.p[0] == 0x1f && (unsigned char)l.packed.p[1] == 0x8b);
    buf_init(&out, 100000);
    letter_write(&l, &head, &out);
    assert_true(str_starts(buf_str(&out), STR("From: <a@b.example>\r\nTo: <c@d.example>\r\n")));
    assert_true(str_ends(buf_str(&out), STR("\r\n--=_report--\r\n")));
    buf_clear(&out);
    letter_clear(&l);
    letter_begin(&l); /* what cannot be compressed does not fit */
    for (unsigned i = 0, x = 1; i < 12 * 1024 && !l.failed; i++) {
        char noise[1024];

        for (size_t k = 0; k < sizeof noise; k++) {
            x = x * 1664525u + 1013904223u;
            noise[k] = (char)(x >> 24);
        }
        letter_add(&l, str_from(noise, sizeof noise));
    }
    assert_false(letter_end(&l));
    letter_clear(&l);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_day_from_counts_to_the_end),
        TEST(what_was_handed_over_is_looked_up),
        TEST(a_domain_waits_for_dns),
        TEST(a_letter_holds_what_was_added),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
