/* Sessions of the administrator. See tunnel.h. */
#include "tunnel.h"
#include "base/clock.h"
#include "base/log.h"
#include "ipc/args.h"

#include <inttypes.h>
#include <stdlib.h>

enum { USAGE = 64, TEMPFAIL = 75 };

/* silence: without a byte in either direction; the other server of an import may take five minutes for an answer. What is said to who was
 * silent is a line of the protocol. */
static const struct {
    const char *name;
    int64_t silence;
    const char *farewell;
} protocols[] = {
    [SESSION_IMAP] = {"imap", 10 * MINUTE, "* BYE nothing came for 10 minutes; start the command again\r\n"},
    [SESSION_BACKUP] = {"backup", 2 * MINUTE, ""}, /* it is in the middle of bytes that it counts */
    [SESSION_RESTORE] = {"restore", 2 * MINUTE, "ERROR 75 nothing came for 2 minutes; start the command again\n"},
    [SESSION_CHECK] = {"check", 2 * MINUTE, "ERROR 75 nothing was read for 2 minutes; start the command again\n"},
};

/* How long the client may take for the last that it is sent: what keeps it then keeps its place among the clients. */
static const int64_t last_words = 30 * SECOND;

struct tunnel {
    struct link link;
    struct web *web;
    struct conn *conn;
    uint64_t id, serial, account;
    unsigned copy, protocol;
    uint64_t credit;  /* bytes we may still send to mailbox */
    uint64_t allowed; /* bytes that mailbox may still send */
    uint64_t owed;    /* of those it has sent */
    bool over;        /* mailbox has ended it */
};

bool tunnel_is_asked(struct str command, struct str args)
{
    return str_eq(command, STR("mailbox")) && str_eq(args_word(args, 0), STR("session"));
}

static struct channel *channel_of(const struct tunnel *t)
{
    struct channel *mailbox = role_peer(t->web->role, ROLE_MAILBOX, t->copy);

    return !t->over && mailbox != NULL && channel_serial(mailbox) == t->serial ? mailbox : NULL;
}

static struct tunnel *find(struct role *role, const struct channel *from, uint64_t id)
{
    struct web *web = role_state(role);

    LIST_EACH(&web->tunnels, it) {
        struct tunnel *t = CONTAINER(it, struct tunnel, link);

        if (t->id == id && t->serial == channel_serial(from) && !t->over)
            return t;
    }
    return NULL;
}

/* ---- opening ---- */

static bool read_args(struct str args, uint64_t *account, unsigned *protocol, struct err *err)
{
    struct str value;

    if (!args_option(args, "account", &value) || !str_to_u64(value, INT64_MAX, account) || *account == 0)
        return err_set(err, ERR_PERMANENT, "account=NUMBER is missing");
    if (!args_option(args, "protocol", &value))
        value = STR("");
    for (*protocol = 0; *protocol < sizeof protocols / sizeof *protocols; ++*protocol)
        if (protocols[*protocol].name != NULL && str_eq(value, str_of(protocols[*protocol].name)))
            return true;
    return err_set(err, ERR_PERMANENT, "protocol=imap, backup, restore or check is missing");
}

static void say_open(struct tunnel *t, unsigned protocol)
{
    struct buf line;

    buf_init(&line, 100);
    buf_addf(&line, "{\"session\":\"%s\"}\n", protocols[protocol].name);
    conn_send(t->conn, buf_str(&line));
    buf_clear(&line);
}

static void on_drained(struct role *role, struct channel *mailbox)
{
    struct web *web = role_state(role);

    LIST_EACH(&web->tunnels, it) {
        struct tunnel *t = CONTAINER(it, struct tunnel, link);

        if (t->serial == channel_serial(mailbox) && t->credit > 0 && !t->over)
            conn_read(t->conn, true);
    }
}

struct tunnel *tunnel_new(struct web *web, struct conn *conn, struct str args, int *code, struct err *err)
{
    struct channel *mailbox;
    uint64_t account;
    unsigned protocol;
    struct tunnel *t;

    *code = USAGE;
    if (!read_args(args, &account, &protocol, err))
        return NULL;
    mailbox = role_peer_for(web->role, ROLE_MAILBOX, account);
    *code = TEMPFAIL;
    if (mailbox == NULL) {
        err_set(err, ERR_TEMPORARY, "mailbox is being started again; try again in a moment");
        return NULL;
    }
    t = xcalloc(1, sizeof *t);
    t->web = web;
    t->conn = conn;
    t->account = account;
    t->protocol = protocol;
    t->id = role_next_id(web->role);
    t->serial = channel_serial(mailbox);
    t->copy = channel_copy(mailbox);
    t->credit = SESSION_WINDOW;
    t->allowed = SESSION_OUTPUT_WINDOW;
    list_add_last(&web->tunnels, &t->link);
    channel_on_drained(mailbox, on_drained);
    channel_gave(mailbox, HANDOVER_SESSION);
    say_open(t, protocol);
    ipc_send_session_open(mailbox, &(struct msg_session_open){.id = t->id, .protocol = protocol, .flags = SESSION_ADMIN,
        .account = account, .login = STR("administrator"), .client = STR("127.0.0.1"), .tag = STR("0")});
    conn_idle_limit(conn, protocols[protocol].silence);
    conn_read(conn, true);
    return t;
}

void tunnel_timed_out(struct tunnel *t)
{
    if (t == NULL || t->over)
        return;
    log_warning("session-silent", "account=%" PRIu64 " protocol=%s reason=the client neither says nor reads anything", t->account,
        protocols[t->protocol].name);
    conn_last_words(t->conn, str_of(protocols[t->protocol].farewell));
}

void tunnel_free(struct tunnel *t)
{
    struct channel *mailbox;

    if (t == NULL)
        return;
    mailbox = channel_of(t);
    if (mailbox != NULL)
        ipc_send_session_close(mailbox, &(struct msg_session_close){t->id});
    list_remove(&t->link);
    free(t);
}

/* ---- from the client ---- */

size_t tunnel_input(struct tunnel *t, struct str bytes)
{
    struct channel *mailbox = channel_of(t);
    size_t n = bytes.n < t->credit ? bytes.n : (size_t)t->credit;

    if (mailbox == NULL)
        return bytes.n;
    if (n > IPC_CHUNK)
        n = IPC_CHUNK;
    if (n > 0)
        ipc_send_session_data(mailbox, &(struct msg_session_data){t->id, str_sub(bytes, 0, n)});
    t->credit -= n;
    if (t->credit == 0 || channel_backlog(mailbox) > CHANNEL_HIGH)
        conn_read(t->conn, false);
    return n;
}

static void grant(struct tunnel *t)
{
    struct channel *mailbox = channel_of(t);

    if (mailbox == NULL || t->owed == 0)
        return;
    ipc_send_session_more(mailbox, &(struct msg_session_more){t->id, t->owed});
    t->allowed += t->owed;
    t->owed = 0;
}

void tunnel_output_sent(struct tunnel *t)
{
    if (t->over)
        return;
    conn_idle_limit(t->conn, protocols[t->protocol].silence);
    grant(t);
}

/* ---- from mailbox ---- */

static void end(struct tunnel *t)
{
    t->over = true;
    conn_read(t->conn, false);
    conn_close_when_sent(t->conn); /* the client is freed then, and this with it */
    conn_total_limit(t->conn, last_words);
}

void tunnels_data(struct role *role, struct channel *from, const struct msg_session_data *m)
{
    struct tunnel *t = find(role, from, m->id);

    if (t == NULL)
        return;
    if (m->data.n > t->allowed) {
        log_warning("session-flooded", "reason=mailbox sent more than it may");
        ipc_send_session_close(from, &(struct msg_session_close){t->id});
        end(t);
        return;
    }
    t->allowed -= m->data.n;
    t->owed += m->data.n;
    conn_send(t->conn, m->data);
    conn_idle_limit(t->conn, protocols[t->protocol].silence);
    if (conn_output_waiting(t->conn) <= CONN_OUTPUT_HIGH)
        grant(t);
}

void tunnels_more(struct role *role, struct channel *from, const struct msg_session_more *m)
{
    struct tunnel *t = find(role, from, m->id);

    if (t == NULL || m->bytes > SESSION_WINDOW || t->credit + m->bytes > SESSION_WINDOW)
        return;
    t->credit += m->bytes;
    if (t->credit > 0 && channel_backlog(from) <= CHANNEL_HIGH)
        conn_read(t->conn, true);
}

void tunnels_close(struct role *role, struct channel *from, const struct msg_session_close *m)
{
    struct tunnel *t = find(role, from, m->id);

    if (t != NULL)
        end(t);
}

void tunnels_peer_gone(struct web *web, const struct channel *peer)
{
    LIST_EACH(&web->tunnels, it) {
        struct tunnel *t = CONTAINER(it, struct tunnel, link);

        if (t->serial == channel_serial(peer) && !t->over)
            end(t);
    }
}

void tunnels_finish(struct web *web)
{
    LIST_EACH(&web->tunnels, it) {
        struct tunnel *t = CONTAINER(it, struct tunnel, link);
        struct channel *mailbox = channel_of(t);

        if (mailbox != NULL)
            ipc_send_session_finish(mailbox, &(struct msg_session_finish){t->id});
    }
}
