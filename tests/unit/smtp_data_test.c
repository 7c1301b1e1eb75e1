/* The content of DATA and BDAT: the end, the dots, and every known way of smuggling, in every possible
 * split of the input. */
#include "base/buf.h"
#include "roles/smtp/data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

struct sample {
    struct str input, content;
    size_t rest; /* octets after the end */
    bool done;
    enum data_fault fault;
};

static const struct sample samples[] = {
    {STR(".\r\n"), STR(""), 0, true, DATA_FINE},
    {STR("a\r\n.\r\n"), STR("a\r\n"), 0, true, DATA_FINE},
    {STR("a\r\n.\r\nQUIT\r\n"), STR("a\r\n"), 6, true, DATA_FINE},
    {STR("..\r\n.\r\n"), STR(".\r\n"), 0, true, DATA_FINE},
    {STR("..a\r\n..\r\n...\r\n.b\r\n.\r\n"), STR(".a\r\n.\r\n..\r\nb\r\n"), 0, true, DATA_FINE},
    {STR("a.\r\n. \r\n.\r\n"), STR("a.\r\n \r\n"), 0, true, DATA_FINE},
    {STR("\r\n\r\n.\r\n"), STR("\r\n\r\n"), 0, true, DATA_FINE},
    {STR("no end\r\n"), STR("no end\r\n"), 0, false, DATA_FINE},
    {STR("no end\r\n."), STR("no end\r\n"), 0, false, DATA_FINE},
    {STR("no end\r\n.\r"), STR("no end\r\n"), 0, false, DATA_FINE},
    {STR("\xc3\xa4\xff\r\n.\r\n"), STR("\xc3\xa4\xff\r\n"), 0, true, DATA_FINE},
    /* smuggling: none of these is an end, and all make the message refused */
    {STR("a\n.\nMAIL FROM:<x>\r\n.\r\n"), STR(""), 0, true, DATA_BARE_LF},
    {STR("a\n.\r\nMAIL FROM:<x>\r\n.\r\n"), STR(""), 0, true, DATA_BARE_LF},
    {STR("a\r\n.\nMAIL FROM:<x>\r\n.\r\n"), STR(""), 0, true, DATA_BARE_LF},
    {STR("a\r.\rMAIL FROM:<x>\r\n.\r\n"), STR(""), 0, true, DATA_BARE_CR},
    {STR("a\r.\r\nMAIL FROM:<x>\r\n.\r\n"), STR(""), 0, true, DATA_BARE_CR},
    {STR("a\r\n.\rMAIL FROM:<x>\r\n.\r\n"), STR(""), 0, true, DATA_BARE_CR},
    {STR("a\n\r.\r\nMAIL FROM:<x>\r\n.\r\n"), STR(""), 0, true, DATA_BARE_LF},
    {STR("a\r\n\0.\r\nMAIL FROM:<x>\r\n.\r\n"), STR(""), 0, true, DATA_NUL},
    {STR("a\r\n.\0\r\nMAIL FROM:<x>\r\n.\r\n"), STR(""), 0, true, DATA_NUL},
    {STR("a\r\r\n.\r\n"), STR(""), 0, true, DATA_BARE_CR},
    {STR("a\r\n.\r\r\nb\r\n.\r\n"), STR(""), 0, true, DATA_BARE_CR},
    {STR("a\r\n.\r.\r\nb\r\n.\r\n"), STR(""), 0, true, DATA_BARE_CR},
    {STR("\n.\r\n"), STR(""), 0, false, DATA_BARE_LF},
};

static void keep(void *to, struct str content)
{
    buf_add(to, content);
}

/* Feeds as a connection does: what was not used comes again with what follows. */
static size_t feed(struct data_reader *r, struct str input, size_t cut, struct buf *out)
{
    size_t used = data_take(r, str_sub(input, 0, cut), keep, out);

    if (!r->done)
        used += data_take(r, str_skip(input, cut), keep, out);
    return used;
}

static void check(const struct sample *sample, size_t cut)
{
    struct data_reader r;
    struct buf out;
    size_t used;

    buf_init(&out, 1 << 20);
    data_begin(&r, true, false, 1 << 20);
    used = feed(&r, sample->input, cut, &out);
    assert_int_equal(r.done, sample->done);
    assert_int_equal(r.fault, sample->fault);
    if (sample->done)
        assert_int_equal(sample->input.n - used, sample->rest);
    if (sample->fault == DATA_FINE) {
        assert_true(str_eq(buf_str(&out), sample->content));
        assert_int_equal(r.total, sample->content.n);
    }
    buf_clear(&out);
}

static void reads_every_sample_in_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        for (size_t cut = 0; cut <= samples[i].input.n; cut++)
            check(&samples[i], cut);
    }
}

static void reads_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        struct data_reader r;
        struct buf out;

        buf_init(&out, 1 << 20);
        data_begin(&r, true, false, 1 << 20);
        for (size_t at = 0; at < samples[i].input.n && !r.done; at++)
            assert_int_equal(data_take(&r, str_sub(samples[i].input, at, at + 1), keep, &out), 1);
        assert_int_equal(r.done, samples[i].done);
        assert_int_equal(r.fault, samples[i].fault);
        if (r.fault == DATA_FINE)
            assert_true(str_eq(buf_str(&out), samples[i].content));
        buf_clear(&out);
    }
}

static enum data_fault fault_of(struct str input, bool dots, bool binary, uint64_t most)
{
    struct data_reader r;
    struct buf out;

    buf_init(&out, 1 << 22);
    data_begin(&r, dots, binary, most);
    data_take(&r, input, keep, &out);
    if (!dots)
        data_end(&r);
    buf_clear(&out);
    return r.fault;
}

static void long_lines_are_refused(void **state)
{
    static char text[DATA_LINE_MAX + 10];
    struct str line = str_from(text, DATA_LINE_MAX);

    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text + DATA_LINE_MAX - 2, "\r\n", 2);
    assert_int_equal(fault_of(line, true, false, 1 << 20), DATA_FINE);
    memcpy(text + DATA_LINE_MAX - 2, "xx\r\n", 4);
    line.n += 2;
    assert_int_equal(fault_of(line, true, false, 1 << 20), DATA_LONG_LINE);
    assert_int_equal(fault_of(line, false, false, 1 << 20), DATA_LONG_LINE);
    assert_int_equal(fault_of(line, false, true, 1 << 20), DATA_FINE);
}

static void size_is_counted_after_unstuffing(void **state)
{
    (void)state;
    assert_int_equal(fault_of(STR("..2345678\r\n.\r\n"), true, false, 10), DATA_FINE);
    assert_int_equal(fault_of(STR("..23456789\r\n.\r\n"), true, false, 10), DATA_TOO_BIG);
}

static void chunks_are_checked_unless_binary(void **state)
{
    static const struct {
        struct str bytes;
        enum data_fault text;
    } cases[] = {{STR("a\r\n.\r\n"), DATA_FINE}, {STR("a\n.\n"), DATA_BARE_LF}, {STR("a\rb"), DATA_BARE_CR},
        {STR("a\r"), DATA_BARE_CR}, {STR("a\0b"), DATA_NUL}, {STR("no line end"), DATA_FINE}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(fault_of(cases[i].bytes, false, false, 1 << 20), cases[i].text);
        assert_int_equal(fault_of(cases[i].bytes, false, true, 1 << 20), DATA_FINE);
    }
}

/* A block of nothing but bare CRs or LFs must not cost quadratic time. */
static void hostile_blocks_take_linear_time(void **state)
{
    static char block[4 * 1024 * 1024];

    (void)state;
    memset(block, '\r', sizeof block);
    assert_int_equal(fault_of(str_from(block, sizeof block), true, false, 1 << 30), DATA_BARE_CR);
    memset(block, '\n', sizeof block);
    assert_int_equal(fault_of(str_from(block, sizeof block), true, false, 1 << 30), DATA_BARE_LF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_sample_in_every_split),
        cmocka_unit_test(reads_byte_by_byte),
        cmocka_unit_test(long_lines_are_refused),
        cmocka_unit_test(size_is_counted_after_unstuffing),
        cmocka_unit_test(chunks_are_checked_unless_binary),
        cmocka_unit_test(hostile_blocks_take_linear_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
