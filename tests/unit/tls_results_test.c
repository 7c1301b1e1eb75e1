/* Results of TLS counted for reports: by day, domain and policy; each once however often it is told; within the bounds. */
#include "base/clock.h"
#include "roles/events/store.h"
#include "roles/events/tls_results.h"
#include "scratch.h"
#include "tlspolicy/tls_outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { TODAY = 20779 };

struct fixture {
    char folder[SCRATCH_MAX], path[SCRATCH_MAX + 20];
    struct store *store;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    scratch_make(f->folder, "tls_results_test");
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

static bool tell_text(struct fixture *f, uint64_t seq, const char *domain, struct str details)
{
    struct msg_event e = {.seq = seq, .time = TODAY * DAY + (int64_t)seq, .kind = EVENT_TLS, .sender = str_of(domain),
        .message_id = STR("relay-0-1"), .details = details};
    bool added = false;

    if (!store_add(f->store, &e, &added, &f->err))
        fail_msg("%s", f->err.text);
    return added;
}

static bool tell(struct fixture *f, uint64_t seq, const char *domain, enum tls_result result, const char *mx)
{
    struct tls_outcome o = {.type = TLSRPT_STS, .result = result, .mx = str_of(mx), .receiving = STR("192.0.2.1"),
        .policy = STR("version: STSv1\r\nmode: testing\r\n\r\nmax_age: 5\r\n")};
    struct buf details;
    bool added;

    buf_init(&details, TLS_OUTCOME_MAX);
    tls_outcome_write(&o, &details);
    added = tell_text(f, seq, domain, buf_str(&details));
    buf_clear(&details);
    return added;
}

/* "successful failed listed policy" of the domain, or "none". */
static void is(struct fixture *f, int64_t day, const char *domain, const char *wanted)
{
    struct db *db;
    struct stmt *s;
    char found[1000] = "none";

    assert_true(store_commit(f->store, &f->err));
    assert_true(db_open(&db, f->path, DB_SYNC_LATER, 1000, &f->err));
    s = stmt_new(db, "SELECT successful, failed, listed, policy FROM tls_domain WHERE day = $1 AND domain = $2");
    stmt_int(s, day);
    stmt_str(s, str_of(domain));
    if (stmt_row(s))
        snprintf(found, sizeof found, "%d %d %d %.*s", (int)column_int(s, 0), (int)column_int(s, 1), (int)column_int(s, 2),
            STR_ARG(column_str(s, 3)));
    assert_true(stmt_done(s, &f->err));
    db_close(db);
    assert_string_equal(found, wanted);
}

static int64_t number(struct fixture *f, const char *sql)
{
    struct db *db;
    struct stmt *s;
    int64_t n;

    assert_true(store_commit(f->store, &f->err));
    assert_true(db_open(&db, f->path, DB_SYNC_LATER, 1000, &f->err));
    s = stmt_new(db, sql);
    assert_true(stmt_row(s));
    n = column_int(s, 0);
    assert_true(stmt_done(s, &f->err));
    db_close(db);
    return n;
}

static void execute(struct fixture *f, const char *sql)
{
    struct db *db;

    assert_true(store_commit(f->store, &f->err));
    assert_true(db_open(&db, f->path, DB_SYNC_LATER, 1000, &f->err));
    assert_true(db_exec(db, sql, &f->err));
    db_close(db);
}

#define POLICY "version: STSv1\nmode: testing\nmax_age: 5\n"

static void sessions_are_counted(void **state)
{
    struct fixture *f = *state;

    assert_true(tell(f, 1, "a.example", TLS_OK, "mx.a.example"));
    assert_true(tell(f, 2, "a.example", TLS_OK, "mx.a.example"));
    assert_true(tell(f, 3, "a.example", TLS_CERTIFICATE_EXPIRED, "mx.a.example"));
    assert_true(tell(f, 4, "a.example", TLS_CERTIFICATE_EXPIRED, "mx.a.example"));
    assert_true(tell(f, 5, "a.example", TLS_CERTIFICATE_EXPIRED, "mx2.a.example"));
    assert_true(tell(f, 6, "b.example", TLS_OK, ""));
    is(f, TODAY, "a.example", "2 3 2 " POLICY);
    is(f, TODAY, "b.example", "1 0 0 " POLICY);
    is(f, TODAY, "", "2 0 0 ");
    assert_int_equal(number(f, "SELECT count FROM tls_failure WHERE mx = 'mx.a.example' AND result = 'certificate-expired' AND sending = ''"), 2);
}

static void what_is_told_again_counts_once(void **state)
{
    struct fixture *f = *state;

    for (uint64_t i = 1; i <= 3; i++)
        assert_true(tell(f, i, "a.example", TLS_OK, "mx"));
    store_rollback(f->store);
    for (int again = 0; again < 2; again++)
        for (uint64_t i = 1; i <= 3; i++)
            assert_int_equal(tell(f, i, "a.example", TLS_OK, "mx"), again == 0);
    is(f, TODAY, "a.example", "3 0 0 " POLICY);
}

static void there_are_bounds(void **state)
{
    struct fixture *f = *state;
    uint64_t seq = 0;
    char mx[40];

    for (int i = 0; i < TLS_RESULTS_ROWS_MAX + 3; i++) {
        snprintf(mx, sizeof mx, "mx%d.a.example", i);
        assert_true(tell(f, ++seq, "a.example", TLS_VALIDATION_FAILURE, mx));
    }
    assert_true(tell(f, ++seq, "a.example", TLS_VALIDATION_FAILURE, "mx0.a.example"));
    is(f, TODAY, "a.example", "0 504 500 " POLICY);
    execute(f, "UPDATE tls_domain SET successful = 10000 WHERE domain = ''");
    assert_true(tell(f, ++seq, "b.example", TLS_OK, "mx"));
    is(f, TODAY, "b.example", "none");
    assert_true(tell(f, ++seq, "a.example", TLS_OK, "mx"));
    is(f, TODAY, "a.example", "1 504 500 " POLICY);
}

static void a_late_result_counts_for_the_next_day(void **state)
{
    struct fixture *f = *state;

    assert_true(tell(f, 1, "a.example", TLS_OK, "mx"));
    execute(f, "UPDATE tls_domain SET state = 1 WHERE domain = ''");
    assert_true(tell(f, 2, "a.example", TLS_OK, "mx"));
    is(f, TODAY, "a.example", "1 0 0 " POLICY);
    is(f, TODAY + 1, "a.example", "1 0 0 " POLICY);
}

static void old_days_are_forgotten(void **state)
{
    struct fixture *f = *state;

    execute(f, "INSERT INTO tls_domain (day, domain, type, policy, successful, failed, listed, state) VALUES (20768, 'a.example', 1, '', 1, 1, 1, 0)");
    execute(f, "INSERT INTO tls_failure (day, domain, type, result, mx, receiving, sending, count) VALUES (20768, 'a.example', 1, 'x', '', '', '', 1)");
    assert_true(tell(f, 1, "b.example", TLS_OK, "mx"));
    is(f, 20768, "a.example", "none");
    assert_int_equal(number(f, "SELECT COUNT(*) FROM tls_failure"), 0);
}

static void nonsense_is_passed_over(void **state)
{
    static const char *const texts[] = {"", "1 ok - - -", "3 ok - - -\n", "1 what - - -\n", "1 ok - -\n", "1 ok - - - -\n", "1 ok - - -\n\x01\n",
        "1 ok \xff - -\n"};
    struct fixture *f = *state;
    uint64_t seq = 0;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(tell_text(f, ++seq, "a.example", str_of(texts[i])));
    assert_false(tell_text(f, ++seq, "..", STR("1 ok - - -\n")));
    assert_true(tell_text(f, ++seq, "a.example", STR("2 ok - - -\n3 1 1 00\n")));
    is(f, TODAY, "a.example", "1 0 0 3 1 1 00\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sessions_are_counted),
        TEST(what_is_told_again_counts_once),
        TEST(there_are_bounds),
        TEST(a_late_result_counts_for_the_next_day),
        TEST(old_days_are_forgotten),
        TEST(nonsense_is_passed_over),
    };

    return cmocka_run_group_tests_name("tls_results", tests, NULL, NULL);
}
