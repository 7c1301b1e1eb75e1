/* Transactions of the SMTP client machine: who is refused and how, what a message needs of the server, and its
 * content on the wire. */
#include "relay_talk.h"

static void plain_one_by_one(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "-", "S 250 ok",
                "C RCPT TO:<a@x.test>", "-", "S 250 ok", "C DATA", "-", "S 354 go", CONTENT, "S 250 2.0.0 taken",
                "E a@x.test relayed 250 2.0.0 taken", "E done", "E ready", "quit", "C QUIT"));
}

static void pipelined(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.n = 2;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-SIZE 1000", "S 250 PIPELINING", "E ready", "begin",
                "C MAIL FROM:<s@y.test> SIZE=7", "C RCPT TO:<a@x.test>", "C RCPT TO:<b@x.test>", "C DATA", "-",
                "S 250 ok", "S 250 ok", "S 250 ok", "S 354 go", CONTENT, "S 250 ok", "E a@x.test relayed 250 2.0.0 ok",
                "E b@x.test relayed 250 2.0.0 ok", "E done", "E ready", "begin", "E done", "E ready"));
}

static void chunked_in_one_write(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-CHUNKING", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C BDAT 12 LAST", RAW_CONTENT, "S 250 ok", "S 250 ok", "S 250 ok",
                "E a@x.test relayed 250 2.0.0 ok", "E done", "E ready"));
}

static void some_recipients_are_refused(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.n = 3;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C RCPT TO:<b@x.test>", "C RCPT TO:<c@x.test>", "C DATA", "S 250 ok",
                "S 550 5.1.1 no user", "S 451 4.2.0 later", "S 250 ok", "S 354 go", "E a@x.test failed 550 5.1.1 no user",
                "E b@x.test deferred 451 4.2.0 later", CONTENT, "S 250 ok", "E c@x.test relayed 250 2.0.0 ok", "E done",
                "E ready"));
}

static void all_recipients_are_refused(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 550 5.1.1 no user", "S 503 none",
                "E a@x.test failed 550 5.1.1 no user", "E done", "C RSET", "S 250 ok", "E ready"));
    /* a server that takes DATA all the same gets an empty message */
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 550 5.1.1 no user", "S 354 go",
                "E a@x.test failed 550 5.1.1 no user", "C .", "S 554 nobody", "E done", "E ready"));
    /* without pipelining DATA is not said */
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "S 250 ok", "C RCPT TO:<a@x.test>",
                "S 550 no", "E a@x.test failed 550 5.0.0 no", "E done", "C RSET", "S 250 ok", "E ready"));
}

static void mail_is_refused(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 550 5.7.1 go away", "S 503 no", "S 503 no",
                "E a@x.test failed 550 5.7.1 go away", "E done", "E ready"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "S 451 4.7.1 greylisted",
                "E a@x.test deferred 451 4.7.1 greylisted", "E done", "E ready"));
    /* with the content on the wire already */
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-CHUNKING", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C BDAT 12 LAST", RAW_CONTENT, "S 451 later", "S 503 no", "S 503 no",
                "E a@x.test deferred 451 4.0.0 later", "E done", "E ready"));
}

static void verdict_on_the_content(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 250 ok", "S 354 go", CONTENT, "S 554 5.7.1 spam",
                "E a@x.test failed 554 5.7.1 spam", "E done", "E ready"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 250 ok", "S 451 4.3.0 disk",
                "E a@x.test deferred 451 4.3.0 disk", "E done", "C RSET", "S 250 ok", "E ready"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-CHUNKING", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C BDAT 12 LAST", RAW_CONTENT, "S 250 ok", "S 250 ok", "S 552 5.3.4 big",
                "E a@x.test failed 552 5.3.4 big", "E done", "C RSET", "S 250 ok", "E ready"));
}

static void too_many_recipients(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.n = 2;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C RCPT TO:<b@x.test>", "C DATA", "S 250 ok", "S 250 ok",
                "S 552 too many recipients", "S 354 go", CONTENT, "S 250 ok", "E a@x.test relayed 250 2.0.0 ok", "E done",
                "E ready"));
    assert_int_equal(t.rcpts[1].state, CLIENT_RCPT_OPEN);
    /* a full mailbox is not meant */
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 552 5.2.2 full", "S 503 none",
                "E a@x.test failed 552 5.2.2 full", "E done", "C RSET", "S 250 ok", "E ready"));
    /* the first one: 552 is temporary */
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 552 5.5.3 many", "S 503 none",
                "E a@x.test deferred 552 5.5.3 many", "E done", "C RSET", "S 250 ok", "E ready"));
}

static void extensions_on_mail_and_rcpt(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.message.flags = TXN_8BITMIME | TXN_RET_HDRS | TXN_BY_TRACE;
    t.message.envid = STR("id+2B1");
    t.message.priority = 12;
    t.message.has_by = true;
    t.message.by_seconds = -5;
    t.rcpts[0].notify = NOTIFY_SUCCESS | NOTIFY_DELAY;
    t.rcpts[0].orcpt = STR("rfc822;o@x.test");
    t.rcpts[1].notify = NOTIFY_NEVER;
    t.n = 2;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-PIPELINING", "S 250-8BITMIME", "S 250-DSN", "S 250-SIZE",
                "S 250-MT-PRIORITY", "S 250 DELIVERBY", "E ready", "begin",
                "C MAIL FROM:<s@y.test> SIZE=7 BODY=8BITMIME RET=HDRS ENVID=id+2B1 BY=-5;NT MT-PRIORITY=3",
                "C RCPT TO:<a@x.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o@x.test",
                "C RCPT TO:<b@x.test> NOTIFY=NEVER", "C DATA", "S 250 ok", "S 250 ok", "S 250 ok", "S 354 go", CONTENT,
                "S 250 ok", "E a@x.test relayed 250 2.0.0 ok", "E b@x.test relayed 250 2.0.0 ok", "E done", "E ready"));
    assert_true(t.rcpts[0].dsn);
}

struct impossible {
    uint64_t flags;
    enum message_bits header, body;
    uint64_t size;
    bool has_by;
    int64_t by_seconds;
    const char *offers, *event;
};

static void what_the_server_cannot_take(void **state)
{
    static const struct impossible cases[] = {
        {0, BITS_SEVEN, BITS_EIGHT, 7, false, 0, "S 250 x",
            "E a@x.test failed 554 5.6.3 the message has 8-bit content, which the remote server does not take"},
        {TXN_BINARYMIME, BITS_SEVEN, BITS_EIGHT, 7, false, 0, "S 250 CHUNKING",
            "E a@x.test failed 554 5.6.3 the message has binary content, which the remote server does not take"},
        {TXN_SMTPUTF8, BITS_EIGHT, BITS_SEVEN, 7, false, 0, "S 250 8BITMIME",
            "E a@x.test failed 553 5.6.7 the message needs SMTPUTF8, which the remote server does not offer"},
        {0, BITS_SEVEN, BITS_SEVEN, 2000, false, 0, "S 250 SIZE 1000",
            "E a@x.test failed 552 5.3.4 the message is bigger than the remote server takes"},
        {TXN_BY_RETURN, BITS_SEVEN, BITS_SEVEN, 7, true, 60, "S 250 x",
            "E a@x.test failed 554 5.3.3 the remote server cannot promise to deliver in time (DELIVERBY)"},
        {TXN_BY_RETURN, BITS_SEVEN, BITS_SEVEN, 7, true, 60, "S 250 DELIVERBY 120",
            "E a@x.test failed 554 5.3.3 the remote server cannot promise to deliver in time (DELIVERBY)"},
        {TXN_BY_RETURN, BITS_SEVEN, BITS_SEVEN, 7, true, 0, "S 250 DELIVERBY",
            "E a@x.test failed 554 5.4.7 the time to deliver by has passed"},
    };
    struct talk t;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start(&t);
        t.message.flags = cases[i].flags;
        t.message.header_bits = cases[i].header;
        t.message.body_bits = cases[i].body;
        t.message.size = cases[i].size;
        t.message.has_by = cases[i].has_by;
        t.message.by_seconds = cases[i].by_seconds;
        run(&t, SCRIPT(HELLO, "S 250-x", cases[i].offers, "E ready", "begin", cases[i].event, "E done", "E ready"));
    }
}

static void utf8_addresses(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.n = 2;
    t.rcpts[0].address = STR("\xc3\xa4@x.test");
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 8BITMIME", "E ready", "begin",
                "E \xc3\xa4@x.test failed 553 5.6.7 the address needs SMTPUTF8, which the remote server does not offer",
                "C MAIL FROM:<s@y.test>", "S 250 ok", "C RCPT TO:<b@x.test>"));
    start(&t);
    t.rcpts[0].address = STR("\xc3\xa4@x.test");
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 SMTPUTF8", "E ready", "begin", "C MAIL FROM:<s@y.test> SMTPUTF8",
                "S 250 ok", "C RCPT TO:<\xc3\xa4@x.test>"));
    /* asked for, but not needed */
    start(&t);
    t.message.flags = TXN_SMTPUTF8;
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>"));
}

static void hostile_envelopes(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.rcpts[0].address = STR("a@x.test>\r\nDATA\r\n");
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "E a@x.test>\r", "E DATA\r", "E  failed 553 5.1.3 the address is not valid",
                "E done", "E ready"));
}

static void big_bodies_are_pulled(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.message.body_whole = false;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 250 ok", "S 354 go", "E want-body", "body A: b\r",
                "E want-body", "body \n\r\n", "E want-body", "body .\r\n..", "E want-body", "last \r\nend", "C A: b", "C ",
                "C ..", "C ...", "C end", "C .", "S 250 ok", "E a@x.test relayed 250 2.0.0 ok", "E done", "E ready"));
    /* a verdict in the middle */
    start(&t);
    t.message.body_whole = false;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C DATA", "S 250 ok", "S 250 ok", "S 354 go", "E want-body", "body x\r\n",
                "E want-body", "C x", "S 552 5.3.4 big", "E a@x.test failed 552 5.3.4 big", "E gone 552 5.3.4 big"));
}

static void line_ends_are_mended(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.message.body = STR("a\n.\nb\r.\r\r\nc\r");
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "S 250 ok", "C RCPT TO:<a@x.test>",
                "S 250 ok", "C DATA", "S 354 go", "C a", "C ..", "C b", "C ..", "C ", "C c", "C .", "S 250 ok",
                "E a@x.test relayed 250 2.0.0 ok", "E done", "E ready"));
}

static void binary_goes_in_pieces(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.message.flags = TXN_BINARYMIME;
    t.message.body_whole = false;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-PIPELINING", "S 250-BINARYMIME", "S 250 CHUNKING", "E ready", "begin",
                "C MAIL FROM:<s@y.test> BODY=BINARYMIME", "C RCPT TO:<a@x.test>", "-", "S 250 ok", "S 250 ok", "E want-body",
                "body ab\r\n", "C BDAT 4", "C ab", "S 250 ok", "E want-body", "last .\r\n", "C BDAT 3 LAST", "C .",
                "S 250 ok", "E a@x.test relayed 250 2.0.0 ok", "E done", "E ready"));
    start(&t);
    t.message.flags = TXN_BINARYMIME;
    t.message.body_whole = false;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-BINARYMIME", "S 250 CHUNKING", "E ready", "begin",
                "C MAIL FROM:<s@y.test> BODY=BINARYMIME", "S 250 ok", "C RCPT TO:<a@x.test>", "S 250 ok", "E want-body",
                "body ab\r\n", "C BDAT 4", "C ab", "S 451 4.3.0 disk", "E a@x.test deferred 451 4.3.0 disk", "E done",
                "C RSET", "S 250 ok", "E ready"));
}

static void lmtp_has_a_verdict_for_each(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.settings.lmtp = true;
    t.n = 3;
    run(&t, SCRIPT("connect", "S 220 hi", "C LHLO me.test", "S 250-x", "S 250-CHUNKING", "S 250 PIPELINING", "E ready",
                "begin", "C MAIL FROM:<s@y.test>", "C RCPT TO:<a@x.test>", "C RCPT TO:<b@x.test>", "C RCPT TO:<c@x.test>",
                "C DATA", "S 250 ok", "S 250 ok", "S 550 no", "S 250 ok", "S 354 go", "E b@x.test failed 550 5.0.0 no",
                CONTENT, "S 250 ok", "S 452 4.2.2 full", "E a@x.test relayed 250 2.0.0 ok",
                "E c@x.test deferred 452 4.2.2 full", "E done", "E ready"));
    start(&t);
    t.settings.lmtp = true;
    t.n = 2;
    run(&t, SCRIPT("connect", "S 220 hi", "C LHLO me.test", "S 250-x", "S 250 PIPELINING", "E ready", "begin",
                "C MAIL FROM:<s@y.test>", "C RCPT TO:<a@x.test>", "C RCPT TO:<b@x.test>", "C DATA", "S 250 ok",
                "S 250 ok", "S 250 ok", "S 354 go", CONTENT, "S 250 ok", "lost", "E a@x.test relayed 250 2.0.0 ok",
                "E b@x.test deferred! 451 4.4.2 no answer after the end of the message, it may arrive twice: reset",
                "E gone 451 4.4.2 connection lost while sending the message: reset"));
    start(&t);
    t.settings.lmtp = true;
    run(&t, SCRIPT("connect", "S 220 hi", "C LHLO me.test", "S 500 no", "E gone 500 5.0.0 no"));
}

static void scanning(void **state)
{
    enum message_bits header, body;
    struct talk t;

    (void)state;
    message_scan(STR("A: b\r\n\r\nplain\r\n"), &header, &body);
    assert_int_equal(header, BITS_SEVEN);
    assert_int_equal(body, BITS_SEVEN);
    message_scan(STR("A: b\r\n\r\n\xc3\xa4\r\n"), &header, &body);
    assert_int_equal(header, BITS_SEVEN);
    assert_int_equal(body, BITS_EIGHT);
    message_scan(STR("A: \xc3\xa4\r\n\r\nx\r\n"), &header, &body);
    assert_int_equal(header, BITS_EIGHT);
    assert_int_equal(body, BITS_SEVEN);
    start(&t);
    t.client = client_new(&t.settings, &talk_world, &t);
    play(&t, SCRIPT(HELLO, "S 250 x", "E ready"));
    assert_false(client_must_scan(t.client, &t.message));
    t.message.body_bits = BITS_UNKNOWN;
    assert_true(client_must_scan(t.client, &t.message));
    client_free(t.client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_one_by_one),
        cmocka_unit_test(pipelined),
        cmocka_unit_test(chunked_in_one_write),
        cmocka_unit_test(some_recipients_are_refused),
        cmocka_unit_test(all_recipients_are_refused),
        cmocka_unit_test(mail_is_refused),
        cmocka_unit_test(verdict_on_the_content),
        cmocka_unit_test(too_many_recipients),
        cmocka_unit_test(extensions_on_mail_and_rcpt),
        cmocka_unit_test(what_the_server_cannot_take),
        cmocka_unit_test(utf8_addresses),
        cmocka_unit_test(hostile_envelopes),
        cmocka_unit_test(big_bodies_are_pulled),
        cmocka_unit_test(line_ends_are_mended),
        cmocka_unit_test(binary_goes_in_pieces),
        cmocka_unit_test(lmtp_has_a_verdict_for_each),
        cmocka_unit_test(scanning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
