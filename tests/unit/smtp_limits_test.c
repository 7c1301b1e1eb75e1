/* Who may come to the smtp server: limits by address and in all, the PROXY header, XCLIENT, and who makes room when
 * all places are taken. */
#include "smtp_clients.h"

#include "base/clock.h"

#include <signal.h>
#include <unistd.h>

static void connections_of_an_address_are_limited(void **state)
{
    struct role *role = world_new(STRANGERS "limits { connections_per_address = 2 }\n" PROXIED);
    int fds[4];

    (void)state;
    for (int i = 0; i < 4; i++) {
        fds[i] = world_connect(role);
        world_write(role, fds[i], i < 3 ? STR("PROXY TCP4 203.0.113.1 127.0.0.1 1000 25\r\n")
                                        : STR("PROXY TCP4 203.0.113.2 127.0.0.1 1000 25\r\n"));
    }
    REPLIES(role, fds[1], "220 mail.test ESMTP Staffetta\r\n");
    REPLIES(role, fds[2], "421 4.7.0 Too many connections from your address\r\n<end>");
    REPLIES(role, fds[3], "220 mail.test ESMTP Staffetta\r\n");
    close(fds[0]);
    close(fds[2]);
    world_turn(role);
    fds[0] = world_connect(role);
    world_write(role, fds[0], STR("PROXY TCP4 203.0.113.1 127.0.0.1 1000 25\r\n"));
    REPLIES(role, fds[0], "220 mail.test ESMTP Staffetta\r\n");
    close(fds[0]);
    close(fds[1]);
    close(fds[3]);
    world_free(role);
}

static void the_proxy_header_comes_first(void **state)
{
    struct role *role = world_new(STRANGERS PROXIED);
    int fd = world_connect(role);

    (void)state;
    REPLIES(role, fd, "");
    world_write(role, fd, STR("PROXY TCP4 203.0.113.1 127.0.0.1 "));
    REPLIES(role, fd, "");
    world_write(role, fd, STR("1000 25\r\nEHLO c\r\n"));
    assert_true(str_starts(world_read(role, fd), STR("220 mail.test ESMTP Staffetta\r\n250-")));
    close(fd);
    fd = world_connect(role);
    world_write(role, fd, STR("EHLO c\r\n"));
    REPLIES(role, fd, "<end>");
    close(fd);
    world_free(role);
}

#define GATE "proxy_from = {\"127.0.0.1\"} xclient_from = {\"127.0.0.1\"} }\n"

/* A proxy passes on what its clients say: the right to XCLIENT is the proxy's, not theirs. */
static void clients_of_a_proxy_may_not_xclient(void **state)
{
    struct role *role = world_new(STRANGERS "listen \"x\" { service = \"mx\" address = {\"127.0.0.1\"} " GATE);
    int fd = world_connect(role);

    (void)state;
    world_write(role, fd, STR("PROXY TCP4 203.0.113.1 127.0.0.1 1000 25\r\n"));
    REPLIES(role, fd, "220 mail.test ESMTP Staffetta\r\n");
    world_write(role, fd, STR("XCLIENT ADDR=192.0.2.1\r\n"));
    REPLIES(role, fd, "550 5.7.0 XCLIENT is not allowed from your address\r\n");
    close(fd);
    fd = world_connect(role);
    world_write(role, fd, STR("PROXY UNKNOWN\r\nXCLIENT ADDR=203.0.113.1\r\nXCLIENT ADDR=192.0.2.1\r\n"));
    REPLIES(role, fd, "220 mail.test ESMTP Staffetta\r\n220 mail.test ESMTP Staffetta\r\n"
                      "550 5.7.0 XCLIENT is not allowed from your address\r\n");
    close(fd);
    world_free(role);
}

static void all_connections_are_limited(void **state)
{
    struct role *role = world_new(STRANGERS "limits { connections = 2 }\n" MX);
    int fds[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        fds[i] = world_connect(role);
    REPLIES(role, fds[1], "220 mail.test ESMTP Staffetta\r\n");
    REPLIES(role, fds[2], ""); /* waits in the kernel */
    close(fds[0]);
    world_turn(role);
    REPLIES(role, fds[2], "220 mail.test ESMTP Staffetta\r\n");
    close(fds[1]);
    close(fds[2]);
    world_free(role);
}

/* Time passes for everybody who is there. */
static void age(struct role *role, int64_t seconds)
{
    LIST_EACH(&role->server.crowd.members, it)
        CONTAINER(it, struct client, member.link)->member.useful -= seconds * SECOND;
    role->server.crowd.made_room -= SECOND;
}

static void a_crowd_of_slow_clients_makes_room(void **state)
{
    struct role *role = world_new(STRANGERS "limits { connections = 2 }\n" MX);
    int silent = world_connect(role), sending = client_at_data(role), newcomer = world_connect(role);

    (void)state;
    REPLIES(role, silent, "220 mail.test ESMTP Staffetta\r\n");
    age(role, 9);
    world_turn(role);
    REPLIES(role, newcomer, ""); /* all are given their time */
    for (int i = 0; i < 30; i++)
        world_write(role, sending, STR("a line of content, which makes a kilobyte a second with some others of its kind. "
                                       "It need not be read, and so it is quite boring: x x x x x x x x x x x x x x x x "
                                       "x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x "
                                       "x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x "
                                       "x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x\r\n"));
    age(role, 2);
    event_active(&role->server.crowd.timer, EV_TIMEOUT, 0);
    world_turn(role);
    REPLIES(role, silent, "421 4.3.2 Too many connections, and you are slow: try again later\r\n<end>");
    REPLIES(role, newcomer, "220 mail.test ESMTP Staffetta\r\n");
    assert_int_equal(role->server.crowd.count, 2); /* the one that sends its mail stays */
    close(silent);
    close(sending);
    close(newcomer);
    world_free(role);
}

static void a_crowd_of_known_clients_stays(void **state)
{
    struct role *role = world_new(HEAD "relay_networks = {\"127.0.0.0/8\"}\nlimits { connections = 2 }\n" MX);
    int one = world_connect(role), two = world_connect(role), newcomer = world_connect(role);

    (void)state;
    age(role, 3600);
    event_active(&role->server.crowd.timer, EV_TIMEOUT, 0);
    world_turn(role);
    REPLIES(role, newcomer, "");
    assert_int_equal(role->server.crowd.count, 2);
    close(one);
    close(two);
    close(newcomer);
    world_free(role);
}

static void who_waits_for_us_is_not_slow(void **state)
{
    struct role *role = world_new(STRANGERS "limits { connections = 1 }\n" MX);
    int waiting = client_at_mail(role), newcomer = world_connect(role);

    (void)state;
    world_write(role, waiting, STR("RCPT TO:<u@x.example>\r\n"));
    SENT(role, &role->directory[0], "rcpt_ask u@x.example account=0 first=1\n");
    age(role, 60);
    event_active(&role->server.crowd.timer, EV_TIMEOUT, 0);
    world_turn(role);
    REPLIES(role, newcomer, "");
    assert_int_equal(role->server.crowd.count, 1);
    close(waiting);
    close(newcomer);
    world_free(role);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_of_an_address_are_limited),
        cmocka_unit_test(the_proxy_header_comes_first),
        cmocka_unit_test(clients_of_a_proxy_may_not_xclient),
        cmocka_unit_test(all_connections_are_limited),
        cmocka_unit_test(a_crowd_of_slow_clients_makes_room),
        cmocka_unit_test(a_crowd_of_known_clients_stays),
        cmocka_unit_test(who_waits_for_us_is_not_slow),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
