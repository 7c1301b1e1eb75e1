/* Programs of roles that work and end: commands while no server runs (staffetta-ROLE --command, on the data folder). */
#pragma once
#include "cli/remote.h"

int offline_command(const struct cli *cli, const char *command, struct str args, remote_row_fn *row, void *owner);
/* Runs staffetta-ROLE OPTION WORD, which needs no data of a server. The exit code. */
int offline_program(const char *role, const char *option, const char *word, remote_row_fn *row, void *owner);
