/* The message about what has changed, handed to filter as mail of ours. */
#include "base/clock.h"
#include "base/msgid.h"
#include "mime/date.h"
#include "watch_parts.h"

enum { MAIL_MAX = OUTSIDE_LETTER_MAX + 8192 };

static struct channel *some_filter(const struct watch *w)
{
    for (unsigned i = 0; i < role_peers(w->web->role, ROLE_FILTER); i++)
        if (role_peer(w->web->role, ROLE_FILTER, i) != NULL)
            return role_peer(w->web->role, ROLE_FILTER, i);
    return NULL;
}

static void give_head(struct watch *w, struct str address, const char *id, uint64_t message, size_t size)
{
    char date[DATE_TEXT];
    struct buf trace;

    date_format(clock_now(), date);
    buf_init(&trace, IPC_TEXT);
    buf_addf(&trace, "Received: by %.*s (daily check)\r\n\tid %s for <%.*s>;\r\n\t%s\r\n", STR_ARG(role_config(w->web->role)->hostname), id,
        STR_ARG(address), date);
    w->txn = role_next_id(w->web->role);
    ipc_send_txn_begin(w->filter, &(struct msg_txn_begin){.id = w->txn, .message = message, .flags = TXN_SUBMISSION | TXN_LOCAL | TXN_NO_SENDER_CHECK,
        .priority = 9, .size = size, .protocol = STR("local"), .trace = buf_str(&trace)});
    ipc_send_txn_rcpt(w->filter, &(struct msg_txn_rcpt){.id = w->txn, .notify = NOTIFY_NEVER, .address = address});
    buf_clear(&trace);
}

bool watch_give(struct watch *w, struct str address)
{
    struct str hostname = role_config(w->web->role)->hostname, subject = w->at->name.n > 0 ? w->at->name : hostname, rest;
    uint64_t message = msgid_new();
    char id[MSGID_TEXT + 1];
    struct buf mail, message_id;

    w->filter = some_filter(w);
    if (w->filter == NULL)
        return false;
    msgid_format(message, id);
    buf_init(&message_id, 1000);
    buf_init(&mail, MAIL_MAX);
    buf_addf(&message_id, "%s.check@%.*s", id, STR_ARG(hostname));
    outside_watch_mail(hostname, subject, address, buf_str(&message_id), w->changes, buf_str(&w->letter), clock_now(), &mail);
    rest = buf_str(&mail);
    give_head(w, address, id, message, rest.n);
    while (rest.n > 0) {
        struct str piece = str_sub(rest, 0, IPC_CHUNK);

        ipc_send_txn_chunk(w->filter, &(struct msg_txn_chunk){w->txn, piece});
        rest = str_skip(rest, piece.n);
    }
    ipc_send_txn_end(w->filter, &(struct msg_txn_end){.id = w->txn});
    buf_clear(&mail);
    buf_clear(&message_id);
    return true;
}
