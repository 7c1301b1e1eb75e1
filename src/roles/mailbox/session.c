/* Sessions after login. See session.h. */
#include "session.h"
#include "base/clock.h"
#include "base/ip.h"
#include "base/log.h"
#include "base/metric.h"
#include "backup.h"
#include "imap_session.h"
#include "pop3_session.h"

#include <inttypes.h>
#include <stdlib.h>

enum { SESSIONS_MOST = 20000 };

struct session {
    struct map_node node;
    struct link ready; /* wants a turn */
    struct sessions *all;
    const struct protocol *protocol;
    void *machine;
    uint64_t serial, id;
    enum role_id peer; /* access, or web for the administrator */
    unsigned copy;     /* of it */
    struct session_info info;
    uint64_t window;  /* bytes of output in flight: POP3 sends whole messages one after the other, and needs less */
    uint64_t credit;  /* of them, what we may still send */
    uint64_t granted; /* bytes access may still send */
    bool ending;      /* the machine is done: only its output is left */
    bool returning;   /* the same, but the connection goes back to access */
    bool asked;       /* for that */
    struct link left; /* goes on without its client */
    struct link timed; /* wants a turn at: */
    int64_t due;
};

struct sessions {
    struct role *role;
    struct boxes *boxes;
    struct accounts *accounts;
    struct map map;
    struct list ready;
    struct list left;
    size_t left_count;
    struct list timed; /* the next one first */
};

static struct metric open_now = METRIC_GAUGE("staffetta_mailbox_sessions", "Sessions after login.");
static struct metric opened = METRIC_COUNTER("staffetta_mailbox_sessions_total", "Sessions opened.");
static struct metric refused = METRIC_COUNTER("staffetta_mailbox_sessions_refused_total",
    "Sessions that could not be opened.");

static const struct protocol *const protocols[] = {[SESSION_POP3] = &pop3_protocol, [SESSION_IMAP] = &imap_protocol,
    [SESSION_BACKUP] = &backup_protocol, [SESSION_RESTORE] = &restore_protocol, [SESSION_CHECK] = &check_protocol};

struct sessions *sessions_new(struct role *role, struct boxes *boxes, struct accounts *accounts)
{
    struct sessions *all = xcalloc(1, sizeof *all);

    all->role = role;
    all->boxes = boxes;
    all->accounts = accounts;
    map_init(&all->map);
    list_init(&all->ready);
    list_init(&all->left);
    list_init(&all->timed);
    metric_show(&open_now);
    return all;
}

const struct session_info *session_info(const struct session *s)
{
    return &s->info;
}

size_t sessions_count(const struct sessions *all)
{
    return all->map.count + all->left_count;
}

bool sessions_ready(const struct sessions *all)
{
    return !list_empty(&all->ready);
}

static struct session *find(struct sessions *all, const struct channel *from, uint64_t id)
{
    for (struct map_node *n = map_find(&all->map, map_hash_number(id)); n != NULL; n = map_find_next(n)) {
        struct session *s = CONTAINER(n, struct session, node);

        if (s->id == id && s->serial == channel_serial(from))
            return s;
    }
    return NULL;
}

static struct channel *channel_of(const struct session *s)
{
    struct channel *access = role_peer(s->all->role, s->peer, s->copy);

    return access != NULL && channel_serial(access) == s->serial ? access : NULL;
}

static void session_free(struct session *s)
{
    if (s->machine != NULL)
        s->protocol->close(s->machine);
    map_remove(&s->all->map, &s->node);
    list_remove(&s->ready);
    list_remove(&s->timed);
    if (link_in_list(&s->left)) {
        list_remove(&s->left);
        s->all->left_count--;
        s->info.box->left--;
    }
    if (s->info.box != NULL) {
        s->info.box->sessions--;
        box_leave(s->info.box);
    }
    metric_set(&open_now, (int64_t)s->all->map.count);
    str_free(&s->info.login);
    str_free(&s->info.client);
    str_free(&s->info.tag);
    free(s);
}

/* The client is gone: so is the session, unless others would lose what it is doing. */
static void session_leave(struct session *s)
{
    struct box *box = s->info.box;

    if (s->machine == NULL || s->protocol->go_on == NULL || box->left == SESSIONS_LEFT || !s->protocol->go_on(s->machine)) {
        session_free(s);
        return;
    }
    map_remove(&s->all->map, &s->node);
    metric_set(&open_now, (int64_t)s->all->map.count);
    list_add_last(&s->all->left, &s->left);
    s->all->left_count++;
    box->left++;
    session_wake(s);
}

static void tell_access(const struct session *s)
{
    struct channel *access = channel_of(s);

    if (access != NULL)
        ipc_send_session_close(access, &(struct msg_session_close){s->id});
}

/* Nobody waits for it any more, the client cannot be heard. */
static void session_end(struct session *s)
{
    tell_access(s);
    session_leave(s);
}

/* The account itself is going away. */
static void session_cut(struct session *s)
{
    if (!link_in_list(&s->left))
        tell_access(s);
    session_free(s);
}

static bool uses(const struct session *s, int64_t account)
{
    const struct box *box = boxes_find(s->all->boxes, account);

    if (box != NULL && s->protocol->forget != NULL && s->machine != NULL)
        s->protocol->forget(s->machine, box);
    return s->info.account == account ||
           (box != NULL && s->protocol->uses != NULL && s->machine != NULL && s->protocol->uses(s->machine, box));
}

static void end_account(struct sessions *all, int64_t account, const struct session *except)
{
    for (struct map_node *n = map_walk(&all->map, NULL), *next; n != NULL; n = next) {
        struct session *s = CONTAINER(n, struct session, node);

        next = map_walk(&all->map, n);
        if (s != except && uses(s, account))
            session_cut(s);
    }
    LIST_EACH(&all->left, it) {
        struct session *s = CONTAINER(it, struct session, left);

        if (uses(s, account))
            session_cut(s);
    }
}

void sessions_free(struct sessions *all)
{
    if (all == NULL)
        return;
    for (struct map_node *n; (n = map_walk(&all->map, NULL)) != NULL;)
        session_free(CONTAINER(n, struct session, node));
    LIST_EACH(&all->left, it)
        session_free(CONTAINER(it, struct session, left));
    map_clear(&all->map);
    free(all);
}

void session_wake(struct session *s)
{
    if (!link_in_list(&s->ready))
        list_add_last(&s->all->ready, &s->ready);
}

int64_t session_wake_later(struct session *s)
{
    s->due = clock_monotonic() + SESSION_LATER;
    list_remove(&s->timed);
    list_add_last(&s->all->timed, &s->timed);
    return s->due;
}

int64_t sessions_due(const struct sessions *all)
{
    return list_empty(&all->timed) ? INT64_MAX : CONTAINER(list_first(&all->timed), struct session, timed)->due;
}

static void wake_due(struct sessions *all)
{
    LIST_EACH(&all->timed, it) {
        struct session *s = CONTAINER(it, struct session, timed);

        if (s->due > clock_monotonic())
            return;
        list_remove(it);
        session_wake(s);
    }
}

/* ---- opening ---- */

static struct session *add(struct sessions *all, struct channel *from, const struct msg_session_open *m)
{
    struct session *s = xcalloc(1, sizeof *s);
    struct ip client;

    s->all = all;
    s->serial = channel_serial(from);
    s->peer = channel_role(from);
    s->copy = channel_copy(from);
    s->id = m->id;
    s->window = m->protocol == SESSION_POP3 ? SESSION_WINDOW : SESSION_OUTPUT_WINDOW;
    s->credit = s->window;
    s->granted = SESSION_WINDOW;
    s->info.account = (int64_t)m->account;
    s->info.accounts = all->accounts;
    s->info.message_limit = (uint64_t)role_config(all->role)->limits.message_size;
    s->info.command_limit = (m->flags & SESSION_ADMIN) != 0 ? 0 : (uint32_t)role_config(all->role)->limits.imap_message_limit;
    s->info.flags = m->flags;
    s->info.login = str_dup(m->login);
    s->info.client = str_dup(m->client);
    s->info.tag = str_dup(m->tag);
    s->info.loopback = ip_parse(m->client, &client) && ip_is_loopback(&client);
    map_add(&all->map, &s->node, map_hash_number(s->id));
    metric_set(&open_now, (int64_t)all->map.count);
    return s;
}

/* What only the administrator may have. */
static bool allowed(const struct channel *from, const struct msg_session_open *m)
{
    return channel_role(from) == ROLE_WEB || (m->protocol <= SESSION_IMAP && (m->flags & SESSION_ADMIN) == 0);
}

static bool sane(const struct sessions *all, const struct channel *from, const struct msg_session_open *m)
{
    return m->protocol < sizeof protocols / sizeof *protocols && allowed(from, m) && m->account > 0 &&
           m->account <= INT64_MAX && sessions_count(all) < SESSIONS_MOST &&
           m->account % role_copies(all->role) == role_copy(all->role);
}

enum refusal { REFUSED_UNAVAILABLE, REFUSED_CROWDED };

/* No machine can speak yet. The tag of IMAP comes before its text. */
static void refuse(struct channel *from, const struct msg_session_open *m, enum refusal refusal, const char *why)
{
    static const char *const pop3[] = {
        [REFUSED_UNAVAILABLE] = "-ERR [SYS/TEMP] The mailbox cannot be opened now, try again later\r\n",
        [REFUSED_CROWDED] = "-ERR [IN-USE] This account has too many connections\r\n",
    };
    static const char *const imap[] = {
        [REFUSED_UNAVAILABLE] = "* BYE [UNAVAILABLE] The mailbox cannot be opened now, try again later\r\n",
        [REFUSED_CROWDED] = " NO [LIMIT] This account has too many connections\r\n* BYE Too many connections\r\n",
    };
    struct buf text;

    metric_add(&refused, 1);
    log_warning("session-refused", "account=%" PRIu64 " client=%.*s reason=%s", m->account,
        STR_ARG(m->client), why);
    buf_init(&text, IPC_CHUNK);
    if (m->protocol == SESSION_IMAP && refusal == REFUSED_CROWDED)
        buf_add(&text, m->tag);
    if (m->protocol == SESSION_POP3 || m->protocol == SESSION_IMAP)
        buf_add(&text, str_of((m->protocol == SESSION_POP3 ? pop3 : imap)[refusal]));
    if (text.n > 0)
        ipc_send_session_data(from, &(struct msg_session_data){m->id, buf_str(&text)});
    ipc_send_session_close(from, &(struct msg_session_close){m->id});
    buf_clear(&text);
}

static void session_input(struct session *s, struct str bytes)
{
    if (bytes.n > s->granted || !s->protocol->input(s->machine, bytes)) {
        log_warning("session-flooded", "account=%" PRId64, s->info.account);
        session_end(s);
        return;
    }
    s->granted -= bytes.n;
    session_wake(s);
}

/* False: it was refused and is gone. */
static bool enter_box(struct session *s, struct channel *from, const struct msg_session_open *m)
{
    uint64_t most = (uint64_t)role_config(s->all->role)->limits.connections_per_account;
    struct err err = {0};

    s->info.box = boxes_enter(s->all->boxes, s->info.account, &err);
    if (s->info.box == NULL) {
        refuse(from, m, REFUSED_UNAVAILABLE, err.text);
        session_free(s);
        return false;
    }
    if (s->info.box->sessions++ >= most && (m->flags & SESSION_ADMIN) == 0) {
        refuse(from, m, REFUSED_CROWDED, "too many sessions of this account");
        session_free(s);
        return false;
    }
    return true;
}

void sessions_start(struct sessions *all, struct channel *from, const struct msg_session_open *m)
{
    struct session *s;

    if (find(all, from, m->id) != NULL)
        return;
    if (!sane(all, from, m)) {
        refuse(from, m, REFUSED_UNAVAILABLE, "not one of ours, or too many sessions");
        return;
    }
    s = add(all, from, m);
    if (!protocols[m->protocol]->without_box && !enter_box(s, from, m))
        return;
    metric_add(&opened, 1);
    s->protocol = protocols[m->protocol];
    s->machine = s->protocol->open(s);
    session_input(s, m->input);
}

/* ---- while open ---- */

void sessions_data(struct sessions *all, struct channel *from, const struct msg_session_data *m)
{
    struct session *s = find(all, from, m->id);

    if (s != NULL)
        session_input(s, m->data);
}

void sessions_more(struct sessions *all, struct channel *from, const struct msg_session_more *m)
{
    struct session *s = find(all, from, m->id);

    if (s == NULL)
        return;
    if (m->bytes > s->window || s->credit + m->bytes > s->window) {
        log_warning("session-credit", "account=%" PRId64, s->info.account);
        session_end(s);
        return;
    }
    s->credit += m->bytes;
    session_wake(s);
}

void sessions_close(struct sessions *all, struct channel *from, const struct msg_session_close *m)
{
    struct session *s = find(all, from, m->id);

    if (s != NULL)
        session_leave(s);
}

void sessions_finish(struct sessions *all, struct channel *from, const struct msg_session_finish *m)
{
    struct session *s = find(all, from, m->id);

    if (s == NULL || s->protocol->finish == NULL)
        return;
    s->protocol->finish(s->machine);
    session_wake(s);
}

void sessions_stopped(struct sessions *all, struct channel *from, const struct msg_session_stopped *m)
{
    struct session *s = find(all, from, m->id);
    struct str left;

    if (s == NULL || !s->asked)
        return;
    left = s->protocol->left(s->machine);
    if (left.n <= IPC_CHUNK)
        ipc_send_session_back(from, &(struct msg_session_back){s->id, left});
    else
        ipc_send_session_close(from, &(struct msg_session_close){s->id});
    session_free(s);
}

void sessions_peer_gone(struct sessions *all, struct channel *access)
{
    for (struct map_node *n = map_walk(&all->map, NULL), *next; n != NULL; n = next) {
        struct session *s = CONTAINER(n, struct session, node);

        next = map_walk(&all->map, n);
        if (s->serial == channel_serial(access))
            session_leave(s);
    }
}

void sessions_end_account(struct sessions *all, int64_t account)
{
    end_account(all, account, NULL);
}

struct boxes *session_boxes(const struct session *s)
{
    return s->all->boxes;
}

void session_end_others(struct session *mine)
{
    end_account(mine->all, mine->info.account, mine);
}

/* Sends what credit allows. */
static void session_send(struct session *s, struct channel *access)
{
    struct buf *out = s->protocol->output(s->machine);

    while (out->n > 0 && s->credit > 0) {
        size_t n = out->n;

        if (n > s->credit)
            n = (size_t)s->credit;
        if (n > IPC_CHUNK)
            n = IPC_CHUNK;
        ipc_send_session_data(access, &(struct msg_session_data){s->id, str_sub(buf_str(out), 0, n)});
        buf_consume(out, n);
        s->credit -= n;
    }
}

static void grant(struct session *s, struct channel *access)
{
    size_t taken = s->protocol->taken(s->machine);

    if (taken == 0)
        return;
    s->granted += taken;
    ipc_send_session_more(access, &(struct msg_session_more){s->id, taken});
}

/* Everything was sent: access is to send no more, and says so. */
static void ask_back(struct session *s, struct channel *access)
{
    if (!s->returning || s->asked || s->protocol->output(s->machine)->n > 0)
        return;
    s->asked = true;
    ipc_send_session_return(access, &(struct msg_session_return){s->id});
}

/* False: nothing is left to do, it is freed. */
static bool run_left(struct session *s)
{
    bool again = s->protocol->go_on(s->machine);

    if (!again)
        session_free(s);
    return again;
}

/* One turn of one session; false when it is over, and perhaps freed. */
static bool session_run(struct session *s, bool *again)
{
    struct channel *access = channel_of(s);
    enum session_next next = SESSION_ENDS;

    *again = false;
    if (link_in_list(&s->left)) {
        *again = run_left(s);
        return *again;
    }
    if (access == NULL) {
        session_leave(s);
        return false;
    }
    if (!s->ending && !s->returning)
        next = s->protocol->run(s->machine);
    s->ending |= next == SESSION_ENDS && !s->returning;
    s->returning |= next == SESSION_RETURNS;
    session_send(s, access);
    if (!s->returning)
        grant(s, access);
    if (s->ending && s->protocol->output(s->machine)->n == 0) {
        session_end(s);
        return false;
    }
    ask_back(s, access);
    *again = next == SESSION_GOES_ON || (next == SESSION_WAITS_OUTPUT && s->credit > 0);
    return true;
}

bool sessions_run(struct sessions *all)
{
    struct list turn;

    wake_due(all);
    list_init(&turn);
    LIST_EACH(&all->ready, it) {
        list_remove(it);
        list_add_last(&turn, it);
    }
    for (struct link *first; (first = list_first(&turn)) != NULL;) {
        struct session *s = CONTAINER(first, struct session, ready);
        bool again;

        list_remove(first);
        if (session_run(s, &again) && again)
            session_wake(s);
    }
    return !list_empty(&all->ready);
}
