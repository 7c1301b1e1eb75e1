/* Senders of forwarded mail: there and back over one and several forwarders, with local parts from hell; nothing forged,
 * changed or too old comes back. */
#include "mailauth/srs.h"
#include "smtp/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const int64_t now = 1700000000, day = 24 * 3600;
static const struct path_keys keys = {.keys = {{.octets = "the first key", .number = 1}}, .n = 1};
static const struct path_keys others = {.keys = {{.octets = "another key", .number = 1}}, .n = 1};
/* after a change of keys: a new one signs, the old one is accepted */
static const struct path_keys both = {.keys = {{.octets = "the next key", .number = 2}, {.octets = "the first key", .number = 1}}, .n = 2};

/* NULL: there is no such form. */
static const char *forward(const struct path_keys *with, const char *sender, const char *forwarder, int64_t when)
{
    static char text[ADDRESS_TEXT_MAX + 1];
    char copy[ADDRESS_TEXT_MAX * 2];
    struct buf out;
    bool ok;

    snprintf(copy, sizeof copy, "%s", sender);
    buf_init(&out, ADDRESS_TEXT_MAX);
    ok = srs_forward(with, str_of(copy), str_of(forwarder), when, &out);
    snprintf(text, sizeof text, "%.*s", STR_ARG(buf_str(&out)));
    buf_clear(&out);
    return ok ? text : NULL;
}

/* "good: user@example.org" or "forged: ". */
static const char *reverse(const struct path_keys *with, const char *rcpt, int64_t when)
{
    static char text[ADDRESS_TEXT_MAX + 20];
    struct buf out;
    enum path_result result;

    buf_init(&out, ADDRESS_TEXT_MAX);
    result = srs_reverse(with, str_of(rcpt), when, &out);
    assert_true(result == PATH_GOOD || out.n == 0);
    snprintf(text, sizeof text, "%s: %.*s", path_result_name(result), STR_ARG(buf_str(&out)));
    buf_clear(&out);
    return text;
}

static void comes_back(const char *sender)
{
    char rewritten[ADDRESS_TEXT_MAX + 1], wanted[ADDRESS_TEXT_MAX + 20];

    snprintf(rewritten, sizeof rewritten, "%s", forward(&keys, sender, "relay.example", now));
    snprintf(wanted, sizeof wanted, "good: %s", sender);
    assert_string_equal(reverse(&keys, rewritten, now), wanted);
}

static void there_and_back(void **state)
{
    static const char *const senders[] = {
        "user@example.org", "User.Name+tag@example.org", "a=b=c@example.org", "\"a b\"@example.org", "\"a\\\"@\\\\b\"@example.org",
        "\"\"@example.org", "\"..\"@example.org", "=@example.org", "j\xc3\xb6rg@xn--bcher-kva.example", "user@[192.0.2.1]",
        "user@[IPv6:2001:db8::1]", "SRS0@example.org", "srs@example.org", "SRS2=x@example.org", "x@y", "SRS0=@[192.0.2.1]",
        "SRS0=@example.org", "SRS1=x@example.org", "SRS1=x=0==y=example.com=z@example.org", "\"SRS1=x=not a host==y\"@example.org",
    };

    (void)state;
    /* worked out by hand with HMAC of another library */
    assert_string_equal(forward(&keys, "user@example.org", "relay.example", now), "SRS0=6og2ehff=g3=example.org=user@relay.example");
    for (size_t i = 0; i < sizeof senders / sizeof senders[0]; i++)
        comes_back(senders[i]);
    assert_string_equal(forward(&keys, "", "relay.example", now), "");
    assert_string_equal(reverse(&keys, "user@relay.example", now), "plain: ");
    assert_string_equal(reverse(&keys, "", now), "plain: ");
}

/* The third forwarder sends bounces straight to the first, which unwraps them. */
static void several_forwarders(void **state)
{
    char first[600], second[600], third[600];

    (void)state;
    snprintf(first, sizeof first, "%s", forward(&others, "user@example.org", "first.example", now));
    snprintf(second, sizeof second, "%s", forward(&keys, first, "second.example", now));
    snprintf(third, sizeof third, "%s", forward(&both, second, "third.example", now));
    assert_int_equal(strncmp(second, "SRS1=", 5), 0);
    assert_int_equal(strlen(third), strlen(second) - 1);
    assert_string_equal(reverse(&both, third, now) + 6, first);
    assert_string_equal(reverse(&keys, second, now) + 6, first);
    assert_string_equal(reverse(&others, first, now), "good: user@example.org");
    assert_string_equal(reverse(&others, third, now), "forged: ");
}

static void others_separators(void **state)
{
    static const char *const firsts[] = {"SRS0=x=y=example.org=user@first.example", "SRS0+x=y=example.org=user@first.example",
        "SRS0-x-y-example.org-user@first.example", "srs0+x@first.example"};

    (void)state;
    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        char second[600];

        snprintf(second, sizeof second, "%s", forward(&keys, firsts[i], "second.example", now));
        assert_non_null(strstr(second, "=first.example="));
        assert_string_equal(reverse(&keys, second, now) + 6 + 4, firsts[i] + 4);
    }
}

/* Others fold the case of what they send bounces to. */
static void case_does_not_matter(void **state)
{
    char rewritten[600], folded[600];

    (void)state;
    snprintf(rewritten, sizeof rewritten, "%s", forward(&keys, "User@example.org", "relay.example", now));
    for (unsigned upper = 0; upper < 2; upper++) {
        for (size_t i = 0; i <= strlen(rewritten); i++)
            folded[i] = upper && rewritten[i] >= 'a' && rewritten[i] <= 'z' ? (char)(rewritten[i] - 32) : !upper ? ascii_lower(rewritten[i]) : rewritten[i];
        assert_string_equal(reverse(&keys, folded, now), upper ? "good: USER@example.org" : "good: user@example.org");
    }
}

/* Every character of every part counts. */
static void nothing_may_change(void **state)
{
    char rewritten[600], changed[600];
    size_t end;

    (void)state;
    for (unsigned which = 0; which < 2; which++) {
        snprintf(rewritten, sizeof rewritten, "%s",
            forward(&keys, which == 0 ? "user@example.org" : "SRS0=aaaa=bb=example.org=user@first.example", "relay.example", now));
        end = (size_t)(strchr(rewritten, '@') - rewritten);
        for (size_t i = 5; i < end; i++) {
            memcpy(changed, rewritten, sizeof changed);
            changed[i] = changed[i] == 'q' ? 'z' : 'q';
            assert_string_equal(reverse(&keys, changed, now), "forged: ");
            memmove(changed + i, rewritten + i + 1, strlen(rewritten) - i);
            assert_int_not_equal(strncmp(reverse(&keys, changed, now), "good", 4), 0);
        }
    }
}

static void hostile(void **state)
{
    static const char *const addresses[] = {"SRS0=@x.example", "SRS0==@x.example", "SRS0===@x.example", "SRS0====@x.example",
        "SRS0=aaaaaaaa=aa=x@x.example", "SRS0=aaaaaaaa=aa=x.example=@x.example", "SRS0=aaaaaaaa=11=x.example=u@x.example", "SRS1=@x.example",
        "SRS1====@x.example", "SRS1=aaaaaaaa=x.example==@x.example", "SRS1=aaaaaaaa=x.example=u@x.example", "SRS0+@x.example",
        "SRS0-a-b@x.example", "\"SRS0=\\\"\"@x.example", "srs0=\xff@x.example", "SRS1=aaaaaaaa=[::1]==u@x.example"};

    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
        assert_string_equal(reverse(&keys, addresses[i], now), "forged: ");
}

static void time_and_keys(void **state)
{
    char rewritten[600];

    (void)state;
    for (unsigned start = 0; start < 2000; start += 37) { /* through the turn of the counter of days */
        int64_t made = now + start * day;

        snprintf(rewritten, sizeof rewritten, "%s", forward(&keys, "user@example.org", "relay.example", made));
        assert_string_equal(reverse(&keys, rewritten, made + SRS_DAYS * day), "good: user@example.org");
        assert_string_equal(reverse(&keys, rewritten, made - day), "good: user@example.org");
        assert_string_equal(reverse(&keys, rewritten, made + (SRS_DAYS + 1) * day), "expired: ");
        assert_string_equal(reverse(&keys, rewritten, made - 2 * day), "expired: ");
        assert_string_equal(reverse(&both, rewritten, made), "good: user@example.org");
        assert_string_equal(reverse(&others, rewritten, made), "forged: ");
        assert_string_equal(reverse(&(struct path_keys){.n = 0}, rewritten, made), "forged: ");
    }
    assert_null(forward(&(struct path_keys){.n = 0}, "user@example.org", "relay.example", now));
}

/* Over 64 octets is made, over 255 is not. */
static void lengths(void **state)
{
    char sender[ADDRESS_TEXT_MAX], longest[ADDRESS_TEXT_MAX] = "";

    (void)state;
    for (int n = 1; n < 300; n++) {
        snprintf(sender, sizeof sender, "%0*d@example.org", n, 7);
        if (forward(&keys, sender, "relay.example", now) == NULL) {
            assert_int_equal(n, ADDRESS_LOCAL_MAX - 29 + 1); /* "SRS0=aaaaaaaa=aa=example.org=" has 29 */
            break;
        }
        comes_back(sender);
        snprintf(longest, sizeof longest, "%s", sender);
    }
    assert_int_equal(strchr(longest, '@') - longest, ADDRESS_LOCAL_MAX - 29);
    assert_null(forward(&keys, "no address", "relay.example", now));
    assert_null(forward(&keys, "user@example.org", "not a domain", now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(several_forwarders),
        cmocka_unit_test(others_separators),
        cmocka_unit_test(case_does_not_matter),
        cmocka_unit_test(nothing_may_change),
        cmocka_unit_test(hostile),
        cmocka_unit_test(time_and_keys),
        cmocka_unit_test(lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
