/* IMAP: every key of SEARCH (RFC 9051, section 6.4.4; RFC 3501; RFC 5032, 7162, 8474, 8514), what it finds and what it does not:
 * alone, in parentheses, twice, beside ALL, and turned round by NOT. And programs with thousands of keys and of numbers. */
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MESSAGES = 4 };

static const struct {
    const char *args, *text;
} messages[MESSAGES] = {
    {"(\\Seen \\Answered k1) \"01-Feb-2020 23:59:00 +0000\"",
        "From: Ann Lee <ann@a.example>\r\nTo: Bob <bob@b.example>\r\nCc: carl@c.example\r\nBcc: dora@d.example\r\nSubject: Apple pie\r\n"
        "Date: Sun, 5 Jan 2020 23:30:00 -0500\r\nMessage-ID: <1@x.example>\r\nX-Mark: one\r\n\r\nThe first body.\r\n"},
    {"(\\Flagged \\Draft $Forwarded) \"15-Mar-2020 00:00:00 +0000\"",
        "From: eve@e.example\r\nSubject: =?utf-8?Q?=C3=84pfel?= und Birnen\r\nDate: Mon, 6 Jan 2020 00:10:00 +0900\r\nMessage-ID: <2@x.example>\r\n"
        "In-Reply-To: <1@x.example>\r\nX-Mark:\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=iso-8859-1\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>Sch=F6ne <b>Gr</b>=FC&szlig;e</p> and more and more and more and more and more and more "
        "and more and more and more and more and more and more and more and more\r\n"},
    {"(\\Deleted K1)", "Subject: neither date nor sender\r\n\r\nnothing\r\n"},
    {"()", "From: Ann Lee <ann@a.example>\r\nTo: ann@a.example\r\nSubject: last\r\nDate: nonsense\r\n\r\nThe last body.\r\n"},
};

static const struct {
    const char *key, *found;
} keys[] = {
    {"ALL", "1 2 3 4"},
    /* numbers */
    {"1", "1"}, {"2:3", "2 3"}, {"*", "4"}, {"9:*", "4"}, {"1,3,2", "1 2 3"}, {"7", ""}, {"UID 2:3", "2 3"}, {"UID 99", ""}, {"UID *", "4"},
    {"UID 99:*", "4"},
    /* flags */
    {"ANSWERED", "1"}, {"UNANSWERED", "2 3 4"}, {"DELETED", "3"}, {"UNDELETED", "1 2 4"}, {"DRAFT", "2"}, {"UNDRAFT", "1 3 4"}, {"FLAGGED", "2"},
    {"UNFLAGGED", "1 3 4"}, {"SEEN", "1"}, {"UNSEEN", "2 3 4"}, {"KEYWORD k1", "1 3"}, {"UNKEYWORD k1", "2 4"}, {"KEYWORD $Forwarded", "2"},
    {"KEYWORD nobody", ""}, {"UNKEYWORD nobody", "1 2 3 4"}, {"NEW", ""}, {"OLD", "1 2 3 4"}, {"RECENT", ""},
    /* dates: of receipt, as it is shown; of sending, as it is written */
    {"BEFORE 1-Feb-2020", ""}, {"BEFORE 2-Feb-2020", "1"}, {"BEFORE 15-Mar-2020", "1"}, {"BEFORE \"16-Mar-2020\"", "1 2"}, {"ON 1-Feb-2020", "1"},
    {"ON 15-Mar-2020", "2"}, {"ON 16-Mar-2020", ""}, {"SINCE 1-Feb-2020", "1 2 3 4"}, {"SINCE 2-Feb-2020", "2 3 4"}, {"SINCE 16-Mar-2020", "3 4"},
    {"SENTBEFORE 5-Jan-2020", ""}, {"SENTBEFORE 6-Jan-2020", "1"}, {"SENTBEFORE 7-Jan-2020", "1 2"}, {"SENTON 5-Jan-2020", "1"}, {"SENTON 6-Jan-2020", "2"},
    {"SENTSINCE 6-Jan-2020", "2 3 4"}, {"SENTSINCE 7-Jan-2020", "3 4"},
    {"UIDAFTER 2", "3 4"}, {"UIDAFTER 4", ""}, {"UIDBEFORE 3", "1 2"}, {"NOT UIDBEFORE 3", "3 4"}, {"OLDER 86400", "1 2"}, {"YOUNGER 86400", "3 4"}, {"YOUNGER 1000000000", "1 2 3 4"},
    {"SAVEDSINCE 1-Feb-2020", "1 2 3 4"}, {"SAVEDBEFORE 16-Mar-2020", ""}, {"SAVEDON 15-Mar-2020", ""}, {"SAVEDATESUPPORTED", "1 2 3 4"},
    /* sizes */
    {"LARGER 100", "1 2"}, {"LARGER 300", "2"}, {"SMALLER 100", "3 4"}, {"SMALLER 1", ""}, {"LARGER 0", "1 2 3 4"}, {"SMALLER 9223372036854775807", "1 2 3 4"},
    /* the header */
    {"BCC dora", "1"}, {"BCC ann", ""}, {"CC C.EXAMPLE", "1"}, {"CC dora", ""}, {"FROM ann", "1 4"}, {"FROM \"ANN LEE\"", "1 4"}, {"FROM bob", ""}, {"TO bob", "1"},
    {"TO ann", "4"}, {"SUBJECT apple", "1"}, {"SUBJECT {6+}\r\n\xc3\xa4PFEL", "2"}, {"SUBJECT \"pfel und b\"", "2"}, {"SUBJECT zzz", ""}, {"SUBJECT \"\"", "1 2 3 4"},
    {"HEADER X-Mark one", "1"}, {"HEADER x-mark \"\"", "1 2"}, {"HEADER X-None \"\"", ""}, {"HEADER Message-ID 2@X", "2"}, {"HEADER In-Reply-To 1@x", "2"},
    {"HEADER Date nonsense", "4"},
    /* bodies */
    {"BODY first", "1"}, {"BODY body", "1 4"}, {"BODY {15+}\r\nsch\xc3\xb6ne GR\xc3\x9cSSE", "2"}, {"BODY {14+}\r\nsch\xc3\xb6ne gr\xc3\xbc\xc3\x9f", "2"}, {"BODY subject", ""},
    {"BODY \"\"", "1 2 3 4"}, {"BODY <b>", ""}, {"TEXT body", "1 4"}, {"TEXT subject", "1 2 3 4"}, {"TEXT dora", "1"}, {"TEXT nothing", "3"}, {"TEXT \"x-mark: one\"", "1"},
    {"TEXT zzz", ""},
    /* several */
    {"OR SEEN FLAGGED", "1 2"}, {"OR SEEN OR DELETED DRAFT", "1 2 3"}, {"NOT NOT SEEN", "1"}, {"(FROM ann SEEN)", "1"}, {"(FROM ann (NOT SEEN))", "4"},
    {"OR (SEEN KEYWORD k1) (DRAFT FLAGGED)", "1 2"}, {"OR BODY first SUBJECT last", "1 4"}, {"OR NOT BODY body 1", "1 2 3"},
    /* extensions */
    {"MODSEQ 1", "1 2 3 4"}, {"MODSEQ 999999999", ""}, {"MODSEQ \"/flags/\\\\Seen\" all 1", "1 2 3 4"}, {"EMAILID Mnothing", ""}, {"THREADID Tnothing", ""},
};

static char emailid[64], threadid[64];

/* "* 1 FETCH (EMAILID (M1) THREADID (T2))": the two. */
static void learn_ids(struct str got)
{
    assert_int_equal(sscanf(got.p, "* 1 FETCH (EMAILID (%60[^)]) THREADID (%60[^)])", emailid, threadid), 2);
}

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_keys_test");
    client_open(0);
    for (size_t i = 0; i < MESSAGES; i++) {
        char command[2000];

        snprintf(command, sizeof command, "a APPEND INBOX %s {%zu+}\r\n%s\r\n", messages[i].args, strlen(messages[i].text), messages[i].text);
        client_expect(0, command, "a OK %\r\n");
    }
    client_say(0, "s SELECT INBOX\r\n");
    world_flush();
    (void)client_got(0);
    client_say(0, "f FETCH 1 (EMAILID THREADID)\r\n");
    world_flush();
    learn_ids(client_got(0));
    client_expect(0, "e ENABLE CONDSTORE\r\n", "%\r\n%\r\ne OK Enabled\r\n");
    return 0;
}

/* Those that are not found, as SEARCH tells them. */
static void others(const char *found, char out[64])
{
    size_t n = 0;

    out[0] = '\0';
    for (char c = '1'; c < '1' + MESSAGES; c++)
        if (strchr(found, c) == NULL)
            n += (size_t)snprintf(out + n, 64 - n, "%s%c", n > 0 ? " " : "", c);
}

static void finds(const char *before, const char *key, const char *after, const char *found)
{
    bool modseq = strstr(key, "MODSEQ") != NULL && found[0] != '\0';
    char command[500], answer[200];

    snprintf(command, sizeof command, "a SEARCH CHARSET UTF-8 %s%s%s\r\n", before, key, after);
    snprintf(answer, sizeof answer, "* SEARCH%s%s%s\r\na OK Done\r\n", found[0] ? " " : "", found, modseq ? " (MODSEQ %)" : "");
    client_expect(0, command, answer);
}

static void in_every_way(const char *key, const char *found)
{
    char rest[64];

    others(found, rest);
    finds("", key, "", found);
    finds("(", key, ")", found);
    finds("ALL ", key, " ALL", found);
    finds("NOT ", key, "", rest);
    finds("NOT (1:* ", key, ")", rest);
    finds("OR 99 ", key, "", found);
}

static void every_key(void **state)
{
    char key[100];

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        in_every_way(keys[i].key, keys[i].found);
    snprintf(key, sizeof key, "EMAILID %s", emailid);
    in_every_way(key, "1");
    snprintf(key, sizeof key, "THREADID %s", threadid);
    in_every_way(key, "1 2");
}

/* Each is BAD, and the session goes on. */
static void wrong_keys(void **state)
{
    static const char *const wrong[] = {"", "NOT", "OR", "OR SEEN", "(", ")", "()", "(SEEN", "SEEN)", "BODY", "HEADER", "HEADER From", "KEYWORD", "KEYWORD (x)", "LARGER", "LARGER x",
        "LARGER -1", "SMALLER 9223372036854775808", "BEFORE", "BEFORE yesterday", "BEFORE 32-Jan-2020", "BEFORE 1-Foo-2020", "BEFORE 1-Jan-20", "ON 1/1/2020", "SENTON", "UID", "UID x",
        "UID 0", "UIDAFTER 0", "UIDAFTER", "UIDBEFORE *", "UIDBEFORE 1:2", "UIDAFTER 4294967296", "0", "1:", ":1", "1,,2", "1;2", "OLDER", "OLDER 0", "YOUNGER x", "MODSEQ", "MODSEQ x", "MODSEQ \"/flags/x\" all", "MODSEQ \"/flags/x\" some 1", "EMAILID", "THREADID",
        "SAVEDON", "NONSENSE", "SEEN NONSENSE", "SEEN  ", "CHARSET", "CHARSET UTF-8", "RETURN", "RETURN (", "RETURN (MIN", "RETURN (MIN) ", "RETURN (NONSENSE) ALL"};
    char command[200];

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(command, sizeof command, "a SEARCH %s\r\n", wrong[i]);
        client_expect(0, command, "a BAD %\r\n");
        client_expect(0, "n NOOP\r\n", "n OK Done\r\n");
    }
}

/* A program of so many keys, each written by `key`, which has a %u or two. */
static void many(const char *before, const char *key, unsigned n, const char *after, const char *found)
{
    struct buf command;
    char answer[100];

    buf_init(&command, 64 * 1024);
    buf_addf(&command, "a SEARCH %s", before);
    for (unsigned i = 0; i < n; i++)
        for (const char *c = key; *c != '\0'; c++)
            buf_addf(&command, *c == '#' ? "%u" : "%c", *c == '#' ? i : (unsigned)*c);
    buf_addf(&command, "%s\r\n", after);
    assert_false(command.failed);
    client_say_bytes(0, buf_str(&command));
    snprintf(answer, sizeof answer, "* SEARCH %s\r\na OK Done\r\n", found);
    client_expect(0, "", answer);
    buf_clear(&command);
}

static void thousands_of_keys(void **state)
{
    (void)state;
    many("", "SEEN ", 10000, "ALL", "1");
    many("", "NOT 9 ", 10000, "ALL", "1 2 3 4");
    many("", "OLD ", 10000, "FROM ann", "1 4");
    many("", "ON # ", 0, "ALL", "1 2 3 4");
    many("1", ",#1:#2", 5000, "", "1 2");
    many("1", ",2:3", 10000, "", "1 2 3");
    many("UID 4", ",#3:#1", 5000, "", "1 2 3 4");
    many("NOT 1", ",#9", 9000, "", "2 3 4");
    many("", "NOT BODY x# ", 3000, "BODY first", "1");
    many("", "NOT FROM x# ", 3000, "FROM eve", "2");
    many("", "NOT THREADID T# ", 2000, "TEXT last", "4");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_key),
        TEST(wrong_keys),
        TEST(thousands_of_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
