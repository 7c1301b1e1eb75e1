/* The access role: connections that log in anew after UNAUTHENTICATE. */
#include "access_talk.h"
#include "roles/access/imap_login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

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

static void given_back(const char *left)
{
    access_handlers.session_return(NULL, world_mailbox, &(struct msg_session_return){world_id});
    asked("stopped\n");
    access_handlers.session_back(NULL, world_mailbox, &(struct msg_session_back){world_id, str_of(left)});
    world_run();
}

/* UNAUTHENTICATE: the connection logs in anew, with what was sent behind the command, whatever reached whom. */
static void an_imap_session_given_back(void **state)
{
    int client = imap_logged_in();

    (void)state;
    say(client, "c3 UNAUTHENTICATE\r\nd4 CAPA");
    asked("data c3 UNAUTHENTICATE\r\nd4 CAPA\n");
    mailbox_says("c3 OK Done\r\n");
    hears(client, "c3 OK Done\r\n");
    asked("more 12\n");
    access_handlers.session_back(NULL, world_mailbox, &(struct msg_session_back){world_id, STR("x")}); /* nobody was asked to stop */
    access_handlers.session_return(NULL, world_mailbox, &(struct msg_session_return){world_id});
    asked("stopped\n");
    access_handlers.session_return(NULL, world_mailbox, &(struct msg_session_return){world_id});
    world_drained();
    access_handlers.session_more(NULL, world_mailbox, &(struct msg_session_more){world_id, 1});
    say(client, "BILITY\r\n");
    asked("");
    access_handlers.session_back(NULL, world_mailbox, &(struct msg_session_back){world_id, STR("d4 CAPA")});
    world_run();
    hears(client, "* " CAPABILITIES "\r\nd4 OK That is what there is before login\r\n");
    say(client, "e5 SELECT INBOX\r\n");
    hears(client, "e5 BAD Log in first\r\n");
    say(client, "f6 LOGIN bob secret\r\ng7 NOOP\r\n");
    asked("begin USERPASS 127.0.0.1 |bob|secret\n");
    directory_says(AUTH_OK, 6, AUTH_MAY_READ);
    asked("open 6 tag=f6 flags=0 ann 127.0.0.1\ndata g7 NOOP\r\n\n");
    given_back("h8 LOGIN eve secret\r\ni9 NOOP\r\n"); /* all of it in one */
    asked("begin USERPASS 127.0.0.1 |eve|secret\n");
    directory_says(AUTH_OK, 7, AUTH_MAY_READ);
    asked("open 7 tag=h8 flags=0 ann 127.0.0.1\ndata i9 NOOP\r\n\n");
    given_back("j1 AUTHENTICATE PLAIN\r\nAGFubgB"); /* half a response */
    asked("begin PLAIN 127.0.0.1 \n");
    access_handlers.auth_challenge(NULL, world_directory, &(struct msg_auth_challenge){world_id, STR("")});
    hears(client, "+ \r\n");
    say(client, "zZWNyZXQ=\r\nk2 NOOP\r\n");
    asked("step |ann|secret\n");
    directory_says(AUTH_BAD_CREDENTIALS, 0, 0);
    close(client);
}

/* While the server shuts down it does not. */
static void not_any_more(void **state)
{
    int client = imap_logged_in();

    (void)state;
    world_access.drain_until = 1;
    given_back("b LOGIN ann secret\r\n");
    asked("begin USERPASS 127.0.0.1 |ann|secret\ncancel\n");
    hears(client, "* BYE [UNAVAILABLE] The server is shutting down, try again later\r\n");
    world_access.drain_until = 0;
    close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_imap_session_given_back, access_setup, access_teardown),
        cmocka_unit_test_setup_teardown(not_any_more, access_setup, access_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
