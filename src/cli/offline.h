/* Commands while no server runs: staffetta-ROLE --command works on the data folder and ends. */
#pragma once
#include "cli/remote.h"

int offline_command(const struct cli *cli, const char *command, struct str args, remote_row_fn *row, void *owner);
