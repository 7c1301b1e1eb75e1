/* MTA-STS policies on disk: kept across a restart, replaced, ended, refreshed in turn, bounded; a damaged database is set aside. */
#include "roles/events/policies.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

enum { NOW = 1000000 };

#define TEXT(mode, age) "version: STSv1\nmode: " mode "\nmx: mx.x.test\nmax_age: " age "\n"

struct fixture {
    char folder[SCRATCH_MAX], path[SCRATCH_MAX + 20];
    struct policies *p;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    scratch_make(f->folder, "policies_test");
    snprintf(f->path, sizeof f->path, "%s/policies.db", f->folder);
    f->p = policies_open(f->path);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    policies_close(f->p);
    scratch_remove(f->folder);
    free(f);
    return 0;
}

static void reopen(struct fixture *f)
{
    policies_close(f->p);
    f->p = policies_open(f->path);
}

static void put(struct fixture *f, const char *domain, const char *id, const char *text, int64_t now)
{
    struct sts_record record = {""};

    snprintf(record.id, sizeof record.id, "%s", id);
    policies_put(f->p, str_of(domain), &record, str_of(text), now);
}

static struct sts_cached get(struct fixture *f, const char *domain, const char *text)
{
    struct sts_cached cached;
    struct buf out;

    buf_init(&out, STS_POLICY_MAX);
    policies_get(f->p, str_of(domain), &cached, &out);
    assert_int_equal(cached.present, text != NULL);
    if (text != NULL)
        assert_true(str_eq(buf_str(&out), str_of(text)));
    buf_clear(&out);
    return cached;
}

static void kept_and_replaced(void **state)
{
    struct fixture *f = *state;
    struct sts_cached c;

    get(f, "x.test", NULL);
    put(f, "x.test", "one", TEXT("enforce", "5000"), NOW);
    reopen(f);
    c = get(f, "x.test", TEXT("enforce", "5000"));
    assert_string_equal(c.record.id, "one");
    assert_int_equal(c.mode, STS_ENFORCE);
    assert_int_equal(c.max_age, 5000);
    assert_int_equal(c.fetched, NOW);
    put(f, "x.test", "two", TEXT("none", "60"), NOW + 5);
    c = get(f, "x.test", TEXT("none", "60"));
    assert_string_equal(c.record.id, "two");
    assert_int_equal(c.fetched, NOW + 5);
    put(f, "x.test", "three", "rubbish", NOW + 6); /* is no policy: nothing is written */
    get(f, "x.test", TEXT("none", "60"));
}

static void refreshed_in_turn_and_ended(void **state)
{
    struct fixture *f = *state;
    struct sts_record record;
    struct buf domain;

    buf_init(&domain, 300);
    put(f, "a.test", "1", TEXT("enforce", "900000"), NOW);
    put(f, "b.test", "2", TEXT("enforce", "900000"), NOW + 1);
    put(f, "c.test", "3", TEXT("enforce", "100"), NOW - 50000);
    assert_false(policies_oldest(f->p, NOW + 10, 86400, &domain, &record)); /* c has ended */
    get(f, "c.test", NULL);
    assert_true(policies_oldest(f->p, NOW + 86402, 86400, &domain, &record));
    assert_true(str_eq(buf_str(&domain), STR("a.test")));
    assert_string_equal(record.id, "1");
    policies_tried(f->p, STR("a.test"), NOW + 86402);
    assert_true(policies_oldest(f->p, NOW + 86402, 86400, &domain, &record));
    assert_true(str_eq(buf_str(&domain), STR("b.test")));
    policies_tried(f->p, STR("b.test"), NOW + 86402);
    assert_false(policies_oldest(f->p, NOW + 86402, 86400, &domain, &record));
    buf_clear(&domain);
}

static void a_damaged_database(void **state)
{
    struct fixture *f = *state;
    char aside[SCRATCH_MAX + 40];
    struct stat st;
    FILE *file;

    put(f, "x.test", "one", TEXT("enforce", "5000"), NOW);
    policies_close(f->p);
    file = fopen(f->path, "w");
    assert_non_null(file);
    for (int i = 0; i < 2000; i++)
        fputs("rubbish", file);
    fclose(file);
    f->p = policies_open(f->path);
    get(f, "x.test", NULL);
    put(f, "x.test", "two", TEXT("enforce", "5000"), NOW);
    get(f, "x.test", TEXT("enforce", "5000"));
    snprintf(aside, sizeof aside, "%s.damaged", f->path);
    assert_int_equal(stat(aside, &st), 0);
}

/* A folder that is not there: nothing is known, and nothing breaks. */
static void no_database(void **state)
{
    struct sts_record record = {"1"};
    struct policies *p = policies_open("/nowhere/at/all/policies.db");
    struct sts_cached cached;
    struct buf text;

    (void)state;
    buf_init(&text, 1000);
    policies_put(p, STR("x.test"), &record, STR(TEXT("enforce", "60")), NOW);
    policies_tried(p, STR("x.test"), NOW);
    policies_get(p, STR("x.test"), &cached, &text);
    assert_false(cached.present);
    assert_false(policies_oldest(p, NOW, 1, &text, &record));
    buf_clear(&text);
    policies_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kept_and_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(refreshed_in_turn_and_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_database, setup, teardown),
        cmocka_unit_test(no_database),
    };

    return cmocka_run_group_tests_name("policies", tests, NULL, NULL);
}
