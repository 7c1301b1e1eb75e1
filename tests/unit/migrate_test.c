/* The formats of an import and export: mailbox files, Maildir names, an IMAP server's answers, urls, ends of backups. */
#include "cli/archive.h"
#include "cli/migrate/lines.h"
#include "cli/migrate/maildir.h"
#include "cli/migrate/mbox.h"
#include "cli/migrate/mbox_files.h"
#include "cli/migrate/url.h"
#include "cli/migrate/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void assert_str(struct str found, const char *wanted)
{
    char *text = xstrndup(found.n > 0 ? found.p : "", found.n);

    assert_string_equal(text, wanted);
    free(text);
}

/* ---- mbox ---- */

static void separators(void **state)
{
    int64_t at;

    (void)state;
    assert_true(mbox_is_separator(STR("From ann@example.org Sun Sep 13 12:26:40 2020"), &at));
    assert_int_equal(at / 1000000, 1600000000);
    assert_true(mbox_is_separator(STR("From MAILER-DAEMON Sun Sep  3 12:26:40 2020"), &at));
    assert_true(mbox_is_separator(STR("From a b Sun Sep 13 14:26 CEST 2020 +0200"), &at));
    assert_int_equal(at / 1000000, 1599999960);
    assert_false(mbox_is_separator(STR("From here on"), &at));
    assert_false(mbox_is_separator(STR("From a Sun Sep 13 noon 2020"), &at));
    assert_false(mbox_is_separator(STR("from a Sun Sep 13 12:26:40 2020"), &at));
    assert_false(mbox_is_separator(STR("From a Sun Sep 0 12:26:40 2020"), &at));
    assert_false(mbox_is_separator(STR("From a Sun Sep 13 12:26:40 20"), &at));
}

static void a_message_of_a_file(void **state)
{
    static const char file[] = "From a Sun Sep 13 12:26:40 2020\nA: b\nStatus: RO\nX-UID: 7\nX-Keywords: one\n two\nX-Status: FT\n\n"
                               ">From me\n\nFrom you\n\nFrom a Sun Sep 13 12:26:40 2020\n";
    struct mbox_reader r;
    struct buf out;
    bool ended;

    (void)state;
    mbox_reader_init(&r);
    buf_init(&out, 10000);
    mbox_reader_begin(&r);
    assert_int_equal(mbox_reader_feed(&r, STR(file), true, &out, &ended), sizeof file - 1 - 32);
    assert_true(ended);
    assert_str(buf_str(&out), "A: b\r\n\r\nFrom me\r\n\r\nFrom you\r\n");
    assert_str(buf_str(&r.keywords), "one two");
    assert_int_equal(r.flags, IMAP_SEEN | IMAP_FLAGGED | IMAP_DRAFT);
    assert_int_equal(r.received / 1000000, 1600000000);
    mbox_reader_clear(&r);
    buf_clear(&out);
}

static void a_message_into_a_file(void **state)
{
    struct mbox_writer w;
    struct buf out;

    (void)state;
    mbox_writer_init(&w);
    buf_init(&out, 10000);
    mbox_writer_begin(&w, STR("two words"), 1600000000000000, IMAP_ANSWERED, STR(""), &out);
    mbox_writer_feed(&w, STR("A: b\r\nStatus: R\r\n more\r\nC: d\r\n\r\nFrom x\r\n>From y\r\nend"), &out);
    mbox_writer_end(&w, &out);
    assert_str(buf_str(&out), "From MAILER-DAEMON Sun Sep 13 12:26:40 2020\nA: b\nC: d\nStatus: O\nX-Status: A\n\n>From x\n>>From y\nend\n\n");
    mbox_writer_clear(&w);
    buf_clear(&out);
}

static void no_path_leaves_the_folder(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    mbox_path_encode(&out, STR("../.x/a.b%"));
    assert_str(buf_str(&out), "%2e./%2ex/a.b%25.mbox");
    buf_reset(&out);
    assert_true(mbox_level_decode(&out, STR("%2e.%25")));
    assert_str(buf_str(&out), "..%");
    buf_clear(&out);
}

/* ---- Maildir ---- */

static void names(void **state)
{
    struct maildir_name n;
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    maildir_name_parse(STR("1600000001.M1P1.host,S=7:2,FPSac"), &n);
    assert_str(n.unique, "1600000001.M1P1.host,S=7");
    assert_int_equal(n.time, 1600000001);
    assert_int_equal(n.flags, IMAP_FLAGGED | IMAP_SEEN);
    assert_true(n.passed);
    assert_int_equal(n.letters, 5);
    maildir_name_flags(&out, &n);
    assert_str(buf_str(&out), ":2,FPSac");
    maildir_name_parse(STR("x:1,S"), &n);
    assert_int_equal(n.flags, 0);
    buf_clear(&out);
}

static void folders(void **state)
{
    static const char *const pairs[][2] = {{".Work.2026", "Work/2026"}, {".Entw&APw-rfe", "Entw\xc3\xbcrfe"}, {".a\\2eb", "a.b"},
        {".\\2e\\2e.x", "../x"}};
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        buf_reset(&out);
        assert_true(maildir_folder_decode(&out, str_of(pairs[i][0])));
        assert_str(buf_str(&out), pairs[i][1]);
        buf_reset(&out);
        maildir_folder_encode(&out, str_of(pairs[i][1]));
        assert_str(buf_str(&out), pairs[i][0]);
    }
    buf_reset(&out);
    assert_true(maildir_folder_decode(&out, STR(".\xc3\xbc")));
    assert_false(maildir_folder_decode(&out, STR("Work")));
    assert_false(maildir_folder_decode(&out, STR(".Work..x")));
    assert_false(maildir_folder_decode(&out, STR(".Work.")));
    assert_false(maildir_folder_decode(&out, STR(".\xff")));
    buf_clear(&out);
}

static void subscriptions(void **state)
{
    (void)state;
    assert_true(maildir_is_subscribed(STR("V\t2\n\nA\nWork\t2026\n"), STR("Work/2026")));
    assert_false(maildir_is_subscribed(STR("V\t2\n\nA\nWork\t2026\n"), STR("Work")));
    assert_true(maildir_is_subscribed(STR("Work.2026\n"), STR("Work/2026")));
    assert_true(maildir_is_subscribed(STR("Work/2026\n"), STR("Work/2026")));
    assert_true(maildir_is_subscribed(STR("INBOX.Work.2026\n"), STR("Work/2026")));
    assert_true(maildir_is_subscribed(STR("Entw&APw-rfe\n"), STR("Entw\xc3\xbcrfe")));
}

static void line_ends(void **state)
{
    struct buf out;
    bool cr = false, lost = false;
    char last = 0;

    (void)state;
    buf_init(&out, 1000);
    lines_to_lf(&out, STR("a\r"), &cr, &lost);
    lines_to_lf(&out, STR("\nb\rc\r\n"), &cr, &lost);
    assert_str(buf_str(&out), "a\nb\rc\n");
    assert_false(lost);
    lines_to_lf(&out, STR("\r\r\n"), &cr, &lost);
    assert_true(lost);
    buf_reset(&out);
    lines_to_crlf(&out, STR("a\nb\r"), &last);
    lines_to_crlf(&out, STR("\n\n"), &last);
    assert_str(buf_str(&out), "a\r\nb\r\n\r\n");
    buf_clear(&out);
}

/* ---- answers ---- */

static void parse(const char *text, struct imap_answer *a)
{
    static struct arena arena;

    arena_clear(&arena);
    arena_init(&arena, 10000);
    imap_answer_parse(str_of(text), false, &arena, a);
}

static void answers_of_a_server(void **state)
{
    struct imap_answer a;

    (void)state;
    parse("* OK [UIDVALIDITY 7] fine", &a);
    assert_int_equal(a.kind, IMAP_SAYS_OK);
    assert_true(imap_answer_code_is(&a, "UIDVALIDITY"));
    assert_false(imap_answer_code_is(&a, "UID"));
    parse("A7 NO [OVERQUOTA] full", &a);
    assert_str(a.tag, "A7");
    assert_int_equal(a.kind, IMAP_SAYS_NO);
    parse("* LIST (\\Noselect \\Sent) \".\" \"INBOX.a b\"", &a);
    assert_int_equal(a.kind, IMAP_SAYS_LIST);
    assert_int_equal(a.delimiter, '.');
    assert_str(a.name, "INBOX.a b");
    assert_true(imap_answer_has(a.flags, "\\noselect"));
    parse("* LIST () NIL {3}\r\na b", &a);
    assert_str(a.name, "a b");
    assert_int_equal(a.delimiter, 0);
    parse("* NAMESPACE ((\"INBOX.\" \".\")) NIL NIL", &a);
    assert_str(a.name, "INBOX.");
    parse("* NAMESPACE NIL NIL NIL", &a);
    assert_int_equal(a.kind, IMAP_SAYS_OTHER);
    parse("* 12 EXISTS", &a);
    assert_int_equal(a.number, 12);
    parse("* 3 FETCH (FLAGS (\\Seen x) X-ODD ((a) \"b)\" NIL) UID 9 INTERNALDATE \" 3-Sep-2020 12:26:40 +0000\" RFC822.SIZE 77)", &a);
    assert_int_equal(a.told, IMAP_TOLD_FLAGS | IMAP_TOLD_UID | IMAP_TOLD_DATE | IMAP_TOLD_SIZE);
    assert_int_equal(a.uid, 9);
    assert_int_equal(a.size, 77);
    assert_str(a.flags, "\\Seen x");
    parse("* 3 FETCH (UID 9 INTERNALDATE \"garbage\" BODY[] {2}\r\nhi FLAGS ())", &a);
    assert_int_equal(a.told, IMAP_TOLD_FLAGS | IMAP_TOLD_UID | IMAP_TOLD_BODY);
    parse("* 3 FETCH (UID 9", &a);
    assert_int_equal(a.kind, IMAP_SAYS_OTHER);
    assert_true(imap_answer_begins_body(STR("* 3 FETCH (UID 9 BODY[] {2}")));
    assert_false(imap_answer_begins_body(STR("* 3 FETCH (BODY[HEADER] {2}")));
}

/* ---- the rest ---- */

static void urls(void **state)
{
    struct server_url u;
    struct err err;

    (void)state;
    assert_true(server_url_parse(STR("imaps://ann%40example.org@mail.example.org"), STR(""), &u, &err));
    assert_str(u.user, "ann@example.org");
    assert_str(u.host, "mail.example.org");
    assert_int_equal(u.port, 993);
    assert_int_equal(u.security, PEER_TLS);
    assert_true(server_url_parse(STR("imap://ann@[::1]:1143/"), STR(""), &u, &err));
    assert_str(u.host, "::1");
    assert_int_equal(u.port, 1143);
    assert_int_equal(u.security, PEER_STARTTLS);
    assert_true(server_url_parse(STR("imap://ann@x"), STR("none"), &u, &err));
    assert_int_equal(u.security, PEER_PLAIN);
    assert_false(server_url_parse(STR("imaps://ann@x"), STR("none"), &u, &err));
    assert_false(server_url_parse(STR("imaps://ann:secret@x"), STR(""), &u, &err));
    assert_false(server_url_parse(STR("imaps://ann@x:70000"), STR(""), &u, &err));
    assert_false(server_url_parse(STR("imaps://ann%0a@x"), STR(""), &u, &err));
    assert_false(server_url_parse(STR("imaps://x"), STR(""), &u, &err));
}

static void ends_of_backups(void **state)
{
    struct archive a = {.address = "ann@home.example", .time = "2026-11-22T03:30:00Z", .account = 7, .size = 8192}, b;
    char text[ARCHIVE_TRAILER];

    (void)state;
    memset(a.sum, 'a', ARCHIVE_SUM);
    archive_write(&a, text);
    assert_true(archive_parse(str_from(text, sizeof text), &b));
    assert_string_equal(b.address, a.address);
    assert_int_equal(b.size, 8192);
    assert_false(archive_parse(str_from(text, sizeof text - 1), &b));
    text[2] = 'X';
    assert_false(archive_parse(str_from(text, sizeof text), &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(separators), cmocka_unit_test(a_message_of_a_file), cmocka_unit_test(a_message_into_a_file),
        cmocka_unit_test(no_path_leaves_the_folder), cmocka_unit_test(names), cmocka_unit_test(folders),
        cmocka_unit_test(subscriptions), cmocka_unit_test(line_ends), cmocka_unit_test(answers_of_a_server),
        cmocka_unit_test(urls), cmocka_unit_test(ends_of_backups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
