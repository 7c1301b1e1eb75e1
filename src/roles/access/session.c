/* After login: bytes from the client to the mailbox that owns the account, and back.
 *
 * The client has at most SESSION_WINDOW bytes in flight, mailbox SESSION_OUTPUT_WINDOW. Out of credit, or with a full channel, the
 * client is not read; what mailbox sent is granted again once the client has taken it, so a client
 * that does not read costs its output mark and one window. */
#include "access.h"
#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>

static struct channel *channel_of(const struct client *c)
{
    struct channel *mailbox = role_peer(c->access->role, ROLE_MAILBOX, c->copy);

    return mailbox != NULL && channel_serial(mailbox) == c->serial ? mailbox : NULL;
}

static void on_drained(struct role *role, struct channel *mailbox)
{
    struct access *a = access_of(role);

    LIST_EACH(&a->crowd.members, it) {
        struct client *c = CONTAINER(it, struct client, member.link);

        if (c->state == CLIENT_SESSION && c->serial == channel_serial(mailbox) && c->credit > 0 && !c->returning)
            conn_read(c->conn, true);
    }
}

/* How long a session may be silent, and last. */
static void limit_time(struct client *c)
{
    const struct config *config = role_config(c->access->role);
    bool imap = c->protocol->session == SESSION_IMAP;

    conn_total_limit(c->conn, imap ? 0 : config->limits.pop3_session_time);
    conn_idle_limit(c->conn, imap ? config->limits.imap_idle_time : config->limits.pop3_idle_time);
}

void session_begin(struct client *c, unsigned flags, struct str tag)
{
    struct role *role = c->access->role;
    struct channel *mailbox = role_peer_for(role, ROLE_MAILBOX, c->account);
    char address[IP_TEXT];

    if (mailbox == NULL) {
        client_bye(c, "The mailbox is not available now, try again later");
        return;
    }
    if (conn_is_secure(c->conn))
        flags |= SESSION_TLS;
    ip_format(&c->ip, address);
    client_ask(c, mailbox);
    channel_on_drained(mailbox, on_drained);
    c->state = CLIENT_SESSION;
    c->access->sessions.came++;
    channel_gave(mailbox, HANDOVER_SESSION);
    c->credit = SESSION_WINDOW;
    c->allowed = SESSION_OUTPUT_WINDOW;
    limit_time(c);
    ipc_send_session_open(mailbox, &(struct msg_session_open){.id = c->id, .protocol = c->protocol->session,
        .flags = flags, .account = c->account, .login = c->login, .client = str_of(address), .tag = tag});
    conn_read(c->conn, true);
    if (!c->feeding)
        session_take_ahead(c);
}

void session_take_ahead(struct client *c)
{
    struct buf bytes = c->ahead;

    if (bytes.n == 0)
        return;
    buf_init(&c->ahead, SESSION_WINDOW);
    (void)session_input(c, buf_str(&bytes)); /* there is credit for all of it */
    buf_clear(&bytes);
}

size_t session_input(struct client *c, struct str bytes)
{
    struct channel *mailbox = channel_of(c);
    size_t n = bytes.n;

    if (mailbox == NULL)
        return bytes.n; /* mailbox_gone closes it */
    if (n > c->credit)
        n = (size_t)c->credit;
    if (n > 0)
        ipc_send_session_data(mailbox, &(struct msg_session_data){c->id, str_sub(bytes, 0, n)});
    c->credit -= n;
    c->bytes_in += n;
    if (c->credit == 0 || channel_backlog(mailbox) > CHANNEL_HIGH)
        conn_read(c->conn, false);
    return n;
}

static void grant(struct client *c)
{
    struct channel *mailbox = channel_of(c);

    if (mailbox == NULL || c->owed == 0)
        return;
    ipc_send_session_more(mailbox, &(struct msg_session_more){c->id, c->owed});
    c->allowed += c->owed;
    c->owed = 0;
}

void session_output_sent(struct client *c)
{
    grant(c);
}

void session_data(struct client *c, struct str data)
{
    if (data.n > c->allowed) {
        log_warning("session-flooded", "account=%" PRIu64 " reason=mailbox sent more than it may", c->account);
        session_abandon(c);
        client_close(c);
        return;
    }
    c->answered = true;
    c->allowed -= data.n;
    c->owed += data.n;
    c->bytes_out += data.n;
    conn_send(c->conn, data);
    if (conn_output_waiting(c->conn) <= CONN_OUTPUT_HIGH)
        grant(c);
}

void session_more(struct client *c, uint64_t bytes)
{
    struct channel *mailbox = channel_of(c);

    if (bytes > SESSION_WINDOW || c->credit + bytes > SESSION_WINDOW)
        return;
    c->credit += bytes;
    if (c->credit > 0 && !c->returning && mailbox != NULL && channel_backlog(mailbox) <= CHANNEL_HIGH)
        conn_read(c->conn, true);
}

void session_closed(struct client *c)
{
    c->access->sessions.answered++;
    client_asked_nothing(c);
    client_close(c);
}

/* Everything that was sent so far is before this answer. */
void session_return(struct client *c)
{
    struct channel *mailbox = channel_of(c);

    if (mailbox == NULL || c->returning)
        return;
    c->returning = true;
    conn_read(c->conn, false);
    ipc_send_session_stopped(mailbox, &(struct msg_session_stopped){c->id});
}

void session_back(struct client *c, struct str left)
{
    char address[IP_TEXT];

    if (!c->returning || left.n > SESSION_WINDOW || c->protocol->session != SESSION_IMAP)
        return;
    ip_format(&c->ip, address);
    log_info("unauthenticated", "client=%s login=%.*s account=%" PRIu64, address, STR_ARG(c->login), c->account);
    c->access->sessions.answered++;
    client_asked_nothing(c);
    client_login_again(c, left);
    if (c->access->drain_until != 0)
        client_bye(c, "The server is shutting down, try again later");
}

void session_finish(struct client *c)
{
    struct channel *mailbox = channel_of(c);

    if (mailbox != NULL && c->id != 0)
        ipc_send_session_finish(mailbox, &(struct msg_session_finish){c->id});
}

void session_abandon(struct client *c)
{
    struct channel *mailbox = channel_of(c);

    c->access->sessions.gone += c->id != 0;
    if (mailbox != NULL && c->id != 0)
        ipc_send_session_close(mailbox, &(struct msg_session_close){c->id});
    client_asked_nothing(c);
}

void session_mailbox_gone(struct client *c)
{
    c->access->sessions.gone++;
    client_asked_nothing(c);
    client_bye(c, "The mailbox is not available now, try again later");
}
