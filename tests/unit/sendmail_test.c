/* The command line of sendmail, the message on its way to the wire, who it is for. */
#include "cli/envelope.h"
#include "cli/mailtext.h"
#include "cli/sendmail_options.h"
#include "mime/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { WORDS = 12 };

/* A command line in one string; words end at blanks. */
struct line {
    char text[200];
    char *words[WORDS + 1];
    int n;
};

static void split(struct line *l, const char *text)
{
    l->n = 0;
    snprintf(l->text, sizeof l->text, "%s", text);
    for (char *p = l->text, *end; l->n < WORDS && *p; p = end) {
        end = p + strcspn(p, " ");
        l->words[l->n++] = p;
        if (*end)
            *end++ = 0;
    }
    l->words[l->n] = NULL;
}

static void options_of_programs(void **state)
{
    static const struct {
        const char *line;
        enum sendmail_mode mode;
        bool t, i;
        const char *sender, *name;
        int recipients;
    } cases[] = {
        {"sendmail -t", SENDMAIL_DELIVER, true, false, "", "", 0},
        {"sendmail -ti", SENDMAIL_DELIVER, true, true, "", "", 0},
        {"sendmail -t -i -f a@b", SENDMAIL_DELIVER, true, true, "a@b", "", 0},
        {"sendmail -oi -fa@b c@d e@f", SENDMAIL_DELIVER, false, true, "a@b", "", 2},
        {"sendmail -oem -oi -odb -t", SENDMAIL_DELIVER, true, true, "", "", 0},
        {"sendmail -itf <> x", SENDMAIL_DELIVER, true, true, "", "", 1},
        {"sendmail -r a@b -FAnna x", SENDMAIL_DELIVER, false, false, "a@b", "Anna", 1},
        {"sendmail -G -i -B8BITMIME -- -x", SENDMAIL_DELIVER, false, true, "", "", 1},
        {"sendmail -B 8BITMIME -O DeliveryMode=b x", SENDMAIL_DELIVER, false, false, "", "", 1},
        {"sendmail -bm -v -n -m -em -Am -d0 x", SENDMAIL_DELIVER, false, false, "", "", 1},
        {"sendmail -bs", SENDMAIL_SMTP, false, false, "", "", 0},
        {"sendmail -bp", SENDMAIL_LIST, false, false, "", "", 0},
        {"sendmail -bi", SENDMAIL_NOTHING, false, false, "", "", 0},
        {"sendmail -q", SENDMAIL_NOTHING, false, false, "", "", 0},
        {"sendmail -q15m", SENDMAIL_NOTHING, false, false, "", "", 0},
        {"sendmail -N success,DELAY -R hdrs -V id x", SENDMAIL_DELIVER, false, false, "", "", 1},
        {"sendmail -", SENDMAIL_DELIVER, false, false, "", "", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sendmail_options o;
        struct err err = {0};
        struct line l;

        split(&l, cases[i].line);
        if (!sendmail_parse(&o, l.n, l.words, &err))
            fail_msg("%s: %s", cases[i].line, err.text);
        if (o.mode != cases[i].mode || o.from_header != cases[i].t || o.ignore_dots != cases[i].i ||
            !str_eq(o.sender, str_of(cases[i].sender)) || !str_eq(o.full_name, str_of(cases[i].name)) ||
            o.recipient_count != cases[i].recipients)
            fail_msg("%s: understood otherwise", cases[i].line);
    }
}

static void options_that_are_none(void **state)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"sendmail --nosuchoption", "unknown option --nosuchoption"},
        {"sendmail -tz", "unknown option -tz"},
        {"sendmail -f", "-f needs a value"},
        {"sendmail -bd", "-bd: the server is started with: staffetta serve"},
        {"sendmail -bx", "-bx: expected -bm, -bs, -bp or -bi"},
        {"sendmail -N sometimes", "-Nsometimes: expected never, or some of success,failure,delay"},
        {"sendmail -R none", "-Rnone: expected full or hdrs"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sendmail_options o;
        struct err err = {0};
        struct line l;

        split(&l, cases[i].line);
        assert_false(sendmail_parse(&o, l.n, l.words, &err));
        assert_string_equal(err.text, cases[i].message);
    }
}

static void lines_are_made_whole(void **state)
{
    static const struct {
        const char *in, *out;
        bool dots, ended;
    } cases[] = {
        {"", "", false, false},
        {"a\nb\n", "a\r\nb\r\n", false, false},
        {"a\r\nb\r\n", "a\r\nb\r\n", false, false},
        {"a\rb\r", "a\r\nb\r\n", false, false},
        {"a", "a\r\n", false, false},
        {"long enough line", "long enough line\r\n", false, false},
        {"\n\n", "\r\n\r\n", false, false},
        {"a\n.\nb\n", "a\r\n", false, true},
        {"a\r\n.\r\nb\r\n", "a\r\n", false, true},
        {"a\n.\nb\n", "a\r\n.\r\nb\r\n", true, false},
        {"a\n.b\n..\n", "a\r\n.b\r\n..\r\n", false, false},
        {".", "", false, true},
        {"From anna Sun Nov 22\nSubject: x\n", "Subject: x\r\n", false, false},
        {"Subject: x\n\nFrom me to you\n", "Subject: x\r\n\r\nFrom me to you\r\n", false, false},
        {"From: x\n", "From: x\r\n", false, false},
        {"Fro\n", "Fro\r\n", false, false},
        {"From ", "", false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t step = 1; step <= 20; step += 19) { /* byte by byte, and at once */
            struct str rest = str_of(cases[i].in);
            struct mailtext t;
            struct buf out;

            mailtext_init(&t, cases[i].dots);
            buf_init(&out, 1000);
            for (; rest.n; rest = str_skip(rest, step))
                mailtext_take(&t, str_sub(rest, 0, step), &out);
            mailtext_finish(&t, &out);
            if (!str_eq(buf_str(&out), str_of(cases[i].out)) || t.ended != cases[i].ended)
                fail_msg("case %zu: %.*s", i, STR_ARG(out));
            buf_clear(&out);
            mailtext_clear(&t);
        }
    }
}

static void dots_are_doubled(void **state)
{
    struct buf out;
    bool start = true;

    (void)state;
    buf_init(&out, 1000);
    mailtext_stuff(STR(".a\r\n..\r\nb.\r\n."), &start, &out);
    mailtext_stuff(STR(".c\r\n"), &start, &out);
    mailtext_stuff(STR("."), &start, &out);
    assert_true(str_eq(buf_str(&out), STR("..a\r\n...\r\nb.\r\n...c\r\n..")));
    buf_clear(&out);
}

static void assert_rcpts(const struct envelope *e, const char *want)
{
    struct str rest = buf_str(&e->rcpts), one;
    struct buf got;

    buf_init(&got, 4096);
    while (rest.n && str_next(&rest, 0, &one))
        buf_addf(&got, "%.*s ", STR_ARG(one));
    if (!str_eq(buf_str(&got), str_of(want)))
        fail_msg("got \"%.*s\", not \"%s\"", STR_ARG(got), want);
    buf_clear(&got);
}

static void addresses_are_completed(void **state)
{
    struct err err = {0};
    struct envelope e;

    (void)state;
    envelope_init(&e, STR("mail.example.org"), &err);
    assert_true(envelope_add(&e, STR("root")));
    assert_true(envelope_add(&e, STR("a@x.example, \"B\" <b@X.example>, group: c@x.example;, a@x.example")));
    assert_rcpts(&e, "root@mail.example.org a@x.example b@x.example c@x.example ");
    assert_true(envelope_set_sender(&e, STR("anna")));
    assert_true(str_eq(buf_str(&e.sender), STR("anna@mail.example.org")));
    assert_true(envelope_set_sender(&e, STR("")));
    assert_int_equal(e.sender.n, 0);
    assert_false(e.utf8);
    assert_false(envelope_add(&e, STR("not an address@x.example")));
    assert_true(err.text[0]);
    envelope_clear(&e);
}

static void header_is_read(const char *text, struct header_facts *facts)
{
    struct header_scan scan;
    size_t used;

    header_scan_init(&scan, 10000, header_facts_field, facts);
    if (header_scan(&scan, str_of(text), &used) == HEADER_MORE)
        header_scan_finish(&scan);
    header_scan_clear(&scan);
}

static void recipients_come_from_the_header(void **state)
{
    static const struct {
        const char *text, *rcpts;
        bool from;
    } cases[] = {
        {"To: a@x.example\r\nCc: b@x.example,\r\n c@x.example\r\nbcc: d@x.example\r\nSubject: to: z@x.example\r\n\r\nTo: no@x.example\r\n",
            "a@x.example b@x.example c@x.example d@x.example ", false},
        {"From: me@x.example\r\nTo: a@x.example\r\nResent-To: b@x.example\r\n\r\n", "b@x.example ", true},
        {"To: undisclosed-recipients:;\r\n\r\n", "", false},
        {"Subject: x\r\n\r\n", "", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        struct header_facts facts;
        struct envelope e;

        envelope_init(&e, STR("h.example"), &err);
        header_facts_init(&facts, &e);
        header_is_read(cases[i].text, &facts);
        assert_true(header_facts_end(&facts));
        assert_rcpts(&e, cases[i].rcpts);
        assert_int_equal(facts.has_from, cases[i].from);
        header_facts_clear(&facts);
        envelope_clear(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_programs),
        cmocka_unit_test(options_that_are_none),
        cmocka_unit_test(lines_are_made_whole),
        cmocka_unit_test(dots_are_doubled),
        cmocka_unit_test(addresses_are_completed),
        cmocka_unit_test(recipients_come_from_the_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
