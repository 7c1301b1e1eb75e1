/* What the mailbox role does with each message, and with peers that come and go. */
#include "mailbox.h"
#include "command.h"
#include "shares.h"

struct mailbox *mailbox_of(struct role *role)
{
    return role_state(role);
}

/* ---- messages ---- */

static void on_deliver_local(struct role *role, struct channel *from, const struct msg_deliver_local *m)
{
    deliveries_local(mailbox_of(role)->deliveries, from, m);
}

static void on_body_chunk(struct role *role, struct channel *from, const struct msg_body_chunk *m)
{
    deliveries_chunk(mailbox_of(role)->deliveries, from, m);
}

static void on_account_reply(struct role *role, struct channel *from, const struct msg_account_reply *m)
{
    (void)from;
    accounts_reply(mailbox_of(role)->accounts, m);
}

static void on_name_reply(struct role *role, struct channel *from, const struct msg_name_reply *m)
{
    (void)from;
    shares_name_reply(accounts_shares(mailbox_of(role)->accounts), m);
}

static void on_shares_reply(struct role *role, struct channel *from, const struct msg_shares_reply *m)
{
    (void)from;
    shares_reply(accounts_shares(mailbox_of(role)->accounts), m);
}

static void on_account_changed(struct role *role, struct channel *from, const struct msg_account_changed *m)
{
    (void)from;
    accounts_forget(mailbox_of(role)->accounts, m->account);
    if (!m->removed || m->account == 0 || m->account > INT64_MAX ||
        m->account % role_copies(role) != role_copy(role))
        return;
    sessions_end_account(mailbox_of(role)->sessions, (int64_t)m->account);
    boxes_remove(mailbox_of(role)->boxes, (int64_t)m->account);
}

static void on_session_open(struct role *role, struct channel *from, const struct msg_session_open *m)
{
    channel_took(from, HANDOVER_SESSION);
    sessions_start(mailbox_of(role)->sessions, from, m);
}

static void on_session_data(struct role *role, struct channel *from, const struct msg_session_data *m)
{
    sessions_data(mailbox_of(role)->sessions, from, m);
}

static void on_session_more(struct role *role, struct channel *from, const struct msg_session_more *m)
{
    sessions_more(mailbox_of(role)->sessions, from, m);
}

static void on_session_close(struct role *role, struct channel *from, const struct msg_session_close *m)
{
    sessions_close(mailbox_of(role)->sessions, from, m);
}

static void on_session_finish(struct role *role, struct channel *from, const struct msg_session_finish *m)
{
    sessions_finish(mailbox_of(role)->sessions, from, m);
}

static void on_session_stopped(struct role *role, struct channel *from, const struct msg_session_stopped *m)
{
    sessions_stopped(mailbox_of(role)->sessions, from, m);
}

static void on_control_ask(struct role *role, struct channel *from, const struct msg_control_ask *m)
{
    command_run(role, mailbox_of(role)->boxes, mailbox_of(role)->accounts, from, m);
}

const struct handlers mailbox_handlers = {
    .deliver_local = on_deliver_local,
    .body_chunk = on_body_chunk,
    .account_reply = on_account_reply,
    .account_changed = on_account_changed,
    .name_reply = on_name_reply,
    .shares_reply = on_shares_reply,
    .session_open = on_session_open,
    .session_data = on_session_data,
    .session_more = on_session_more,
    .session_close = on_session_close,
    .session_finish = on_session_finish,
    .session_stopped = on_session_stopped,
    .control_ask = on_control_ask,
};

/* ---- peers ---- */

void mailbox_peer_up(struct role *role, struct channel *c)
{
    if (channel_role(c) == ROLE_DIRECTORY)
        accounts_forget_all(mailbox_of(role)->accounts);
}

void mailbox_peer_gone(struct role *role, struct channel *c)
{
    if (channel_role(c) == ROLE_DIRECTORY && channel_copy(c) == 0)
        accounts_unreachable(mailbox_of(role)->accounts);
    else if (channel_role(c) == ROLE_QUEUE)
        deliveries_peer_gone(mailbox_of(role)->deliveries, c);
    else if (channel_role(c) == ROLE_ACCESS || channel_role(c) == ROLE_WEB)
        sessions_peer_gone(mailbox_of(role)->sessions, c);
}
