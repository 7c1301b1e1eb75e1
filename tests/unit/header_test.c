/* The header scanner, fed at every cut, and address lists. */
#include "mime/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

struct seen {
    struct buf text; /* "name|value;" of every field */
};

static void note_field(void *owner, const struct header_field *f)
{
    struct seen *seen = owner;

    buf_add(&seen->text, f->name);
    buf_add_char(&seen->text, '|');
    buf_add(&seen->text, f->value);
    buf_add_char(&seen->text, ';');
}

static const struct {
    const char *message, *fields, *body;
    bool blank;
    unsigned received;
} messages[] = {
    {"A: 1\r\nB: 2\r\n\r\nbody\r\n", "A| 1;B| 2;", "body\r\n", true, 0},
    {"A: 1\nB: 2\n\nbody\n", "A| 1;B| 2;", "body\n", true, 0},
    {"A: 1\r\n more\r\n\tand more\r\nB:\r\n\r\n", "A| 1\r\n more\r\n\tand more;B|;", "", true, 0},
    {"Received: a\r\nRECEIVED : b\r\nReceivedX: c\r\n\r\n", "Received| a;RECEIVED| b;ReceivedX| c;", "", true, 2},
    {"\r\nbody\r\n", "", "body\r\n", true, 0},
    {"\nbody\n", "", "body\n", true, 0},
    {"no header at all\r\n", "", "no header at all\r\n", false, 0},
    {"A: 1\r\nno field\r\nB: 2\r\n", "A| 1;", "no field\r\nB: 2\r\n", false, 0},
    {" leading blank\r\n\r\n", "", " leading blank\r\n\r\n", false, 0},
    {":x\r\n", "", ":x\r\n", false, 0},
    {"A: 1", "A| 1;", "", false, 0},
    {"A: 1\r\n", "A| 1;", "", false, 0},
    {"Abc", "", "Abc", false, 0},
    {"", "", "", false, 0},
    {"\r", "", "\r", false, 0},
    {"\rx", "", "\rx", false, 0},
    {"From me@x.example Sun Nov 22 03:30:00 2026\r\nA: 1\r\n\r\n", "|;A| 1;", "", true, 0},
    {">From me\r\nA: 1\r\n\r\n", "|;A| 1;", "", true, 0},
    {"A: 1\r\nFrom me\r\n", "A| 1;", "From me\r\n", false, 0},
    {"From: me\r\n\r\n", "From| me;", "", true, 0},
    {"A:1\r\n\r\n\r\nbody", "A|1;", "\r\nbody", true, 0},
    {"A: \xc3\xb6\xff\r\n\r\nx", "A| \xc3\xb6\xff;", "x", true, 0},
    {"\xc3\xb6: 1\r\n", "", "\xc3\xb6: 1\r\n", false, 0},
};

static void scan(const char *message, size_t cut, struct header_scan *s, struct seen *seen, struct buf *body)
{
    struct str pieces[] = {str_from(message, cut), str_of(message + cut)};

    buf_init(&seen->text, 1000);
    buf_init(body, 1000);
    header_scan_init(s, 1000, note_field, seen);
    for (size_t i = 0; i < 2; i++) {
        size_t used = 0;

        if (s->state == HEADER_MORE && header_scan(s, pieces[i], &used) == HEADER_END)
            buf_add(body, header_scan_rest(s));
        buf_add(body, str_skip(pieces[i], used));
    }
    if (s->state == HEADER_MORE) {
        header_scan_finish(s);
        buf_add(body, header_scan_rest(s));
    }
}

static void every_cut_gives_the_same_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        for (size_t cut = 0; cut <= strlen(messages[i].message); cut++) {
            struct header_scan s;
            struct seen seen;
            struct buf body;

            scan(messages[i].message, cut, &s, &seen, &body);
            if (!str_eq(buf_str(&seen.text), str_of(messages[i].fields)))
                fail_msg("case %zu cut %zu: %.*s", i, cut, STR_ARG(buf_str(&seen.text)));
            if (!str_eq(buf_str(&body), str_of(messages[i].body)))
                fail_msg("case %zu cut %zu: body %.*s", i, cut, STR_ARG(buf_str(&body)));
            assert_int_equal(s.blank, messages[i].blank);
            assert_int_equal(s.received, messages[i].received);
            header_scan_clear(&s);
            buf_clear(&seen.text);
            buf_clear(&body);
        }
}

static void ignore_field(void *owner, const struct header_field *f)
{
    (void)f;
    ++*(unsigned *)owner;
}

static void a_large_header_is_refused(void **state)
{
    unsigned fields = 0;
    struct header_scan s;
    size_t used;
    int n = 0;

    (void)state;
    header_scan_init(&s, 1000, ignore_field, &fields);
    while (n++ < 1000 && header_scan(&s, STR("A: 1\r\n"), &used) == HEADER_MORE)
        continue;
    assert_int_equal(s.state, HEADER_TOO_LARGE);
    assert_in_range(fields, 160, 166);
    header_scan_clear(&s);
    header_scan_init(&s, 1000, ignore_field, &fields);
    for (n = 0; n < 1000 && header_scan(&s, STR("A: 1\r\n"), &used) == HEADER_MORE; n++)
        header_scan(&s, STR(" endless folding"), &used);
    assert_int_equal(s.state, HEADER_TOO_LARGE);
    assert_true(s.partial.capacity <= 1000);
    header_scan_clear(&s);
}

static void a_body_without_end_is_not_collected(void **state)
{
    unsigned fields = 0;
    struct header_scan s;
    size_t used;

    (void)state;
    header_scan_init(&s, 1000, ignore_field, &fields);
    assert_int_equal(header_scan(&s, STR("hello "), &used), HEADER_MORE);
    assert_int_equal(header_scan(&s, STR("world, this is a body"), &used), HEADER_END);
    assert_true(str_starts(header_scan_rest(&s), STR("hello ")));
    header_scan_clear(&s);
}

static void values_are_unfolded(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    header_unfold(&out, STR(" one\r\n two\n\tthree \r\n"));
    assert_true(str_eq(buf_str(&out), STR("one two\tthree")));
    buf_clear(&out);
}

static void addresses_are_found(void **state)
{
    static const struct {
        const char *value, *addresses; /* each ended by a blank */
        bool bad;
    } cases[] = {
        {"a@b.example", "a@b.example ", false},
        {"a@b.example, c@d.example", "a@b.example c@d.example ", false},
        {"Joe Q. Public <joe@b.example>", "joe@b.example ", false},
        {"\"Joe, the <best>\" <joe@b.example>", "joe@b.example ", false},
        {"\"evil@x.example\" <joe@b.example>", "joe@b.example ", false},
        {"evil@x.example <joe@b.example>", "joe@b.example ", false},
        {"joe@b.example (evil@x.example)", "joe@b.example ", false},
        {"(a (nested) \\) b) joe@b.example", "joe@b.example ", false},
        {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "pete@silly.test ", false},
        {"A Group:Ed Jones <joe@where.test>,john@where.test;", "joe@where.test john@where.test ", false},
        {"Undisclosed recipients:;", "", false},
        {"a@b.example, Friends: c@d.example; , e@f.example", "a@b.example c@d.example e@f.example ", false},
        {"<@x.example,@y.example:joe@b.example>", "joe@b.example ", false},
        {"joe . public @ b . example", "joe.public@b.example ", false},
        {"\"a b\"@c.example", "\"a b\"@c.example ", false},
        {"\"a@b\"@c.example", "\"a@b\"@c.example ", false},
        {"a@[192.0.2.1]", "a@[192.0.2.1] ", false},
        {"\r\n a@b.example\r\n", "a@b.example ", false},
        {"j\xc3\xb6rg@b.example", "j\xc3\xb6rg@b.example ", false},
        {"", "", false},
        {",,", "", false},
        {"nobody", "", true},
        {"a@b.example evil@x.example", "", true},
        {"<a@b.example> <evil@x.example>", "", true},
        {"<a@b.example>evil@x.example", "", true},
        {"a@b.example@x.example", "", true},
        {"<>", "", true},
        {"<a@b.example", "", true},
        {"@b.example", "", true},
        {"a@", "", true},
        {"bad, a@b.example", "a@b.example ", true},
        {"\"unended <a@b.example>", "", true},
        {"(unended a@b.example", "", true},
        {"a@b.example (unended \\)", "a@b.example ", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str rest = str_of(cases[i].value);
        struct buf addr, all;
        bool bad = false;

        buf_init(&addr, 200);
        buf_init(&all, 500);
        while (header_next_address(&rest, &addr, &bad)) {
            buf_add(&all, buf_str(&addr));
            buf_add_char(&all, ' ');
        }
        if (!str_eq(buf_str(&all), str_of(cases[i].addresses)) || bad != cases[i].bad)
            fail_msg("%s: '%.*s' bad=%d", cases[i].value, STR_ARG(buf_str(&all)), bad);
        buf_clear(&addr);
        buf_clear(&all);
    }
}

static void message_ids_are_found(void **state)
{
    (void)state;
    assert_true(str_eq(header_message_id(STR(" <a@b> (x)")), STR("<a@b>")));
    assert_int_equal(header_message_id(STR("<a b>")).n, 0);
    assert_int_equal(header_message_id(STR("<a")).n, 0);
    assert_int_equal(header_message_id(STR("a@b")).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_gives_the_same_fields),
        cmocka_unit_test(a_large_header_is_refused),
        cmocka_unit_test(a_body_without_end_is_not_collected),
        cmocka_unit_test(values_are_unfolded),
        cmocka_unit_test(addresses_are_found),
        cmocka_unit_test(message_ids_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
