/* The columns of schema/queue in the order in which rows are bound and read: store.c in daily work,
 * salvage.c for what can still be read. message.head comes last, where it is wanted. */
#pragma once

#define MESSAGE_COLUMNS                                                                            \
    "id, created, expires, kind, class, flags, priority, account, hold_until, deliver_by, size, "  \
    "head_size, sender, envid, login, client, helo, protocol, tls, message_id"
#define RCPT_COLUMNS                                                                               \
    "message, n, state, class, due, expires, attempts, first_attempt, last_attempt, notify, "      \
    "depth, noticed, reason, code, address, orcpt, original, reply, host"
