/* Connections of the access role: login through directory, the stream to mailbox and its credit, peers
 * that die, limits of an address. */
#include "access_talk.h"
#include "base/clock.h"
#include "roles/access/imap_login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static bool is_closed(int client)
{
    char byte;

    world_run();
    return recv(client, &byte, 1, MSG_DONTWAIT) == 0;
}

static int logged_in(void)
{
    int client = world_connect("127.0.0.1");

    hears(client, "+OK pop.test POP3 server ready\r\n");
    say(client, "USER ann\r\nPASS secret\r\n");
    hears(client, "+OK Now the password\r\n");
    asked("begin USERPASS 127.0.0.1 |ann|secret\n");
    directory_says(AUTH_OK, 5, AUTH_MAY_READ);
    asked("open 5 flags=0 ann 127.0.0.1\n");
    return client;
}

static void a_session_from_login_to_the_end(void **state)
{
    int client = logged_in();

    (void)state;
    mailbox_says("+OK 3 messages\r\n");
    asked("more 16\n");
    hears(client, "+OK 3 messages\r\n");
    say(client, "STAT\r\n");
    asked("data STAT\r\n\n");
    mailbox_says("+OK 3 9\r\n");
    access_handlers.session_close(NULL, world_mailbox, &(struct msg_session_close){world_id});
    hears(client, "+OK 3 9\r\n");
    assert_true(is_closed(client));
    assert_int_equal(world_access.crowd.count, 0);
    close(client);
}

static void what_was_pipelined_behind_the_login_goes_to_mailbox(void **state)
{
    int client = world_connect("127.0.0.1");

    (void)state;
    say(client, "USER ann\r\nPASS secret\r\nSTAT\r\nQUIT\r\n");
    asked("begin USERPASS 127.0.0.1 |ann|secret\n");
    directory_says(AUTH_OK, 5, AUTH_MAY_READ);
    asked("open 5 flags=0 ann 127.0.0.1\ndata STAT\r\nQUIT\r\n\n");
    close(client);
    asked("close\n");
    assert_int_equal(world_access.crowd.count, 0);
}

static void input_waits_for_credit(void **state)
{
    static char much[100000];
    int client = logged_in(), size = 1 << 20;
    size_t sent = 0;

    (void)state;
    setsockopt(client, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    memset(much, 'x', sizeof much);
    assert_int_equal(send(client, much, sizeof much, MSG_NOSIGNAL), (ssize_t)sizeof much);
    world_run();
    for (size_t i = 0; i < world_asked.n; i++)
        sent += world_asked.p[i] == 'x';
    assert_int_equal(sent, SESSION_WINDOW);
    buf_reset(&world_asked);
    access_handlers.session_more(NULL, world_mailbox, &(struct msg_session_more){world_id, 5});
    asked("data xxxxx\n");
    access_handlers.session_more(NULL, world_mailbox, &(struct msg_session_more){world_id, UINT64_MAX});
    asked(""); /* a stranger's number */
    world_backlog = CHANNEL_HIGH + 1;
    access_handlers.session_more(NULL, world_mailbox, &(struct msg_session_more){world_id, 3});
    asked("");
    world_drained();
    asked("data xxx\n");
    close(client);
}

static void output_that_is_not_taken_is_not_granted(void **state)
{
    static char much[60000];
    int client = logged_in(), size = 4096, more = 0;

    (void)state;
    setsockopt(client, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    memset(much, 'y', sizeof much - 1);
    for (int i = 0; i < 20; i++) {
        buf_reset(&world_asked);
        mailbox_says(much);
        if (world_asked.n == 0)
            break;
        more++;
    }
    assert_true(more > 2 && more < 20);
    buf_reset(&world_asked);
    for (int i = 0; i < 2000 && world_asked.n == 0; i++) {
        char sink[60000];

        if (recv(client, sink, sizeof sink, MSG_DONTWAIT) > 0)
            world_run();
    }
    asked("more 59999\n"); /* taken now */
    for (int i = 0; i < 20 && !str_ends(buf_str(&world_asked), STR("close\n")); i++)
        mailbox_says(much); /* until it is more than was granted: the session ends */
    assert_true(str_ends(buf_str(&world_asked), STR("close\n")));
    close(client);
}

static void directory_dies(void **state)
{
    int client = world_connect("127.0.0.1");
    struct channel *directory = world_directory;

    (void)state;
    say(client, "USER ann\r\nPASS secret\r\n");
    world_directory = NULL;
    access_peer_gone(NULL, directory);
    hears(client, "+OK pop.test POP3 server ready\r\n+OK Now the password\r\n"
                  "-ERR [SYS/TEMP] Logins are not possible now, try again later\r\n");
    say(client, "AUTH PLAIN AGEAYg==\r\n");
    hears(client, "-ERR [SYS/TEMP] Logins are not possible now, try again later\r\n");
    say(client, "NOOP\r\n");
    hears(client, "+OK\r\n");
    close(client);
}

static void mailbox_dies(void **state)
{
    struct channel *mailbox = world_mailbox;
    int before = logged_in(), silent;

    (void)state;
    mailbox_says("+OK\r\n");
    hears(before, "+OK\r\n");
    buf_reset(&world_asked);
    silent = logged_in();
    world_mailbox = NULL;
    access_peer_gone(NULL, mailbox);
    hears(silent, "-ERR [SYS/TEMP] The mailbox is not available now, try again later\r\n");
    hears(before, ""); /* in the middle of an answer there is nothing to say */
    assert_true(is_closed(before) && is_closed(silent));
    close(before);
    close(silent);
    silent = world_connect("127.0.0.1");
    say(silent, "USER ann\r\nPASS secret\r\n");
    directory_says(AUTH_OK, 5, AUTH_MAY_READ);
    hears(silent, "+OK pop.test POP3 server ready\r\n+OK Now the password\r\n"
                  "-ERR [SYS/TEMP] The mailbox is not available now, try again later\r\n");
    assert_true(is_closed(silent));
    close(silent);
}

/* A login that fails; directory says so at once. */
static int fails_from(const char *ip)
{
    int client = world_connect(ip);

    hears(client, "+OK pop.test POP3 server ready\r\n");
    say(client, "AUTH SCRAM-SHA-256 biws\r\n");
    directory_says(AUTH_BAD_CREDENTIALS, 0, 0);
    return client;
}

static void failed_logins_are_answered_late_and_banned(void **state)
{
    int client;

    (void)state;
    for (int i = 0; i < 3; i++) {
        client = fails_from("192.0.2.1");
        hears(client, ""); /* not yet */
        close(client);
        world_run();
    }
    client = world_connect("192.0.2.1");
    hears(client, "-ERR [SYS/TEMP] Not now, try again later\r\n");
    assert_true(is_closed(client));
    close(client);
    client = world_connect("192.0.2.2");
    hears(client, "+OK pop.test POP3 server ready\r\n");
    close(client);
}

/* A webmail on this machine or beside it: one user who forgot the password does not shut out the others. */
static void neighbours_are_not_banned(void **state)
{
    struct network near[] = {{{4, {192, 0, 2, 0}}, 24}};
    static const char *const from[] = {"127.0.0.1", "::1", "192.0.2.1"};
    int client;

    (void)state;
    world_config.relay_nets = (struct network_list){near, 1};
    for (size_t k = 0; k < sizeof from / sizeof *from; k++) {
        for (int i = 0; i < 10; i++) {
            client = fails_from(from[k]);
            hears(client, "");
            close(client);
            world_run();
        }
        client = world_connect(from[k]);
        hears(client, "+OK pop.test POP3 server ready\r\n");
        close(client);
        world_run();
    }
}

static void connections_of_an_address(void **state)
{
    int clients[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        clients[i] = world_connect("192.0.2.1");
    hears(clients[2], "+OK pop.test POP3 server ready\r\n");
    hears(clients[3], "-ERR [SYS/TEMP] Not now, try again later\r\n");
    close(clients[0]);
    close(clients[3]);
    world_run();
    clients[0] = world_connect("192.0.2.1");
    hears(clients[0], "+OK pop.test POP3 server ready\r\n");
    for (int i = 0; i < 3; i++)
        close(clients[i]);
}

/* Time passes for everybody who is there, and the crowd is looked at. */
static void age(int64_t seconds)
{
    LIST_EACH(&world_access.crowd.members, it)
        CONTAINER(it, struct client, member.link)->member.useful -= seconds * SECOND;
    event_active(&world_access.crowd.timer, EV_TIMEOUT, 0);
    world_run();
}

static void who_does_not_log_in_makes_room(void **state)
{
    int user = logged_in(), silent = world_connect("192.0.2.1"), challenged = world_connect("127.0.0.1"), checked, next;
    uint64_t check;

    (void)state;
    crowd_limit(&world_access.crowd, 4);
    hears(silent, "+OK pop.test POP3 server ready\r\n");
    say(challenged, "AUTH PLAIN\r\n");
    access_handlers.auth_challenge(NULL, world_directory, &(struct msg_auth_challenge){.id = world_id});
    checked = world_connect("127.0.0.1");
    say(checked, "AUTH PLAIN AGEAYg==\r\n");
    check = world_id;
    age(9);
    assert_int_equal(world_access.crowd.count, 4); /* everybody is given some time */
    age(2);
    hears(silent, "-ERR [SYS/TEMP] Not now, try again later\r\n");
    assert_int_equal(world_access.crowd.count, 3);
    age(3600); /* there is room */
    assert_int_equal(world_access.crowd.count, 3);
    next = world_connect("192.0.2.2");
    age(0);
    hears(challenged, "+OK pop.test POP3 server ready\r\n+ \r\n-ERR [SYS/TEMP] Not now, try again later\r\n");
    assert_int_equal(world_access.crowd.count, 3);
    crowd_limit(&world_access.crowd, 1);
    age(20);
    age(20);
    hears(next, "+OK pop.test POP3 server ready\r\n-ERR [SYS/TEMP] Not now, try again later\r\n");
    assert_int_equal(world_access.crowd.count, 2); /* the user, and whose password is looked at */
    world_id = check;
    directory_says(AUTH_OK, 5, AUTH_MAY_READ);
    age(3600);
    assert_int_equal(world_access.crowd.count, 2);
    close(user);
    close(silent);
    close(checked);
    close(challenged);
    close(next);
}

/* Turns of the loop until the client is cut, which it has to be; meanwhile it says `words`, if any. */
static void is_cut_while_saying(int client, const char *words)
{
    struct timespec pause = {0, 5 * 1000 * 1000};

    for (int i = 0; i < 2000; i++) {
        char heard[100];

        world_run();
        if (recv(client, heard, sizeof heard, MSG_DONTWAIT) == 0)
            return;
        if (words != NULL)
            (void)send(client, words, strlen(words), MSG_NOSIGNAL);
        nanosleep(&pause, NULL);
    }
    fail_msg("never cut");
}

static void who_is_silent_after_login_is_cut(void **state)
{
    int client, stays;

    (void)state;
    stays = logged_in(); /* no limit was set when this one came */
    world_config.limits.pop3_idle_time = 20000;
    client = logged_in();
    is_cut_while_saying(client, NULL); /* without a word: RFC 1939, section 3 */
    asked("close\n");
    hears(stays, "");
    say(stays, "NOOP\r\n");
    asked("data NOOP\r\n\n");
    close(client);
    close(stays);
}

static void a_session_has_an_end_even_for_who_talks(void **state)
{
    int client;

    (void)state;
    world_config.limits.pop3_idle_time = 10 * MINUTE;
    world_config.limits.pop3_session_time = 40000;
    client = logged_in();
    is_cut_while_saying(client, "\n");
    world_run();
    assert_true(str_ends(buf_str(&world_asked), STR("close\n")));
    assert_int_equal(world_access.crowd.count, 0);
    close(client);
}

/* Before login, too: a block of commands asks for forty times as much output. */
static void a_client_that_reads_nothing_gets_no_more(void **state)
{
    static char block[60000], heard[65536];
    int client = world_connect("127.0.0.1"), small = 16 * 1024;
    size_t said = 0, answers = 0;
    struct client *c;
    ssize_t n;

    (void)state;
    world_run();
    c = CONTAINER(list_first(&world_access.crowd.members), struct client, member.link);
    setsockopt(client, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (size_t i = 0; i + 6 <= sizeof block; i += 6)
        memcpy(block + i, "CAPA\r\n", 6);
    while ((n = send(client, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL)) == (ssize_t)sizeof block) {
        said += (size_t)n;
        world_run();
        assert_in_range(conn_output_waiting(c->conn), 0, CONN_OUTPUT_HIGH + 4096);
        assert_in_range(said, 0, 64 << 20);
    }
    said += n > 0 ? (size_t)n : 0;
    for (int quiet = 0; quiet < 100;) { /* who reads gets it all */
        world_run();
        n = recv(client, heard, sizeof heard, MSG_DONTWAIT);
        quiet = n > 0 ? 0 : quiet + 1;
        for (ssize_t i = 0; i < n; i++)
            answers += heard[i] == '.';
    }
    assert_true(answers >= said / 6);
    close(client);
}

/* ---- IMAP ---- */

#define CAPABILITIES "CAPABILITY IMAP4rev2 IMAP4rev1 ID ENABLE LITERAL- SASL-IR AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN"
#define IMAP_GREETING "* OK [" CAPABILITIES "] pop.test IMAP server ready\r\n"

static int imap_logged_in(void)
{
    int client;

    world_protocol = &imap_login;
    client = world_connect("127.0.0.1");
    hears(client, IMAP_GREETING);
    say(client, "a1 LOGIN ann secret\r\nb2 SELECT INBOX\r\n");
    asked("begin USERPASS 127.0.0.1 |ann|secret\n");
    directory_says(AUTH_OK, 5, AUTH_MAY_READ);
    asked("open 5 tag=a1 flags=0 ann 127.0.0.1\ndata b2 SELECT INBOX\r\n\n");
    return client;
}

static void an_imap_session(void **state)
{
    int client = imap_logged_in();

    (void)state;
    mailbox_says("a1 OK Logged in\r\n");
    hears(client, "a1 OK Logged in\r\n");
    asked("more 17\n");
    session_finish(CONTAINER(list_first(&world_access.crowd.members), struct client, member.link));
    asked("finish\n");
    mailbox_says("* BYE\r\n");
    access_handlers.session_close(NULL, world_mailbox, &(struct msg_session_close){world_id});
    hears(client, "* BYE\r\n");
    assert_true(is_closed(client));
    close(client);
}

static void imap_says_bye(void **state)
{
    struct channel *mailbox = world_mailbox;
    int clients[5];

    (void)state;
    clients[0] = imap_logged_in();
    world_mailbox = NULL;
    access_peer_gone(NULL, mailbox);
    hears(clients[0], "* BYE [UNAVAILABLE] The mailbox is not available now, try again later\r\n");
    assert_true(is_closed(clients[0]));
    close(clients[0]);
    for (int i = 0; i < 4; i++)
        clients[i] = world_connect("192.0.2.1");
    hears(clients[3], "* BYE [UNAVAILABLE] Not now, try again later\r\n"); /* over the limit of the address */
    assert_true(is_closed(clients[3]));
    for (int i = 0; i < 4; i++)
        close(clients[i]);
}

/* RFC 9051, section 5.4: with a word, and the time is that of IMAP. */
static void a_silent_imap_client_is_told(void **state)
{
    struct timespec pause = {0, 5 * 1000 * 1000};
    char heard[100] = "";
    int client;

    (void)state;
    world_config.limits.pop3_idle_time = 1;
    world_config.limits.pop3_session_time = 1;
    world_config.limits.imap_idle_time = 30000;
    client = imap_logged_in();
    for (int i = 0; i < 2000 && heard[0] == 0; i++) {
        world_run();
        nanosleep(&pause, NULL);
        (void)recv(client, heard, sizeof heard - 1, MSG_DONTWAIT);
    }
    assert_string_equal(heard, "* BYE Nothing was said for too long\r\n");
    assert_true(is_closed(client));
    asked("close\n");
    close(client);
}

static void answers_nobody_waits_for(void **state)
{
    struct channel other = {ROLE_MAILBOX, 0, 77};
    int client = logged_in();

    (void)state;
    access_handlers.session_data(NULL, &other, &(struct msg_session_data){world_id, STR("evil\r\n")});
    access_handlers.session_data(NULL, world_mailbox, &(struct msg_session_data){world_id + 1, STR("evil\r\n")});
    access_handlers.session_close(NULL, world_mailbox, &(struct msg_session_close){world_id + 1});
    access_handlers.auth_done(NULL, world_directory, &(struct msg_auth_done){.id = world_id, .account = 9, .rights = 3});
    access_handlers.auth_challenge(NULL, world_directory, &(struct msg_auth_challenge){world_id, STR("x")});
    hears(client, "");
    mailbox_says("+OK\r\n");
    hears(client, "+OK\r\n");
    close(client);
}

static void a_client_that_leaves_during_the_login(void **state)
{
    int client = world_connect("127.0.0.1");
    uint64_t id;

    (void)state;
    say(client, "AUTH LOGIN\r\n");
    id = world_id;
    access_handlers.auth_challenge(NULL, world_directory, &(struct msg_auth_challenge){id, STR("User Name")});
    hears(client, "+OK pop.test POP3 server ready\r\n+ VXNlciBOYW1l\r\n");
    buf_reset(&world_asked);
    close(client);
    asked("cancel\n");
    directory_says(AUTH_OK, 5, AUTH_MAY_READ);
    asked("");
}

static void the_proxy_header_names_the_client(void **state)
{
    struct network proxies[] = {{{4, {192, 0, 2, 0}}, 24}};
    int client;

    (void)state;
    world_listener.proxies = (struct network_list){proxies, 1};
    client = world_connect("192.0.2.1");
    hears(client, "");
    say(client, "PROXY TCP4 198.51.100.7 192.0.2.1 5555 110\r\nAUTH SCRAM-SHA-256 biws\r\n");
    hears(client, "+OK pop.test POP3 server ready\r\n");
    asked("begin SCRAM-SHA-256 198.51.100.7 n,,\n");
    close(client);
    client = world_connect("192.0.2.1");
    say(client, "CAPA\r\n");
    assert_true(is_closed(client));
    close(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, access_setup, access_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_from_login_to_the_end),
        TEST(what_was_pipelined_behind_the_login_goes_to_mailbox),
        TEST(input_waits_for_credit),
        TEST(output_that_is_not_taken_is_not_granted),
        TEST(directory_dies),
        TEST(mailbox_dies),
        TEST(failed_logins_are_answered_late_and_banned),
        TEST(neighbours_are_not_banned),
        TEST(connections_of_an_address),
        TEST(who_does_not_log_in_makes_room),
        TEST(who_is_silent_after_login_is_cut),
        TEST(a_session_has_an_end_even_for_who_talks),
        TEST(a_client_that_reads_nothing_gets_no_more),
        TEST(an_imap_session),
        TEST(imap_says_bye),
        TEST(a_silent_imap_client_is_told),
        TEST(answers_nobody_waits_for),
        TEST(a_client_that_leaves_during_the_login),
        TEST(the_proxy_header_names_the_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
