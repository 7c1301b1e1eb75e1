/* Address lists as ENVELOPE tells them, and parameters. */
#include "mime/part.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 22 };

static void show(struct buf *out, struct str text)
{
    if (text.p == NULL)
        buf_add(out, STR("NIL"));
    else
        buf_addf(out, "\"%.*s\"", STR_ARG(text));
}

/* (name route mailbox host) of every address. */
static void describe(struct buf *out, const struct mime_address *list)
{
    for (const struct mime_address *a = list; a != NULL; a = a->next) {
        buf_add_char(out, '(');
        show(out, a->name);
        buf_add_char(out, ' ');
        show(out, a->route);
        buf_add_char(out, ' ');
        show(out, a->mailbox);
        buf_add_char(out, ' ');
        show(out, a->host);
        buf_add_char(out, ')');
    }
}

static const struct {
    const char *value, *addresses;
} lists[] = {
    {"a@b.example", "(NIL NIL \"a\" \"b.example\")"},
    {" John Doe <a@b> ", "(\"John Doe\" NIL \"a\" \"b\")"},
    {"\"Doe, John \\\"JD\\\"\" <a@b>", "(\"Doe, John \"JD\"\" NIL \"a\" \"b\")"},
    {"John  Q.\r\n Public <a@b>", "(\"John Q. Public\" NIL \"a\" \"b\")"},
    {"a@b (John (the) Doe)", "(\"John (the) Doe\" NIL \"a\" \"b\")"},
    {"(x) a@b (Name \\) \r\n here)", "(\"Name )  here\" NIL \"a\" \"b\")"},
    {"(only) <a@b>", "(\"only\" NIL \"a\" \"b\")"},
    {"Name <a@b> (comment)", "(\"Name\" NIL \"a\" \"b\")"},
    {"a@b, c@d", "(NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")"},
    {",, a@b ,,", "(NIL NIL \"a\" \"b\")"},
    {"", ""}, {"  (x) ", ""}, {",;,", ""},
    {"a . b @ c (x) . d", "(\"x\" NIL \"a.b\" \"c.d\")"},
    {"\"a b\"@c", "(NIL NIL \"a b\" \"c\")"},
    {"<\"a\\\"@b\"@c>", "(NIL NIL \"a\"@b\" \"c\")"},
    {"a@[192.0.2.1]", "(NIL NIL \"a\" \"[192.0.2.1]\")"},
    {"<@r.example,@s.example:a@b>", "(NIL \"@r.example,@s.example\" \"a\" \"b\")"},
    {"=?utf-8?Q?J=C3=B6rg,_x@y:?= =?utf-8?B?eA==?= <a@b>", "(\"=?utf-8?Q?J=C3=B6rg,_x@y:?= =?utf-8?B?eA==?=\" NIL \"a\" \"b\")"},
    {"J\xc3\xb6rg <a@b>", "(\"J\xc3\xb6rg\" NIL \"a\" \"b\")"},
    /* groups */
    {"Team: a@b, C <c@d>; e@f", "(NIL NIL \"Team\" NIL)(NIL NIL \"a\" \"b\")(\"C\" NIL \"c\" \"d\")(NIL NIL NIL NIL)(NIL NIL \"e\" \"f\")"},
    {"undisclosed recipients:;", "(NIL NIL \"undisclosed recipients\" NIL)(NIL NIL NIL NIL)"},
    {"A: a@b", "(NIL NIL \"A\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL)"},
    {"A: B: a@b; c@d;", "(NIL NIL \"A\" NIL)(NIL NIL NIL NIL)(NIL NIL \"B\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL)(NIL NIL \"c\" \"d\")"},
    {": a@b;", "(NIL NIL \"\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL)"},
    /* malformed */
    {"root", "(NIL NIL \"root\" \"\")"},
    {"John Doe", "(\"John Doe\" NIL \"\" \"\")"},
    {"John Doe a@b", "(\"John Doe\" NIL \"a\" \"b\")"},
    {"a@b John Doe", "(\"John Doe\" NIL \"a\" \"b\")"},
    {"<>", "(NIL NIL \"\" \"\")"}, {"Name <>", "(\"Name\" NIL \"\" \"\")"},
    {"<root>", "(NIL NIL \"root\" \"\")"}, {"@b", "(NIL NIL \"\" \"b\")"}, {"a@", "(NIL NIL \"a\" \"\")"},
    {"a@b@c", "(NIL NIL \"a\" \"b@c\")"},
    {"Name <a@b", "(\"Name\" NIL \"a\" \"b\")"},
    {"\"Name <a@b>", "(\"Name\" NIL \"a\" \"b\")"},
    {"Name (x <a@b>", "(\"Name (x\" NIL \"a\" \"b\")"},
    {"[x <a@b>", "(\"[x\" NIL \"a\" \"b\")"},
    {"[list] Name <a@b>", "(\"[list] Name\" NIL \"a\" \"b\")"},
    {"<a@b> <c@d>", "(NIL NIL \"a\" \"b\")"},
};

static void addresses_are_told_as_they_stand(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct arena arena;
        struct buf text;
        bool full = false;

        arena_init(&arena, ROOM);
        buf_init(&text, 10000);
        describe(&text, mime_address_list(str_of(lists[i].value), &arena, &full));
        buf_add_char(&text, 0);
        assert_string_equal(text.p, lists[i].addresses);
        assert_false(full);
        buf_clear(&text);
        arena_clear(&arena);
    }
}

static const struct {
    const char *text, *parameters; /* name=value|written; with * when it had a charset */
} parameters[] = {
    {"", ""}, {";", ""}, {"; a=b", "a=b|b;"}, {"a=b", "a=b|b;"}, {";; A = b ; C=d;", "a=b|b;c=d|d;"},
    {"; a=\"b;c\\\"d\"; e=\"\"", "a=b;c\"d|b;c\"d;e=|;"},
    {"; a=\"b\r\n c", "a=b c|b c;"},
    {"; charset=us-ascii (Plain text); x=y", "charset=us-ascii|us-ascii;x=y|y;"},
    {"; name=my file (1).pdf; x=y", "name=my file (1).pdf|my file (1).pdf;x=y|y;"},
    {"; boundary=----=_Part_1/2:3", "boundary=----=_Part_1/2:3|----=_Part_1/2:3;"},
    {"; junk; =x; a b=c; d=e", "d=e|e;"},
    {"; f=\"=?utf-8?B?w7Y=?=.txt\"", "f=\xc3\xb6.txt|=?utf-8?B?w7Y=?=.txt;"},
    {"; f=\xf6.txt", "f=\xc3\xb6.txt|\xf6.txt;"}, {"; f=\xc3\xb6.txt", "f=\xc3\xb6.txt|\xc3\xb6.txt;"},
    /* RFC 2231 */
    {"; f*=iso-8859-1'en'%F6%20x", "f*=\xc3\xb6 x|\xf6 x;"},
    {"; f*=utf-8''%c3%b6", "f*=\xc3\xb6|\xc3\xb6;"},
    {"; f*0=a; f*1=\"b c\"; f*2=d", "f=ab cd|ab cd;"},
    {"; f*1=b; x=y; f*0=a", "x=y|y;f=ab|ab;"},
    {"; f*0*=utf-8''%c3; f*1*=%b6; f*2=%20", "f*=\xc3\xb6%20|\xc3\xb6%20;"},
    {"; f*0=a; f*2=c", "f=a|a;"}, {"; f*1=b", ""},
    {"; f*0=a; f*0=b", "f=a|a;"}, {"; f*=plain", "f*=plain|plain;"}, {"; f*=a'b", "f*=a'b|a'b;"},
    {"; f*=utf-8''%zz%4", "f*=%zz%4|%zz%4;"}, {"; f*=''%41", "f*=A|A;"},
    {"; f*999999999999999999999=x", "f*999999999999999999999=x|x;"}, {"; f*x=y", "f*x=y|y;"}, {"; *=x", "*=x|x;"},
};

static void parameters_are_decoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        struct arena arena;
        struct buf text;
        bool full = false;

        arena_init(&arena, ROOM);
        buf_init(&text, 10000);
        for (const struct mime_parameter *p = mime_parameter_list(str_of(parameters[i].text), &arena, &full); p != NULL; p = p->next)
            buf_addf(&text, "%.*s%s=%.*s|%.*s;", STR_ARG(p->name), p->extended ? "*" : "", STR_ARG(p->value), STR_ARG(p->written));
        buf_add_char(&text, 0);
        assert_string_equal(text.p, parameters[i].parameters);
        buf_clear(&text);
        arena_clear(&arena);
    }
}

static void the_extended_parameter_is_found_first(void **state)
{
    struct arena arena;
    bool full = false;

    (void)state;
    arena_init(&arena, ROOM);
    assert_true(str_eq(mime_parameter_find(mime_parameter_list(STR("; f=plain; f*=utf-8''%c3%b6"), &arena, &full), "f"), STR("\xc3\xb6")));
    assert_true(str_eq(mime_parameter_find(mime_parameter_list(STR("; f=1; f=2"), &arena, &full), "f"), STR("1")));
    arena_clear(&arena);
}

/* What costs much when it is read carelessly: the same piece again and again without its end. */
static void long_nonsense_ends_soon(void **state)
{
    static const char *const pieces[] = {"[", "\"", "(", "<", "a:", "=?", "=?a?q?", "a@", ";", "f*0=x;", "f*1=x;", "\\", "a,", "x=\"", "= "};
    static char text[MIME_HEADER_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct arena arena;
        bool full = false;

        for (size_t at = 0, n = strlen(pieces[i]); at < sizeof text; at++)
            text[at] = pieces[i][at % n];
        arena_init(&arena, ROOM);
        mime_address_list(str_from(text, sizeof text), &arena, &full);
        arena_clear(&arena);
        mime_parameter_list(str_from(text, sizeof text), &arena, &full);
        arena_clear(&arena);
    }
}

static void a_full_arena_is_told(void **state)
{
    bool full = true;

    (void)state;
    for (size_t ceiling = 0; full; ceiling += 64) {
        struct arena arena;

        full = false;
        arena_init(&arena, ceiling);
        mime_address_list(STR("Team: A <a@b>, c@d (C);"), &arena, &full);
        mime_parameter_list(STR("; a=b; f*0*=utf-8''x; f*1=y"), &arena, &full);
        arena_clear(&arena);
        assert_true(ceiling < ROOM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_told_as_they_stand),
        cmocka_unit_test(parameters_are_decoded),
        cmocka_unit_test(the_extended_parameter_is_found_first),
        cmocka_unit_test(long_nonsense_ends_soon),
        cmocka_unit_test(a_full_arena_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
