/* What is counted, logged and told to events. */
#include "server.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"

static struct metric connections = METRIC_COUNTER("staffetta_smtp_connections_total",
    "SMTP connections that were let in.");
static struct metric open_now = METRIC_GAUGE("staffetta_smtp_connections", "SMTP connections that are open.");
static struct metric turned_away = METRIC_COUNTER("staffetta_smtp_refused_connections_total",
    "SMTP connections refused by a limit.");
static struct metric made_room = METRIC_COUNTER("staffetta_smtp_slow_total",
    "Slow SMTP connections ended because all places were taken.");
static struct metric timeouts = METRIC_COUNTER("staffetta_smtp_timeouts_total",
    "SMTP connections ended by a time limit.");
static struct metric tls_12 = METRIC_COUNTER_L("staffetta_smtp_tls_total", "version=\"1.2\"",
    "TLS handshakes of SMTP clients.");
static struct metric tls_13 = METRIC_COUNTER_L("staffetta_smtp_tls_total", "version=\"1.3\"",
    "TLS handshakes of SMTP clients.");
static struct metric login_good = METRIC_COUNTER_L("staffetta_smtp_logins_total", "result=\"good\"", "SMTP logins.");
static struct metric login_bad = METRIC_COUNTER_L("staffetta_smtp_logins_total", "result=\"bad\"", "SMTP logins.");
static struct metric messages = METRIC_COUNTER("staffetta_smtp_messages_total", "Messages answered with 250.");
static struct metric refused_mail = METRIC_COUNTER_L("staffetta_smtp_rejects_total", "at=\"mail\"",
    "Refusals by command.");
static struct metric refused_rcpt = METRIC_COUNTER_L("staffetta_smtp_rejects_total", "at=\"rcpt\"",
    "Refusals by command.");
static struct metric refused_message = METRIC_COUNTER_L("staffetta_smtp_rejects_total",
    "at=\"message\"", "Refusals by command.");
static struct metric cut = METRIC_COUNTER("staffetta_smtp_cut_total", "Ill-behaved clients that were disconnected.");
static struct metric reply_time = METRIC_HISTOGRAM("staffetta_smtp_reply_seconds",
    "Time from the end of a message to its reply.");

void record_show_metrics(void)
{
    struct metric *all[] = {&connections, &open_now, &turned_away, &made_room, &timeouts, &tls_12, &tls_13, &login_good,
        &login_bad, &messages, &refused_mail, &refused_rcpt, &refused_message, &cut, &reply_time};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        metric_show(all[i]);
}

int64_t record_messages(void)
{
    return messages.value;
}

void record_connection(struct client *c)
{
    char ip[IP_TEXT];

    metric_add(&connections, 1);
    if (!log_wants(LOG_LEVEL_DEBUG))
        return;
    ip_format(&c->who.ip, ip);
    log_debug("connect", "client=%s port=%u", ip, c->who.port);
}

void record_connections(struct server *server)
{
    metric_set(&open_now, (int64_t)server->crowd.count);
}

void record_refused_connection(const struct ip *ip, const char *reason)
{
    char text[IP_TEXT];

    metric_add(&turned_away, 1);
    ip_format(ip, text);
    log_info("connection-refused", "client=%s reason=%s", text, reason);
}

void record_made_room(uint64_t n)
{
    metric_add(&made_room, (int64_t)n);
    log_warning("slow-clients-cut", "count=%llu reason=all places are taken", (unsigned long long)n);
}

void record_end(struct client *c, bool timed_out, const char *reason)
{
    char ip[IP_TEXT];

    if (timed_out)
        metric_add(&timeouts, 1);
    if (!timed_out && !log_wants(LOG_LEVEL_DEBUG))
        return;
    ip_format(&c->who.ip, ip);
    log_event(timed_out ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "disconnect", "client=%s reason=%s", ip, reason);
}

/* `staffetta trace ADDRESS` shows what was refused at the door, too. */
static void tell_events(struct client *c, struct str rcpt, unsigned code, struct str text)
{
    struct channel *events = role_peer(c->server->role, ROLE_EVENTS, 0);
    const struct smtp_txn *txn = smtp_txn_of(c->session);
    char ip[IP_TEXT];
    struct buf details;

    if (events == NULL || channel_backlog(events) > 4 * CHANNEL_HIGH)
        return;
    ip_format(&smtp_client_of(c->session)->ip, ip);
    buf_init(&details, IPC_CHUNK);
    json_open(&details);
    json_str(&details, "client", str_of(ip));
    json_str(&details, "helo", smtp_helo_of(c->session));
    json_int(&details, "code", code);
    json_str(&details, "reply", text);
    json_close(&details);
    ipc_send_event(events, &(struct msg_event){.seq = ++c->server->event_seq, .time = clock_now(),
                               .message = txn->message, .kind = EVENT_REJECTED, .sender = txn->sender, .rcpt = rcpt,
                               .details = buf_str(&details)});
    channel_gave(events, HANDOVER_EVENT);
    buf_clear(&details);
}

static void log_refusal(struct client *c, const char *event, struct str subject, unsigned code, struct str text)
{
    char ip[IP_TEXT];
    struct str helo = smtp_helo_of(c->session);

    ip_format(&smtp_client_of(c->session)->ip, ip);
    log_info(event, "client=%s helo=%.*s address=%.*s reply=%u %.*s", ip, STR_ARG(helo), STR_ARG(subject), code,
        STR_ARG(text));
}

/* A message with a fault of its own is refused without a wait, and not timed. */
static void time_reply(struct client *c)
{
    if (c->ended != 0)
        metric_observe(&reply_time, clock_monotonic() - c->ended);
    c->ended = 0;
}

void record_note(struct client *c, enum smtp_note note, struct str subject, unsigned code, struct str text)
{
    switch (note) {
    case SMTP_NOTE_TLS:
        metric_add(str_starts(text, STR("TLSv1.3")) ? &tls_13 : &tls_12, 1);
        break;
    case SMTP_NOTE_LOGIN:
        metric_add(&login_good, 1);
        break;
    case SMTP_NOTE_LOGIN_FAILED:
        metric_add(&login_bad, 1);
        log_refusal(c, "login-failed", subject, code, text);
        break;
    case SMTP_NOTE_MAIL_REFUSED:
        metric_add(&refused_mail, 1);
        log_refusal(c, "mail-refused", subject, code, text);
        break;
    case SMTP_NOTE_RCPT_REFUSED:
        metric_add(&refused_rcpt, 1);
        log_refusal(c, "rcpt-refused", subject, code, text);
        tell_events(c, subject, code, text);
        break;
    case SMTP_NOTE_MESSAGE_REFUSED:
        metric_add(&refused_message, 1);
        time_reply(c);
        log_refusal(c, "message-refused", subject, code, text);
        tell_events(c, (struct str){0}, code, text);
        break;
    case SMTP_NOTE_MESSAGE_TAKEN:
        metric_add(&messages, 1);
        time_reply(c);
        break;
    case SMTP_NOTE_CUT:
        metric_add(&cut, 1);
        log_refusal(c, "cut", subject, code, text);
        break;
    }
}
