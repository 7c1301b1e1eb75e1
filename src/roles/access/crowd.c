/* What access does when as many connections are open as allowed (net/crowd.h): who has not logged in
 * within some seconds goes, silent, dripping, guessing passwords or leaving a challenge unanswered.
 * Users stay, and so does whose password directory is looking at. */
#include "access.h"
#include "base/log.h"

static struct client *client_of(struct crowd_member *m)
{
    return CONTAINER(m, struct client, member);
}

static bool may_go(struct crowd_member *m)
{
    const struct client *c = client_of(m);

    return c->logged_in == 0 && !(c->authenticating && c->protocol->waits(c->machine));
}

static void send_away(struct crowd_member *m)
{
    struct client *c = client_of(m);

    if (c->state == CLIENT_LOGIN)
        conn_last_words(c->conn, str_of(c->protocol->refusal));
    client_free(c);
}

static void made_room(void *owner, uint64_t n)
{
    (void)owner;
    client_made_room(n);
    log_warning("slow-clients-cut", "count=%llu reason=all places are taken", (unsigned long long)n);
}

static void open_doors(void *owner, bool open)
{
    struct access *a = owner;

    LIST_EACH(&a->listeners, it)
        acceptor_enable(CONTAINER(it, struct listener, link)->acceptor, open);
}

const struct crowd_rules access_crowd_rules = {open_doors, may_go, send_away, made_room};
