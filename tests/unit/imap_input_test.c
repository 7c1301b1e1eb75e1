/* From bytes to commands: literals of every kind, every cut, what is too long; and APPEND on top of it. */
#include "imap/append.h"
#include "imap/input.h"
#include "imap/write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum answer { TAKE = 't', STREAM = 's', REFUSE = 'r' };

/* What happened, as text: C(command) L(literal) B(bytes) S(streamed) T(too long, tag). */
static void drive(struct imap_input *in, struct str bytes, enum answer answer, struct buf *out)
{
    for (;;) {
        enum imap_input_event event = imap_input_next(in, &bytes);

        switch (event) {
        case IMAP_INPUT_MORE:
            return;
        case IMAP_INPUT_COMMAND:
            buf_addf(out, "C(%.*s)", STR_ARG(imap_input_command(in)));
            imap_input_done(in);
            break;
        case IMAP_INPUT_LITERAL:
            buf_addf(out, "L(%.*s %u%s%s)", STR_ARG(imap_input_tag(in)), (unsigned)imap_input_literal(in)->size,
                imap_input_literal(in)->synchronizing ? " sync" : "", imap_input_literal(in)->binary ? " binary" : "");
            (answer == TAKE ? imap_input_take : answer == STREAM ? imap_input_stream : imap_input_refuse)(in);
            break;
        case IMAP_INPUT_BYTES:
            buf_add(out, imap_input_bytes(in));
            break;
        case IMAP_INPUT_STREAMED:
            buf_add_char(out, '.');
            break;
        case IMAP_INPUT_TOO_LONG:
            buf_addf(out, "T(%.*s)", STR_ARG(imap_input_tag(in)));
            imap_input_done(in);
            break;
        }
    }
}

static const struct {
    const char *bytes;
    enum answer answer;
    const char *happens;
} inputs[] = {
    {"a NOOP\r\nb NOOP\nc ", TAKE, "C(a NOOP)C(b NOOP)"},
    {"\r\na X\r\n", TAKE, "C()C(a X)"},
    {"a LOGIN {3}\r\njim {2}\r\nxx\r\nb NOOP\r\n", TAKE, "L(a 3 sync)L(a 2 sync)C(a LOGIN {3}\r\njim {2}\r\nxx)C(b NOOP)"},
    {"a X {0}\r\n\r\n", TAKE, "L(a 0 sync)C(a X {0}\r\n)"},
    {"a X {2+}\r\n\r\n y\r\n", TAKE, "L(a 2)C(a X {2+}\r\n\r\n y)"},
    {"a X {5}\r\nhello y\r\n", STREAM, "L(a 5 sync)hello.C(a X {5}\r\n y)"},
    {"a X ~{5+}\r\nhello\r\n", STREAM, "L(a 5 binary)hello.C(a X ~{5+}\r\n)"},
    {"a X {0+}\r\n\r\n", STREAM, "L(a 0).C(a X {0+}\r\n)"},
    {"a X {5}\r\nb NOOP\r\n", REFUSE, "L(a 5 sync)C(b NOOP)"},
    {"a X {5+}\r\nhello {2+}\r\nxx\r\nb NOOP\r\n", REFUSE, "L(a 5)C(b NOOP)"},
    {"a X {0+}\r\n\r\nb NOOP\r\n", REFUSE, "L(a 0)C(b NOOP)"},
    {"a X {x}\r\na X {}\r\na {-1}\r\n", TAKE, "C(a X {x})C(a X {})C(a {-1})"},
    {"a X {99999999999999999999}\r\nb NOOP\r\n", REFUSE, "L(a 4294967295 sync)C(b NOOP)"},
    {"a X {99999999999999999999+}\r\nb NOOP\r\nc NOOP\r\n", REFUSE, "L(a 4294967295)"},
    {"a X {9223372036854775808+}\r\nb NOOP\r\n", REFUSE, "L(a 4294967295)"},
};

static void every_cut_gives_the_same_commands(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        struct str bytes = str_of(inputs[i].bytes);

        for (size_t cut = 0; cut <= bytes.n; cut++) {
            struct imap_input in;
            struct buf out;

            buf_init(&out, 1 << 16);
            imap_input_init(&in);
            drive(&in, str_sub(bytes, 0, cut), inputs[i].answer, &out);
            drive(&in, str_skip(bytes, cut), inputs[i].answer, &out);
            if (!str_eq(buf_str(&out), str_of(inputs[i].happens)))
                fail_msg("%s at %zu: %.*s", inputs[i].bytes, cut, STR_ARG(buf_str(&out)));
            buf_clear(&out);
            imap_input_clear(&in);
        }
    }
}

static char *filled(char c, size_t n, const char *before, const char *after)
{
    char *text = calloc(1, n + strlen(before) + strlen(after) + 1);
    size_t at = strlen(before);

    memcpy(text, before, at);
    memset(text + at, c, n);
    memcpy(text + at + n, after, strlen(after));
    return text;
}

/* The client hears of it once, and what follows is read as what it is. */
static void what_is_too_long_is_thrown_away(void **state)
{
    static const struct {
        const char *before;
        size_t n;
        const char *after, *happens;
    } cases[] = {
        {"a ", IMAP_LINE_MAX, "\r\nb NOOP\r\n", "T(a)C(b NOOP)"},
        {"a ", 3 * IMAP_LINE_MAX, " {7+}\r\nc NOOP\n\r\nb NOOP\r\n", "T(a)C(b NOOP)"},
        {"a ", 3 * IMAP_LINE_MAX, " {7}\r\nb NOOP\r\n", "T(a)C(b NOOP)"},
        {"a {300000+}\r\n", 300000, " x\r\nb NOOP\r\n", "L(a 300000)T(a)C(b NOOP)"},
        {"", 200, " x\r\nb NOOP\r\n", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = filled('x', cases[i].n, cases[i].before, cases[i].after);
        struct imap_input in;
        struct buf out;

        buf_init(&out, 1 << 16);
        imap_input_init(&in);
        for (struct str rest = str_of(text); rest.n > 0; rest = str_skip(rest, 1000))
            drive(&in, str_sub(rest, 0, 1000), TAKE, &out);
        if (cases[i].happens != NULL && !str_eq(buf_str(&out), str_of(cases[i].happens)))
            fail_msg("%zu: %.*s", i, STR_ARG(buf_str(&out)));
        assert_true(in.command.n <= IMAP_COMMAND_MAX);
        buf_clear(&out);
        imap_input_clear(&in);
        free(text);
    }
}

/* ---- APPEND ---- */

struct appending {
    struct imap_input in;
    struct imap_append append;
    struct arena arena;
    bool begun;
    struct buf out;
};

static void append_steps(struct appending *a, bool whole)
{
    for (;;) {
        enum imap_append_step step = imap_append_next(&a->append, imap_input_command(&a->in), whole);

        switch (step) {
        case IMAP_APPEND_BAD: buf_addf(&a->out, "bad: %s", a->append.why); return;
        case IMAP_APPEND_TAKE: imap_input_take(&a->in); return;
        case IMAP_APPEND_BEGIN: buf_addf(&a->out, "[%.*s]", STR_ARG(a->append.mailbox)); break;
        case IMAP_APPEND_MESSAGE_BEGIN: {
            imap_write_flags(&a->out, &a->append.flags);
            if (a->append.has_date)
                imap_write_date_time(&a->out, a->append.date);
            break;
        }
        case IMAP_APPEND_LITERAL: imap_input_stream(&a->in); return;
        case IMAP_APPEND_URL: buf_addf(&a->out, "<%.*s>", STR_ARG(a->append.url)); break;
        case IMAP_APPEND_MESSAGE_END: buf_add_char(&a->out, ';'); break;
        case IMAP_APPEND_END: buf_addf(&a->out, "end"); return;
        }
    }
}

static void append_feed(struct appending *a, struct str bytes)
{
    for (;;) {
        switch (imap_input_next(&a->in, &bytes)) {
        case IMAP_INPUT_MORE: return;
        case IMAP_INPUT_COMMAND: append_steps(a, true); imap_input_done(&a->in); return;
        case IMAP_INPUT_LITERAL: append_steps(a, false); break;
        case IMAP_INPUT_BYTES: buf_add(&a->out, imap_input_bytes(&a->in)); break;
        case IMAP_INPUT_STREAMED: imap_input_forget(&a->in); imap_append_streamed(&a->append); break;
        case IMAP_INPUT_TOO_LONG: buf_addf(&a->out, "long"); return;
        }
    }
}

static const struct {
    bool replace;
    const char *bytes, *happens;
} appends[] = {
    {false, "a APPEND saved {3}\r\nabc\r\n", "[saved]()abc;end"},
    {false, "a APPEND {5}\r\ninbox (\\Seen x) {3}\r\nabc\r\n", "[INBOX](\\Seen x)abc;end"},
    {false, "a APPEND x \" 5-Feb-2026 10:00:00 +0100\" {0+}\r\n\r\n", "[x]()\"05-Feb-2026 09:00:00 +0000\";end"},
    {false, "a APPEND x {1}\r\na (\\Draft) {1+}\r\nb \"05-Feb-2026 09:00:00 +0000\" ~{2}\r\n12\r\n",
        "[x]()a;(\\Draft)b;()\"05-Feb-2026 09:00:00 +0000\"12;end"},
    {false, "a APPEND x UTF8 (~{3}\r\nabc)\r\n", "[x]()abc;end"},
    {false, "a APPEND x CATENATE (URL \"/INBOX;UID=20\" TEXT {3}\r\nabc URL {3}\r\n/in) (\\Seen) {1}\r\nz\r\n",
        "[x]()</INBOX;UID=20>abc</in>;(\\Seen)z;end"},
    {true, "a REPLACE 4 x {3}\r\nabc\r\n", "[x]()abc;end"},
    {true, "a UID REPLACE 4 x (\\Seen) {3}\r\nabc\r\n", "[x](\\Seen)abc;end"},
    {true, "a REPLACE 4:5 x {3}\r\nabc\r\n", "bad: REPLACE takes one message"},
    {true, "a REPLACE 4 x {3}\r\nabc {1}\r\nz\r\n", "[x]()abc;bad: REPLACE takes one message"},
    {false, "a APPEND\r\n", "bad: Argument missing"},
    {false, "a APPEND x\r\n", "[x]bad: Argument missing"},
    {false, "a APPEND x hello\r\n", "[x]()bad: A literal expected"},
    {false, "a APPEND x (\\Bogus) {3}\r\n", "[x]bad: There is no such system flag"},
    {false, "a APPEND x UTF8 (~{3}\r\nabc\r\n", "[x]()abcbad: ) expected"},
};

static void append_is_read_step_by_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof appends / sizeof *appends; i++) {
        struct str bytes = str_of(appends[i].bytes);

        for (size_t cut = 0; cut <= bytes.n; cut++) {
            struct appending a = {0};

            imap_input_init(&a.in);
            arena_init(&a.arena, 1 << 20);
            buf_init(&a.out, 1 << 16);
            imap_append_init(&a.append, &a.arena, appends[i].replace, false);
            append_feed(&a, str_sub(bytes, 0, cut));
            append_feed(&a, str_skip(bytes, cut));
            if (!str_eq(buf_str(&a.out), str_of(appends[i].happens)))
                fail_msg("%s at %zu: %.*s", appends[i].bytes, cut, STR_ARG(buf_str(&a.out)));
            buf_clear(&a.out);
            arena_clear(&a.arena);
            imap_input_clear(&a.in);
        }
    }
}

/* ---- names ---- */

static void names_travel_in_modified_utf7(void **state)
{
    static const struct {
        const char *utf8, *mutf7;
    } names[] = {{"INBOX", "INBOX"}, {"a&b", "a&-b"}, {"Entw\xc3\xbcrfe", "Entw&APw-rfe"},
        {"~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"},
        {"\xf0\x9f\x98\x80", "&2D3eAA-"}, {"\xc3\xa9\xc3\xa9x\xc3\xa9", "&AOkA6Q-x&AOk-"}};
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        buf_reset(&out);
        imap_mutf7_encode(&out, str_of(names[i].utf8));
        assert_true(str_eq(buf_str(&out), str_of(names[i].mutf7)));
        buf_reset(&out);
        assert_true(imap_mutf7_decode(&out, str_of(names[i].mutf7)));
        assert_true(str_eq(buf_str(&out), str_of(names[i].utf8)));
    }
    buf_clear(&out);
}

static void only_one_way_to_write_a_name_is_taken(void **state)
{
    static const char *const wrong[] = {"&", "&Jjo", "&Jjo!", "&AGE-", "&U,BTFw-&ZeVnLIqe-", "a\xc3\xbc", "&2D0-", "&3gA-", "&APx-",
        "&AP-"};
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        buf_reset(&out);
        if (imap_mutf7_decode(&out, str_of(wrong[i])))
            fail_msg("%s was taken as %.*s", wrong[i], STR_ARG(buf_str(&out)));
    }
    buf_clear(&out);
}

static void patterns_match(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool matches;
    } cases[] = {{"*", "a/b", true}, {"%", "a", true}, {"%", "a/b", false}, {"a/%", "a/b", true}, {"a/%", "a/b/c", false},
        {"%/%", "a/b", true}, {"*b", "a/b", true}, {"*b%", "a/bcd", true}, {"*b%", "a/b/d", false}, {"inbox", "INBOX", true},
        {"InBox/%", "INBOX/x", true}, {"inbo%", "INBOX", false}, {"a*b*c", "aXbYbZc", true}, {"a%b", "a/b", false}, {"", "", true},
        {"a", "", false}, {"%a%", "xa/y", false}, {"*%a", "x/ya", true}, {"%*", "a/b/c", true}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (imap_pattern_matches(str_of(cases[i].pattern), str_of(cases[i].name)) != cases[i].matches)
            fail_msg("%s %s", cases[i].pattern, cases[i].name);
}

/* One way after the other. */
static bool matches_somehow(const char *p, const char *n)
{
    if (*p == 0)
        return *n == 0;
    if (*p != '*' && *p != '%')
        return *p == *n && matches_somehow(p + 1, n + 1);
    return matches_somehow(p + 1, n) || (*n != 0 && (*p == '*' || *n != '/') && matches_somehow(p, n + 1));
}

static void random_text(char *text, const char *of, size_t most)
{
    size_t n = (size_t)rand() % (most + 1);

    for (size_t i = 0; i < n; i++)
        text[i] = of[(size_t)rand() % strlen(of)];
    text[n] = 0;
}

/* With and without something long before it, so that it stands at each place of a word. */
static void patterns_match_like_one_way_after_the_other(void **state)
{
    char pattern[8], name[14], both[200], long_pattern[200];

    (void)state;
    srand(1);
    for (int i = 0; i < 30000; i++) {
        bool is;

        random_text(pattern, "ab/*%", sizeof pattern - 1);
        random_text(name, "ab/", sizeof name - 1);
        is = matches_somehow(pattern, name);
        snprintf(both, sizeof both, "%.*s%s", i % 140, "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
            "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", name);
        snprintf(long_pattern, sizeof long_pattern, "%s%s", i % 2 == 0 ? "%ccc" : "*ccc", pattern);
        if (imap_pattern_matches(str_of(pattern), str_of(name)) != is || (i % 140 > 2 && imap_pattern_matches(str_of(long_pattern), str_of(both)) != is))
            fail_msg("%s %s", pattern, name);
    }
}

/* It took the third power of their lengths: minutes for this. */
static void patterns_from_hell_cost_little(void **state)
{
    static char pattern[60000], name[2000];
    struct str p = {pattern, 0}, n = {name, sizeof name};

    (void)state;
    memset(name, 'a', sizeof name);
    pattern[p.n++] = '*';
    pattern[p.n++] = '%';
    memset(pattern + p.n, 'a', 900);
    p.n += 900;
    pattern[p.n++] = 'b';
    for (int i = 0; i < 1000; i++)
        assert_false(imap_pattern_matches(p, n));
    pattern[--p.n] = '%';
    assert_true(imap_pattern_matches(p, n));
    for (p.n = 0; p.n < sizeof pattern; p.n++)
        pattern[p.n] = p.n % 2 == 0 ? '*' : '%';
    for (int i = 0; i < 100; i++)
        assert_true(imap_pattern_matches(p, n));
    n.n = 0;
    assert_true(imap_pattern_matches(p, n));
}

static void names_may_be_what_can_be_said(void **state)
{
    static const char *const fine[] = {"a", "a/b", "a b/\xc3\xbc", "&", "INBOX/x"};
    static const char *const wrong[] = {"", "/a", "a/", "a//b", "a*", "%", "a\nb", "\xff", "a\x7f",
        "a\xc2\x9b", "\xe2\x80\xa8z", "\xe2\x80\xa9"}; /* RFC 6855, section 3 */
    const char *why;

    (void)state;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        assert_true(imap_name_is_valid(str_of(fine[i]), &why));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(imap_name_is_valid(str_of(wrong[i]), &why));
        assert_non_null(why);
    }
}

/* ---- what is written ---- */

static void strings_are_written_as_they_can_be_read(void **state)
{
    static const struct {
        struct str text;
        bool utf8;
        const char *string, *astring;
    } cases[] = {
        {{"abc", 3}, false, "\"abc\"", "abc"}, {{"a b", 3}, false, "\"a b\"", "\"a b\""}, {{"", 0}, false, "\"\"", "\"\""},
        {{"a\"\\b", 4}, false, "\"a\\\"\\\\b\"", "\"a\\\"\\\\b\""}, {{"a\r\nb", 4}, false, "{4}\r\na\r\nb", "{4}\r\na\r\nb"},
        {{"\xc3\xbc", 2}, false, "{2}\r\n\xc3\xbc", "{2}\r\n\xc3\xbc"}, {{"\xc3\xbc", 2}, true, "\"\xc3\xbc\"", "\"\xc3\xbc\""},
        {{"\xff", 1}, true, "{1}\r\n\xff", "{1}\r\n\xff"}, {{"a\0b", 3}, false, "{2}\r\nab", "{2}\r\nab"},
        {{"nil", 3}, false, "\"nil\"", "\"nil\""}, {{NULL, 0}, false, NULL, NULL}};
    struct buf out;

    (void)state;
    buf_init(&out, 10000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_reset(&out);
        imap_write_nstring(&out, cases[i].text, cases[i].utf8);
        assert_true(str_eq(buf_str(&out), cases[i].string == NULL ? STR("NIL") : str_of(cases[i].string)));
        buf_reset(&out);
        imap_write_astring(&out, cases[i].text, cases[i].utf8);
        if (cases[i].astring != NULL)
            assert_true(str_eq(buf_str(&out), str_of(cases[i].astring)));
    }
    buf_reset(&out);
    imap_write_date_time(&out, -1000000);
    assert_true(str_eq(buf_str(&out), STR("\"31-Dec-1969 23:59:59 +0000\"")));
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_gives_the_same_commands),
        cmocka_unit_test(what_is_too_long_is_thrown_away),
        cmocka_unit_test(append_is_read_step_by_step),
        cmocka_unit_test(names_travel_in_modified_utf7),
        cmocka_unit_test(only_one_way_to_write_a_name_is_taken),
        cmocka_unit_test(patterns_match),
        cmocka_unit_test(patterns_match_like_one_way_after_the_other),
        cmocka_unit_test(patterns_from_hell_cost_little),
        cmocka_unit_test(names_may_be_what_can_be_said),
        cmocka_unit_test(strings_are_written_as_they_can_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
