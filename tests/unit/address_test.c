/* Envelope addresses: what is one, what is not, and the one canonical text of each. */
#include "smtp/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* canonical NULL: refused. */
static const struct {
    const char *text;
    unsigned flags;
    const char *canonical;
} mailboxes[] = {
    {"user@example.org", 0, "user@example.org"},
    {"User@EXAMPLE.Org", 0, "User@example.org"},
    {"a.b+c=d!#$%&'*/?^_`{|}~-@x.example", 0, "a.b+c=d!#$%&'*/?^_`{|}~-@x.example"},
    {"user@host", 0, "user@host"},
    {"user@my_host.example", 0, "user@my_host.example"},
    {"\"user\"@example.org", 0, "user@example.org"},
    {"\"a b\"@example.org", 0, "\"a b\"@example.org"},
    {"\"a\\\"b\"@example.org", 0, "\"a\\\"b\"@example.org"},
    {"\"a\\b\"@example.org", 0, "ab@example.org"},
    {"\"a@b\"@example.org", 0, "\"a@b\"@example.org"},
    {"\"\"@example.org", 0, "\"\"@example.org"},
    {"\"a>b\"@example.org", 0, "\"a>b\"@example.org"},
    {"\".a\"@example.org", 0, "\".a\"@example.org"},
    {"user@[192.0.2.1]", 0, "user@[192.0.2.1]"},
    {"user@[IPv6:2001:DB8:0::1]", 0, "user@[IPv6:2001:db8::1]"},
    {"user@[ipv6:::1]", 0, "user@[IPv6:::1]"},
    {"j\xc3\xb6rg@example.org", ADDRESS_UTF8, "j\xc3\xb6rg@example.org"},
    {"user@B\xc3\xbc" "cher.example", ADDRESS_UTF8, "user@xn--bcher-kva.example"},
    {"user@xn--bcher-kva.example", 0, "user@xn--bcher-kva.example"},
    {"user@stra\xc3\x9f" "e.example", ADDRESS_UTF8, "user@xn--strae-oqa.example"},
    {"postmaster", ADDRESS_LOCAL_ONLY, "postmaster"},
    {A64 "@example.org", 0, A64 "@example.org"},
    {A64 A64 A64 A63 "@example.org", 0, A64 A64 A64 A63 "@example.org"}, /* VERP, SRS: longer than 64 */
    {A64 "@" A63 "." A63 ".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0,
        A64 "@" A63 "." A63 ".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    {A63 "\xc3\xb6@example.org", ADDRESS_UTF8, A63 "\xc3\xb6@example.org"},
    {"", ADDRESS_NULL, ""},

    {"", 0, NULL},
    {"a\xc2\x85" "b@example.org", ADDRESS_UTF8, NULL}, /* NEL and CSI: control characters too */
    {"\"a\xc2\x9b" "b\"@example.org", ADDRESS_UTF8, NULL},
    {"user", 0, NULL},
    {"user@", 0, NULL},
    {"@example.org", 0, NULL},
    {"a b@example.org", 0, NULL},
    {".a@example.org", 0, NULL},
    {"a.@example.org", 0, NULL},
    {"a..b@example.org", 0, NULL},
    {"a@b@example.org", 0, NULL},
    {"a@example..org", 0, NULL},
    {"a@example.org.", 0, NULL},
    {"a@.example.org", 0, NULL},
    {"a@-x.example", 0, NULL},
    {"a@x-.example", 0, NULL},
    {"a@192.0.2.1", 0, NULL},
    {"a@[192.0.2.256]", 0, NULL},
    {"a@[2001:db8::1]", 0, NULL},
    {"a@[IPv6:192.0.2.1]", 0, NULL},
    {"a@[tag:x]", 0, NULL},
    {"a@[192.0.2.1", 0, NULL},
    {"a@[192.0.2.1]x", 0, NULL},
    {"\"a@example.org", 0, NULL},
    {"\"a\"b@example.org", 0, NULL},
    {"\"a\rb\"@example.org", 0, NULL},
    {"\"a\\\nb\"@example.org", 0, NULL},
    {"a\x7f@example.org", 0, NULL},
    {"j\xc3\xb6rg@example.org", 0, NULL},
    {"\"j\xc3\xb6rg\"@example.org", 0, NULL},
    {"a@b\xc3\xbc.example", 0, NULL},
    {"\xff@example.org", ADDRESS_UTF8, NULL},
    {"a@\xff.example", ADDRESS_UTF8, NULL},
    {"a@\xe2\x80\xae.example", ADDRESS_UTF8, NULL},
    {"a@\xc2\xb2", ADDRESS_UTF8, NULL}, /* becomes "2" */
    {A64 A64 A64 A64 "@example.org", 0, NULL},
    {A64 A64 A64 A64 "@example.org", ADDRESS_UTF8, NULL},
    {A64 A64 A64 A63 "\xc3\xb6@example.org", ADDRESS_UTF8, NULL},
    {"a@" A63 "." A63 "." A63 "." A63 ".aa", 0, NULL},
    {"a@" A64 ".example", 0, NULL},
    {"a@" A64 A64 A64 A64, 0, NULL},
};

static void mailboxes_have_one_canonical_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mailboxes / sizeof *mailboxes; i++) {
        const char *why = NULL;
        struct buf out;
        bool ok;

        buf_init(&out, ADDRESS_TEXT_MAX);
        ok = address_canonical(str_of(mailboxes[i].text), mailboxes[i].flags, &out, &why);
        if (ok != (mailboxes[i].canonical != NULL))
            fail_msg("%s: %s", mailboxes[i].text, ok ? "taken" : why);
        if (ok && !str_eq(buf_str(&out), str_of(mailboxes[i].canonical)))
            fail_msg("%s became %.*s", mailboxes[i].text, STR_ARG(buf_str(&out)));
        assert_true(ok || why[0] != 0);
        buf_clear(&out);
    }
}

static void canonical_text_is_stable(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mailboxes / sizeof *mailboxes; i++) {
        struct buf again;
        const char *why;

        if (mailboxes[i].canonical == NULL)
            continue;
        buf_init(&again, ADDRESS_TEXT_MAX);
        assert_true(address_canonical(str_of(mailboxes[i].canonical), mailboxes[i].flags, &again, &why));
        assert_true(str_eq(buf_str(&again), str_of(mailboxes[i].canonical)));
        buf_clear(&again);
    }
}

static void paths_have_brackets_and_may_have_routes(void **state)
{
    static const struct {
        const char *text;
        unsigned flags;
        const char *local, *domain, *rest; /* local NULL: refused */
    } cases[] = {
        {"<a@b.example>", 0, "a", "b.example", ""},
        {"<a@b.example> SIZE=1", 0, "a", "b.example", " SIZE=1"},
        {"<>", ADDRESS_NULL, "", "", ""},
        {"<@x.example,@y.example:a@b.example>", 0, "a", "b.example", ""},
        {"<@x.example:a@b.example>", 0, "a", "b.example", ""},
        {"<\"a>\"@b.example>x", 0, "\"a>\"", "b.example", "x"},
        {"<>", 0, NULL, NULL, NULL},
        {"<", 0, NULL, NULL, NULL},
        {"a@b.example", 0, NULL, NULL, NULL},
        {"<a@b.example", 0, NULL, NULL, NULL},
        {"<a@b.example >", 0, NULL, NULL, NULL},
        {"< a@b.example>", 0, NULL, NULL, NULL},
        {"<@x.example>", 0, NULL, NULL, NULL},
        {"<@x.example a@b.example>", 0, NULL, NULL, NULL},
        {"<@x.example,a@b.example>", 0, NULL, NULL, NULL},
        {"<@:a@b.example>", 0, NULL, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str rest = str_of(cases[i].text);
        struct address a;
        const char *why;
        bool ok = address_parse_path(&rest, cases[i].flags, &a, &why);

        if (ok != (cases[i].local != NULL))
            fail_msg("%s: %s", cases[i].text, ok ? "taken" : why);
        if (!ok) {
            assert_true(str_eq(rest, str_of(cases[i].text)));
            continue;
        }
        assert_true(str_eq(a.local, str_of(cases[i].local)));
        assert_true(str_eq(a.domain, str_of(cases[i].domain)));
        assert_true(str_eq(rest, str_of(cases[i].rest)));
    }
}

static void splitting_cuts_at_the_last_at(void **state)
{
    struct str local, domain;

    (void)state;
    address_split(STR("\"a@b\"@example.org"), &local, &domain);
    assert_true(str_eq(local, STR("\"a@b\"")) && str_eq(domain, STR("example.org")));
    address_split(STR("postmaster"), &local, &domain);
    assert_true(str_eq(local, STR("postmaster")) && domain.n == 0);
}

static void quoting_goes_both_ways(void **state)
{
    static const char *const plain[] = {"a", "a b", "", "a\"b\\c", ".a", "a..b", "a.b", "<>@,;:"};
    struct buf quoted, back;

    (void)state;
    buf_init(&quoted, 100);
    buf_init(&back, 100);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        buf_reset(&quoted);
        buf_reset(&back);
        local_quote(&quoted, str_of(plain[i]));
        local_unquote(&back, buf_str(&quoted));
        assert_true(str_eq(buf_str(&back), str_of(plain[i])));
    }
    assert_true(str_eq(buf_str(&quoted), STR("\"<>@,;:\"")));
    buf_clear(&quoted);
    buf_clear(&back);
}

static void domains_turn_into_unicode_for_people(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 300);
    domain_write_unicode(STR("xn--bcher-kva.example"), &out);
    assert_true(str_eq(buf_str(&out), STR("b\xc3\xbc" "cher.example")));
    buf_reset(&out);
    domain_write_unicode(STR("xn--\xff"), &out);
    assert_true(str_eq(buf_str(&out), STR("xn--\xff")));
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mailboxes_have_one_canonical_text),
        cmocka_unit_test(canonical_text_is_stable),
        cmocka_unit_test(paths_have_brackets_and_may_have_routes),
        cmocka_unit_test(splitting_cuts_at_the_last_at),
        cmocka_unit_test(quoting_goes_both_ways),
        cmocka_unit_test(domains_turn_into_unicode_for_people),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
