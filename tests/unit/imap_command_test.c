/* IMAP commands: each form of each, and what is refused with which words. */
#include "imap_describe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct {
    const char *text, *meaning;
} good[] = {
    {"a1 NOOP", "a1 NOOP"},
    {"a1 noop  ", "a1 NOOP"},
    {"a1 LOGIN {3}\r\njim \"se\\\"c\\\\ret\"", "a1 LOGIN 'jim' 'se\"c\\ret'"},
    {"a1 LOGIN jim]x {0}\r\n", "a1 LOGIN 'jim]x' ''"},
    {"a1 AUTHENTICATE PLAIN", "a1 AUTHENTICATE PLAIN 0 ''"},
    {"a1 AUTHENTICATE PLAIN =", "a1 AUTHENTICATE PLAIN 1 '='"},
    {"a1 ID NIL", "a1 ID"},
    {"a1 ID ()", "a1 ID"},
    {"a1 ID (\"name\" \"x\" \"os\" NIL)", "a1 ID name x os NIL"},
    {"a1 ENABLE CONDSTORE QRESYNC", "a1 ENABLE CONDSTORE QRESYNC"},
    {"a1 SELECT inbox", "a1 SELECT 'INBOX'"},
    {"a1 SELECT &ZeVnLIqe-/x", "a1 SELECT '\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e/x'"},
    {"a1 SELECT \"a & b\"", NULL},
    {"a1 SELECT \"a &- b\"", "a1 SELECT 'a & b'"},
    {"a1 SELECT x (CONDSTORE)", "a1 SELECT 'x' condstore"},
    {"a1 SELECT x (QRESYNC (67890007 20050715194045000))", "a1 SELECT 'x' qresync=67890007,20050715194045000"},
    {"a1 SELECT x (QRESYNC (1 2 41,43:211))", "a1 SELECT 'x' qresync=1,2 41,43:211"},
    {"a1 EXAMINE x (QRESYNC (1 2 1:29 (5,8 15,19)))", "a1 EXAMINE 'x' qresync=1,2 1:29 5,8 15,19"},
    {"a1 SELECT x (QRESYNC (1 2 (5,8 15,19)))", "a1 SELECT 'x' qresync=1,2  5,8 15,19"},
    {"a1 CREATE a/b", "a1 CREATE 'a/b'"},
    {"a1 CREATE a (USE (\\Sent \\Archive))", "a1 CREATE 'a' \\Sent \\Archive"},
    {"a1 RENAME a \"b c\"", "a1 RENAME 'a' 'b c'"},
    {"a1 STATUS x (MESSAGES UNSEEN size)", "a1 STATUS 'x' 51"},
    {"a1 LIST \"\" *", "a1 LIST plain select=0 returns=0 status=0 '' '*'"},
    {"a1 LIST \"\" \"%/x\"", "a1 LIST plain select=0 returns=0 status=0 '' '%/x'"},
    {"a1 LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (a b*) RETURN (CHILDREN STATUS (MESSAGES) SPECIAL-USE)",
        "a1 LIST extended select=5 returns=e status=1 '' 'a' 'b*'"},
    {"a1 LIST () \"\" %", "a1 LIST extended select=0 returns=0 status=0 '' '%'"},
    {"a1 LIST \"\" % RETURN (METADATA (\"/shared/x\" \"/private/y\") MYRIGHTS)",
        "a1 LIST extended select=0 returns=30 status=0 '' '%' meta '/shared/x' meta '/private/y'"},
    {"a1 LSUB a b%", "a1 LSUB plain select=1 returns=0 status=0 'a' 'b%'"},
    {"a1 APPEND x (\\Seen) {5}", "a1 APPEND  x (\\Seen) {5}"},
    {"a1 GETQUOTA \"\"", "a1 GETQUOTA ''"},
    {"a1 SETQUOTA \"\" (STORAGE 512)", "a1 SETQUOTA '' STORAGE 512"},
    {"a1 SETACL x fred +rw", "a1 SETACL 'x' 'fred' '+rw'"},
    {"a1 LISTRIGHTS x fred", "a1 LISTRIGHTS 'x' 'fred'"},
    {"a1 MYRIGHTS inbox", "a1 MYRIGHTS 'INBOX'"},
    {"a1 EXPUNGE", "a1 EXPUNGE  ''"},
    {"a1 UID EXPUNGE 1:*", "a1 UID EXPUNGE 1:0 ''"},
    {"a1 COPY 2:4 x", "a1 COPY 2:4 'x'"},
    {"a1 uid move $ x", "a1 UID MOVE $ 'x'"},
    {"a1 FETCH 1:5,7,*:9 FLAGS", "a1 FETCH 1:5,7,0:9 0p"},
    {"a1 FETCH 1 ALL", "a1 FETCH 1 0p 2p 3p 4p"},
    {"a1 FETCH 1 FULL", "a1 FETCH 1 0p 2p 3p 4p 5p"},
    {"a1 FETCH 1 BODY", "a1 FETCH 1 5p"},
    {"a1 FETCH 1 (UID BODY BODY[] RFC822.SIZE)", "a1 FETCH 1 1p 5p 12[] 3p"},
    {"a1 FETCH 1 BODY.PEEK[HEADER.FIELDS (From \"To\")]<0.100>", "a1 FETCH 1 12p[FIELDS From To]<0.100>"},
    {"a1 FETCH 1 BODY[1.2.MIME]", "a1 FETCH 1 12[1.2.MIME]"},
    {"a1 FETCH 1 BODY[4.TEXT]<5.6>", "a1 FETCH 1 12[4.TEXT]<5.6>"},
    {"a1 FETCH 1 BODY[header.fields.not (x)]", "a1 FETCH 1 12[NOT x]"},
    {"a1 FETCH 1 (BINARY.PEEK[2]<0.5> BINARY.SIZE[1.2] BINARY[])", "a1 FETCH 1 13p[2.]<0.5> 14p[1.2.] 13[]"},
    {"a1 FETCH 1 (PREVIEW)", "a1 FETCH 1 11p"},
    {"a1 FETCH 1 (PREVIEW (LAZY) FLAGS)", "a1 FETCH 1 11plazy 0p"},
    {"a1 UID FETCH 1:* FLAGS (CHANGEDSINCE 12345 VANISHED)", "a1 UID FETCH 1:0 0p since=12345 vanished"},
    {"a1 UID FETCH 1:* UID (PARTIAL -1:-50)", "a1 UID FETCH 1:0 1p partial=-1:-50"},
    {"a1 STORE 1 FLAGS \\Seen", "a1 STORE 1 = 1"},
    {"a1 STORE 1 +flags.silent (\\deleted $Forwarded x)", "a1 STORE 1 + silent 8+$Forwarded+x"},
    {"a1 STORE 1 -FLAGS ()", "a1 STORE 1 - 0"},
    {"a1 STORE 1 (UNCHANGEDSINCE 9) FLAGS \\Draft y", "a1 STORE 1 = 10+y unchanged=9"},
    {"a1 SEARCH ALL", "a1 SEARCH 1(0)"},
    {"a1 SEARCH UNSEEN", "a1 SEARCH 1(3(6f1))"},
    {"a1 SEARCH CHARSET UTF-8 SUBJECT \"gr\xc3\xbc\xc3\x9f\"", "a1 SEARCH 1(8 SUBJECT 'gr\xc3\xbc\xc3\x9f')"},
    {"a1 SEARCH RETURN () OR FROM a (NOT TO b 1:3)", "a1 SEARCH return=4 1(2(8 FROM 'a' 1(3(8 TO 'b') 4 1:3)))"},
    {"a1 SEARCH RETURN (MIN COUNT SAVE) UID 5", "a1 SEARCH return=19 1(5 5)"},
    {"a1 UID SEARCH RETURN (PARTIAL 1:500) SINCE 1-Feb-1994", "a1 UID SEARCH return=20 partial=1:500 1(13 d8797)"},
    {"a1 SEARCH HEADER X-Y \"\" KEYWORD z UNKEYWORD q", "a1 SEARCH 1(8 X-Y '' 7 'z' 3(7 'q'))"},
    {"a1 SEARCH MODSEQ \"/flags/\\\\draft\" all 620 LARGER 4294967296", "a1 SEARCH 1(25 n620 21 n4294967296)"},
    {"a1 SEARCH BODY {4}\r\na\r\nb NEW", "a1 SEARCH 1(9 'a\r\nb' 26)"},
    {"a1 SORT (REVERSE DATE SUBJECT) UTF-8 ALL", "a1 SORT -2 5 1(0)"},
    {"a1 UID SORT RETURN (COUNT) (DISPLAYFROM) US-ASCII 1:*", "a1 UID SORT return=8 7 1(4 1:0)"},
    {"a1 THREAD REFERENCES UTF-8 ALL", "a1 THREAD thread=0 1(0)"},
    {"a1 UID THREAD ORDEREDSUBJECT UTF-8 FLAGGED", "a1 UID THREAD thread=1 1(6f4)"},
    {"a1 NOTIFY NONE", "a1 NOTIFY set=0 status=0 bad=0 items=0"},
    {"a1 NOTIFY SET STATUS (selected (MessageNew (UID FLAGS) MessageExpunge)) (subtree (a INBOX) (MailboxName))",
        "a1 NOTIFY set=1 status=1 bad=0 items=2 (0 3) (5 8 'a' 'INBOX')"},
    {"a1 NOTIFY SET (mailboxes status (FlagChange MessageNew MessageExpunge)) (personal NONE) (inboxes MailboxMetadataChange)",
        "a1 NOTIFY set=1 status=0 bad=0 items=0 (6 7 'status') (3 0) (2 20)"},
    {"a1 NOTIFY SET (personal (MessageNew MessageExpunge Whatever))", "a1 NOTIFY set=1 status=0 bad=1 items=0 (3 3)"},
    {"a1 GETMETADATA (MAXSIZE 10 DEPTH infinity) INBOX /Shared/Comment", "a1 GETMETADATA 'INBOX' depth=2 maxsize=10 /shared/comment"},
    {"a1 GETMETADATA \"\" (DEPTH 1) (/private /shared/a)", "a1 GETMETADATA '' depth=1 /private /shared/a"},
    {"a1 SETMETADATA x (/private/a \"\" /shared/b NIL)", "a1 SETMETADATA 'x' depth=0 /private/a='' /shared/b"},
};

static const struct {
    const char *text, *why;
} bad[] = {
    {"", "A tag and a command expected"},
    {"a1", "Unknown command"},
    {"a1 ", "Unknown command"},
    {"+ NOOP", "A tag and a command expected"},
    {"* OK", "A tag and a command expected"},
    {"a1 FROB", "Unknown command"},
    {"a1 UID NOOP", "Unknown command"},
    {"a1 NOOP x", "Nothing more was expected"},
    {"a1 LOGIN x", "Argument missing"},
    {"a1 LOGIN \"x y", "The quoted string has no end"},
    {"a1 LOGIN \"x\\y\" z", "In a quoted string only \\\" and \\\\ are escapes"},
    {"a1 LOGIN {9}\r\nx y", "A literal expected"},
    {"a1 SELECT", "Argument missing"},
    {"a1 SELECT &Z-", "A mailbox name is in modified UTF-7"},
    {"a1 SELECT x (FROB)", "Unknown parameter of SELECT"},
    {"a1 FETCH 0 FLAGS", "A sequence set expected"},
    {"a1 FETCH 4294967296 FLAGS", "A sequence set expected"},
    {"a1 FETCH 1, FLAGS", "A sequence set expected"},
    {"a1 FETCH 1", "Argument missing"},
    {"a1 FETCH 1 FROB", "Unknown item to fetch"},
    {"a1 FETCH 1 BODY[0]", "A part number expected"},
    {"a1 FETCH 1 BODY[1.]", "A part number expected"},
    {"a1 FETCH 1 BODY[MIME]", "MIME is of a part: BODY[1.MIME]"},
    {"a1 FETCH 1 BODY[]<0.0>", "A part of no bytes cannot be fetched"},
    {"a1 FETCH 1 BODY.PEEK", "[ expected"},
    {"a1 FETCH 1 BINARY[TEXT]", "] expected"},
    {"a1 FETCH 1 (FLAGS", ") expected"},
    {"a1 FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)", "VANISHED needs UID FETCH and CHANGEDSINCE"},
    {"a1 FETCH 1 FLAGS (PARTIAL 1:-5)", "Both ends of a partial range have the same sign"},
    {"a1 STORE 1 FLAG x", "FLAGS or FLAGS.SILENT expected"},
    {"a1 STORE 1 FLAGS \\Recent", "There is no such system flag"},
    {"a1 SEARCH FROB", "Unknown search key"},
    {"a1 SEARCH CHARSET KOI8-R ALL", "[BADCHARSET (US-ASCII UTF-8)] Texts are UTF-8 here"},
    {"a1 SEARCH SUBJECT \"\xff\"", "The text is not UTF-8"},
    {"a1 SEARCH SINCE 30-Feb-2026", "A date is written like 1-Feb-2026"},
    {"a1 SEARCH RETURN (ALL PARTIAL 1:2) ALL", "PARTIAL and ALL exclude each other"},
    {"a1 SORT () UTF-8 ALL", "Unknown sort criterion"},
    {"a1 THREAD FROB UTF-8 ALL", "THREAD knows REFERENCES and ORDEREDSUBJECT"},
    {"a1 LIST (RECURSIVEMATCH) \"\" *", "RECURSIVEMATCH needs another selection option"},
    {"a1 STATUS x ()", "Unknown item of STATUS"},
};

static void commands_are_understood(void **state)
{
    struct arena arena;
    struct buf out;

    (void)state;
    arena_init(&arena, 4 << 20);
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct imap_command c;
        const char *why;
        bool ok = imap_command_parse(str_of(good[i].text), false, &arena, &c, &why);

        if (ok != (good[i].meaning != NULL))
            fail_msg("%s: %s", good[i].text, why);
        buf_reset(&out);
        if (ok)
            describe_command(&out, &c);
        if (ok && !str_eq(buf_str(&out), str_of(good[i].meaning)))
            fail_msg("%s: %.*s", good[i].text, STR_ARG(buf_str(&out)));
        arena_clear(&arena);
    }
    buf_clear(&out);
}

static void mistakes_are_told(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 4 << 20);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct imap_command c;
        const char *why = NULL;

        if (imap_command_parse(str_of(bad[i].text), false, &arena, &c, &why))
            fail_msg("%s was taken", bad[i].text);
        if (!str_eq(str_of(why), str_of(bad[i].why)))
            fail_msg("%s: %s", bad[i].text, why);
        arena_clear(&arena);
    }
}

static void a_small_arena_fails_only_the_command(void **state)
{
    struct arena arena;
    struct imap_command c;
    const char *why;

    (void)state;
    arena_init(&arena, 256);
    assert_false(imap_command_parse(STR("a FETCH 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,"
                                        "30,31,32,33,34,35,36,37 (FLAGS UID)"), false, &arena, &c, &why));
    arena_clear(&arena);
}

/* ---- sets ---- */

static void sets_are_brought_to_a_normal_form(void **state)
{
    static const struct {
        const char *text;
        uint32_t largest;
        const char *normal;
        uint64_t count;
    } sets[] = {{"1", 9, "1", 1}, {"5:2", 9, "2:5", 4}, {"1,2,3,7,5:6", 9, "1:3,5:7", 6}, {"*", 9, "9", 1}, {"*:3", 9, "3:9", 7},
        {"12:*", 9, "9:12", 4}, {"1:5,3:9,2", 9, "1:9", 9}, {"*", 0, "", 0}, {"1:*", 0, "1", 1},
        {"4294967295,1:4294967294", 9, "1:4294967295", 4294967295}};
    struct arena arena;
    struct buf out;

    (void)state;
    arena_init(&arena, 1 << 20);
    buf_init(&out, 1 << 16);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct imap_set set;
        struct str rest = str_of(sets[i].text);
        struct imap_set_writer w = {.out = &out};

        assert_true(imap_set_parse(&rest, &arena, &set));
        assert_int_equal(rest.n, 0);
        imap_set_normalize(&set, sets[i].largest);
        buf_reset(&out);
        for (size_t k = 0; k < set.n; k++)
            imap_set_add_range(&w, set.ranges[k].from, set.ranges[k].to);
        imap_set_end(&w);
        if (!str_eq(buf_str(&out), str_of(sets[i].normal)) || imap_set_count(&set) != sets[i].count)
            fail_msg("%s: %.*s", sets[i].text, STR_ARG(buf_str(&out)));
        if (set.n > 0)
            assert_true(imap_set_has(&set, set.ranges[0].from) && !imap_set_has(&set, set.ranges[0].from - 1));
    }
    buf_clear(&out);
    arena_clear(&arena);
}

static void a_writer_joins_neighbours(void **state)
{
    struct buf out;
    struct imap_set_writer w = {.out = &out};
    uint32_t numbers[] = {1, 2, 3, 5, 7, 8};

    (void)state;
    buf_init(&out, 100);
    for (size_t i = 0; i < 6; i++)
        imap_set_add(&w, numbers[i]);
    imap_set_end(&w);
    assert_true(str_eq(buf_str(&out), STR("1:3,5,7:8")));
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_understood),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(a_small_arena_fails_only_the_command),
        cmocka_unit_test(sets_are_brought_to_a_normal_form),
        cmocka_unit_test(a_writer_joins_neighbours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
