/* The command line: what is understood, what is refused, how rows look. */
#include "cli/rows.h"
#include "cli/value.h"
#include "cli/verb.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct command commands[] = {
    {"domain", "", NULL, NULL, domain_verbs}, {"account", "", NULL, NULL, account_verbs},
    {"alias", "", NULL, NULL, alias_verbs}, {"route", "", NULL, NULL, route_verbs},
    {"queue", "", NULL, NULL, queue_verbs}, {"trace", "", NULL, NULL, trace_verbs},
    {"status", "", NULL, NULL, status_verbs}};

enum { WORDS = 12 };

/* Runs the parser over one line; words end at blanks, "_" stands for an empty one. */
static int parse(const char *line, struct verb_call *call, struct err *err)
{
    static char text[300], empty[1];
    char *words[WORDS + 1];
    const struct command *command = NULL;
    int n = 0;

    snprintf(text, sizeof text, "%s", line);
    for (char *p = text, *end; n < WORDS && *p; p = end) {
        end = p + strcspn(p, " ");
        words[n++] = p;
        if (*end)
            *end++ = 0;
    }
    words[n] = NULL;
    for (int i = 0; i < n; i++)
        if (strcmp(words[i], "_") == 0)
            words[i] = empty;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, words[0]) == 0)
            command = &commands[i];
    return verb_parse(command, n, words, call, err);
}

static void words_become_arguments(void **state)
{
    static const struct {
        const char *line, *args; /* "|" stands for the NUL behind each */
    } cases[] = {
        {"domain add x.example", "add|x.example|"},
        {"domain add x.example --backup-mx", "add|x.example|kind=backup-mx|"},
        {"domain set x.example --catch-all=a@x.example", "set|x.example|catch_all=a@x.example|"},
        {"domain set x.example --catch-all a@x.example", "set|x.example|catch_all=a@x.example|"},
        {"domain set x.example catch_all=a@x.example", "set|x.example|catch_all=a@x.example|"},
        {"domain set --enabled=no x.example", "set|enabled=no|x.example|"},
        {"account add a@x.example --messages-per-hour=2", "add|a@x.example|messages_per_hour=2|"},
        {"account add a=b@x.example", "add|name=a=b@x.example|"},
        {"account show -- --odd@x.example", "show|--odd@x.example|"},
        {"alias add s@x a@x b=c@x", "add|s@x|a@x|to=b=c@x|"},
        {"alias add s=t@x a@x b@x", "add|name=s=t@x|to=a@x|to=b@x|"},
        {"route add recipient:* smtp h:25 --tls verified", "add|recipient:*|smtp|h:25|tls=verified|"},
        {"queue list --older=1h --reply=not=now", "list|older_than=1h|reply=not=now|"},
        {"queue delete --all", "delete|all=yes|"},
        {"queue hold 0SA68N3JJRY00", "hold|0SA68N3JJRY00|"},
        {"trace a@x --limit=3 --json", "a@x|limit=3|"},
        {"status", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct verb_call call;
        struct err err = {0};

        if (parse(cases[i].line, &call, &err) != EXIT_OK)
            fail_msg("%s: %s", cases[i].line, err.text);
        for (size_t k = 0; k < call.args.n; k++)
            if (call.args.p[k] == 0)
                call.args.p[k] = '|';
        if (!str_eq(buf_str(&call.args), str_of(cases[i].args)))
            fail_msg("%s: got %.*s", cases[i].line, STR_ARG(call.args));
        verb_call_clear(&call);
    }
}

static void wrong_words_are_refused(void **state)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"domain", "domain what?"},
        {"domain frobnicate", "domain has no \"frobnicate\""},
        {"domain add", "too few arguments"},
        {"domain add a b", "too many arguments"},
        {"domain add _", "an argument is empty"},
        {"domain add x --nosuch=1", "unknown option --nosuch"},
        {"domain add x --backup-mx=1", "--backup-mx takes no value"},
        {"domain list --limit", "--limit needs a value: --limit=N"},
        {"queue delete", "which? Name a queue id or a filter"},
        {"alias add a@x", "too few arguments"},
        {"status now", "too many arguments"},
        {"trace", "too few arguments"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct verb_call call;
        struct err err = {0};

        assert_int_equal(parse(cases[i].line, &call, &err), EXIT_USAGE);
        assert_string_equal(err.text, cases[i].message);
        verb_call_clear(&call);
    }
}

static void passwords_are_asked_for(void **state)
{
    struct verb_call call;
    struct err err = {0};

    (void)state;
    assert_int_equal(parse("account set a@x --password", &call, &err), EXIT_OK);
    assert_true(call.ask_password);
    assert_false(call.password_given);
    verb_call_clear(&call);
    assert_int_equal(parse("account add a@x --password-stdin --json", &call, &err), EXIT_OK);
    assert_true(call.ask_password && call.json);
    verb_call_clear(&call);
    assert_int_equal(parse("account add a@x password=secret", &call, &err), EXIT_OK);
    assert_true(call.password_given);
    verb_call_clear(&call);
    assert_int_equal(parse("domain add x --password", &call, &err), EXIT_USAGE);
    verb_call_clear(&call);
}

/* Rows through a layout; the text is freed by the caller. */
static char *show(enum layout layout, bool json, const char *const *lines)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct rows rows;

    rows_init(&rows, layout, json, out);
    for (; *lines != NULL; lines++)
        assert_true(rows_add(&rows, str_of(*lines)));
    rows_end(&rows);
    fclose(out);
    return text;
}

static void tables_are_aligned(void **state)
{
    static const char *const rows[] = {"{\"name\":\"a.example\",\"size\":2048,\"old\":null,\"on\":true}",
        "{\"name\":\"b\xc3\xbc.example\",\"size\":5,\"on\":false}", "{broken", "{\"name\":\"\\u001b[31m\\u009bx\",\"extra\":\"e\"}", NULL};
    char *text = show(LAYOUT_TABLE, false, rows);

    (void)state;
    assert_string_equal(text, "NAME        SIZE  ON   EXTRA\n"
                              "a.example     2K  yes\n"
                              "b\xc3\xbc.example     5  no\n"
                              "?[31m?x                e\n");
    free(text);
}

static void json_is_passed_on(void **state)
{
    static const char *const rows[] = {"{\"a\":1}", "{\"b\":2}", NULL};
    char *text = show(LAYOUT_TABLE, true, rows);

    (void)state;
    assert_string_equal(text, "{\"a\":1}\n{\"b\":2}\n");
    free(text);
}

static void details_and_exports(void **state)
{
    static const char *const details[] = {"{\"id\":\"X\",\"sender\":\"a@x\",\"none\":\"\"}", "{\"n\":1}", NULL};
    static const char *const pieces[] = {"{\"offset\":0,\"base64\":\"SGVsbG8s\"}", "{\"offset\":6,\"base64\":\"IHlvdQ==\"}", NULL};
    char *text = show(LAYOUT_DETAILS, false, details);

    (void)state;
    assert_string_equal(text, "id:      X\nsender:  a@x\n\nn:  1\n");
    free(text);
    text = show(LAYOUT_TEXT, false, pieces);
    assert_string_equal(text, "Hello, you");
    free(text);
}

static void stories_are_told(void **state)
{
    static const char *const rows[] = {
        "{\"time\":\"2026-11-22T03:30:00.000Z\",\"id\":\"A\",\"event\":\"accepted\",\"sender\":\"a@x\",\"rcpt\":\"b@y\",\"message_id\":\"<m@x>\","
        "\"details\":{\"client\":\"192.0.2.1\",\"size\":4096}}",
        "{\"time\":\"2026-11-22T03:30:01.000Z\",\"id\":\"A\",\"event\":\"deferred\",\"sender\":\"\",\"rcpt\":\"b@y\",\"message_id\":\"\","
        "\"details\":{\"code\":451,\"text\":\"4.2.1 not \\u001bnow\",\"host\":\"mx.y\",\"ip\":\"192.0.2.9\",\"attempt\":1}}",
        "{\"time\":\"2026-11-22T03:30:02.000Z\",\"id\":\"A\",\"event\":\"relayed\",\"sender\":\"\",\"rcpt\":\"b@y\",\"message_id\":\"\","
        "\"details\":{\"code\":250,\"text\":\"ok\",\"host\":\"192.0.2.9\",\"ip\":\"192.0.2.9\"}}",
        "{\"time\":\"2026-11-22T03:30:02.000Z\",\"id\":\"B\",\"event\":\"done\",\"sender\":\"\",\"rcpt\":\"\",\"message_id\":\"\",\"details\":{}}", NULL};
    char *text;

    (void)state;
    setenv("TZ", "UTC", 1);
    text = show(LAYOUT_STORY, false, rows);
    assert_string_equal(text, "A from a@x, Message-ID <m@x>\n"
                              "  2026-11-22 03:30:00  accepted     b@y: client 192.0.2.1, size 4K\n"
                              "  2026-11-22 03:30:01  deferred     b@y: mx.y [192.0.2.9] said: 451 4.2.1 not ?now, attempt 1\n"
                              "  2026-11-22 03:30:02  relayed      b@y: [192.0.2.9] said: 250 ok\n"
                              "\nB from <>\n"
                              "  2026-11-22 03:30:02  done\n");
    free(text);
}

static void times_and_sizes(void **state)
{
    static const struct {
        int64_t value;
        const char *span, *size;
    } cases[] = {{0, "0s", "0"}, {1023, "0s", "1023"}, {1024, "0s", "1K"}, {1536, "0s", "1.5K"}, {59 * SECOND, "59s", "56M"},
        {3 * MINUTE, "3m", "172M"}, {2 * HOUR + 5 * MINUTE, "2h 5m", "7G"}, {4 * DAY + HOUR, "4d 1h", "325G"}};
    int64_t time;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;

        buf_init(&b, 100);
        value_format_span(&b, cases[i].value);
        assert_true(str_eq(buf_str(&b), str_of(cases[i].span)));
        buf_reset(&b);
        value_format_size(&b, cases[i].value);
        if (!str_eq(buf_str(&b), str_of(cases[i].size)))
            fail_msg("%s: got %.*s", cases[i].size, STR_ARG(b));
        buf_clear(&b);
    }
    assert_true(value_time(STR("2020-01-01T00:00:01.500Z"), &time));
    assert_int_equal(time, INT64_C(1577836801500000));
    assert_false(value_time(STR("2020-01-01 00:00:01.500Z"), &time));
    assert_false(value_time(STR("yesterday"), &time));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_arguments),
        cmocka_unit_test(wrong_words_are_refused),
        cmocka_unit_test(passwords_are_asked_for),
        cmocka_unit_test(tables_are_aligned),
        cmocka_unit_test(json_is_passed_on),
        cmocka_unit_test(details_and_exports),
        cmocka_unit_test(stories_are_told),
        cmocka_unit_test(times_and_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
