/* What a session needs from the world, by way of channels and clocks. */
#include "server.h"

#include "base/clock.h"

#include <string.h>

static struct role *role_of(struct client *c)
{
    return c->server->role;
}

static void world_send(void *w, struct str bytes)
{
    conn_send(((struct client *)w)->conn, bytes);
}

static bool world_full(void *w)
{
    return conn_output_waiting(((struct client *)w)->conn) > CONN_OUTPUT_HIGH;
}

static void world_close(void *w)
{
    conn_close_when_sent(((struct client *)w)->conn);
}

static void world_start_tls(void *w)
{
    struct client *c = w;

    if (c->server->tls != NULL)
        conn_start_tls_server(c->conn, tls_server_context(c->server->tls));
    else
        conn_close_when_sent(c->conn); /* a reload took the certificate away */
}

static void world_delay(void *w, int64_t span)
{
    struct client *c = w;
    struct timeval tv = {.tv_sec = (time_t)(span / SECOND), .tv_usec = (suseconds_t)(span % SECOND)};

    event_add(&c->delay, &tv);
}

static int64_t world_now(void *w)
{
    (void)w;
    return clock_now();
}

/* ---- limits of the address ---- */

static bool world_spend(void *w, enum smtp_budget what)
{
    struct client *c = w;
    const struct smtp_client *who = smtp_client_of(c->session);
    const struct config *config = role_config(role_of(c));
    bool messages = what == SMTP_BUDGET_MESSAGES;
    int64_t most = messages ? config->limits.messages_per_address : config->limits.recipients_per_address;

    if (who->trusted || who->loopback || who->ip.family == 0)
        return true;
    return limit_count(c->server->limits, &who->ip, messages ? LIMIT_MESSAGES : LIMIT_RECIPIENTS, (uint64_t)most,
        clock_monotonic());
}

static unsigned world_login_failed(void *w, bool *banned)
{
    struct client *c = w;
    const struct smtp_client *who = smtp_client_of(c->session);
    const struct config *config = role_config(role_of(c));
    int64_t now = clock_monotonic();
    unsigned count;

    *banned = false;
    if (who->trusted || who->loopback)
        return 1; /* one address, many people: directory counts by login */
    count = limit_login_failed(c->server->limits, &who->ip, (uint64_t)config->limits.login_failures,
        config->limits.ban_time, now);
    *banned = limit_banned(c->server->limits, &who->ip, now);
    return count;
}

/* ---- directory ---- */

void client_forget_question(struct client *c)
{
    map_remove(&c->server->asks, &c->ask_node);
    c->question = ASK_NOTHING;
    c->directory = NULL;
    c->since = 0;
}

/* A new question to this copy of directory; NULL is passed on as "not there". */
static struct channel *ask(struct client *c, enum question question, struct channel *to)
{
    client_forget_question(c);
    if (to == NULL)
        return NULL;
    c->ask_id = role_next_id(role_of(c));
    c->question = question;
    c->directory = to;
    c->since = clock_monotonic();
    map_add(&c->server->asks, &c->ask_node, map_hash_number(c->ask_id));
    return to;
}

static void world_ask_rcpt(void *w, uint64_t account, bool first, bool bounce, struct str address)
{
    struct client *c = w;
    struct channel *to = ask(c, ASK_RCPT, role_peer(role_of(c), ROLE_DIRECTORY, 0));

    if (to == NULL)
        smtp_rcpt_answer(c->session, RCPT_TEMPFAIL, 0, (struct str){0});
    else
        ipc_send_rcpt_ask(to, &(struct msg_rcpt_ask){c->ask_id, account, first, bounce, address});
}

static void world_ask_sender(void *w, uint64_t account, struct str address)
{
    struct client *c = w;
    struct channel *to = ask(c, ASK_SENDER, role_peer(role_of(c), ROLE_DIRECTORY, 0));

    if (to == NULL)
        smtp_sender_answer(c->session, false, true);
    else
        ipc_send_sender_ask(to, &(struct msg_sender_ask){c->ask_id, account, address});
}

/* Passwords are checked by the copies after the first, so that look-ups never wait for Argon2. */
static struct channel *some_password_checker(struct role *role, uint64_t choice)
{
    unsigned n = role_peers(role, ROLE_DIRECTORY);

    for (unsigned i = 0; n > 1 && i < n - 1; i++) {
        struct channel *c = role_peer(role, ROLE_DIRECTORY, 1 + (unsigned)((choice + i) % (n - 1)));

        if (c != NULL)
            return c;
    }
    return n == 1 ? role_peer(role, ROLE_DIRECTORY, 0) : NULL;
}

static void auth_unavailable(struct client *c)
{
    smtp_auth_done(c->session, AUTH_TEMPFAIL, 0, 0, (struct str){0}, (struct str){0});
}

static void world_auth_begin(void *w, struct str mechanism, bool has_initial, struct str initial)
{
    struct client *c = w;
    struct channel *to = ask(c, ASK_AUTH, some_password_checker(role_of(c), role_next_id(role_of(c))));
    char unique[128], exporter[32], ip[IP_TEXT];
    size_t n_unique = 0;
    bool has_exporter;

    if (to == NULL) {
        auth_unavailable(c);
        return;
    }
    if (!conn_tls_unique(c->conn, unique, sizeof unique, &n_unique))
        n_unique = 0;
    has_exporter = conn_tls_exporter(c->conn, exporter);
    ip_format(&smtp_client_of(c->session)->ip, ip);
    ipc_send_auth_begin(to, &(struct msg_auth_begin){.id = c->ask_id, .service = STR("smtp"), .mechanism = mechanism,
                                .has_initial = has_initial, .initial = initial, .client = str_of(ip),
                                .tls_unique = str_from(unique, n_unique),
                                .tls_exporter = str_from(exporter, has_exporter ? sizeof exporter : 0)});
}

static void world_auth_step(void *w, struct str data)
{
    struct client *c = w;

    if (c->question != ASK_AUTH || c->directory == NULL) {
        auth_unavailable(c);
        return;
    }
    c->since = clock_monotonic();
    ipc_send_auth_step(c->directory, &(struct msg_auth_step){c->ask_id, data});
}

static void world_auth_cancel(void *w)
{
    struct client *c = w;

    if (c->question == ASK_AUTH && c->directory != NULL)
        ipc_send_auth_cancel(c->directory, &(struct msg_auth_cancel){c->ask_id});
    client_forget_question(c);
}

/* ---- filter ---- */

void client_forget_transaction(struct client *c)
{
    map_remove(&c->server->txns, &c->txn_node);
    c->filter = NULL;
    c->unsent = NULL;
    c->stalled = false;
    c->since = 0;
}

/* The shard that would take the message follows from its id: a few tries find one that is willing. */
static uint64_t world_offer(void *w, struct str *why)
{
    struct server *server = ((struct client *)w)->server;
    uint64_t id = 0;

    for (unsigned i = 0; i < 8 + server->shard_count; i++) {
        uint64_t shard;

        id = msgid_new();
        shard = server->shard_count > 0 ? id % server->shard_count : 0;
        if (server->shard_count == 0 || !server->shards[shard].refuses)
            return id;
        *why = server->shards[shard].reason;
    }
    return 0;
}

static struct channel *filter_for(struct role *role, uint64_t message)
{
    unsigned n = role_peers(role, ROLE_FILTER);

    for (unsigned i = 0; i < n; i++) {
        struct channel *c = role_peer(role, ROLE_FILTER, (unsigned)((message + i) % n));

        if (c != NULL)
            return c;
    }
    return NULL;
}

static bool world_begin(void *w, const struct smtp_txn *t)
{
    struct client *c = w;
    struct channel *to = filter_for(role_of(c), t->message);

    if (to == NULL)
        return false;
    c->txn_id = role_next_id(role_of(c));
    c->filter = to;
    map_add(&c->server->txns, &c->txn_node, map_hash_number(c->txn_id));
    c->unsent = t;
    return true;
}

/* The envelope waits for the first content: one wake-up of filter and queue less a message. */
static void send_envelope(struct client *c)
{
    const struct smtp_txn *t = c->unsent;

    if (t == NULL)
        return;
    c->unsent = NULL;
    ipc_send_txn_begin(c->filter, &(struct msg_txn_begin){.id = c->txn_id, .message = t->message, .flags = t->flags,
                                      .account = t->account, .size = t->size, .priority = t->priority,
                                      .hold_until = t->hold_until, .deliver_by = t->deliver_by, .sender = t->sender,
                                      .envid = t->envid, .login = t->login, .client = t->client, .helo = t->helo,
                                      .protocol = t->protocol, .tls = t->tls, .trace = t->trace});
    for (const struct smtp_rcpt *r = t->first; r != NULL; r = r->next)
        ipc_send_txn_rcpt(c->filter, &(struct msg_txn_rcpt){c->txn_id, r->notify, r->forwards, r->address, r->orcpt});
}

static void world_chunk(void *w, struct str data)
{
    struct client *c = w;

    if (c->filter == NULL)
        return;
    send_envelope(c);
    ipc_send_txn_chunk(c->filter, &(struct msg_txn_chunk){c->txn_id, data});
    if (channel_backlog(c->filter) > CHANNEL_HIGH)
        c->stalled = true;
}

static void world_end(void *w)
{
    struct client *c = w;

    c->since = c->ended = clock_monotonic();
    if (c->filter == NULL)
        return;
    send_envelope(c);
    ipc_send_txn_end(c->filter, &(struct msg_txn_end){.id = c->txn_id});
}

static void world_abort(void *w)
{
    struct client *c = w;

    if (c->filter != NULL && c->unsent == NULL)
        ipc_send_txn_abort(c->filter, &(struct msg_txn_abort){c->txn_id});
    client_forget_transaction(c);
}

static void world_note(void *w, enum smtp_note note, struct str subject, unsigned code, struct str text)
{
    struct client *c = w;

    if (note == SMTP_NOTE_MESSAGE_TAKEN)
        crowd_useful(&c->member);
    record_note(c, note, subject, code, text);
}

static void world_client_changed(void *w, struct smtp_client *who)
{
    client_judge(w, who);
}

const struct smtp_world smtp_real_world = {
    .send = world_send,
    .full = world_full,
    .close = world_close,
    .start_tls = world_start_tls,
    .delay = world_delay,
    .now = world_now,
    .spend = world_spend,
    .login_failed = world_login_failed,
    .ask_rcpt = world_ask_rcpt,
    .ask_sender = world_ask_sender,
    .auth_begin = world_auth_begin,
    .auth_step = world_auth_step,
    .auth_cancel = world_auth_cancel,
    .offer = world_offer,
    .begin = world_begin,
    .chunk = world_chunk,
    .end = world_end,
    .abort = world_abort,
    .note = world_note,
    .client_changed = world_client_changed,
};
