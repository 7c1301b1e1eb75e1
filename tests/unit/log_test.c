/* What strangers say must not become lines or pairs of the log. */
#include "base/log.h"

#include "base/last_words.h"
#include "base/str.h"

#include <setjmp.h>
#include <sodium.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char written[64 * 1024];

/* Logs one event and gives what was written for it, behind the time. */
#define LOGGED(json, ...)                                                                          \
    (redirect(), log_set(LOG_LEVEL_INFO, json), log_event(LOG_LEVEL_INFO, "happened", __VA_ARGS__), taken())

static int ends[2], standard_error;

static void redirect(void)
{
    assert_int_equal(pipe(ends), 0);
    standard_error = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
}

static const char *taken(void)
{
    ssize_t n;

    log_flush();
    dup2(standard_error, STDERR_FILENO);
    close(standard_error);
    close(ends[1]);
    n = read(ends[0], written, sizeof written - 1);
    close(ends[0]);
    assert_true(n > 0);
    written[n] = 0;
    return strstr(written, "happened");
}

static void pairs_are_those_of_the_format(void **state)
{
    (void)state;
    assert_string_equal(LOGGED(false, "from=%s to=%s reply=%u %s", "a b", "c", 550U, "5.1.1 no"),
        "happened from=\"a b\" to=c reply=\"550 5.1.1 no\"\n");
    assert_string_equal(LOGGED(false, "n=%d", 7), "happened n=7\n");
    assert_string_equal(LOGGED(false, "from=%s", ""), "happened from=\"\"\n");
    assert_string_equal(LOGGED(true, "from=%s to=%s", "a \"b", "c"), "happened\",\"from\":\"a \\\"b\",\"to\":\"c\"}\n");
}

static void strangers_cannot_write_pairs(void **state)
{
    (void)state;
    assert_string_equal(LOGGED(false, "address=%s reply=%u %s", "<x reply=250 fine>", 550U, "5.7.1 no"),
        "happened address=\"<x reply=250 fine>\" reply=\"550 5.7.1 no\"\n");
    assert_string_equal(LOGGED(true, "address=%s reply=%u", "reply=250", 550U),
        "happened\",\"address\":\"reply=250\",\"reply\":\"550\"}\n");
}

/* Escapes made a line longer than its ceiling: its end was lost, and the next event continued it. */
static void strangers_cannot_swallow_the_end_of_a_line(void **state)
{
    static char controls[4000];
    const char *line;

    (void)state;
    memset(controls, 1, sizeof controls - 1);
    for (int json = 0; json < 2; json++) {
        line = LOGGED(json, "address=%s reply=%u", controls, 550U);
        assert_true(str_ends(str_of(line), json ? STR("\"reply\":\"550\"}\n") : STR(" reply=550\n")));
    }
}

static void terminals_are_told_nothing(void **state)
{
    (void)state;
    assert_string_equal(LOGGED(false, "a=%s", "\x1b[2J\xc2\x9b" "31m\xc3\xa9"), "happened a=\\u001b[2J\\u009b31m\xc3\xa9\n");
    assert_string_equal(LOGGED(false, "a=%s", "\x9b" "31m"), "happened a=\\x9b31m\n");
    assert_string_equal(LOGGED(true, "a=%s", "\xc2\x9b"), "happened\",\"a\":\"\\u009b\"}\n");
}

static void json_is_utf8(void **state)
{
    (void)state;
    assert_string_equal(LOGGED(true, "a=%s", "\xff\xc3\xa9\x1b"), "happened\",\"a\":\"\xef\xbf\xbd\xc3\xa9\\u001b\"}\n");
}

/* What a process that dies of `how` leaves in the log, behind the time. */
static const char *last_of(void (*how)(void), bool json)
{
    int status = 0;
    pid_t child;

    redirect();
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        log_set(LOG_LEVEL_INFO, json);
        last_words_begin();
        log_info("happened", "n=%d", 7); /* held, not written yet */
        how();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    return taken();
}

/* It ended by signal 6 without a word, and what it had said last was lost with it. */
static void an_abort_has_its_line(void **state)
{
    const char *said = last_of(abort, false), *reason;

    (void)state;
    assert_int_equal(strncmp(said, "happened n=7\n", 13), 0);
    reason = strstr(said, "Z staffetta error fatal reason=\"abort: a library gave up");
    assert_non_null(reason);
    assert_string_equal(strchr(reason, '\n'), "\n");
    reason = strstr(last_of(sodium_misuse, true), ",\"role\":\"staffetta\",\"level\":\"error\",\"event\":\"fatal\",\"reason\":\"abort: libsodium");
    assert_non_null(reason);
    assert_string_equal(strchr(reason, '\n') - 2, "\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_those_of_the_format),
        cmocka_unit_test(strangers_cannot_write_pairs),
        cmocka_unit_test(strangers_cannot_swallow_the_end_of_a_line),
        cmocka_unit_test(json_is_utf8),
        cmocka_unit_test(terminals_are_told_nothing),
        cmocka_unit_test(an_abort_has_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
