/* Text out of mail: transfer encodings, charsets, encoded words, HTML, folding, base subjects; streams at every cut. */
#include "mime/charset.h"
#include "mime/fold.h"
#include "mime/html.h"
#include "mime/transfer.h"
#include "mime/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

enum { ROOM = 1 << 22 };

static void assert_text(struct buf *out, struct str wanted)
{
    assert_false(out->failed);
    if (!str_eq(buf_str(out), wanted)) {
        buf_add_char(out, 0);
        assert_string_equal(out->p, wanted.p);
        fail();
    }
    buf_clear(out);
}

static const struct {
    enum mime_encoding encoding;
    const char *text, *bytes;
    bool sound;
} transfers[] = {
    {MIME_BASE64, "", "", true}, {MIME_BASE64, "YQ==", "a", true}, {MIME_BASE64, "YWI=\r\n", "ab", true}, {MIME_BASE64, "YWJj", "abc", true},
    {MIME_BASE64, "YWJj\r\nYWJj\n YWI=", "abcabcab", true}, {MIME_BASE64, "Y W\tJ\r\nj", "abc", true},
    {MIME_BASE64, "YQ==YWJj", "aabc", true}, {MIME_BASE64, "YWJjYQ", "abca", false}, {MIME_BASE64, "YWJj*-YWI=", "abcab", false},
    {MIME_BASE64, "YWJjY", "abc", false}, {MIME_BASE64, "YWJj\r\n--\r\n", "abc", false}, {MIME_BASE64, "=", "", true},
    {MIME_QUOTED_PRINTABLE, "a=20b=3D\r\n", "a b=\r\n", true}, {MIME_QUOTED_PRINTABLE, "a=\r\nb=\nc", "abc", true},
    {MIME_QUOTED_PRINTABLE, "a= \t\r\nb", "ab", true}, {MIME_QUOTED_PRINTABLE, "a  \t\r\nb \nc  ", "a\r\nb\nc", true},
    {MIME_QUOTED_PRINTABLE, "a  b\tc \rd", "a  b\tc \rd", true}, {MIME_QUOTED_PRINTABLE, "=c3=B6", "\xc3\xb6", true},
    {MIME_QUOTED_PRINTABLE, "a=", "a", true}, {MIME_QUOTED_PRINTABLE, "a=  ", "a", true}, {MIME_QUOTED_PRINTABLE, "a=zb", "a=zb", false},
    {MIME_QUOTED_PRINTABLE, "a=4", "a=4", false}, {MIME_QUOTED_PRINTABLE, "=4=41", "=4A", false}, {MIME_QUOTED_PRINTABLE, "a= b", "a= b", false},
    {MIME_QUOTED_PRINTABLE, "==41", "=A", false}, {MIME_QUOTED_PRINTABLE, "a\xc3\xb6", "a\xc3\xb6", true},
    {MIME_IDENTITY, "a=20\r\n", "a=20\r\n", true}, {MIME_UNKNOWN_ENCODING, "a=20", "a=20", true},
};

static void transfer_encodings_are_decoded_at_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof transfers / sizeof *transfers; i++) {
        struct str text = str_of(transfers[i].text);

        for (size_t cut = 0; cut <= text.n; cut++) {
            struct mime_decoder d;
            struct buf out;

            buf_init(&out, ROOM);
            mime_decoder_init(&d, transfers[i].encoding);
            mime_decoder_add(&d, str_sub(text, 0, cut), &out);
            mime_decoder_add(&d, str_skip(text, cut), &out);
            assert_int_equal(mime_decoder_end(&d, &out), transfers[i].sound);
            assert_text(&out, str_of(transfers[i].bytes));
        }
    }
}

static void many_blanks_do_not_depend_on_the_cut(void **state)
{
    (void)state;
    for (size_t blanks = 60; blanks < 160; blanks++)
        for (size_t kind = 0; kind < 2; kind++) {
            char text[200] = "a=";
            size_t n = 1 + kind;
            struct buf whole;

            memset(text + n, ' ', blanks);
            memcpy(text + n + blanks, "\nb", 2);
            n += blanks + 2;
            for (size_t step = n; step > 0; step = step == n ? 7 : step / 7) {
                struct mime_decoder d;
                struct buf out;

                buf_init(&out, ROOM);
                mime_decoder_init(&d, MIME_QUOTED_PRINTABLE);
                for (size_t at = 0; at < n; at += step)
                    mime_decoder_add(&d, str_sub(str_from(text, n), at, at + step), &out);
                mime_decoder_end(&d, &out);
                if (step == n)
                    whole = out;
                else
                    assert_text(&out, buf_str(&whole));
            }
            buf_clear(&whole);
        }
}

static void encodings_have_names(void **state)
{
    (void)state;
    assert_int_equal(mime_encoding_of(STR("BASE64")), MIME_BASE64);
    assert_int_equal(mime_encoding_of(STR(" Quoted-Printable ")), MIME_QUOTED_PRINTABLE);
    assert_int_equal(mime_encoding_of(STR("8bit")), MIME_IDENTITY);
    assert_int_equal(mime_encoding_of(STR("")), MIME_IDENTITY);
    assert_int_equal(mime_encoding_of(STR("x-uuencode")), MIME_UNKNOWN_ENCODING);
}

#define BYTES(literal) {(literal), sizeof(literal) - 1}
static const struct {
    const char *charset;
    struct str bytes, text;
} charsets[] = {
    {"utf-8", BYTES("a\xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80z"), BYTES("aö€😀z")},
    {"UTF-8", BYTES("\xff" "a\xc3"), BYTES("\xef\xbf\xbd" "a\xef\xbf\xbd")},
    {"utf-8", BYTES("\xed\xa0\x80\xc0\xaf"), BYTES("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")},
    {"us-ascii", BYTES("a\xc3\xb6\xf6"), BYTES("aöö")}, {"", BYTES("\x80 \xe2\x82\xac \xe2\x82"), BYTES("€ € â‚")},
    {"x-no-such-thing", BYTES("\xc3\xb6\xf6"), BYTES("öö")}, {"../../etc", BYTES("a"), BYTES("a")},
    {"ISO-8859-1", BYTES("\xf6\x93x\x94"), BYTES("ö“x”")}, {"windows-1252", BYTES("\x80"), BYTES("€")},
    {"iso-8859-15", BYTES("\xa4"), BYTES("€")}, {"koi8-r", BYTES("\xf0\xd2\xc9"), BYTES("При")}, {"windows-1251", BYTES("\xcf\xf0"), BYTES("Пр")},
    {"shift_jis", BYTES("\x93\xfa\x96\x7b\x87\x40"), BYTES("日本①")}, {"gb2312", BYTES("\xd6\xd0\xce\xc4"), BYTES("中文")},
    {"euc-kr", BYTES("\xc7\xd1\xb1\xdb"), BYTES("한글")}, {"big5", BYTES("\xa4\xa4\xa4\xe5"), BYTES("中文")},
    {"iso-2022-jp", BYTES("a\x1b$B" "F|K\\\x1b(Bb"), BYTES("a日本b")}, {"utf-7", BYTES("a+APY-b"), BYTES("aöb")},
    {"utf-16le", BYTES("a\0\xf6\0=\xd8\0\xde"), BYTES("aö😀")}, {"gb18030", BYTES("\x81"), BYTES("\xef\xbf\xbd")},
    {"big5", BYTES("\x88\x62"), BYTES("Ê̄")}, {"windows-1258", BYTES("a\xec"), BYTES("á")},
};

static void charsets_are_read_at_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof charsets / sizeof *charsets; i++)
        for (size_t cut = 0; cut <= charsets[i].bytes.n; cut++) {
            struct charset_reader *r = charset_reader_new(str_of(charsets[i].charset));
            struct buf out;

            buf_init(&out, ROOM);
            charset_reader_add(r, str_sub(charsets[i].bytes, 0, cut), &out);
            charset_reader_add(r, str_skip(charsets[i].bytes, cut), &out);
            charset_reader_end(r, &out);
            assert_text(&out, charsets[i].text);
        }
}

static void charsets_are_known_or_not(void **state)
{
    (void)state;
    charset_prepare();
    charset_prepare();
    assert_true(charset_is_known(STR("US-ASCII")) && charset_is_known(STR("utf-8")) && charset_is_known(STR("KOI8-R")));
    assert_true(charset_is_known(STR("x-sjis")) && charset_is_known(STR("latin1")));
    assert_false(charset_is_known(STR("")) || charset_is_known(STR("x-no-such-thing")) || charset_is_known(STR("utf-8//TRANSLIT")));
}

static void a_small_buffer_stops_the_reader(void **state)
{
    static const char *const names[] = {"utf-8", "iso-8859-1", "koi8-r", "big5"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t ceiling = 0; ceiling < 8; ceiling++) {
            struct buf out;

            buf_init(&out, ceiling);
            charset_to_utf8(str_of(names[i]), STR("\xa4\xa4\xa4\xe5\xa4\xa4\xa4\xe5\xa4\xa4\xa4\xe5\xa4\xa4\xa4\xe5\xa4\xa4\xa4\xe5"), &out);
            assert_true(out.failed && out.n <= ceiling);
            buf_clear(&out);
        }
}

static const struct {
    const char *value, *text;
} words[] = {
    {"plain", "plain"}, {" a \r\n b\t", "a  b"}, {"", ""},
    {"=?utf-8?Q?J=C3=B6rg?=", "Jörg"}, {"=?UTF-8?b?SsO2cmc=?= x", "Jörg x"}, {"=?iso-8859-1*en?q?a_=F6?=", "a ö"},
    {"=?utf-8?q?a?= =?utf-8?q?b?=\r\n =?iso-8859-1?q?=F6?=", "abö"}, {"=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"},
    {"=?utf-8?Q?=C3?= =?utf-8?Q?=B6?=", "ö"}, {"=?utf-8?B?4oI=?=\r\n\t=?UTF-8?B?rA==?=", "€"},
    {"=?utf-8?Q?=C3?= =?iso-8859-1?Q?=F6?=", "\xef\xbf\xbdö"}, {"=?utf-8?Q?a?==?utf-8?Q?b?=", "ab"},
    {"x=?utf-8?Q?a?=y", "xay"}, {"\"=?utf-8?Q?a?=\"", "\"a\""}, {"=?utf-8?Q?a b c?=", "a b c"},
    {"=?utf-8?Q?=3D?=", "="}, {"=?utf-8?Q?=zz=4?=", "=zz=4"}, {"=?utf-8?X?a?=", "=?utf-8?X?a?="},
    {"=?utf-8?Q?a", "=?utf-8?Q?a"}, {"=??Q?a?=", "=??Q?a?="}, {"=?utf-8?Q?a?= =?", "a =?"}, {"=?", "=?"}, {"a?= =?x", "a?= =?x"},
    {"=?no-such?Q?=F6?=", "ö"}, {"J\xf6rg =?utf-8?Q?=C3=B6?=", "Jörg ö"}, {"J\xc3\xb6rg", "Jörg"},
    {"=?utf-8?Q?a=00=0D=0Ab?=", "ab"}, {"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"}, {"=?utf-8?B?w7Y?=", "ö"},
    {"=?utf-8?Q?\?=", ""}, {"=?utf-8?Q?\?= =?utf-8?Q?x?=", "x"},
};

static void encoded_words_are_decoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct buf out;

        buf_init(&out, ROOM);
        mime_decode_words(str_of(words[i].value), &out);
        assert_text(&out, str_of(words[i].text));
    }
}

static const struct {
    const char *html, *text;
} pages[] = {
    {"plain", "plain"}, {"a  \r\n b", "a b"}, {"<p>a</p><p>b</p>", "a\nb"}, {"a<br>b<BR/>c<br />d", "a\nb\nc\nd"},
    {"<html><head><title>T</title><style>p {a>b}</style></head><body>x</body></html>", "T\nx"},
    {"a<script>if (a < b) '</p>';</script >b", "ab"}, {"a<SCRIPT src=\"x>y\">z</Script>b", "ab"}, {"<style>x</styles></style>y", "y"},
    {"&lt;a&gt; &amp;&eacute;&#233;&#xE9;&nbsp;&euro;", "<a> &ééé €"}, {"&nothing; &a b & c &", "&nothing &a b & c &"},
    {"&#0;&#xD800;&#x110000;&#1114111;", "&#0\xef\xbf\xbd\xef\xbf\xbd\xf4\x8f\xbf\xbf"}, {"&amp", "&"}, {"&amp&lt", "&<"},
    {"a<!-- x > y -- z -->b<!DOCTYPE x>c<?xml?>d", "abcd"}, {"a<!-->b-->c", "ac"}, {"a < b <3 c<", "a < b <3 c<"},
    {"<a href='x>y' title=\"'\">l</a>", "l"}, {"<a title=don't>l</a> m", "l m"}, {"<b>wo</b>rd", "word"}, {"so&shy;ft&#8203;er", "softer"},
    {"<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"}, {"<p", ""}, {"<p a=\"x", ""}, {"J\xc3\xb6rg", "Jörg"},
};

static void html_is_read_as_text_at_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        struct str html = str_of(pages[i].html);

        for (size_t cut = 0; cut <= html.n; cut++) {
            struct html_reader *r = html_reader_new();
            struct buf out;

            buf_init(&out, ROOM);
            html_reader_add(r, str_sub(html, 0, cut), &out);
            html_reader_add(r, str_skip(html, cut), &out);
            html_reader_end(r, &out);
            assert_text(&out, str_of(pages[i].text));
        }
    }
}

static void text_is_folded(void **state)
{
    static const struct {
        const char *text, *same;
    } folds[] = {{"Hello", "hELLO"}, {"Straße", "STRASSE"}, {"ΣΑΣ", "σας"}, {"Привет", "ПРИВЕТ"}, {"ö", "o\xcc\x88"}, {"Ö", "ö"},
        {"ﬁ", "FI"}, {"Ａ", "a"}, {"①", "1"}, {"İ", "i\xcc\x87"}, {"\xff" "A", "\xff" "a"}, {"a日b", "A日B"}, {"K", "k"}};
    struct buf one, two;

    (void)state;
    for (size_t i = 0; i < sizeof folds / sizeof *folds; i++) {
        buf_init(&one, ROOM);
        buf_init(&two, ROOM);
        mime_casefold(str_of(folds[i].text), &one);
        mime_casefold(str_of(folds[i].same), &two);
        assert_text(&one, buf_str(&two));
        buf_clear(&two);
    }
    buf_init(&one, ROOM);
    buf_init(&two, ROOM);
    mime_casefold(STR("ö"), &one);
    mime_casefold(STR("o"), &two);
    assert_false(str_eq(buf_str(&one), buf_str(&two)));
    buf_reset(&one);
    for (size_t i = 0; i < 10000; i++)
        buf_add(&one, STR("Ж"));
    buf_reset(&two);
    mime_casefold(buf_str(&one), &two);
    assert_int_equal(two.n, 20000);
    assert_true(str_ends(buf_str(&two), STR("ж")));
    buf_clear(&one);
    buf_clear(&two);
}

/* Also where a run beyond ASCII is longer than what is folded at once, and its accents stand alone. */
static void folding_in_parts_gives_the_same(void **state)
{
    struct buf text, whole, parts;

    (void)state;
    buf_init(&text, ROOM);
    buf_init(&whole, ROOM);
    buf_init(&parts, ROOM);
    for (int i = 0; i < 3000; i++)
        buf_add(&text, i % 700 == 699 ? STR("Straße ") : i % 2 ? STR("Ж") : STR("ö\xcc\x88\xcc\xa3"));
    mime_casefold(buf_str(&text), &whole);
    for (size_t piece = 1; piece < 6000; piece = piece * 2 + 1) {
        size_t from = 0;

        buf_reset(&parts);
        for (size_t to = piece; to < text.n; to += piece)
            from += mime_casefold_part(str_sub(buf_str(&text), from, to), &parts);
        mime_casefold(str_skip(buf_str(&text), from), &parts);
        assert_true(str_eq(buf_str(&whole), buf_str(&parts)));
    }
    buf_clear(&text);
    buf_clear(&whole);
    buf_clear(&parts);
}

static void subjects_have_a_base(void **state)
{
    static const struct {
        const char *subject, *base;
        bool is_reply;
    } subjects[] = {{"hello", "hello", false}, {"Re: hello", "hello", true}, {"RE: Fwd: re : FW: hello", "hello", true},
        {" \t hello \t world ", "hello world", false}, {"hello (fwd)", "hello", true}, {"hello (FWD) (fwd) ", "hello", true},
        {"[list] hello", "hello", false}, {"[list] Re: [x] hello", "hello", true}, {"Re[2]: hello", "hello", true}, {"Re [2] : x", "x", true},
        {"[list]", "[list]", false}, {"[a] [b]", "[b]", false}, {"Re: [list]", "[list]", true}, {"[fwd: hello]", "hello", true},
        {"[Fwd: Re: hello (fwd)]", "hello", true}, {"[fwd: [fwd: x]]", "x", true}, {"Re:", "", true}, {"", "", false}, {"(fwd)", "", true},
        {"Reply: x", "Reply: x", false}, {"[a[b] x", "[a[b] x", false}, {"AW: x", "AW: x", false}, {"[fwd: x", "[fwd: x", false},
        {"re: re: Réunion", "Réunion", true}, {"[unended", "[unended", false}};

    (void)state;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        struct buf out;
        bool is_reply;

        buf_init(&out, ROOM);
        mime_base_subject(str_of(subjects[i].subject), &out, &is_reply);
        assert_text(&out, str_of(subjects[i].base));
        assert_int_equal(is_reply, subjects[i].is_reply);
    }
}

static void long_nonsense_ends_soon(void **state)
{
    static const char *const pieces[] = {"=?", "=?a?q?", "=?a?q?x ", "=?a?q?x?=", "[", "[]", "[x] ", "re: ", "[fwd:", "(fwd)", "&", "<", "<!--"};
    static char text[256 * 1024];

    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct html_reader *r = html_reader_new();
        struct buf out;
        bool is_reply;

        for (size_t at = 0, n = strlen(pieces[i]); at < sizeof text; at++)
            text[at] = pieces[i][at % n];
        buf_init(&out, ROOM);
        mime_decode_words(str_from(text, sizeof text), &out);
        mime_base_subject(str_from(text, sizeof text), &out, &is_reply);
        html_reader_add(r, str_from(text, sizeof text), &out);
        html_reader_end(r, &out);
        assert_false(out.failed);
        buf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transfer_encodings_are_decoded_at_every_cut),
        cmocka_unit_test(many_blanks_do_not_depend_on_the_cut),
        cmocka_unit_test(encodings_have_names),
        cmocka_unit_test(charsets_are_read_at_every_cut),
        cmocka_unit_test(charsets_are_known_or_not),
        cmocka_unit_test(a_small_buffer_stops_the_reader),
        cmocka_unit_test(encoded_words_are_decoded),
        cmocka_unit_test(html_is_read_as_text_at_every_cut),
        cmocka_unit_test(text_is_folded),
        cmocka_unit_test(folding_in_parts_gives_the_same),
        cmocka_unit_test(subjects_have_a_base),
        cmocka_unit_test(long_nonsense_ends_soon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
