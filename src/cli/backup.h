/* `staffetta account backup|restore|verify` (docs/backup.md): an account's mailbox as a file, and back, while the server runs. */
#pragma once
#include "cli/rows.h"

int backup_run(const struct cli *cli, const struct verb_call *call, struct rows *rows);
/* `staffetta mailbox check` with the running server. */
int check_mailbox(const struct cli *cli, int64_t account, struct rows *rows);
