/* A directory in a throw-away folder, with three domains, three accounts and an alias: commands go in, rows and what
 * lookup answers come out. */
#pragma once
#include "roles/directory/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

extern struct store store;
extern struct lookup lookup;
extern const struct command_world world; /* writes down what follows */
extern struct buf rows;                  /* of the last command, each ended by a line feed */
extern int row_count;
extern int64_t changed, removed; /* the account told last */
extern int pools_sent;           /* how often others were told of pools */
extern char said[4200];          /* the text of the last command or answer */

/* For the group: its folder, and a disk that can fail (fault_vfs.h). */
int directory_open(void **state);
int directory_close(void **state);
/* For a test: a new database. */
int directory_begin(void **state);
int directory_end(void **state);
void reopen(void); /* the same database, as after a crash */
void configure(const char *text);

/* Runs "account add x@y quota=1G" with words split at blanks ('~' stands for a blank). Returns its exit code. */
int say(const char *line);
void must(const char *line); /* which succeeds */
void refuses(const char *line, int code, const char *words);
bool shown(const char *what); /* in the rows, in any case */

enum rcpt_result rcpt_of(const char *address, int64_t account, bool first);
enum rcpt_result ask_rcpt(const struct rcpt_question *question); /* `said` ends with "(forwards)", "(junk)" where that is so */
/* "local 1 anna@example.org", "expand a b", "remote mx - pool", "fail 5.1.1 ..."; class: 1 for bulk, EXPANDED or both. */
enum { EXPANDED = 2 };
const char *destination(const char *address, const char *sender, int class);
void goes(const char *address, const char *sender, const char *where);
