/* See domains.h. */
#include "domains.h"

#include <event2/event.h>

static const struct timeval patience = {3, 0};

static void finish(struct domain_wait *wait, enum domain_found found, struct str name)
{
    domains_cancel(wait);
    wait->done(wait, found, name);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    finish(arg, DOMAIN_UNKNOWN, STR(""));
}

void domains_cancel(struct domain_wait *wait)
{
    if (wait->id == 0)
        return;
    wait->id = 0;
    list_remove(&wait->link);
    event_del(&wait->timer);
}

void domains_ask(struct web *web, struct domain_wait *wait, struct str domain)
{
    struct channel *to = role_peer(web->role, ROLE_DIRECTORY, 0);

    if (to == NULL || domain.n > IPC_NAME) {
        wait->done(wait, to == NULL ? DOMAIN_UNKNOWN : DOMAIN_FOREIGN, STR(""));
        return;
    }
    wait->web = web;
    wait->id = role_next_id(web->role);
    list_add_last(&web->domain_waits, &wait->link);
    event_assign(&wait->timer, role_base(web->role), -1, 0, on_timer, wait);
    event_add(&wait->timer, &patience);
    ipc_send_domain_ask(to, &(struct msg_domain_ask){wait->id, domain});
}

void domains_on_reply(struct role *role, struct channel *from, const struct msg_domain_reply *m)
{
    struct web *web = role_state(role);

    (void)from;
    LIST_EACH(&web->domain_waits, it) {
        struct domain_wait *wait = CONTAINER(it, struct domain_wait, link);

        if (wait->id == m->id) {
            finish(wait, m->failed ? DOMAIN_UNKNOWN : m->domain.n > 0 ? DOMAIN_OURS : DOMAIN_FOREIGN, m->domain);
            return;
        }
    }
}

/* Each one finished is taken from the list, and none is added: starting over ends. */
void domains_peer_gone(struct web *web, const struct channel *peer)
{
    if (channel_role(peer) != ROLE_DIRECTORY || channel_copy(peer) != 0)
        return;
    while (!list_empty(&web->domain_waits))
        finish(CONTAINER(list_first(&web->domain_waits), struct domain_wait, link), DOMAIN_UNKNOWN, STR(""));
}
