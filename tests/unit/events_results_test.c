/* Results counted for reports: equal ones together, each once however often it is told, within the bounds, and never into a day whose
 * reports are being made. */
#include "base/clock.h"
#include "mailauth/aggregate.h"
#include "roles/events/results.h"
#include "roles/events/store.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define RECORD "v=DMARC1; p=reject; rua=mailto:x@a.example"
enum { TODAY = 20779 };

struct fixture {
    char folder[SCRATCH_MAX], path[SCRATCH_MAX + 20];
    struct store *store;
    struct db *db; /* beside it, to look */
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    scratch_make(f->folder, "results_test");
    snprintf(f->path, sizeof f->path, "%s/events.db", f->folder);
    assert_true(store_open(&f->store, f->path, &f->err));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    store_close(f->store);
    scratch_remove(f->folder);
    free(f);
    return 0;
}

static void pack(struct buf *out, const char *record, const char *client)
{
    struct aggregate_row row = {.source = str_of(client), .action = AGGREGATE_REJECT, .header_from = STR("a.example")};

    buf_init(out, 32768);
    buf_addf(out, "%s\n", record);
    aggregate_pack(&row, out);
}

static bool tell(struct fixture *f, const char *teller, uint64_t seq, const char *domain, const char *record, const char *client)
{
    struct msg_event e = {.seq = seq, .time = TODAY * DAY + (int64_t)seq, .message = seq, .kind = EVENT_DMARC, .sender = str_of(domain),
        .message_id = str_of(teller)};
    struct buf details;
    bool added = false;

    pack(&details, record, client);
    e.details = buf_str(&details);
    if (!store_add(f->store, &e, &added, &f->err))
        fail_msg("%s", f->err.text);
    buf_clear(&details);
    return added;
}

/* "messages listed left_out record" of the domain, or "none". */
static void is(struct fixture *f, int64_t day, const char *domain, const char *wanted)
{
    struct db *db;
    struct stmt *s;
    char found[1000] = "none";

    assert_true(store_commit(f->store, &f->err));
    assert_true(db_open(&db, f->path, DB_SYNC_LATER, 1000, &f->err));
    s = stmt_new(db, "SELECT messages, listed, left_out, record FROM dmarc_domain WHERE day = $1 AND domain = $2");
    stmt_int(s, day);
    stmt_str(s, str_of(domain));
    if (stmt_row(s))
        snprintf(found, sizeof found, "%d %d %d %.*s", (int)column_int(s, 0), (int)column_int(s, 1), (int)column_int(s, 2),
            STR_ARG(column_str(s, 3)));
    assert_true(stmt_done(s, &f->err));
    db_close(db);
    assert_string_equal(found, wanted);
}

static void execute(struct fixture *f, const char *sql)
{
    struct db *db;

    assert_true(store_commit(f->store, &f->err));
    assert_true(db_open(&db, f->path, DB_SYNC_LATER, 1000, &f->err));
    assert_true(db_exec(db, sql, &f->err));
    db_close(db);
}

static void equal_results_are_one_row(void **state)
{
    struct fixture *f = *state;

    assert_true(tell(f, "one", 1, "a.example", RECORD, "192.0.2.1"));
    assert_true(tell(f, "one", 2, "a.example", RECORD, "192.0.2.1"));
    assert_true(tell(f, "one", 3, "a.example", RECORD "; t=y", "192.0.2.2"));
    assert_true(tell(f, "one", 4, "b.example", RECORD, "192.0.2.1"));
    is(f, TODAY, "a.example", "3 2 0 " RECORD "; t=y");
    is(f, TODAY, "b.example", "1 1 0 " RECORD);
    is(f, TODAY, "", "2 3 0 ");
}

static void what_is_told_again_counts_once(void **state)
{
    struct fixture *f = *state;

    for (uint64_t i = 1; i <= 5; i++)
        assert_true(tell(f, "one", i, "a.example", RECORD, "192.0.2.1"));
    store_rollback(f->store);
    for (int again = 0; again < 2; again++)
        for (uint64_t i = 1; i <= 5; i++)
            assert_int_equal(tell(f, "one", i, "a.example", RECORD, "192.0.2.1"), again == 0);
    assert_true(tell(f, "two", 1, "a.example", RECORD, "192.0.2.1"));
    is(f, TODAY, "a.example", "6 1 0 " RECORD);
}

static void what_finds_no_room_is_counted(void **state)
{
    struct fixture *f = *state;
    char name[40];
    uint64_t seq = 0;

    for (int i = 0; i < RESULTS_ROWS_MAX + 2; i++) {
        snprintf(name, sizeof name, "10.0.%d.%d", i / 250, i % 250);
        assert_true(tell(f, "one", ++seq, "a.example", RECORD, name));
    }
    assert_true(tell(f, "one", ++seq, "a.example", RECORD, "10.0.0.0"));
    is(f, TODAY, "a.example", "5003 5000 2 " RECORD);
    execute(f, "UPDATE dmarc_domain SET messages = 10000 WHERE domain = ''");
    assert_true(tell(f, "one", ++seq, "b.example", RECORD, "192.0.2.1"));
    is(f, TODAY, "b.example", "none");
    is(f, TODAY, "", "10000 5000 1 ");
    execute(f, "UPDATE dmarc_domain SET messages = 1, listed = 500000 WHERE domain = ''");
    assert_true(tell(f, "one", ++seq, "b.example", RECORD, "192.0.2.1"));
    is(f, TODAY, "b.example", "1 0 1 " RECORD);
    is(f, TODAY, "", "2 500000 1 ");
}

static void a_late_result_counts_for_the_next_day(void **state)
{
    struct fixture *f = *state;

    assert_true(tell(f, "one", 1, "a.example", RECORD, "192.0.2.1"));
    execute(f, "UPDATE dmarc_domain SET state = 1 WHERE domain = ''");
    assert_true(tell(f, "one", 2, "a.example", RECORD, "192.0.2.1"));
    is(f, TODAY, "a.example", "1 1 0 " RECORD);
    is(f, TODAY + 1, "a.example", "1 1 0 " RECORD);
}

static void nonsense_is_passed_over(void **state)
{
    struct fixture *f = *state;

    assert_false(tell(f, "one", 1, "a.example", "v=spf1 -all", "192.0.2.1"));
    assert_false(tell(f, "one", 2, "a.example", "v=DMARC1; p=none\r", "192.0.2.1"));
    assert_false(tell(f, "one", 3, "A.example", RECORD, "192.0.2.1"));
    assert_false(tell(f, "one", 4, "", RECORD, "192.0.2.1"));
    is(f, TODAY, "", "none");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(equal_results_are_one_row),
        TEST(what_is_told_again_counts_once),
        TEST(what_finds_no_room_is_counted),
        TEST(a_late_result_counts_for_the_next_day),
        TEST(nonsense_is_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
