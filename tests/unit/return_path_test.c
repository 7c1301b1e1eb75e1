/* Signed return paths: there and back, in any case, over a change of keys; nothing forged or expired is taken; tags of
 * others can be seen through. */
#include "mailauth/return_path.h"
#include "smtp/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const int64_t now = 1700000000, day = 24 * 3600;
static const struct path_keys keys = {.keys = {{.octets = "the first key", .number = 1}}, .n = 1};
static const struct path_keys both = {.keys = {{.octets = "the next key", .number = 2}, {.octets = "the first key", .number = 1}}, .n = 2};

static const char *make(const struct path_keys *with, const char *address, int64_t when)
{
    static char text[ADDRESS_TEXT_MAX + 1];
    struct buf out;
    bool ok;

    buf_init(&out, ADDRESS_TEXT_MAX);
    ok = return_path_make(with, str_of(address), when, &out);
    snprintf(text, sizeof text, "%.*s", STR_ARG(buf_str(&out)));
    buf_clear(&out);
    return ok ? text : NULL;
}

static const char *check(const struct path_keys *with, const char *address, int64_t when)
{
    static char text[ADDRESS_TEXT_MAX + 20];
    enum path_result result;
    struct buf out;

    buf_init(&out, ADDRESS_TEXT_MAX);
    result = return_path_check(with, str_of(address), when, &out);
    assert_true(result == PATH_GOOD || out.n == 0);
    snprintf(text, sizeof text, "%s: %.*s", path_result_name(result), STR_ARG(buf_str(&out)));
    buf_clear(&out);
    return text;
}

static const char *unwrap(const char *address)
{
    static char text[ADDRESS_TEXT_MAX + 1];
    struct buf out;

    buf_init(&out, ADDRESS_TEXT_MAX);
    assert_true(return_path_unwrap(str_of(address), &out));
    snprintf(text, sizeof text, "%.*s", STR_ARG(buf_str(&out)));
    buf_clear(&out);
    return text;
}

static void there_and_back(void **state)
{
    static const char *const addresses[] = {"user@example.org", "User+tag@example.org", "\"a b\"@example.org", "\"\\\"@\\\\\"@example.org",
        "\"\"@example.org", "j\xc3\xb6rg@xn--bcher-kva.example", "prvs=@example.org", "prvs=1234=x@example.org", "a=b@example.org"};

    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        char made[ADDRESS_TEXT_MAX + 1];

        snprintf(made, sizeof made, "%s", make(&keys, addresses[i], now));
        assert_string_equal(check(&keys, made, now) + 6, addresses[i]);
        assert_string_equal(unwrap(made), addresses[i]);
        assert_string_equal(make(&keys, made, now + day), made); /* once is enough */
    }
    assert_string_equal(make(&keys, "user@example.org", now), "prvs=168940b13d=user@example.org");
    assert_string_equal(make(&keys, "", now), "");
    assert_string_equal(check(&keys, "user@example.org", now), "plain: ");
    assert_string_equal(check(&keys, "", now), "plain: ");
}

static void case_does_not_matter(void **state)
{
    char made[200];

    (void)state;
    snprintf(made, sizeof made, "%s", make(&keys, "user@example.org", now));
    for (char *p = made; *p != '@'; p++)
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
    assert_string_equal(check(&keys, made, now), "good: USER@example.org");
}

/* Each character of the tag, the local part and the domain counts. */
static void nothing_may_change(void **state)
{
    char made[200], changed[200];
    unsigned forged = 0;

    (void)state;
    snprintf(made, sizeof made, "%s", make(&keys, "user@example.org", now));
    for (size_t i = 5; i < strlen(made); i++) {
        if (made[i] == '@' || i == 15)
            continue;
        memcpy(changed, made, sizeof changed);
        changed[i] = made[i] == '4' ? '5' : i < 15 ? '4' : 'z';
        assert_string_equal(check(&keys, changed, now), "forged: ");
        forged++;
    }
    assert_int_equal(forged, 10 + 4 + 11);
}

static void others_tags(void **state)
{
    static const char *const plain[] = {"prvs=@x.example", "prvs=123@x.example", "prvs=1234abcdef@x.example", "prvs=a234abcdef=u@x.example",
        "prvs=1234abcdeg=u@x.example", "prvs=1234abcdef0=u@x.example", "btv1==1234abcdef==u@x.example"};

    (void)state;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        assert_string_equal(check(&keys, plain[i], now), "plain: ");
        assert_string_equal(unwrap(plain[i]), plain[i]);
    }
    assert_string_equal(unwrap("PRVS=9999ABCDEF=u@x.example"), "u@x.example");
    assert_string_equal(unwrap("\"prvs=9999ABCDEF=u v\"@x.example"), "\"u v\"@x.example");
    assert_string_equal(check(&keys, "prvs=9999abcdef=u@x.example", now), "forged: ");
}

static void time_and_keys(void **state)
{
    char made[200];

    (void)state;
    for (unsigned start = 0; start < 2000; start += 37) { /* through the turn of the counter of days */
        int64_t when = now + start * day;

        snprintf(made, sizeof made, "%s", make(&keys, "user@example.org", when));
        assert_string_equal(check(&keys, made, when + RETURN_PATH_DAYS * day), "good: user@example.org");
        assert_string_equal(check(&keys, made, when + (RETURN_PATH_DAYS + 1) * day), "expired: ");
        assert_string_equal(check(&both, made, when), "good: user@example.org");
        assert_int_equal(make(&both, "user@example.org", when)[5], '2');
        assert_string_equal(check(&(struct path_keys){.n = 0}, made, when), "forged: ");
    }
    assert_null(make(&(struct path_keys){.n = 0}, "user@example.org", now));
}

static void lengths(void **state)
{
    char address[ADDRESS_TEXT_MAX];

    (void)state;
    snprintf(address, sizeof address, "%0*d@example.org", ADDRESS_LOCAL_MAX - 16, 7);
    assert_non_null(make(&keys, address, now));
    snprintf(address, sizeof address, "%0*d@example.org", ADDRESS_LOCAL_MAX - 15, 7);
    assert_null(make(&keys, address, now));
    assert_null(make(&keys, "no address", now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(case_does_not_matter),
        cmocka_unit_test(nothing_may_change),
        cmocka_unit_test(others_tags),
        cmocka_unit_test(time_and_keys),
        cmocka_unit_test(lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
