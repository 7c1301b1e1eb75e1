/* The administrator's session: what a client of the command socket says after
 *
 *     {"command": "mailbox", "args": ["session", "account=7", "protocol=imap"]}
 *
 * goes to the mailbox that owns the account, and back, byte for byte, as access does it for users. protocol: imap,
 * backup, restore or check. The answer is the line {"session":"imap"}, then the session's bytes until one side closes. Each
 * side has at most the bytes in flight that ipc/messages.h says. */
#pragma once
#include "net/conn.h"
#include "web.h"

struct tunnel;

/* Is it such a command? */
bool tunnel_is_asked(struct str command, struct str args);
/* Opens the session and says so to the client. NULL: *code and err say why not. `conn` stays the client's. */
struct tunnel *tunnel_new(struct web *web, struct conn *conn, struct str args, int *code, struct err *err);
/* From the client; how many bytes were used. */
size_t tunnel_input(struct tunnel *t, struct str bytes);
void tunnel_output_sent(struct tunnel *t);
/* It was silent for too long: says so to it, before tunnel_free. NULL is fine. */
void tunnel_timed_out(struct tunnel *t);
/* The client is gone: tells mailbox. NULL is fine. */
void tunnel_free(struct tunnel *t);
/* Shutting down: sessions end where it does no harm. */
void tunnels_finish(struct web *web);

/* From mailbox. */
void tunnels_data(struct role *role, struct channel *from, const struct msg_session_data *m);
void tunnels_more(struct role *role, struct channel *from, const struct msg_session_more *m);
void tunnels_close(struct role *role, struct channel *from, const struct msg_session_close *m);
void tunnels_peer_gone(struct web *web, const struct channel *peer);
