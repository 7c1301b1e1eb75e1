/* `staffetta mailbox import` and `export`: the words of the command, and what both share. The work is in import.c,
 * export.c and the files of each kind (source_*.c, target_*.c). docs/migration.md says what is kept and how a second run
 * knows what the first one did. */
#pragma once
#include "cli/migrate/peer.h"
#include "cli/migrate/words.h"
#include "cli/rows.h"

struct migration {
    const struct cli *cli;
    struct rows *rows;
    struct str address;     /* of the account here */
    struct str kind, place; /* "maildir", a path; "imap", a url */
    struct str folder;      /* --folder: where what has no name of its own goes; empty: INBOX */
    struct str password_file, ca, tls;
    bool dry_run;
    int64_t account;
};

/* Paths, urls and names are NUL-terminated views of the command's words. The exit code. */
int migrate_run(const struct cli *cli, const struct verb_call *call, struct rows *rows);

int import_run(struct migration *m);
int export_run(struct migration *m);

/* Numbers of one folder as a row; `what` names the first. */
struct tally {
    uint64_t done, present, failed;
};
void migrate_row(struct migration *m, struct str folder, const char *what, const struct tally *t);
/* How far it is, on a terminal. NULL clears the line. */
void migrate_progress(const char *format, ...) PRINTF(1, 2);
/* A line about one message, without disturbing the progress. */
void migrate_complain(const char *format, ...) PRINTF(1, 2);
/* Exit code of a failure. */
int migrate_code(const struct err *err);
