/* The smtp server between its peers and its clients: who is asked, what happens when a peer dies, is slow
 * or lies, reload and drain. */
#include "smtp_clients.h"

#include "base/clock.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

/* The copy of filter that got the transaction. */
static struct channel *chosen_filter(struct role *role)
{
    world_turn(role);
    return role->filter[0].out.n > 0 ? &role->filter[0] : &role->filter[1];
}

static void a_message_goes_through(void **state)
{
    struct role *role = world_new(STRANGERS MX);
    int fd = client_at_data(role);
    struct channel *filter;

    (void)state;
    assert_int_equal(role->filter[0].out.n + role->filter[1].out.n, 0); /* the envelope waits for content */
    world_write(role, fd, STR("Subject: x\r\n\r\nhello\r\n.\r\n"));
    filter = chosen_filter(role);
    SENT(role, filter, "txn_begin a@b.example\ntxn_rcpt u@x.example\ntxn_chunk 21\ntxn_end\n");
    REPLIES(role, fd, "");
    TELL(role, filter, txn_done, {role->last_txn, 250, STR("2.0.0 queued")});
    REPLIES(role, fd, "250 2.0.0 queued\r\n");
    TELL(role, filter, txn_done, {role->last_txn, 550, STR("5.0.0 again")}); /* nobody waits */
    world_write(role, fd, STR("QUIT\r\n"));
    REPLIES(role, fd, "221 2.0.0 Bye\r\n<end>");
    assert_int_equal(role->server.crowd.count, 0);
    close(fd);
    world_free(role);
}

static void replies_to_mail_and_rcpt_leave_together(void **state)
{
    struct role *role = world_new(STRANGERS MX);
    int fd = world_connect(role);

    (void)state;
    world_write(role, fd, STR("HELO c\r\n"));
    world_read(role, fd);
    world_write(role, fd, STR("MAIL FROM:<>\r\nRCPT TO:<u@x.example>\r\n"));
    REPLIES(role, fd, "");
    world_sent(role, &role->directory[0]);
    TELL(role, &role->directory[0], rcpt_reply, {role->last_ask, RCPT_LOCAL, 0, 0, STR("")});
    REPLIES(role, fd, "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n");
    close(fd);
    world_free(role);
}

static void only_the_one_who_was_asked_may_answer(void **state)
{
    struct role *role = world_new(STRANGERS MX);
    int fd = client_at_mail(role);
    uint64_t id;

    (void)state;
    world_write(role, fd, STR("RCPT TO:<u@x.example>\r\n"));
    world_sent(role, &role->directory[0]);
    id = role->last_ask;
    TELL(role, &role->directory[0], rcpt_reply, {id + 1, RCPT_LOCAL, 0, 0, STR("")});
    TELL(role, &role->directory[1], rcpt_reply, {id, RCPT_LOCAL, 0, 0, STR("")});
    TELL(role, &role->directory[0], sender_reply, {id, 1, 0});
    TELL(role, &role->directory[0], auth_done, {.id = id, .result = AUTH_OK, .account = 1, .rights = 3});
    TELL(role, &role->directory[0], auth_challenge, {id, STR("x")});
    TELL(role, &role->filter[0], txn_done, {id, 250, STR("2.0.0 x")});
    REPLIES(role, fd, "");
    TELL(role, &role->directory[0], rcpt_reply, {id, 999, 0, 0, STR("")}); /* no such result */
    REPLIES(role, fd, "451 4.3.0 The recipient cannot be checked now, try again later\r\n");
    TELL(role, &role->directory[0], rcpt_reply, {id, RCPT_LOCAL, 0, 0, STR("")}); /* too late */
    REPLIES(role, fd, "");
    close(fd);
    world_free(role);
}

static void directory_may_die(void **state)
{
    struct role *role = world_new(STRANGERS MX);
    int fd = client_at_mail(role);

    (void)state;
    world_write(role, fd, STR("RCPT TO:<u@x.example>\r\n"));
    REPLIES(role, fd, "");
    world_drop(role, &role->directory[0]);
    REPLIES(role, fd, "451 4.3.0 The recipient cannot be checked now, try again later\r\n");
    world_write(role, fd, STR("RCPT TO:<u@x.example>\r\n")); /* still down */
    REPLIES(role, fd, "451 4.3.0 The recipient cannot be checked now, try again later\r\n");
    close(fd);
    world_free(role);
}

static void filter_may_die(void **state)
{
    struct role *role = world_new(STRANGERS MX);
    int fd = client_at_data(role);

    (void)state;
    world_write(role, fd, STR("half\r\n"));
    world_drop(role, chosen_filter(role));
    world_write(role, fd, STR("more\r\n.\r\n"));
    REPLIES(role, fd, "451 4.3.0 The message could not be stored, try again later\r\n");
    close(fd);
    fd = client_at_data(role); /* the other copy takes it */
    world_write(role, fd, STR("x\r\n.\r\n"));
    world_drop(role, chosen_filter(role));
    REPLIES(role, fd, "451 4.3.0 The message could not be stored, try again later\r\n");
    world_write(role, fd, STR("MAIL FROM:<a@b.example>\r\nRCPT TO:<u@x.example>\r\n"));
    world_sent(role, &role->directory[0]);
    TELL(role, &role->directory[0], rcpt_reply, {role->last_ask, RCPT_LOCAL, 0, 0, STR("")});
    world_write(role, fd, STR("DATA\r\n")); /* no copy is left */
    REPLIES(role, fd, "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n451 4.3.0 No message can be taken now, try again later\r\n");
    close(fd);
    world_free(role);
}

static void a_client_that_vanishes_aborts(void **state)
{
    struct role *role = world_new(STRANGERS MX);
    int fd = client_at_data(role);
    struct channel *filter;

    (void)state;
    world_write(role, fd, STR("half\r\n"));
    filter = chosen_filter(role);
    SENT(role, filter, "txn_begin a@b.example\ntxn_rcpt u@x.example\ntxn_chunk 6\n");
    close(fd);
    SENT(role, filter, "txn_abort\n");
    fd = client_at_data(role); /* nothing was sent yet: nothing to abort */
    close(fd);
    world_turn(role);
    assert_int_equal(role->filter[0].out.n + role->filter[1].out.n, 0);
    world_free(role);
}

/* Each of thousands of clients had its first piece sent to a filter that did not read: more than a channel
 * can hold, which ends the process. */
static void a_slow_filter_stops_every_client(void **state)
{
    struct role *role = world_new(STRANGERS MX);
    int fd = client_at_data(role);
    struct channel *filter;

    (void)state;
    world_write(role, fd, STR("one\r\n"));
    filter = chosen_filter(role);
    SENT(role, filter, "txn_begin a@b.example\ntxn_rcpt u@x.example\ntxn_chunk 5\n");
    filter->backlog = CHANNEL_HIGH + 1; /* what others have sent */
    world_write(role, fd, STR("two\r\n.\r\nQUIT\r\n"));
    SENT(role, filter, "");
    filter->backlog = 0;
    filter->drained(role, filter);
    SENT(role, filter, "txn_chunk 5\ntxn_end\n");
    TELL(role, filter, txn_done, {role->last_txn, 250, STR("2.0.0 queued")});
    REPLIES(role, fd, "250 2.0.0 queued\r\n221 2.0.0 Bye\r\n<end>");
    close(fd);
    world_free(role);
}

/* A block of short commands asked for megabytes of replies before anybody looked. */
static void a_client_that_reads_nothing_gets_no_more(void **state)
{
    struct role *role = world_new(STRANGERS MX);
    int fd, replies = 0, small = 16 * 1024;
    struct buf flood, all;
    struct client *c;

    (void)state;
    setsockopt(role->listener.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small); /* or the kernel takes it all */
    fd = world_connect(role);
    c = first_client(role);
    buf_init(&flood, CONN_INPUT_MAX);
    for (int i = 0; i < 6000; i++)
        buf_add(&flood, STR("EHLO xxx\r\n"));
    world_write(role, fd, buf_str(&flood));
    assert_in_range(conn_output_waiting(c->conn), 0, CONN_OUTPUT_HIGH + 4096);
    buf_init(&all, 16 << 20);
    do /* who reads gets it all */
        buf_add(&all, world_read(role, fd));
    while (conn_output_waiting(c->conn) > 0 || poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 100) > 0);
    for (struct str rest = buf_str(&all), line; str_next(&rest, '\n', &line);)
        replies += str_starts(line, STR("250-mail.test"));
    assert_int_equal(replies, 6000);
    buf_clear(&all);
    buf_clear(&flood);
    close(fd);
    world_free(role);
}

static void a_full_shard_is_avoided(void **state)
{
    struct role *role = world_new(STRANGERS MX);
    int fd = client_at_mail(role);

    (void)state;
    TELL(role, &role->filter[0], queue_state, {0, 2, 0, STR("4.3.1 Disk is nearly full")});
    TELL(role, &role->filter[0], queue_state, {7, 2, 0, STR("no such shard")});
    TELL(role, &role->filter[0], queue_state, {0, 1 << 20, 0, STR("too many shards")});
    for (int i = 0; i < 20; i++) {
        world_write(role, fd, STR("RSET\r\nMAIL FROM:<a@b.example>\r\n"));
        REPLIES(role, fd, "250 2.0.0 Ok\r\n250 2.1.0 Ok\r\n");
    }
    TELL(role, &role->filter[0], queue_state, {1, 2, 0, STR("4.3.1 Disk is nearly full")});
    world_write(role, fd, STR("RSET\r\nMAIL FROM:<a@b.example>\r\n"));
    REPLIES(role, fd, "250 2.0.0 Ok\r\n452 4.3.1 Disk is nearly full\r\n");
    for (uint64_t shard = 0; shard < 2; shard++)
        TELL(role, &role->filter[0], queue_state, {shard, 2, 0, STR("4.3.0 The queue is starting again")});
    world_write(role, fd, STR("MAIL FROM:<a@b.example>\r\n"));
    REPLIES(role, fd, "451 4.3.0 The queue is starting again\r\n");
    for (uint64_t shard = 0; shard < 2; shard++)
        TELL(role, &role->filter[0], queue_state, {shard, 2, 0, STR("")});
    world_write(role, fd, STR("MAIL FROM:<a@b.example>\r\n"));
    REPLIES(role, fd, "452 4.3.1 No message can be taken now, try again later\r\n");
    TELL(role, &role->filter[0], queue_state, {1, 2, 1, STR("")});
    world_write(role, fd, STR("MAIL FROM:<a@b.example>\r\n"));
    REPLIES(role, fd, "250 2.1.0 Ok\r\n");
    close(fd);
    world_free(role);
}

static void silence_ends(void **state)
{
    struct role *role = world_new(STRANGERS MX);
    int fd = client_at_mail(role);
    struct client *c = first_client(role);

    (void)state;
    world_write(role, fd, STR("RCPT TO:<u@x.example>\r\n"));
    server_sweep(&role->server);
    REPLIES(role, fd, "");
    c->since = clock_monotonic() - 2 * MINUTE;
    server_sweep(&role->server);
    REPLIES(role, fd, "451 4.3.0 The recipient cannot be checked now, try again later\r\n");
    close(fd);
    world_turn(role);
    world_sent(role, &role->directory[0]);
    fd = client_at_data(role);
    c = first_client(role);
    world_write(role, fd, STR("x\r\n.\r\n"));
    world_sent(role, chosen_filter(role));
    c->since = clock_monotonic() - 2 * MINUTE;
    server_sweep(&role->server);
    REPLIES(role, fd, "");
    c->since = clock_monotonic() - 11 * MINUTE;
    server_sweep(&role->server);
    REPLIES(role, fd, "451 4.3.0 The message could not be stored, try again later\r\n");
    SENT(role, chosen_filter(role), "txn_abort\n");
    close(fd);
    world_free(role);
}

static void logins_go_to_the_password_checkers(void **state)
{
    struct role *role = world_new(STRANGERS SUBMISSION);
    int fd = world_connect(role);

    (void)state;
    world_write(role, fd, STR("EHLO c\r\n"));
    world_read(role, fd);
    world_write(role, fd, STR("AUTH LOGIN\r\n"));
    SENT(role, &role->directory[1], "auth_begin LOGIN 0 client=127.0.0.1\n");
    TELL(role, &role->directory[1], auth_challenge, {role->last_ask, STR("user?")});
    REPLIES(role, fd, "334 dXNlcj8=\r\n");
    world_write(role, fd, STR("am9l\r\n"));
    SENT(role, &role->directory[1], "auth_step joe\n");
    TELL(role, &role->directory[1], auth_done,
        {.id = role->last_ask, .result = AUTH_OK, .account = 5, .rights = AUTH_MAY_SEND, .login = STR("joe@x.example")});
    REPLIES(role, fd, "235 2.7.0 You are logged in\r\n");
    world_write(role, fd, STR("MAIL FROM:<joe@x.example>\r\n"));
    SENT(role, &role->directory[0], "sender_ask joe@x.example\n");
    TELL(role, &role->directory[0], sender_reply, {role->last_ask, 1, 0});
    world_write(role, fd, STR("RCPT TO:<a@far.example>\r\n"));
    SENT(role, &role->directory[0], "rcpt_ask a@far.example account=5 first=1\n");
    close(fd);
    fd = world_connect(role);
    world_write(role, fd, STR("EHLO c\r\nAUTH LOGIN\r\n"));
    world_sent(role, &role->directory[1]);
    TELL(role, &role->directory[1], auth_challenge, {role->last_ask, STR("user?")});
    close(fd);
    SENT(role, &role->directory[1], "auth_cancel\n");
    fd = world_connect(role);
    world_write(role, fd, STR("EHLO c\r\nAUTH LOGIN\r\n"));
    world_read(role, fd);
    world_drop(role, &role->directory[1]);
    REPLIES(role, fd, "454 4.7.0 Logins cannot be checked now, try again later\r\n");
    world_write(role, fd, STR("AUTH LOGIN\r\n"));
    REPLIES(role, fd, "454 4.7.0 Logins cannot be checked now, try again later\r\n");
    close(fd);
    world_free(role);
}

static void refusals_are_told_to_events(void **state)
{
    struct role *role = world_new(STRANGERS MX);
    int fd = client_at_mail(role);
    struct str sent;

    (void)state;
    world_write(role, fd, STR("RCPT TO:<nobody@x.example>\r\n"));
    world_sent(role, &role->directory[0]);
    TELL(role, &role->directory[0], rcpt_reply, {role->last_ask, RCPT_UNKNOWN, 0, 0, STR("5.1.1 No such user")});
    REPLIES(role, fd, "550 5.1.1 No such user\r\n");
    sent = world_sent(role, &role->events);
    assert_true(str_starts(sent, STR("event 13 nobody@x.example {\"client\":\"127.0.0.1\",\"helo\":\"c.example\",\"code\":550")));
    role->events.up = false;
    close(fd);
    world_free(role);
}

static void a_reload_is_for_new_connections(void **state)
{
    struct role *role = world_new(STRANGERS "limits { message_size = \"1M\" }\n" MX);
    int old = world_connect(role), fresh;

    (void)state;
    world_reload(role, "hostname = \"new.test\"\nlimits { message_size = \"2M\" }\n" MX);
    world_read(role, old);
    world_write(role, old, STR("EHLO c\r\n"));
    assert_true(str_ifind(world_read(role, old), STR("250-mail.test\r\n")) == 0);
    fresh = world_connect(role);
    REPLIES(role, fresh, "220 new.test ESMTP Staffetta\r\n");
    world_write(role, fresh, STR("EHLO c\r\n"));
    assert_true(str_ifind(world_read(role, fresh), STR("SIZE 2097152\r\n")) > 0);
    close(old);
    close(fresh);
    world_free(role);
}

static void draining_lets_the_message_finish(void **state)
{
    struct role *role = world_new(STRANGERS MX);
    int busy = client_at_data(role), idle = world_connect(role);
    struct channel *filter;

    (void)state;
    world_read(role, idle);
    server_drain(&role->server, MINUTE);
    assert_false(server_open_doors(&role->server)); /* a reload while stopping: the descriptors are closed */
    REPLIES(role, idle, "421 4.3.2 The server is going down, try again soon\r\n<end>");
    world_write(role, busy, STR("x\r\n.\r\n"));
    filter = chosen_filter(role);
    world_sent(role, filter);
    TELL(role, filter, txn_done, {role->last_txn, 250, STR("2.0.0 queued")});
    REPLIES(role, busy, "250 2.0.0 queued\r\n");
    assert_false(role->exited);
    world_write(role, busy, STR("MAIL FROM:<>\r\n"));
    REPLIES(role, busy, "421 4.3.2 The server is going down, try again soon\r\n<end>");
    assert_true(role->exited);
    close(busy);
    close(idle);
    world_free(role);
}

static void draining_ends_in_time(void **state)
{
    struct role *role = world_new(STRANGERS MX);
    int busy = client_at_data(role);

    (void)state;
    server_drain(&role->server, 20000);
    world_turn(role);
    assert_false(role->exited);
    usleep(30000);
    REPLIES(role, busy, "421 4.3.2 The server is going down, try again soon\r\n<end>");
    assert_true(role->exited);
    close(busy);
    world_free(role);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_goes_through),
        cmocka_unit_test(replies_to_mail_and_rcpt_leave_together),
        cmocka_unit_test(only_the_one_who_was_asked_may_answer),
        cmocka_unit_test(directory_may_die),
        cmocka_unit_test(filter_may_die),
        cmocka_unit_test(a_client_that_vanishes_aborts),
        cmocka_unit_test(a_slow_filter_stops_every_client),
        cmocka_unit_test(a_client_that_reads_nothing_gets_no_more),
        cmocka_unit_test(a_full_shard_is_avoided),
        cmocka_unit_test(silence_ends),
        cmocka_unit_test(logins_go_to_the_password_checkers),
        cmocka_unit_test(refusals_are_told_to_events),
        cmocka_unit_test(a_reload_is_for_new_connections),
        cmocka_unit_test(draining_lets_the_message_finish),
        cmocka_unit_test(draining_ends_in_time),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
