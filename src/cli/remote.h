/* A command carried out: by the running server through run/control.sock (see roles/web/commands.h for
 * what is said there), or, when none runs, by the role's own program on the data folder. */
#pragma once
#include "cli/cli.h"

/* One row, a JSON object. False ends the command early. */
typedef bool remote_row_fn(void *owner, struct str json);

/* Opens a session of the administrator with the mailbox role (roles/web/tunnel.h): from then on the descriptor carries
 * its bytes. The exit code, with a message when it is not 0: it needs the running server. */
int remote_session(const struct cli *cli, int64_t account, const char *protocol, int *fd);
/* A connection to the command socket of the running server. The exit code, with a message when it is not 0. */
int remote_open(const struct cli *cli, int *fd);
/* Somebody listens at the command socket: no command would work on the data folder. */
bool remote_is_running(const struct cli *cli);
/* args as ipc/args.h packs them. Messages go to standard error; returns the exit code. */
int remote_command(const struct cli *cli, const char *command, struct str args, remote_row_fn *row, void *owner);
