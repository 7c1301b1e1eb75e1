/* The command socket, run/control.sock. A client sends one line
 *
 *     {"command": "queue", "args": ["list", "limit=10"]}
 *
 * and gets one JSON object a line for each row, then
 *
 *     {"done": 0, "text": ""}
 *
 * with an exit code of sysexits.h and, when it is not 0, what went wrong. Then it may send the next.
 * Only root, the user the server runs as and the owner of the socket may command. Flow control is the
 * socket's: when the client does not read, the role that sends rows is not told to go on. */
#pragma once
#include "web.h"

enum { COMMANDS_CLIENTS = 64 };

void commands_show_metrics(void);
/* A connection was accepted; takes over fd. */
void commands_accept(struct web *web, int fd);
/* Draining: idle clients are closed now, the others after their command. */
void commands_drain(struct web *web);
