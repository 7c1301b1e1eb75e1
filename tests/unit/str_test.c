/* Borrowed text: searching, cutting, numbers, UTF-8. */
#include "base/buf.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static void comparing_folds_only_ascii(void **state)
{
    (void)state;
    assert_true(str_ieq(STR("MaIl"), STR("mAiL")));
    assert_false(str_eq(STR("MaIl"), STR("mAiL")));
    assert_false(str_ieq(STR("\xc3\x84"), STR("\xc3\xa4")));
    assert_true(str_eq((struct str){0}, STR("")));
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_starts(STR("abc"), STR("ab")) && !str_starts(STR("a"), STR("ab")));
    assert_true(str_ends(STR("abc"), STR("bc")) && !str_ends(STR("c"), STR("bc")));
    assert_int_equal(str_ifind(STR("Subject: x"), STR("JECT")), 3);
    assert_int_equal(str_ifind(STR("x"), STR("xx")), -1);
    assert_int_equal(str_rfind(STR("a.b.c"), '.'), 3);
}

static void pieces_and_words(void **state)
{
    struct str rest = STR("a,,b"), piece;
    struct str words = STR("  one\ttwo ");
    int n = 0;

    (void)state;
    while (str_next(&rest, ',', &piece))
        n++;
    assert_int_equal(n, 3);
    assert_true(str_next_word(&words, &piece) && str_eq(piece, STR("one")));
    assert_true(str_next_word(&words, &piece) && str_eq(piece, STR("two")));
    assert_false(str_next_word(&words, &piece));
    assert_true(str_eq(str_trim(STR(" \r\n x y \t")), STR("x y")));
    assert_int_equal(str_sub(STR("abc"), 2, 99).n, 1);
    assert_int_equal(str_sub(STR("abc"), 9, 1).n, 0);
}

static void numbers_are_checked(void **state)
{
    static const struct {
        const char *text;
        uint64_t max, value;
        bool ok;
    } cases[] = {
        {"0", 9, 0, true},
        {"18446744073709551615", UINT64_MAX, UINT64_MAX, true},
        {"18446744073709551616", UINT64_MAX, 0, false},
        {"99999999999999999999999", UINT64_MAX, 0, false},
        {"10", 9, 0, false},
        {"", 9, 0, false},
        {"-1", 9, 0, false},
        {"1 ", 9, 0, false},
        {"+1", 9, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t value = 0;

        assert_int_equal(str_to_u64(str_of(cases[i].text), cases[i].max, &value), cases[i].ok);
        if (cases[i].ok)
            assert_true(value == cases[i].value);
    }
}

static void utf8_is_strict(void **state)
{
    static const char *const good[] = {"", "abc", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x93\xa7", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80",
        "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3", "\xe2\x82", "a\xff"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(str_is_utf8(str_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(str_is_utf8(str_of(bad[i])));
}

static void control_characters_have_three_kinds(void **state)
{
    (void)state;
    assert_int_equal(str_control(STR("\n")), 1);
    assert_int_equal(str_control((struct str){"", 1}), 1);
    assert_int_equal(str_control(STR("\x7f")), 1);
    assert_int_equal(str_control(STR("\xc2\x9b")), 2);
    assert_int_equal(str_control(STR("\xc2\xa0")), 0);
    assert_int_equal(str_control(STR("\xc2")), 0);
    assert_int_equal(str_control(STR(" ")), 0);
    assert_int_equal(str_control(STR("")), 0);
    assert_true(str_has_control(STR("a\xc2\x85")));
    assert_false(str_has_control(STR("\xc3\x85 a")));
}

static void a_buffer_never_passes_its_ceiling(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 10);
    buf_add(&b, STR("12345678"));
    assert_false(b.failed);
    buf_add(&b, STR("abc"));
    assert_true(b.failed);
    assert_true(str_eq(buf_str(&b), STR("12345678")));
    buf_add(&b, STR("x"));
    assert_int_equal(b.n, 8);
    buf_reset(&b);
    buf_addf(&b, "%d", 1234567890);
    assert_false(b.failed);
    assert_int_equal(b.n, 10);
    buf_consume(&b, 4);
    assert_true(str_eq(buf_str(&b), STR("567890")));
    buf_clear(&b);
}

static void long_formats_grow_the_buffer(void **state)
{
    char big[2000];
    struct buf b;

    (void)state;
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    buf_init(&b, 4000);
    buf_addf(&b, "%s.", big);
    assert_false(b.failed);
    assert_int_equal(b.n, sizeof big);
    buf_addf(&b, "%s%s", big, big);
    assert_true(b.failed);
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparing_folds_only_ascii),
        cmocka_unit_test(pieces_and_words),
        cmocka_unit_test(numbers_are_checked),
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(control_characters_have_three_kinds),
        cmocka_unit_test(a_buffer_never_passes_its_ceiling),
        cmocka_unit_test(long_formats_grow_the_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
