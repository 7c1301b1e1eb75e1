/* The resolver's open questions: shared, queued, limited, ended in time. */
#include "base/clock.h"
#include "roles/resolver/questions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

struct world {
    struct questions qs;
    struct question *started[32];
    size_t started_n, cancelled;
    struct {
        const void *to;
        uint64_t id, status;
    } answers[64];
    size_t answer_n;
    bool refuse, answer_at_once;
};

static int peer_a, peer_b;
#define PEER(which) ((struct channel *)(void *)&(which))

static bool start(void *world, struct question *q)
{
    struct world *w = world;

    if (w->refuse)
        return false;
    w->started[w->started_n++] = q;
    if (w->answer_at_once)
        questions_answer(&w->qs, q, &(struct msg_dns_reply){.status = DNS_OK});
    return true;
}

static void cancel(void *world, struct question *q)
{
    (void)q;
    ((struct world *)world)->cancelled++;
}

static void answer(void *world, struct channel *to, const struct msg_dns_reply *reply)
{
    struct world *w = world;

    w->answers[w->answer_n].to = to;
    w->answers[w->answer_n].id = reply->id;
    w->answers[w->answer_n++].status = reply->status;
}

static const struct questions_world calls = {start, cancel, answer};

static void begin(struct world *w, size_t active, size_t all, size_t waiters)
{
    *w = (struct world){0};
    questions_init(&w->qs, &(struct questions_limits){active, all, waiters, 20 * SECOND}, &calls, w);
}

static void ask(struct world *w, struct channel *from, uint64_t id, const char *name)
{
    questions_ask(&w->qs, from, &(struct msg_dns_ask){id, DNS_MX, str_of(name)}, 0);
}

static void end(struct world *w)
{
    questions_expire(&w->qs, INT64_MAX);
    assert_int_equal(w->qs.all.count, 0);
    assert_int_equal(w->qs.waiters, 0);
    assert_int_equal(w->qs.active, 0);
    assert_int_equal(w->qs.book.came, w->qs.book.answered + w->qs.book.gone + questions_waiting(&w->qs));
    map_clear(&w->qs.all);
}

static void the_same_question_is_asked_once(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 8, 8, 8);
    ask(&w, PEER(peer_a), 1, "x.test");
    ask(&w, PEER(peer_b), 7, "X.test");
    ask(&w, PEER(peer_a), 2, "y.test");
    assert_int_equal(w.started_n, 2);
    questions_answer(&w.qs, w.started[0], &(struct msg_dns_reply){.status = DNS_OK});
    assert_int_equal(w.answer_n, 2);
    assert_int_equal(w.answers[0].id, 1);
    assert_int_equal(w.answers[1].id, 7);
    assert_ptr_equal(w.answers[1].to, &peer_b);
    end(&w);
    assert_int_equal(w.answers[2].status, DNS_TIMEOUT);
}

static void only_so_many_at_once(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 1, 3, 4);
    ask(&w, PEER(peer_a), 1, "a.test");
    ask(&w, PEER(peer_a), 2, "b.test");
    ask(&w, PEER(peer_a), 3, "c.test");
    assert_int_equal(w.started_n, 1);
    ask(&w, PEER(peer_a), 4, "d.test"); /* one too many */
    assert_int_equal(w.answers[0].id, 4);
    assert_int_equal(w.answers[0].status, DNS_SERVFAIL);
    ask(&w, PEER(peer_a), 5, "a.test");
    ask(&w, PEER(peer_a), 6, "a.test"); /* too many askers */
    assert_int_equal(w.answers[1].id, 6);
    questions_answer(&w.qs, w.started[0], &(struct msg_dns_reply){.status = DNS_NXDOMAIN});
    assert_int_equal(w.started_n, 2);
    end(&w);
    assert_int_equal(w.cancelled, 2);
}

static void bad_names(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 8, 8, 8);
    ask(&w, PEER(peer_a), 1, "");
    ask(&w, PEER(peer_a), 2, "a..b");
    ask(&w, PEER(peer_a), 3, "a\nb");
    questions_ask(&w.qs, PEER(peer_a), &(struct msg_dns_ask){4, 70000, STR("a")}, 0);
    assert_int_equal(w.started_n, 0);
    assert_int_equal(w.answer_n, 4);
    end(&w);
}

static void nobody_waits_for_ever(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 1, 8, 8);
    ask(&w, PEER(peer_a), 1, "a.test");
    ask(&w, PEER(peer_a), 2, "b.test");
    assert_int_equal(questions_expire(&w.qs, 19 * SECOND), 20 * SECOND);
    assert_int_equal(w.answer_n, 0);
    assert_int_equal(questions_expire(&w.qs, 20 * SECOND), 0);
    assert_int_equal(w.answer_n, 2);
    end(&w);
}

static void answered_at_once_or_not_at_all(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 2, 8, 8);
    w.answer_at_once = true;
    ask(&w, PEER(peer_a), 1, "a.test");
    assert_int_equal(w.answers[0].status, DNS_OK);
    w.refuse = true;
    ask(&w, PEER(peer_a), 2, "a.test");
    assert_int_equal(w.answers[1].status, DNS_SERVFAIL);
    end(&w);
}

static void a_peer_goes_and_the_backend_changes(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 2, 8, 8);
    ask(&w, PEER(peer_a), 1, "a.test");
    ask(&w, PEER(peer_b), 2, "a.test");
    ask(&w, PEER(peer_b), 3, "b.test");
    questions_peer_gone(&w.qs, PEER(peer_b));
    assert_int_equal(w.qs.waiters, 1);
    questions_suspend(&w.qs);
    assert_int_equal(w.cancelled, 2);
    questions_resume(&w.qs);
    assert_int_equal(w.started_n, 4);
    questions_answer(&w.qs, w.started[3], &(struct msg_dns_reply){.status = DNS_OK});
    questions_answer(&w.qs, w.started[2], &(struct msg_dns_reply){.status = DNS_OK});
    assert_int_equal(w.answer_n, 1);
    assert_int_equal(w.answers[0].id, 1);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_question_is_asked_once),
        cmocka_unit_test(only_so_many_at_once),
        cmocka_unit_test(bad_names),
        cmocka_unit_test(nobody_waits_for_ever),
        cmocka_unit_test(answered_at_once_or_not_at_all),
        cmocka_unit_test(a_peer_goes_and_the_backend_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
