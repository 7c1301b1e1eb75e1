#include "smtp_clients.h"

void expect_text(struct str got, const char *want, int line)
{
    if (!str_eq(got, str_of(want)))
        fail_msg("line %d: wanted:\n%s\ngot:\n%.*s", line, want, STR_ARG(got));
}

int client_at_mail(struct role *role)
{
    int fd = world_connect(role);

    REPLIES(role, fd, "220 mail.test ESMTP Staffetta\r\n");
    world_write(role, fd, STR("EHLO c.example\r\n"));
    assert_true(str_starts(world_read(role, fd), STR("250-mail.test\r\n")));
    world_write(role, fd, STR("MAIL FROM:<a@b.example>\r\n"));
    REPLIES(role, fd, "250 2.1.0 Ok\r\n");
    return fd;
}

int client_at_data(struct role *role)
{
    int fd = client_at_mail(role);

    world_write(role, fd, STR("RCPT TO:<u@x.example>\r\n"));
    SENT(role, &role->directory[0], "rcpt_ask u@x.example account=0 first=1\n");
    TELL(role, &role->directory[0], rcpt_reply, {role->last_ask, RCPT_LOCAL, 0, 0, STR("")});
    world_write(role, fd, STR("DATA\r\n"));
    REPLIES(role, fd, "250 2.1.5 Ok\r\n354 End the message with <CR><LF>.<CR><LF>\r\n");
    return fd;
}

struct client *first_client(struct role *role)
{
    assert_false(list_empty(&role->server.crowd.members));
    return CONTAINER(list_first(&role->server.crowd.members), struct client, member.link);
}
