/* What the access role does with each message, and with peers that go. */
#include "access.h"

struct access *access_of(struct role *role)
{
    return role_state(role);
}

static void on_auth_challenge(struct role *role, struct channel *from, const struct msg_auth_challenge *m)
{
    struct client *c = client_find(access_of(role), from, m->id);

    if (c != NULL)
        auth_challenge(c, m->data);
}

static void on_auth_done(struct role *role, struct channel *from, const struct msg_auth_done *m)
{
    struct client *c = client_find(access_of(role), from, m->id);

    if (c != NULL)
        auth_done(c, m);
}

static struct client *in_session(struct role *role, const struct channel *from, uint64_t id)
{
    struct client *c = client_find(access_of(role), from, id);

    return c != NULL && c->state == CLIENT_SESSION ? c : NULL;
}

static void on_session_data(struct role *role, struct channel *from, const struct msg_session_data *m)
{
    struct client *c = in_session(role, from, m->id);

    if (c != NULL)
        session_data(c, m->data);
}

static void on_session_more(struct role *role, struct channel *from, const struct msg_session_more *m)
{
    struct client *c = in_session(role, from, m->id);

    if (c != NULL)
        session_more(c, m->bytes);
}

static void on_session_close(struct role *role, struct channel *from, const struct msg_session_close *m)
{
    struct client *c = in_session(role, from, m->id);

    if (c != NULL)
        session_closed(c);
}

static void on_session_return(struct role *role, struct channel *from, const struct msg_session_return *m)
{
    struct client *c = in_session(role, from, m->id);

    if (c != NULL)
        session_return(c);
}

static void on_session_back(struct role *role, struct channel *from, const struct msg_session_back *m)
{
    struct client *c = in_session(role, from, m->id);

    if (c != NULL)
        session_back(c, m->left);
}

const struct handlers access_handlers = {
    .auth_challenge = on_auth_challenge,
    .auth_done = on_auth_done,
    .session_data = on_session_data,
    .session_more = on_session_more,
    .session_close = on_session_close,
    .session_return = on_session_return,
    .session_back = on_session_back,
};

void access_peer_gone(struct role *role, struct channel *peer)
{
    struct access *a = access_of(role);

    LIST_EACH(&a->crowd.members, it) {
        struct client *c = CONTAINER(it, struct client, member.link);

        if (c->id == 0 || c->serial != channel_serial(peer))
            continue;
        if (c->state == CLIENT_SESSION)
            session_mailbox_gone(c);
        else
            auth_directory_gone(c);
    }
}

void access_verify(struct role *role, struct verification *v)
{
    const struct access *a = access_of(role);
    int64_t logins = 0, sessions = 0;

    for (struct map_node *n = map_walk(&a->asked, NULL); n != NULL; n = map_walk(&a->asked, n)) {
        const struct client *c = CONTAINER(n, struct client, node);

        logins += c->authenticating;
        sessions += c->state == CLIENT_SESSION;
    }
    verify_questions(v, "logins asked of directory, and answered, under way or given up", &a->logins, logins);
    verify_questions(v, "sessions handed to mailbox, and ended there, open or their user gone", &a->sessions, sessions);
}
