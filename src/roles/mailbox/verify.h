/* `staffetta-mailbox --verify FILE`, which `staffetta account verify` starts: could the database of this backup be given to an account? A
 * process of its own, so the server may run or not, and is not held up. It may read the open file and nothing else. */
#pragma once

/* A row as JSON on standard output, or a line on standard error. The exit code: 0, EX_DATAERR, EX_NOINPUT, EX_IOERR. */
int verify_run(const char *path);
