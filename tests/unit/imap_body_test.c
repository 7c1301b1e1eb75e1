/* ENVELOPE, BODY and BODYSTRUCTURE as text. */
#include "imap/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

enum { ROOM = 1 << 22 };
enum form { ENVELOPE, BODY, BODYSTRUCTURE };

static const struct {
    enum form form;
    bool utf8;
    const char *message, *text;
} cases[] = {
    {ENVELOPE, false, "", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"},
    {ENVELOPE, false, "Date: d\r\nSubject: a \"b\"\r\nFrom: A <a@b>\r\nTo: c@d, Team: ;\r\nBcc: x\r\nIn-Reply-To: <1@x>\r\nMessage-ID: <2@x>\r\n\r\n",
        "(\"d\" \"a \\\"b\\\"\" ((\"A\" NIL \"a\" \"b\")) ((\"A\" NIL \"a\" \"b\")) ((\"A\" NIL \"a\" \"b\")) "
        "((NIL NIL \"c\" \"d\")(NIL NIL \"Team\" NIL)(NIL NIL NIL NIL)) NIL ((NIL NIL \"x\" \"MISSING_DOMAIN\")) \"<1@x>\" \"<2@x>\")"},
    {ENVELOPE, false, "Subject:\r\nFrom: A B\r\nSender: s@x\r\nReply-To:\r\nCc: @y\r\n\r\n",
        "(NIL \"\" ((\"A B\" NIL \"MISSING_MAILBOX\" \"MISSING_DOMAIN\")) ((NIL NIL \"s\" \"x\")) ((\"A B\" NIL \"MISSING_MAILBOX\" \"MISSING_DOMAIN\")) "
        "NIL ((NIL NIL \"MISSING_MAILBOX\" \"y\")) NIL NIL NIL)"},
    {ENVELOPE, true, "Subject: J\xc3\xb6rg\r\n\r\n", "(NIL \"J\xc3\xb6rg\" NIL NIL NIL NIL NIL NIL NIL NIL)"},
    {ENVELOPE, false, "Subject: J\xc3\xb6rg\r\n\r\n", "(NIL {5}\r\nJ\xc3\xb6rg NIL NIL NIL NIL NIL NIL NIL NIL)"},
    {ENVELOPE, true, "Subject: J\xf6rg\r\n\r\n", "(NIL {4}\r\nJ\xf6rg NIL NIL NIL NIL NIL NIL NIL NIL)"},
    {BODY, false, "", "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 0 0)"},
    {BODY, false, "Content-Type: TEXT/html; Charset=\"utf-8\"; x=y\r\nContent-Transfer-Encoding: 8bit\r\n\r\na\r\nb\r\n",
        "(\"TEXT\" \"html\" (\"charset\" \"utf-8\" \"x\" \"y\") NIL NIL \"8bit\" 6 2)"},
    {BODYSTRUCTURE, false, "Content-Type: text/plain; format=flowed\r\n\r\na",
        "(\"text\" \"plain\" (\"charset\" \"us-ascii\" \"format\" \"flowed\") NIL NIL \"7BIT\" 1 0 NIL NIL NIL NIL)"},
    {BODYSTRUCTURE, false,
        "Content-Type: image/png\r\nContent-ID: <1@x>\r\nContent-Description: d\r\nContent-Transfer-Encoding: base64\r\nContent-MD5: m\r\n"
        "Content-Disposition: inline; filename=a.png\r\nContent-Language: en, ,de\r\nContent-Location: l\r\n\r\nYQ==",
        "(\"image\" \"png\" NIL \"<1@x>\" \"d\" \"base64\" 4 \"m\" (\"inline\" (\"filename\" \"a.png\")) (\"en\" \"de\") \"l\")"},
    {BODYSTRUCTURE, false, "Content-Type: a/b\r\nContent-Disposition: attachment\r\nContent-Language: ,\r\n\r\n",
        "(\"a\" \"b\" NIL NIL NIL \"7BIT\" 0 NIL (\"attachment\" NIL) NIL NIL)"},
    {BODY, false, "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: a/b\r\n\r\ntwo\r\n--b--\r\n",
        "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 3 0)(\"a\" \"b\" NIL NIL NIL \"7BIT\" 3) \"mixed\")"},
    {BODYSTRUCTURE, false, "Content-Type: multipart/mixed; boundary=b\r\nContent-Disposition: inline\r\nContent-Language: en\r\n\r\n--b\r\nContent-Type: a/b\r\n\r\n",
        "((\"a\" \"b\" NIL NIL NIL \"7BIT\" 0 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\") (\"inline\" NIL) (\"en\") NIL)"},
    {BODYSTRUCTURE, false, "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n",
        "(\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 18 (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) "
        "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 3 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL)"},
    /* names of files, in all the ways they come */
    {BODY, false, "Content-Type: a/b; n*=iso-8859-1''%F6%22x; m=\"=?utf-8?Q?=C3=B6?=\"; o*0=a; o*1=b\r\n\r\n",
        "(\"a\" \"b\" (\"m\" \"=?utf-8?Q?=C3=B6?=\" \"n*\" \"utf-8''%C3%B6%22x\" \"o\" \"ab\") NIL NIL \"7BIT\" 0)"},
    {BODY, true, "Content-Type: a/b; n*=iso-8859-1''%F6\r\n\r\n", "(\"a\" \"b\" (\"n*\" \"\xc3\xb6\") NIL NIL \"7BIT\" 0)"},
    {BODY, false, "Content-Type: a/b; n=\"\xf6\"\r\n\r\n", "(\"a\" \"b\" (\"n\" {1}\r\n\xf6) NIL NIL \"7BIT\" 0)"},
    {BODY, false, "Content-Type: multipart/mixed; boundary=b\r\n\r\nnothing\r\n", "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 9 1)"},
};

static void structures_are_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena;
        struct mime_parser *p;
        struct mime_part *root;
        struct buf out;

        arena_init(&arena, ROOM);
        buf_init(&out, ROOM);
        p = mime_parser_new(&arena);
        mime_parser_add(p, str_of(cases[i].message));
        root = mime_parser_end(p);
        if (cases[i].form == ENVELOPE)
            imap_write_envelope(&out, root->envelope, cases[i].utf8);
        else
            imap_write_body(&out, root, cases[i].form == BODYSTRUCTURE, cases[i].utf8);
        buf_add_char(&out, 0);
        assert_string_equal(out.p, cases[i].text);
        buf_clear(&out);
        arena_clear(&arena);
    }
}

static void no_envelope_is_all_nil(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, ROOM);
    imap_write_envelope(&out, NULL, false);
    assert_true(str_eq(buf_str(&out), STR("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)")));
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structures_are_written),
        cmocka_unit_test(no_envelope_is_all_nil),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
