/* IMAP: every command in both states after login, with too little, too much and nonsense behind it: what class of answer it gets, and
 * that the session can be used after each. (Before login: imap_login_test.) */
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Answers: o OK, n NO, b BAD. */
static const struct {
    const char *command;
    char authenticated, selected; /* a mailbox with one message */
} table[] = {
    /* of any state */
    {"CAPABILITY", 'o', 'o'}, {"CAPABILITY x", 'b', 'b'}, {"NOOP", 'o', 'o'}, {"NOOP x", 'b', 'b'}, {"LOGOUT x", 'b', 'b'}, {"ID NIL", 'o', 'o'}, {"ID", 'b', 'b'},
    {"ID (\"name\")", 'b', 'b'}, {"ID (\"name\" \"x\") y", 'b', 'b'},
    /* before login only */
    {"STARTTLS", 'b', 'b'}, {"LOGIN a b", 'b', 'b'}, {"AUTHENTICATE PLAIN", 'b', 'b'},
    /* after login */
    {"ENABLE", 'b', 'b'}, {"ENABLE X-NONE", 'o', 'o'}, {"ENABLE (CONDSTORE)", 'b', 'b'}, {"NAMESPACE", 'o', 'o'}, {"NAMESPACE x", 'b', 'b'},
    {"SELECT", 'b', 'b'}, {"SELECT nowhere", 'n', 'n'}, {"SELECT INBOX INBOX", 'b', 'b'}, {"SELECT INBOX (NONSENSE)", 'b', 'b'}, {"SELECT \"INBOX", 'b', 'b'},
    {"SELECT INBOX (QRESYNC (1 2))", 'b', 'b'}, {"EXAMINE", 'b', 'b'}, {"EXAMINE nowhere", 'n', 'n'},
    {"CREATE", 'b', 'b'}, {"CREATE INBOX", 'n', 'n'}, {"CREATE Sent", 'n', 'n'}, {"CREATE \"\"", 'n', 'n'}, {"CREATE a b", 'b', 'b'}, {"CREATE x (USE (\\Nonsense))", 'n', 'n'},
    {"CREATE a//b", 'n', 'n'}, {"DELETE", 'b', 'b'}, {"DELETE INBOX", 'n', 'n'}, {"DELETE nowhere", 'n', 'n'}, {"RENAME", 'b', 'b'}, {"RENAME a", 'b', 'b'},
    {"RENAME nowhere b", 'n', 'n'}, {"RENAME Sent Trash", 'n', 'n'}, {"RENAME Sent INBOX", 'n', 'n'}, {"RENAME a b c", 'b', 'b'},
    {"SUBSCRIBE", 'b', 'b'}, {"SUBSCRIBE a b", 'b', 'b'}, {"UNSUBSCRIBE", 'b', 'b'}, {"UNSUBSCRIBE nowhere", 'o', 'o'},
    {"LIST", 'b', 'b'}, {"LIST \"\"", 'b', 'b'}, {"LIST \"\" * x", 'b', 'b'}, {"LIST (NONSENSE) \"\" *", 'b', 'b'}, {"LIST (RECURSIVEMATCH) \"\" *", 'b', 'b'},
    {"LIST \"\" * RETURN (NONSENSE)", 'b', 'b'}, {"LIST \"\" * RETURN", 'b', 'b'}, {"LIST \"\" nothing", 'o', 'o'}, {"LIST (SUBSCRIBED SUBSCRIBED) \"\" nothing", 'o', 'o'},
    {"LSUB", 'b', 'b'}, {"LSUB \"\"", 'b', 'b'}, {"LSUB \"\" nothing", 'o', 'o'},
    {"STATUS", 'b', 'b'}, {"STATUS INBOX", 'b', 'b'}, {"STATUS INBOX ()", 'b', 'b'}, {"STATUS INBOX (NONSENSE)", 'b', 'b'}, {"STATUS INBOX MESSAGES", 'b', 'b'},
    {"STATUS nowhere (MESSAGES)", 'n', 'n'}, {"APPEND", 'b', 'b'}, {"APPEND INBOX", 'b', 'b'}, {"APPEND INBOX text", 'b', 'b'}, {"APPEND INBOX (\\Recent) {1+}\r\nx", 'b', 'b'},
    {"APPEND INBOX (\\Seen", 'b', 'b'}, {"APPEND INBOX \"yesterday\" {1+}\r\nx", 'b', 'b'}, {"APPEND nowhere {1+}\r\nx", 'n', 'n'}, {"APPEND INBOX {0+}\r\n", 'n', 'n'},
    {"IDLE x", 'b', 'b'}, {"GETQUOTA", 'b', 'b'}, {"GETQUOTA nowhere", 'n', 'n'}, {"GETQUOTAROOT", 'b', 'b'}, {"GETQUOTAROOT nowhere", 'n', 'n'}, {"SETQUOTA", 'b', 'b'},
    {"SETQUOTA \"\" (STORAGE 1)", 'n', 'n'}, {"GETMETADATA", 'b', 'b'}, {"GETMETADATA nowhere /private/comment", 'n', 'n'}, {"SETMETADATA INBOX", 'b', 'b'},
    {"SETMETADATA INBOX (/nonsense x)", 'b', 'b'}, {"NOTIFY", 'b', 'b'}, {"NOTIFY MAYBE", 'b', 'b'}, {"COMPRESS", 'b', 'b'}, {"COMPRESS LZW", 'b', 'b'}, {"UNAUTHENTICATE x", 'b', 'b'},
    /* with a mailbox selected */
    {"CHECK", 'b', 'o'}, {"CHECK x", 'b', 'b'}, {"CLOSE x", 'b', 'b'}, {"UNSELECT x", 'b', 'b'}, {"EXPUNGE", 'b', 'o'}, {"EXPUNGE 1", 'b', 'b'}, {"UID EXPUNGE", 'b', 'b'},
    {"UID EXPUNGE 1", 'b', 'o'}, {"SEARCH", 'b', 'b'}, {"SEARCH ALL", 'b', 'o'}, {"SEARCH CHARSET KLINGON ALL", 'n', 'n'}, {"SEARCH RETURN (MAYBE) ALL", 'b', 'b'},
    {"SORT", 'b', 'b'}, {"SORT (DATE) UTF-8", 'b', 'b'}, {"SORT (DATE) UTF-8 ALL", 'b', 'o'}, {"SORT (NONSENSE) UTF-8 ALL", 'b', 'b'}, {"SORT () UTF-8 ALL", 'b', 'b'},
    {"THREAD REFERENCES UTF-8 ALL", 'b', 'o'}, {"THREAD MAGIC UTF-8 ALL", 'b', 'b'}, {"FETCH", 'b', 'b'}, {"FETCH 1", 'b', 'b'}, {"FETCH 1 ()", 'b', 'b'}, {"FETCH 1 FLAGS", 'b', 'o'},
    {"FETCH 0 FLAGS", 'b', 'b'}, {"FETCH 2 FLAGS", 'b', 'b'}, {"FETCH 1:x FLAGS", 'b', 'b'}, {"FETCH 1 (FLAGS", 'b', 'b'}, {"FETCH 1 NONSENSE", 'b', 'b'}, {"FETCH 1 BODY[", 'b', 'b'},
    {"FETCH 1 BODY[0]", 'b', 'b'}, {"FETCH 1 BODY[MIME]", 'b', 'b'}, {"FETCH 1 BODY[]<0.0>", 'b', 'b'}, {"FETCH 1 BODY[]<0>", 'b', 'b'}, {"UID FETCH 99 FLAGS", 'b', 'o'}, {"UID FETCH x FLAGS", 'b', 'b'},
    {"STORE", 'b', 'b'}, {"STORE 1", 'b', 'b'}, {"STORE 1 FLAGS", 'b', 'b'}, {"STORE 1 FLAGS (\\Seen", 'b', 'b'}, {"STORE 1 NONSENSE (\\Seen)", 'b', 'b'}, {"STORE 2 FLAGS (\\Seen)", 'b', 'b'},
    {"STORE 1 +FLAGS (\\Nonsense)", 'b', 'b'}, {"UID STORE 99 FLAGS ()", 'b', 'o'}, {"COPY", 'b', 'b'}, {"COPY 1", 'b', 'b'}, {"COPY 1 nowhere", 'b', 'n'}, {"COPY 2 Sent", 'b', 'b'},
    {"UID COPY 99 Sent", 'b', 'o'}, {"MOVE 1", 'b', 'b'}, {"MOVE 1 nowhere", 'b', 'n'}, {"UID MOVE 99 Sent", 'b', 'o'}, {"UID", 'b', 'b'}, {"UID NOOP", 'b', 'b'}, {"UID 1", 'b', 'b'},
    {"REPLACE 1 INBOX", 'b', 'b'}, {"REPLACE 2 INBOX {1+}\r\nx", 'b', 'b'}, {"REPLACE 1 nowhere {1+}\r\nx", 'b', 'n'},
    /* no commands */
    {"", 'b', 'b'}, {"NONSENSE", 'b', 'b'}, {" NOOP", 'b', 'b'}, {"NO\x01OP", 'b', 'b'}, {"(", 'b', 'b'}, {"\xff\xfe", 'b', 'b'}, {"{3+}\r\nabc", 'b', 'b'},
};

static const char *class_of(char c)
{
    return c == 'o' ? "a OK" : c == 'n' ? "a NO" : "a BAD";
}

/* The line that has the tag. */
static bool answers(struct str got, const char *begin)
{
    while (got.n > 0) {
        ptrdiff_t end = str_find(got, '\n');

        if (str_starts(got, STR("a ")))
            return str_starts(got, str_of(begin));
        got = str_skip(got, end < 0 ? got.n : (size_t)end + 1);
    }
    return false;
}

static int failures;

static void expect_class(const char *command, char wanted, const char *state)
{
    char line[300];
    struct str got;

    snprintf(line, sizeof line, "a %s\r\n", command);
    client_say(0, line);
    world_flush();
    got = client_got(0);
    if (!answers(got, class_of(wanted))) {
        print_error("%s, %s: %.*s\n", command, state, STR_ARG(got));
        failures++;
    }
    client_expect(0, "n NOOP\r\n", "n OK Done\r\n");
}

static void every_command(bool selected)
{
    imap_world_open("imap_states_test");
    world_fill(1);
    failures = 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        client_open(0);
        if (selected) {
            client_say(0, "s SELECT INBOX\r\n");
            world_flush();
            (void)client_got(0);
        }
        expect_class(table[i].command, selected ? table[i].selected : table[i].authenticated, selected ? "selected" : "authenticated");
        client_close(0);
    }
    assert_int_equal(imap_world_close() + failures, 0);
}

static void authenticated(void **state)
{
    (void)state;
    every_command(false);
}

static void selected(void **state)
{
    (void)state;
    every_command(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(authenticated),
        cmocka_unit_test(selected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
