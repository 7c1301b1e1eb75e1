/* The filter's machine: what goes in, what comes out, at every cut of the message. */
#include "ipc/ipc.h"
#include "roles/filter/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

struct world {
    struct buf body, prepend, asked;
    char message_id[200];
    uint64_t flags;
    unsigned code, chunks, questions;
    char text[200];
    bool ended;
    struct message *message;
};

static void on_chunk(void *owner, struct str data)
{
    struct world *w = owner;

    assert_true(data.n > 0 && data.n <= IPC_CHUNK);
    assert_false(w->ended || w->code);
    w->chunks++;
    buf_add(&w->body, data);
}

static void on_end(void *owner, uint64_t flags, struct str prepend, struct str message_id)
{
    struct world *w = owner;

    assert_false(w->ended || w->code);
    w->ended = true;
    w->flags = flags;
    buf_add(&w->prepend, prepend);
    snprintf(w->message_id, sizeof w->message_id, "%.*s", STR_ARG(message_id));
}

static void on_refuse(void *owner, unsigned code, struct str text)
{
    struct world *w = owner;

    assert_false(w->ended || w->code);
    w->code = code;
    snprintf(w->text, sizeof w->text, "%.*s", STR_ARG(text));
}

static void on_ask(void *owner, struct str address)
{
    struct world *w = owner;

    w->questions++;
    buf_add(&w->asked, address);
    buf_add_char(&w->asked, ' ');
}

/* No domain has keys here: see signing_test.c. */
static void on_keys(void *owner, struct str domain)
{
    struct world *w = owner;

    assert_true(domain.n > 0);
    message_keys(w->message, &(struct msg_dkim_keys_reply){0});
}

static void on_signatures(void *owner, const struct msg_dkim_sign_ask *ask)
{
    (void)owner;
    (void)ask;
    fail();
}

static int64_t now(void *owner)
{
    (void)owner;
    return INT64_C(1795318200000000);
}

static uint64_t random_number(void *owner)
{
    (void)owner;
    return 255;
}

static const struct message_world calls = {on_chunk, on_end, on_refuse, on_ask, on_keys, on_signatures, NULL, NULL, now, random_number};
static const struct message_limits limits = {2000, 5};

static void start(struct world *w, struct message *m, uint64_t flags, uint64_t account)
{
    memset(w, 0, sizeof *w);
    w->message = m;
    buf_init(&w->body, 1 << 20);
    buf_init(&w->prepend, IPC_CHUNK);
    buf_init(&w->asked, 10000);
    message_begin(m, &calls, w, &limits, STR("mx.example"), &(struct msg_txn_begin){.message = 1, .flags = flags,
        .account = account, .sender = STR("me@a.example"), .login = STR("login@a.example"), .trace = STR("Received: us\r\n")});
}

static void stop(struct world *w, struct message *m)
{
    message_clear(m);
    buf_clear(&w->body);
    buf_clear(&w->prepend);
    buf_clear(&w->asked);
}

static void feed(struct message *m, const char *text, size_t cut)
{
    message_chunk(m, str_from(text, cut));
    message_chunk(m, str_of(text + cut));
    message_end(m, 0);
}

#define DATE "Date: Sun, 22 Nov 2026 03:30:00 +0000\r\n"
#define MADE_ID "<0000000000001.00000000000000ff@mx.example>"

static const struct {
    uint64_t flags;
    const char *in, *out, *prepend, *message_id;
    bool bulk;
} rewrites[] = {
    {0, "From: a@b\r\nMessage-ID: <x@y>\r\n\r\nhi\r\n", "From: a@b\r\nMessage-ID: <x@y>\r\n\r\nhi\r\n", "", "<x@y>", false},
    {0, "Return-Path: <z>\r\nSubject: a\r\n\r\nhi", "Subject: a\r\n\r\nhi", "", "", false},
    {0, "Bcc: x\r\nA: b\r\n\r\nhi", "Bcc: x\r\nA: b\r\n\r\nhi", "", "", false},
    {0, "just text\r\n", "\r\njust text\r\n", "", "", false},
    {0, "", "\r\n", "", "", false},
    {0, "A: b", "A: b\r\n\r\n", "", "", false},
    {0, "A: b\r\nnot a field\r\n", "A: b\r\n\r\nnot a field\r\n", "", "", false},
    {0, "From me Sun\r\nA: b\r\n\r\n", "A: b\r\n\r\n", "", "", false},
    {0, "Precedence: Bulk\r\n\r\n", "Precedence: Bulk\r\n\r\n", "", "", true},
    {0, "Precedence: first-class\r\n\r\n", "Precedence: first-class\r\n\r\n", "", "", false},
    {0, "List-ID: <x>\r\n\r\n", "List-ID: <x>\r\n\r\n", "", "", true},
    {0, "list-unsubscribe: <x>\r\n\r\n", "list-unsubscribe: <x>\r\n\r\n", "", "", true},
    {TXN_BULK, "A: b\r\n\r\n", "A: b\r\n\r\n", "", "", true},
    {TXN_SUBMISSION, "From: me@a.example\r\nDate: x\r\nMessage-ID: <x@y>\r\nBcc: s@x,\r\n t@x\r\n\r\nhi",
        "From: me@a.example\r\nDate: x\r\nMessage-ID: <x@y>\r\n\r\nhi", "", "<x@y>", false},
    {TXN_SUBMISSION, "bcc: s@x\r\nResent-Bcc: x\r\nX-Originating-IP: [10.0.0.1]\r\nFrom: x\r\nDate: x\r\nMessage-ID: <x@y>\r\n\r\n",
        "From: x\r\nDate: x\r\nMessage-ID: <x@y>\r\n\r\n", "", "<x@y>", false},
    {TXN_SUBMISSION, "Subject: x\r\n\r\nhi", "Subject: x\r\n\r\nhi",
        "From: <me@a.example>\r\n" DATE "Message-ID: " MADE_ID "\r\n", MADE_ID, false},
    {TXN_SUBMISSION, "hi", "\r\nhi", "From: <me@a.example>\r\n" DATE "Message-ID: " MADE_ID "\r\n", MADE_ID, false},
    {TXN_SUBMISSION, "Bcc: a\r\n\r\nhi", "\r\nhi", "From: <me@a.example>\r\n" DATE "Message-ID: " MADE_ID "\r\n", MADE_ID, false},
};

static void messages_are_rewritten(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rewrites / sizeof *rewrites; i++)
        for (size_t cut = 0; cut <= strlen(rewrites[i].in); cut++) {
            struct message m;
            struct world w;

            start(&w, &m, rewrites[i].flags, 0);
            feed(&m, rewrites[i].in, cut);
            assert_true(w.ended && message_is_over(&m));
            if (!str_eq(buf_str(&w.body), str_of(rewrites[i].out)))
                fail_msg("case %zu cut %zu: %.*s", i, cut, STR_ARG(buf_str(&w.body)));
            assert_true(str_starts(buf_str(&w.prepend), STR("Received: us\r\n")));
            if (!str_eq(str_skip(buf_str(&w.prepend), 14), str_of(rewrites[i].prepend)))
                fail_msg("case %zu cut %zu: %.*s", i, cut, STR_ARG(buf_str(&w.prepend)));
            assert_string_equal(w.message_id, rewrites[i].message_id);
            assert_int_equal(!!(w.flags & TXN_BULK), rewrites[i].bulk);
            stop(&w, &m);
        }
}

/* RFC 8689 3; the field goes along. */
static void tls_required_is_noted(void **state)
{
    static const struct {
        const char *in;
        bool optional;
    } cases[] = {{"TLS-Required: No\r\n\r\nhi", true}, {"tls-required:\r\n no \r\n\r\nhi", true}, {"TLS-Required: Yes\r\n\r\nhi", false},
        {"TLS-Required: None\r\n\r\nhi", false}, {"A: b\r\n\r\nTLS-Required: No\r\n", false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t cut = 0; cut <= strlen(cases[i].in); cut++) {
            struct message m;
            struct world w;

            start(&w, &m, 0, 0);
            feed(&m, cases[i].in, cut);
            assert_true(w.ended);
            assert_true(str_eq(buf_str(&w.body), str_of(cases[i].in)));
            assert_int_equal(!!(w.flags & TXN_TLS_OPTIONAL), cases[i].optional);
            stop(&w, &m);
        }
}

static const struct {
    uint64_t flags, account;
    const char *in;
    unsigned code;
    const char *enhanced;
} refusals[] = {
    {0, 0, "Received: 1\r\nReceived: 2\r\nReceived: 3\r\nReceived: 4\r\nReceived: 5\r\nReceived: 6\r\n\r\n", 554, "5.4.6"},
    {0, 1, "From: nonsense\r\n\r\n", 554, "5.6.0"},
    {0, 1, "From: a@b c@d\r\n\r\n", 554, "5.6.0"},
    {0, 1, "From: <a@b..c>\r\n\r\n", 554, "5.6.0"},
    {0, 1, "From: a@1.x,a@2.x,a@3.x,a@4.x,a@5.x,a@6.x,a@7.x,a@8.x,a@9.x,a@10.x,a@11.x,a@12.x,a@13.x,a@14.x,"
        "a@15.x,a@16.x,a@17.x,a@18.x,a@19.x,a@20.x,a@21.x,a@22.x\r\n\r\n", 550, "5.7.1"},
};

static void messages_are_refused_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        for (size_t cut = 0; cut <= strlen(refusals[i].in); cut++) {
            struct message m;
            struct world w;

            start(&w, &m, refusals[i].flags, refusals[i].account);
            feed(&m, refusals[i].in, cut);
            assert_int_equal(w.code, refusals[i].code);
            assert_true(str_starts(str_of(w.text), str_of(refusals[i].enhanced)));
            assert_int_equal(w.chunks, 0);
            stop(&w, &m);
        }
}

static void a_large_header_is_refused(void **state)
{
    struct message m;
    struct world w;

    (void)state;
    start(&w, &m, 0, 0);
    for (int i = 0; i < 1000; i++) {
        message_chunk(&m, STR("Subject: xxxxxxxxxxxxxxxxxxxxxxx\r\n"));
        assert_true(message_held(&m) <= 2 * limits.header_size + 8);
    }
    assert_int_equal(w.code, 552);
    message_end(&m, 0);
    stop(&w, &m);
}

static void authors_are_asked_for(void **state)
{
    static const struct {
        const char *in, *asked;
        uint64_t flags;
    } cases[] = {
        {"From: me@a.example\r\n\r\n", "", 0}, /* smtp asked at MAIL */
        {"From: Me <me@A.Example>\r\n\r\n", "", 0},
        {"From: b@a.example\r\n\r\n", "b@a.example ", 0},
        {"From: b@a.example, Other <c@x.example>, B <b@A.example>\r\n\r\n", "b@a.example c@x.example ", 0},
        {"From: b@a.example\r\nFrom: c@x.example\r\n\r\n", "b@a.example c@x.example ", 0},
        {"From: b@a.example\r\n\r\n", "", TXN_NO_SENDER_CHECK},
        {"Subject: none\r\n\r\n", "", 0},
        {"From: group:;\r\n\r\n", "", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message m;
        struct world w;

        start(&w, &m, cases[i].flags, 7);
        message_chunk(&m, str_of(cases[i].in));
        if (!str_eq(buf_str(&w.asked), str_of(cases[i].asked)))
            fail_msg("%s: %.*s", cases[i].in, STR_ARG(buf_str(&w.asked)));
        message_end(&m, 0);
        assert_int_equal(w.ended, w.questions == 0);
        for (unsigned q = 0; q < w.questions; q++)
            message_sender(&m, true, false);
        assert_true(w.ended);
        message_sender(&m, false, false); /* one answer too many changes nothing */
        assert_int_equal(w.code, 0);
        stop(&w, &m);
    }
}

static void answers_decide(void **state)
{
    static const struct {
        bool before_end, allowed, temporary;
        unsigned code;
    } cases[] = {{true, true, false, 0}, {false, true, false, 0}, {true, false, false, 553}, {false, false, false, 553},
        {true, false, true, 451}, {false, false, true, 451}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message m;
        struct world w;

        start(&w, &m, 0, 7);
        message_chunk(&m, STR("From: b@a.example\r\n\r\nbody"));
        if (cases[i].before_end)
            message_sender(&m, cases[i].allowed, cases[i].temporary);
        message_chunk(&m, STR("more"));
        message_end(&m, TXN_SMTPUTF8);
        if (!cases[i].before_end)
            message_sender(&m, cases[i].allowed, cases[i].temporary);
        assert_int_equal(w.code, cases[i].code);
        assert_int_equal(w.ended, cases[i].code == 0);
        if (w.ended)
            assert_int_equal(w.flags, TXN_SMTPUTF8);
        stop(&w, &m);
    }
}

static void big_bodies_stream(void **state)
{
    static char piece[IPC_CHUNK];
    struct message m;
    struct world w;

    (void)state;
    memset(piece, 'x', sizeof piece);
    start(&w, &m, TXN_SUBMISSION, 0);
    message_chunk(&m, STR("Subject: x\r\nBcc: y\r\n"));
    memcpy(piece, "A: b\r\n\r\n", 8);
    message_chunk(&m, str_from(piece, sizeof piece));
    assert_int_equal(w.body.n, sizeof piece + 12);
    assert_int_equal(message_held(&m), 0);
    for (int i = 0; i < 3; i++)
        message_chunk(&m, str_from(piece, sizeof piece));
    assert_int_equal(message_held(&m), 0);
    message_end(&m, 0);
    assert_int_equal(w.body.n, 4 * sizeof piece + 12);
    stop(&w, &m);
}

static void a_small_message_stays_one_chunk(void **state)
{
    struct message m;
    struct world w;

    (void)state;
    start(&w, &m, TXN_SUBMISSION, 0);
    message_chunk(&m, STR("Subject: x\r\nBcc: y\r\n\r\nbody"));
    message_end(&m, 0);
    assert_int_equal(w.chunks, 1);
    stop(&w, &m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_rewritten),
        cmocka_unit_test(tls_required_is_noted),
        cmocka_unit_test(messages_are_refused_once),
        cmocka_unit_test(a_large_header_is_refused),
        cmocka_unit_test(authors_are_asked_for),
        cmocka_unit_test(answers_decide),
        cmocka_unit_test(big_bodies_stream),
        cmocka_unit_test(a_small_message_stays_one_chunk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
