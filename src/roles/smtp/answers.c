/* What directory, filter and queue say, and what their silence or death means for the sessions. */
#include "server.h"

#include "base/clock.h"
#include "base/log.h"

/* A question is answered within a minute, a message within ten (RFC 5321 4.5.3.2.6), or not at all. */
#define QUESTION_TIME MINUTE
#define MESSAGE_TIME (10 * MINUTE)

static struct client *asked(struct role *role, struct channel *from, uint64_t id, enum question question)
{
    struct server *server = role_state(role);

    for (struct map_node *n = map_find(&server->asks, map_hash_number(id)); n != NULL; n = map_find_next(n)) {
        struct client *c = CONTAINER(n, struct client, ask_node);

        if (c->ask_id == id && c->question == question && c->directory == from)
            return c;
    }
    return NULL;
}

static void on_rcpt_reply(struct role *role, struct channel *from, const struct msg_rcpt_reply *m)
{
    struct client *c = asked(role, from, m->id, ASK_RCPT);

    if (c == NULL)
        return;
    client_forget_question(c);
    smtp_rcpt_answer(c->session, m->result <= RCPT_TEMPFAIL ? (enum rcpt_result)m->result : RCPT_TEMPFAIL,
        (m->forwards ? SMTP_RCPT_FORWARDS : 0u) | (m->junk ? SMTP_RCPT_JUNK : 0u), m->text);
    client_update(c);
}

static void on_sender_reply(struct role *role, struct channel *from, const struct msg_sender_reply *m)
{
    struct client *c = asked(role, from, m->id, ASK_SENDER);

    if (c == NULL)
        return;
    client_forget_question(c);
    smtp_sender_answer(c->session, m->allowed != 0, m->temporary != 0);
    client_update(c);
}

/* The exchange goes on: the id stays. */
static void on_auth_challenge(struct role *role, struct channel *from, const struct msg_auth_challenge *m)
{
    struct client *c = asked(role, from, m->id, ASK_AUTH);

    if (c == NULL)
        return;
    c->since = 0;
    smtp_auth_challenge(c->session, m->data);
    client_update(c);
}

static void on_auth_done(struct role *role, struct channel *from, const struct msg_auth_done *m)
{
    struct client *c = asked(role, from, m->id, ASK_AUTH);

    if (c == NULL)
        return;
    client_forget_question(c);
    smtp_auth_done(c->session, m->result <= AUTH_TEMPFAIL ? (enum auth_result)m->result : AUTH_TEMPFAIL, m->account,
        (unsigned)m->rights, m->login, m->data);
    client_update(c);
}

static void on_txn_done(struct role *role, struct channel *from, const struct msg_txn_done *m)
{
    struct server *server = role_state(role);
    int64_t said = record_messages();

    if (m->code == 250)
        channel_took(from, HANDOVER_ACCEPTED);
    server->accepted += m->code == 250;
    for (struct map_node *n = map_find(&server->txns, map_hash_number(m->id)); n != NULL; n = map_find_next(n)) {
        struct client *c = CONTAINER(n, struct client, txn_node);

        if (c->txn_id != m->id || c->filter != from)
            continue;
        client_forget_transaction(c);
        smtp_txn_done(c->session, m->code > 599 ? 451 : (unsigned)m->code, m->text);
        client_update(c);
        break;
    }
    server->unsaid += m->code == 250 && record_messages() == said;
}

void server_verify(struct server *server, struct verification *v)
{
    verify_equal(v, "250s of filter, and said or the client was gone", server->accepted,
        record_messages() + server->unsaid, "an answer was lost in smtp: report this, with the log");
}

static void on_queue_state(struct role *role, struct channel *from, const struct msg_queue_state *m)
{
    struct server *server = role_state(role);

    (void)from;
    if (m->shards == 0 || m->shards > SHARDS_MAX || m->shard >= m->shards)
        return;
    server->shard_count = m->shards;
    server->shards[m->shard].refuses = m->accepting == 0;
    str_free(&server->shards[m->shard].reason);
    server->shards[m->shard].reason = str_dup(m->reason);
}

/* Stories of refused messages are a courtesy: what events missed is not told again. */
static void on_event_ack(struct role *role, struct channel *from, const struct msg_event_ack *m)
{
    (void)role;
    (void)from;
    (void)m;
}

const struct handlers smtp_handlers = {
    .rcpt_reply = on_rcpt_reply,
    .sender_reply = on_sender_reply,
    .auth_challenge = on_auth_challenge,
    .auth_done = on_auth_done,
    .txn_done = on_txn_done,
    .queue_state = on_queue_state,
    .event_ack = on_event_ack,
};

/* ---- back-pressure ---- */

static void on_drained(struct role *role, struct channel *channel)
{
    struct server *server = role_state(role);

    LIST_EACH(&server->crowd.members, it) {
        struct client *c = CONTAINER(it, struct client, member.link);

        if (!c->stalled || c->filter != channel)
            continue;
        c->stalled = false;
        client_update(c);
    }
}

void server_peer_up(struct server *server, struct channel *channel)
{
    (void)server;
    if (channel_role(channel) == ROLE_FILTER)
        channel_on_drained(channel, on_drained);
}

/* ---- silence and death ---- */

static void fail_question(struct client *c)
{
    enum question question = c->question;

    client_forget_question(c);
    if (question == ASK_RCPT)
        smtp_rcpt_answer(c->session, RCPT_TEMPFAIL, 0, (struct str){0});
    else if (question == ASK_SENDER)
        smtp_sender_answer(c->session, false, true);
    else if (question == ASK_AUTH)
        smtp_auth_done(c->session, AUTH_TEMPFAIL, 0, 0, (struct str){0}, (struct str){0});
    client_update(c);
}

static void fail_transaction(struct client *c)
{
    client_forget_transaction(c);
    smtp_txn_done(c->session, 451, STR("4.3.0 The message could not be stored, try again later"));
    client_update(c);
}

void server_peer_gone(struct server *server, struct channel *channel)
{
    LIST_EACH(&server->crowd.members, it) {
        struct client *c = CONTAINER(it, struct client, member.link);

        if (c->directory == channel)
            fail_question(c);
        if (c->filter == channel)
            fail_transaction(c);
    }
}

void server_sweep(struct server *server)
{
    int64_t now = clock_monotonic();

    LIST_EACH(&server->crowd.members, it) {
        struct client *c = CONTAINER(it, struct client, member.link);

        if (c->since == 0)
            continue;
        if (c->question != ASK_NOTHING && now - c->since > QUESTION_TIME) {
            log_warning("no-answer", "from=%s", "directory");
            fail_question(c);
        } else if (c->filter != NULL && now - c->since > MESSAGE_TIME) {
            log_warning("no-answer", "from=%s", "filter");
            ipc_send_txn_abort(c->filter, &(struct msg_txn_abort){c->txn_id});
            fail_transaction(c);
        }
    }
}
