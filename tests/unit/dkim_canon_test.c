/* Canonical forms: RFC 6376's own examples, and random bodies, which must come out as a plain second way of doing
 * it says, however they are cut. */
#include "mailauth/dkim_canon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void on_bytes(void *owner, struct str bytes)
{
    buf_add(owner, bytes);
}

/* In pieces whose lengths come from `seed`; 0: whole. */
static void canon(enum dkim_canon form, struct str body, unsigned seed, struct buf *out)
{
    struct dkim_canon_body b;

    buf_init(out, 1 << 20);
    dkim_canon_begin(&b, form, on_bytes, out);
    while (body.n > 0) {
        size_t n = seed == 0 ? body.n : 1 + (size_t)(seed = seed * 1103515245u + 12345u) / 65536 % 5;

        dkim_canon_add(&b, str_sub(body, 0, n));
        body = str_skip(body, n < body.n ? n : body.n);
    }
    dkim_canon_end(&b);
    assert_int_equal(b.length, out->n);
}

static void field_is(enum dkim_canon form, const char *field, const char *wanted)
{
    struct buf out;

    buf_init(&out, 1000);
    dkim_canon_field(form, str_of(field), &out);
    buf_add_char(&out, '\0');
    assert_string_equal(out.p, wanted);
    buf_clear(&out);
}

static void body_is(enum dkim_canon form, const char *body, const char *wanted)
{
    struct buf out;

    for (unsigned seed = 0; seed < 20; seed++) {
        canon(form, str_of(body), seed, &out);
        buf_add_char(&out, '\0');
        assert_string_equal(out.p, wanted);
        buf_clear(&out);
    }
}

static void fields(void **state)
{
    (void)state;
    field_is(DKIM_RELAXED, "A: X\r\n", "a:X");
    field_is(DKIM_RELAXED, "B : Y\t\r\n\tZ  \r\n", "b:Y Z");
    field_is(DKIM_SIMPLE, "A: X\r\n", "A: X");
    field_is(DKIM_SIMPLE, "B : Y\t\r\n\tZ  \r\n", "B : Y\t\r\n\tZ  ");
    field_is(DKIM_RELAXED, "SubJect:\r\n  \r\n", "subject:");
    field_is(DKIM_RELAXED, "Subject:", "subject:");
    field_is(DKIM_RELAXED, "X: a:b\r\n \t c", "x:a:b c");
}

static void bodies(void **state)
{
    (void)state;
    body_is(DKIM_RELAXED, " C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n");
    body_is(DKIM_SIMPLE, " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n");
    body_is(DKIM_RELAXED, "", "");
    body_is(DKIM_SIMPLE, "", "\r\n");
    body_is(DKIM_RELAXED, "\r\n\r\n", "");
    body_is(DKIM_SIMPLE, "\r\n\r\n", "\r\n");
    body_is(DKIM_RELAXED, " \t \r\n  \r\n ", "");
    body_is(DKIM_RELAXED, "a", "a\r\n");
    body_is(DKIM_SIMPLE, "a", "a\r\n");
    body_is(DKIM_RELAXED, "a \t", "a\r\n");
    body_is(DKIM_SIMPLE, "a \r\n \r\n", "a \r\n \r\n");
    body_is(DKIM_RELAXED, "a\r \r\nb\r", "a\r\r\nb\r\r\n");
    body_is(DKIM_RELAXED, "a\nb \r\n", "a\nb\r\n");
    body_is(DKIM_SIMPLE, "\r\r\n", "\r\r\n");
    body_is(DKIM_RELAXED, "a\r\n\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\n\r\nb\r\n");
}

/* ---- the second way: line by line, all of it held ---- */

static void add_line(enum dkim_canon form, struct str line, struct buf *out)
{
    if (form == DKIM_SIMPLE) {
        buf_add(out, line);
        return;
    }
    while (line.n > 0 && strchr(" \t", line.p[line.n - 1]) != NULL)
        line.n--;
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] != ' ' && line.p[i] != '\t')
            buf_add_char(out, line.p[i]);
        else if (i == 0 || (line.p[i - 1] != ' ' && line.p[i - 1] != '\t'))
            buf_add_char(out, ' ');
}

static void plainly(enum dkim_canon form, struct str body, struct buf *out)
{
    buf_init(out, 1 << 20);
    while (body.n > 0) {
        ptrdiff_t end = str_ifind(body, STR("\r\n"));

        add_line(form, str_sub(body, 0, end < 0 ? body.n : (size_t)end), out);
        buf_add(out, STR("\r\n"));
        body = str_skip(body, end < 0 ? body.n : (size_t)end + 2);
    }
    while (out->n >= 4 && memcmp(out->p + out->n - 4, "\r\n\r\n", 4) == 0)
        out->n -= 2;
    if (out->n == 2 && memcmp(out->p, "\r\n", 2) == 0)
        out->n = 0;
    if (out->n == 0 && form == DKIM_SIMPLE)
        buf_add(out, STR("\r\n"));
}

static void every_cut_gives_the_same(void **state)
{
    static const char *const parts[] = {"a", "bcd", " ", "\t", "\r\n", "\r", "\n", "  ", "\r\n\r\n", " \r\n", "x y"};
    unsigned seed = 42;

    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        enum dkim_canon form = round % 2 == 0 ? DKIM_SIMPLE : DKIM_RELAXED;
        struct buf body, wanted, found;

        buf_init(&body, 1000);
        for (unsigned n = (seed = seed * 1103515245u + 12345u) / 65536 % 24; n > 0; n--)
            buf_add(&body, str_of(parts[(seed = seed * 1103515245u + 12345u) / 65536 % (sizeof parts / sizeof parts[0])]));
        plainly(form, buf_str(&body), &wanted);
        for (unsigned cut = 0; cut < 4; cut++) {
            canon(form, buf_str(&body), cut == 0 ? 0 : round * 4 + cut, &found);
            assert_int_equal(found.n, wanted.n);
            if (found.n > 0)
                assert_memory_equal(found.p, wanted.p, found.n);
            buf_clear(&found);
        }
        buf_clear(&body);
        buf_clear(&wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fields), cmocka_unit_test(bodies), cmocka_unit_test(every_cut_gives_the_same)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
