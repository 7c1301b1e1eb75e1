#include "access_talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

int access_setup(void **state)
{
    (void)state;
    world_open();
    return 0;
}

int access_teardown(void **state)
{
    (void)state;
    world_close();
    return 0;
}

void hears(int client, const char *expected)
{
    static char heard[400000];
    ssize_t n;

    world_run();
    n = recv(client, heard, sizeof heard - 1, MSG_DONTWAIT);
    heard[n > 0 ? n : 0] = 0;
    if (strcmp(heard, expected) != 0)
        fail_msg("expected: %s\n   heard: %.300s", expected, heard);
}

void asked(const char *expected)
{
    world_run();
    if (!str_eq(buf_str(&world_asked), str_of(expected)))
        fail_msg("expected: %s\n   asked: %.*s", expected, (int)(world_asked.n > 300 ? 300 : world_asked.n), world_asked.p);
    buf_reset(&world_asked);
}

void say(int client, const char *text)
{
    assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    world_run();
}

void directory_says(enum auth_result result, uint64_t account, unsigned rights)
{
    access_handlers.auth_done(NULL, world_directory, &(struct msg_auth_done){.id = world_id, .result = result,
        .account = account, .rights = rights, .login = STR("ann")});
    world_run();
}

void mailbox_says(const char *text)
{
    access_handlers.session_data(NULL, world_mailbox, &(struct msg_session_data){world_id, str_of(text)});
    world_run();
}
