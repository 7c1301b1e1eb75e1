/* The packed flags of neighbouring messages: there and back, and bytes that are not such a block. */
#include "roles/mailbox/flag_block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t state_of_chance = 88172645463325252u;

static uint64_t chance(void)
{
    state_of_chance ^= state_of_chance << 13;
    state_of_chance ^= state_of_chance >> 7;
    return state_of_chance ^= state_of_chance << 17;
}

static bool is_same(const struct flag_block *a, const struct flag_block *b)
{
    if (memcmp(a->present, b->present, sizeof a->present) != 0)
        return false;
    for (uint32_t i = 0; i < FLAG_BLOCK; i++)
        if (flag_block_has(a, i) && memcmp(&a->at[i], &b->at[i], sizeof a->at[i]) != 0)
            return false;
    return true;
}

/* Packs it; what that gives is the same. Returns the length. */
static size_t there_and_back(const struct flag_block *b, struct buf *packed)
{
    struct flag_block again;

    buf_reset(packed);
    flag_block_pack(b, packed);
    assert_false(packed->failed);
    assert_true(flag_block_unpack(&again, buf_str(packed)));
    assert_true(is_same(b, &again));
    return packed->n;
}

static void it_comes_back_as_it_was(void **state)
{
    static const int64_t values[] = {0, 1, 127, 128, 5000, INT64_C(1) << 55, INT64_MAX, INT64_MIN, -1};
    struct flag_block b = {0};
    struct buf packed;

    (void)state;
    buf_init(&packed, FLAG_BLOCK_MAX);
    assert_int_equal(there_and_back(&b, &packed), 16);
    for (int round = 0; round < 20000; round++) {
        uint64_t spread = 1 + chance() % 9;

        memset(b.present, 0, sizeof b.present);
        for (uint32_t i = 0; i < FLAG_BLOCK; i++)
            if (chance() % 8 < (uint64_t)round % 9)
                flag_block_put(&b, i, &(struct flag_entry){values[chance() % spread], values[chance() % spread], values[chance() % spread]});
        if (round % 3 == 0)
            flag_block_drop(&b, (uint32_t)(chance() % FLAG_BLOCK));
        there_and_back(&b, &packed);
    }
    buf_clear(&packed);
}

static void what_is_alike_takes_little(void **state)
{
    struct flag_block b = {0};
    struct buf packed;

    (void)state;
    buf_init(&packed, FLAG_BLOCK_MAX);
    for (uint32_t i = 0; i < FLAG_BLOCK; i++)
        flag_block_put(&b, i, &(struct flag_entry){123456, 5, 5000});
    assert_int_equal(there_and_back(&b, &packed), 16 + 2 + 3 + 1 + 2 * FLAG_BLOCK);
    for (uint32_t i = 0; i < FLAG_BLOCK; i++)
        flag_block_put(&b, i, &(struct flag_entry){123456 + i, i & 1, 5000});
    assert_true(there_and_back(&b, &packed) < 16 + 6 * FLAG_BLOCK);
    for (uint32_t i = 0; i < FLAG_BLOCK; i++)
        flag_block_put(&b, i, &(struct flag_entry){i & 1 ? INT64_MIN : INT64_MAX, -1, -1});
    assert_true(there_and_back(&b, &packed) <= FLAG_BLOCK_MAX);
    buf_clear(&packed);
}

static void other_bytes_are_refused(void **state)
{
    struct flag_block b = {0};
    struct buf packed, again;
    char bytes[200];

    (void)state;
    buf_init(&packed, FLAG_BLOCK_MAX);
    buf_init(&again, FLAG_BLOCK_MAX);
    for (uint32_t i = 3; i < 60; i += 2)
        flag_block_put(&b, i, &(struct flag_entry){1000 + i / 10, i % 3, 4000 + i});
    there_and_back(&b, &packed);
    for (size_t n = 0; n < packed.n; n++)
        assert_false(flag_block_unpack(&b, str_from(packed.p, n)));
    buf_add_char(&packed, 0);
    assert_false(flag_block_unpack(&b, buf_str(&packed)));
    packed.n--;
    for (int round = 0; round < 200000; round++) { /* what is taken has one form only */
        size_t n = packed.n < sizeof bytes ? packed.n : sizeof bytes;

        memcpy(bytes, packed.p, n);
        for (uint64_t i = 1 + chance() % 3; i > 0; i--)
            bytes[chance() % n] = (char)chance();
        if (!flag_block_unpack(&b, str_from(bytes, n)))
            continue;
        buf_reset(&again);
        flag_block_pack(&b, &again);
        assert_true(str_eq(buf_str(&again), str_from(bytes, n)));
    }
    buf_clear(&packed);
    buf_clear(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_as_it_was),
        cmocka_unit_test(what_is_alike_takes_little),
        cmocka_unit_test(other_bytes_are_refused),
    };

    return cmocka_run_group_tests_name("flag_block", tests, NULL, NULL);
}
