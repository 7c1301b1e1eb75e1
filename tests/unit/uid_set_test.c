/* Sets of uids, held against a plain array of the same numbers. */
#include "../../src/roles/mailbox/uid_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { RANGE = 5000 };

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return *seed >> 8;
}

/* The model: there[uid]. */
static void compare(const struct uid_set *s, const bool *there)
{
    uint32_t rank = 0, last = 0;

    for (uint32_t uid = 1; uid < RANGE; uid++) {
        assert_int_equal(uid_set_below(s, uid), rank);
        assert_int_equal(uid_set_has(s, uid), there[uid]);
        if (there[uid]) {
            assert_int_equal(uid_set_next(s, last + 1), uid);
            assert_int_equal(uid_set_rank(s, uid), ++rank);
            assert_int_equal(uid_set_at(s, rank), uid);
            last = uid;
        } else {
            assert_int_equal(uid_set_rank(s, uid), 0);
        }
    }
    assert_int_equal(s->count, rank);
    assert_int_equal(uid_set_last(s), last);
    assert_int_equal(uid_set_at(s, rank + 1), 0);
    assert_int_equal(uid_set_next(s, last + 1), 0);
}

static void random_changes_agree_with_an_array(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 5; seed++) {
        bool there[RANGE] = {false};
        unsigned random = seed;
        struct uid_set s;

        uid_set_init(&s);
        for (int i = 0; i < 6000; i++) {
            uint32_t uid = 1 + next_random(&random) % (RANGE - 1);
            bool add = next_random(&random) % 5 < (seed % 2 ? 3 : 2);

            assert_int_equal((add ? uid_set_add : uid_set_remove)(&s, uid), there[uid] != add);
            there[uid] = add;
            if (i % 1000 == 0)
                compare(&s, there);
        }
        compare(&s, there);
        for (uint32_t uid = 1; uid < RANGE; uid++)
            uid_set_remove(&s, uid);
        assert_int_equal(s.n, 0);
        uid_set_clear(&s);
    }
}

static void what_is_gone_is_found_from_both_ends(void **state)
{
    struct uid_set known, there;
    uint32_t gone[] = {1, 1023, 1024, 3000, 4999}, at = 0;

    (void)state;
    uid_set_init(&known);
    uid_set_init(&there);
    for (uint32_t uid = 1; uid < RANGE; uid++)
        uid_set_add(&known, uid);
    uid_set_copy(&there, &known);
    for (size_t i = 0; i < 5; i++)
        uid_set_remove(&there, gone[i]);
    uid_set_add(&there, 10000);
    for (size_t i = 0; i < 5; i++) {
        at = uid_set_next_gone(&known, &there, at + 1);
        assert_int_equal(at, gone[i]);
    }
    assert_int_equal(uid_set_next_gone(&known, &there, at + 1), 0);
    at = UINT32_MAX;
    for (size_t i = 5; i-- > 0;) {
        at = uid_set_last_gone(&known, &there, at);
        assert_int_equal(at, gone[i]);
        at--;
    }
    assert_int_equal(uid_set_last_gone(&known, &there, at), 0);
    uid_set_clear(&known);
    uid_set_clear(&there);
}

static void the_largest_uids_have_a_place(void **state)
{
    struct uid_set s;

    (void)state;
    uid_set_init(&s);
    assert_true(uid_set_add(&s, UINT32_MAX));
    assert_true(uid_set_add(&s, 1));
    assert_int_equal(uid_set_last(&s), UINT32_MAX);
    assert_int_equal(uid_set_next(&s, 2), UINT32_MAX);
    assert_int_equal(uid_set_rank(&s, UINT32_MAX), 2);
    uid_set_clear(&s);
}

static void a_block_comes_back_from_the_database(void **state)
{
    struct uid_set s, back;
    char bytes[UID_BLOCK_BYTES], zero[UID_BLOCK_BYTES] = {0};

    (void)state;
    uid_set_init(&s);
    uid_set_init(&back);
    for (uint32_t uid = 1; uid < 4000; uid += 7)
        uid_set_add(&s, uid);
    for (size_t i = 0; i < s.n; i++) {
        uid_block_pack(&s.blocks[i], bytes);
        assert_true(uid_set_unpack(&back, s.blocks[i].number, str_from(bytes, sizeof bytes)));
    }
    assert_int_equal(back.count, s.count);
    assert_memory_equal(back.blocks, s.blocks, s.n * sizeof *s.blocks);
    assert_false(uid_set_unpack(&back, 2, str_from(bytes, sizeof bytes)));       /* not in order */
    assert_false(uid_set_unpack(&back, 9, str_from(bytes, sizeof bytes - 1)));   /* cut */
    assert_false(uid_set_unpack(&back, 9, str_from(zero, sizeof zero)));         /* empty */
    assert_false(uid_set_unpack(&back, 1u << 31, str_from(bytes, sizeof bytes))); /* no such uids */
    uid_set_clear(&s);
    uid_set_clear(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_agree_with_an_array),
        cmocka_unit_test(what_is_gone_is_found_from_both_ends),
        cmocka_unit_test(the_largest_uids_have_a_place),
        cmocka_unit_test(a_block_comes_back_from_the_database),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
