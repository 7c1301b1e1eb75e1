/* What smtp does when as many connections are open as allowed (net/crowd.h): slow clients hear 421 and
 * go. Users who have logged in, relay_networks and the local socket stay. */
#include "server.h"

static struct client *client_of(struct crowd_member *m)
{
    return CONTAINER(m, struct client, member);
}

static bool may_go(struct crowd_member *m)
{
    const struct client *c = client_of(m);

    if (c->who.trusted || c->settings.service == SERVICE_LOCAL_SMTP)
        return false;
    return c->session == NULL || !(smtp_waits(c->session) || smtp_is_known(c->session));
}

static void send_away(struct crowd_member *m)
{
    struct client *c = client_of(m);

    conn_last_words(c->conn, STR("421 4.3.2 Too many connections, and you are slow: try again later\r\n"));
    client_free(c);
}

static void made_room(void *owner, uint64_t n)
{
    (void)owner;
    record_made_room(n);
}

static void open_doors(void *owner, bool open)
{
    struct server *server = owner;

    for (size_t i = 0; i < server->door_count; i++)
        acceptor_enable(server->doors[i].acceptor, open);
}

const struct crowd_rules smtp_crowd_rules = {open_doors, may_go, send_away, made_room};
