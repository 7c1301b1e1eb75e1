/* What the daily check tells: a change once, nothing that could not be found out. */
#include "outside/watch.h"
#include "outside_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

struct days {
    struct world *w;
    struct buf state, letter;
};

static void begin(struct days *d)
{
    d->w = world_new(world_configuration);
    buf_init(&d->state, OUTSIDE_STATE_MAX);
    buf_init(&d->letter, OUTSIDE_LETTER_MAX);
}

/* A day with this record missing; returns the number of changes. */
static size_t day(struct days *d, size_t without, const char *more)
{
    struct buf now;
    size_t changes;

    world_publish(d->w, without, more);
    world_run(d->w);
    buf_init(&now, OUTSIDE_STATE_MAX);
    buf_reset(&d->letter);
    changes = outside_watch_compare(d->w->check, buf_str(&d->state), &now, &d->letter);
    buf_reset(&d->state);
    buf_add(&d->state, buf_str(&now));
    buf_clear(&now);
    return changes;
}

static void end(struct days *d)
{
    buf_clear(&d->state);
    buf_clear(&d->letter);
    world_free(d->w);
}

static bool says(const struct days *d, const char *words)
{
    return str_ifind(buf_str(&d->letter), str_of(words)) >= 0;
}

static size_t dmarc_of(const struct days *d)
{
    for (size_t i = 0; i < d->w->records.n; i++)
        if (d->w->records.items[i].kind == OUTSIDE_DMARC)
            return i;
    return SIZE_MAX;
}

static void a_change_is_told_once(void **state)
{
    struct days d;

    (void)state;
    begin(&d);
    assert_int_equal(day(&d, SIZE_MAX, ""), 1); /* there is no certificate */
    assert_true(says(&d, "error: certificate: mail.example.org"));
    assert_int_equal(day(&d, SIZE_MAX, ""), 0);
    assert_int_equal(d.letter.n, 0);
    assert_int_equal(day(&d, dmarc_of(&d), ""), 1);
    assert_true(says(&d, "error: dmarc: _dmarc.example.org: there is no DMARC record\r\n    publish: _dmarc.example.org. 3600 IN TXT \"v=DMARC1; "));
    assert_int_equal(day(&d, dmarc_of(&d), ""), 0);
    assert_int_equal(day(&d, dmarc_of(&d), "_dmarc.example.org. 1 IN TXT \"v=DMARC1; p=all\"\n"), 0); /* other words, the same problem */
    assert_int_equal(day(&d, SIZE_MAX, ""), 1);
    assert_true(says(&d, "mended: dmarc: _dmarc.example.org"));
    assert_false(says(&d, "publish"));
    assert_int_equal(day(&d, SIZE_MAX, ""), 0);
    end(&d);
}

/* A day on which DNS fails changes nothing, and hides nothing. */
static void silence_is_no_change(void **state)
{
    struct days d;

    (void)state;
    begin(&d);
    day(&d, dmarc_of(&d), "");
    d.w->silent = STR("");
    d.w->never_answers = true;
    assert_int_equal(day(&d, SIZE_MAX, ""), 0);
    d.w->never_answers = false;
    assert_int_equal(day(&d, dmarc_of(&d), ""), 0); /* still known */
    d.w->silent = STR("example.org");
    assert_int_equal(day(&d, SIZE_MAX, ""), 0);
    d.w->silent = STR("");
    assert_int_equal(day(&d, SIZE_MAX, ""), 1);
    assert_true(says(&d, "mended: dmarc"));
    end(&d);
}

static void another_level_is_a_change(void **state)
{
    struct days d;

    (void)state;
    begin(&d);
    day(&d, SIZE_MAX, "");
    buf_reset(&d.state);
    buf_add(&d.state, STR("warning\tcertificate\tmail.example.org\tit was\t\nnonsense\n\t\n"));
    assert_int_equal(day(&d, SIZE_MAX, ""), 1);
    assert_true(says(&d, "error: certificate"));
    assert_false(says(&d, "mended"));
    end(&d);
}

static void the_message(void **state)
{
    struct days d;
    struct buf mail;

    (void)state;
    begin(&d);
    buf_init(&mail, 2 * OUTSIDE_LETTER_MAX);
    assert_int_equal(day(&d, dmarc_of(&d), ""), 2);
    outside_watch_mail(STR("mail.example.org"), STR("example.org"), STR("postmaster@example.org"), STR("id@mail.example.org"), 2, buf_str(&d.letter), 0, &mail);
    assert_true(str_starts(buf_str(&mail), STR("From: Staffetta on mail.example.org <postmaster@example.org>\r\nTo: <postmaster@example.org>\r\n"
                                               "Subject: example.org: 2 changes in what others see\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\n")));
    for (size_t i = 0; i < mail.n; i++)
        assert_true(mail.p[i] != '\n' || mail.p[i - 1] == '\r');
    buf_clear(&mail);
    end(&d);
}

/* Hundreds of problems: what does not fit is left out of both, so it is told when there is room. */
static void more_than_fits(void **state)
{
    struct days d;
    struct buf full;

    (void)state;
    begin(&d);
    buf_init(&full, OUTSIDE_STATE_MAX);
    while (full.n + 100 < OUTSIDE_STATE_MAX)
        buf_add(&full, STR("error\tmx\tsome.example\tit is so\tsome.example. 3600 IN MX 10 x.\n"));
    buf_add(&d.state, buf_str(&full));
    world_publish(d.w, SIZE_MAX, "");
    d.w->silent = STR("example.org");
    assert_int_equal(day(&d, SIZE_MAX, ""), 1);
    assert_true(d.state.n <= OUTSIDE_STATE_MAX && d.state.p[d.state.n - 1] == '\n');
    buf_clear(&full);
    end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_change_is_told_once), cmocka_unit_test(silence_is_no_change),
        cmocka_unit_test(another_level_is_a_change), cmocka_unit_test(the_message), cmocka_unit_test(more_than_fits)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
