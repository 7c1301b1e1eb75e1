/* Connections of the SMTP client machine: greetings, TLS, logins, and how they end. */
#include "relay_talk.h"

static void helo_when_ehlo_is_unknown(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 500 what", "C HELO me.test", "S 250 x", "E ready"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 500 what", "C HELO me.test", "S 550 no", "E gone 550 5.0.0 no"));
}

static void greetings(void **state)
{
    static const struct {
        const char *says, *event;
    } cases[] = {
        {"S 421 busy", "E gone busy 421 4.0.0 busy"},
        {"S 450 4.7.1 slow", "E gone busy 450 4.7.1 slow"},
        {"S 554 blocked", "E gone 554 5.0.0 blocked"},
        {"S 521 no mail here", "E gone 521 5.0.0 no mail here"},
        {"S HTTP/1.1 200", "E gone 451 4.5.0 what the server says is no SMTP reply"},
    };
    struct talk t;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start(&t);
        run(&t, SCRIPT("connect", cases[i].says, cases[i].event));
    }
}

static void starttls(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "E start-tls", "tls", "C EHLO me.test",
                "S 250 x", "E ready"));
    /* refused: plain will do */
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 454 no", "E ready"));
    /* text after the answer is not read */
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "S 250 injected",
                "E gone tls 454 4.7.0 the server talks on before TLS"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "E start-tls", "tls-fails",
                "E gone tls 451 4.7.5 TLS failed while starting TLS: bad"));
    /* known not to work */
    start(&t);
    t.settings.plain_only = true;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "E ready"));
    start(&t);
    t.settings.tls = TLS_NONE;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "E ready"));
}

static void tls_that_is_required(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.settings.tls = TLS_REQUIRED;
    run(&t, SCRIPT(HELLO, "S 250 x", "E gone 450 4.7.10 Encryption needed: the server does not offer STARTTLS"));
    start(&t);
    t.settings.tls = TLS_REQUIRED;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 454 4.7.0 no", "E gone tls busy 454 4.7.0 no"));
    start(&t);
    t.settings.tls = TLS_IMPLICIT;
    run(&t, SCRIPT("connect", "E start-tls", "verified", "S 220 hi", "C EHLO me.test", "S 250 x", "E ready"));
}

static void requiretls(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.message.flags = TXN_REQUIRETLS;
    t.settings.require_tls = true;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "E start-tls", "verified",
                "C EHLO me.test", "S 250-x", "S 250 REQUIRETLS", "E ready", "begin",
                "C MAIL FROM:<s@y.test> REQUIRETLS", "S 250 ok", "C RCPT TO:<a@x.test>"));
    start(&t);
    t.message.flags = TXN_REQUIRETLS;
    t.settings.require_tls = true;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "E start-tls", "verified",
                "C EHLO me.test", "S 250 x", "E ready", "begin", "E gone unsuitable 550 5.7.30 REQUIRETLS support required"));
    start(&t);
    t.settings.require_tls = true;
    run(&t, SCRIPT(HELLO, "S 250 x",
                "E gone unsuitable 550 5.7.10 Encryption needed: the server does not offer STARTTLS"));
    /* TLS that nobody verified is not enough */
    start(&t);
    t.message.flags = TXN_REQUIRETLS;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "E start-tls", "tls",
                "C EHLO me.test", "S 250-x", "S 250 REQUIRETLS", "E ready", "begin",
                "E gone unsuitable 550 5.7.30 REQUIRETLS support required"));
}

static void logins(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.settings.has_login = true;
    t.settings.user = STR("u");
    t.settings.secret = STR("p");
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250-AUTH LOGIN PLAIN", "S 250 STARTTLS", "C STARTTLS", "S 220 go", "E start-tls",
                "tls", "C EHLO me.test", "S 250-x", "S 250 AUTH PLAIN LOGIN", "C AUTH PLAIN AHUAcA==", "S 235 ok",
                "E ready"));
    start(&t);
    t.settings.has_login = true;
    t.settings.auth_in_clear = true;
    t.settings.user = STR("u");
    t.settings.secret = STR("p");
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 AUTH LOGIN", "C AUTH LOGIN", "S 334 VXNlcm5hbWU6", "C dQ==",
                "S 334 UGFzc3dvcmQ6", "C cA==", "S 535 5.7.8 wrong", "E gone 535 5.7.8 wrong"));
    /* never in clear */
    start(&t);
    t.settings.has_login = true;
    t.settings.user = t.settings.secret = STR("p");
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 AUTH PLAIN", "E gone tls 454 4.7.0 the login is not sent without TLS"));
    start(&t);
    t.settings.has_login = t.settings.auth_in_clear = true;
    run(&t, SCRIPT(HELLO, "S 250 x", "E gone 454 4.7.0 login: the server offers no login mechanism we know"));
}

static void scram_must_prove_the_server(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.settings.has_login = t.settings.auth_in_clear = true;
    t.settings.user = STR("u");
    t.settings.secret = STR("p");
    t.client = client_new(&t.settings, &talk_world, &t);
    play(&t, SCRIPT(HELLO));
    client_input(t.client, STR("250-x\r\n250 AUTH SCRAM-SHA-256 PLAIN\r\n"));
    assert_memory_equal(t.said, "AUTH SCRAM-SHA-256 biwsbj11LH", 29);
    t.said_n = 0;
    client_input(t.client, STR("235 2.7.0 welcome\r\n"));
    expect_event(&t, "gone 451 4.7.0 the server did not prove that it knows our login");
    client_free(t.client);
}

static void lost_at_each_step(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT("connect", "lost", "E gone 451 4.4.2 connection lost while connecting: reset"));
    start(&t);
    run(&t, SCRIPT(HELLO, "timeout", "E gone busy 451 4.4.2 time-out while EHLO"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "lost",
                "E gone 451 4.4.2 connection lost while MAIL: reset"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "S 250 ok", "C RCPT TO:<a@x.test>",
                "S 250 ok", "C DATA", "lost", "E gone 451 4.4.2 connection lost while RCPT: reset"));
    assert_int_equal(t.rcpts[0].state, CLIENT_RCPT_ACCEPTED);
}

static void lost_after_the_end(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "S 250 ok", "C RCPT TO:<a@x.test>",
                "S 250 ok", "C DATA", "S 354 go", CONTENT, "lost",
                "E a@x.test deferred! 451 4.4.2 no answer after the end of the message, it may arrive twice: reset",
                "E gone 451 4.4.2 connection lost while sending the message: reset"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "S 250 ok", "C RCPT TO:<a@x.test>",
                "S 250 ok", "C DATA", "S 354 go", CONTENT, "S 421 4.3.2 shutting down",
                "E a@x.test deferred 421 4.3.2 shutting down", "E gone busy 421 4.3.2 shutting down"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "begin", "C MAIL FROM:<s@y.test>", "S 250 ok", "C RCPT TO:<a@x.test>",
                "S 250 ok", "C DATA", "S 354 go", CONTENT, "S nonsense",
                "E a@x.test deferred! 451 4.4.2 no answer after the end of the message, it may arrive twice: the "
                "server's words make no sense",
                "E gone 451 4.5.0 what the server says is no SMTP reply"));
}

static void closed_while_idle(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.client = client_new(&t.settings, &talk_world, &t);
    play(&t, SCRIPT(HELLO, "S 250-x", "S 250-PIPELINING", "S 250 CHUNKING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                 "C RCPT TO:<a@x.test>", "C BDAT 12 LAST", RAW_CONTENT, "S 250 ok", "S 250 ok", "S 250 ok",
                 "E a@x.test relayed 250 2.0.0 ok", "E done", "E ready"));
    t.list[0] = &t.rcpts[1];
    play(&t, SCRIPT("begin", "C MAIL FROM:<s@y.test>", "C RCPT TO:<b@x.test>", "C BDAT 12 LAST", RAW_CONTENT, "lost",
                 "E gone 451 4.4.2 connection lost while MAIL: reset"));
    assert_int_equal(t.rcpts[1].state, CLIENT_RCPT_OPEN);
    client_free(t.client);
}

static void goodbye_in_between(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "S 421 4.4.2 idle", "E gone busy 421 4.4.2 idle"));
    start(&t);
    run(&t, SCRIPT(HELLO, "S 250 x", "E ready", "S 250 what", "E gone 451 4.5.0 the server sent a reply to nothing"));
    start(&t);
    t.n = 2;
    run(&t, SCRIPT(HELLO, "S 250-x", "S 250 PIPELINING", "E ready", "begin", "C MAIL FROM:<s@y.test>",
                "C RCPT TO:<a@x.test>", "C RCPT TO:<b@x.test>", "C DATA", "S 250 ok", "S 550 no", "S 421 enough",
                "E a@x.test failed 550 5.0.0 no", "E gone busy 421 4.0.0 enough"));
}

static void limits_are_read(void **state)
{
    struct talk t;

    (void)state;
    start(&t);
    t.client = client_new(&t.settings, &talk_world, &t);
    play(&t, SCRIPT(HELLO, "S 250-x", "S 250 LIMITS RCPTMAX=3 MAILMAX=5", "E ready"));
    assert_int_equal(client_rcpt_max(t.client), 3);
    assert_int_equal(client_mail_max(t.client), 5);
    client_free(t.client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(helo_when_ehlo_is_unknown),
        cmocka_unit_test(greetings),
        cmocka_unit_test(starttls),
        cmocka_unit_test(tls_that_is_required),
        cmocka_unit_test(requiretls),
        cmocka_unit_test(logins),
        cmocka_unit_test(scram_must_prove_the_server),
        cmocka_unit_test(lost_at_each_step),
        cmocka_unit_test(lost_after_the_end),
        cmocka_unit_test(closed_while_idle),
        cmocka_unit_test(goodbye_in_between),
        cmocka_unit_test(limits_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
