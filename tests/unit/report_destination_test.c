/* May reports be sent there (RFC 9990 4)? Each case: the domain, the address, what DNS says ("name=text" with blanks between), and the
 * verdict with the questions that were asked. */
#include "mailauth/report_destination.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

struct world {
    const char *zone; /* "name=text|name=text"; "name!": fails */
    struct report_destination d;
    char asked[1000], question[600];
    unsigned done;
};

static void ask(void *owner, struct str name)
{
    struct world *w = owner;

    snprintf(w->question, sizeof w->question, "%.*s", STR_ARG(name));
    snprintf(w->asked + strlen(w->asked), sizeof w->asked - strlen(w->asked), "%s%s", w->asked[0] ? " " : "", w->question);
}

static void done(void *owner)
{
    ((struct world *)owner)->done++;
}

static const struct report_destination_world calls = {ask, done};

static void add_text(struct buf *records, struct str text)
{
    char rdata[256];

    rdata[0] = (char)text.n;
    memcpy(rdata + 1, text.p, text.n);
    dns_add_record(records, str_from(rdata, text.n + 1));
}

static void answer(struct world *w)
{
    struct str zone = str_of(w->zone), line, name;
    char question[sizeof w->question];
    struct buf records;

    memcpy(question, w->question, sizeof question);
    name = str_of(question);
    buf_init(&records, 4096);
    w->question[0] = 0;
    while (str_next(&zone, '|', &line)) {
        if (line.n == name.n + 1 && str_starts(line, name) && line.p[name.n] == '!') {
            report_destination_answer(&w->d, DNS_TIMEOUT, STR(""));
            buf_clear(&records);
            return;
        }
        if (line.n > name.n && str_starts(line, name) && line.p[name.n] == '=')
            add_text(&records, str_skip(line, name.n + 1));
    }
    report_destination_answer(&w->d, records.n > 0 ? DNS_OK : DNS_NXDOMAIN, buf_str(&records));
    buf_clear(&records);
}

#define LONG "a123456789a123456789a123456789a123456789a123456789a1234567"

static const struct {
    const char *domain, *address, *zone;
    enum report_verdict verdict;
    const char *sent_to, *asked;
} cases[] = {
    {"a.example", "x@a.example", "", REPORT_WANTED, "x@a.example", ""},
    {"a.example", "x@A.Example", "", REPORT_WANTED, "x@A.Example", ""},
    /* one organisation: the walks meet */
    {"a.example", "x@mail.a.example", "_dmarc.a.example=v=DMARC1", REPORT_WANTED, "x@mail.a.example",
        "_dmarc.a.example _dmarc.example _dmarc.mail.a.example _dmarc.a.example _dmarc.example"},
    /* another one under the same top */
    {"a.example", "x@b.example", "_dmarc.a.example=v=DMARC1|a.example._report._dmarc.b.example=v=DMARC1", REPORT_WANTED, "x@b.example",
        "_dmarc.a.example _dmarc.example _dmarc.b.example _dmarc.example a.example._report._dmarc.b.example"},
    /* others */
    {"a.example", "x@b.test", "a.example._report._dmarc.b.test=v=DMARC1;", REPORT_WANTED, "x@b.test", "a.example._report._dmarc.b.test"},
    {"a.example", "x@b.test", "a.example._report._dmarc.b.test=v=spf1 -all", REPORT_UNWANTED, NULL, NULL},
    {"a.example", "x@b.test", "", REPORT_UNWANTED, NULL, NULL},
    {"a.example", "x@b.test", "a.example._report._dmarc.b.test!", REPORT_NOT_KNOWN, NULL, NULL},
    {"a.example", "x@b.example", "_dmarc.a.example!", REPORT_NOT_KNOWN, NULL, NULL},
    {"a.example", "x@b.test", "a.example._report._dmarc.b.test=v=spf1|a.example._report._dmarc.b.test=v=DMARC1", REPORT_WANTED, "x@b.test", NULL},
    /* step 9: another address there, and only there */
    {"a.example", "x@b.test", "a.example._report._dmarc.b.test=v=DMARC1; rua=mailto:y@b.test", REPORT_WANTED, "y@b.test", NULL},
    {"a.example", "x@b.test", "a.example._report._dmarc.b.test=v=DMARC1; rua=mailto:y@c.test", REPORT_UNWANTED, NULL, NULL},
    {"a.example", "x@b.test", "a.example._report._dmarc.b.test=v=DMARC1; rua=https://b.test/", REPORT_UNWANTED, NULL, NULL},
    /* nothing to ask for */
    {"a.example", "x", "", REPORT_UNWANTED, NULL, ""},
    {LONG "." LONG "." LONG ".example", "x@" LONG ".test", "", REPORT_UNWANTED, NULL, ""},
};

static void destinations_are_verified(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w = {.zone = cases[i].zone};

        report_destination_init(&w.d, &calls, &w, str_of(cases[i].domain), str_of(cases[i].address));
        report_destination_start(&w.d);
        for (int n = 0; w.question[0] != 0; n++) {
            assert_true(n < 2 * DMARC_WALK_MAX + 1);
            answer(&w);
        }
        assert_int_equal(w.done, 1);
        if (w.d.verdict != cases[i].verdict)
            fail_msg("case %zu: verdict %d, asked %s", i, (int)w.d.verdict, w.asked);
        if (cases[i].sent_to != NULL)
            assert_true(str_eq(buf_str(&w.d.address), str_of(cases[i].sent_to)));
        if (cases[i].asked != NULL)
            assert_string_equal(w.asked, cases[i].asked);
        report_destination_answer(&w.d, DNS_OK, STR("")); /* too late */
        assert_int_equal(w.done, 1);
        report_destination_clear(&w.d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(destinations_are_verified)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
