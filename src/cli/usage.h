/* Commands that ask two roles: directory knows addresses and the numbers of their accounts, the mailbox
 * role knows numbers and what is in the mailboxes. */
#pragma once
#include "cli/rows.h"

/* `mailbox VERB ADDRESS`; for people a line with the sums ends the table of folders. */
int usage_mailbox(const struct cli *cli, const struct verb *verb, struct str args, struct rows *rows);
struct verb_call;
/* `mailbox acl ADDRESS FOLDER [IDENTIFIER RIGHTS]`. */
int usage_acl(const struct cli *cli, const struct verb_call *call, struct rows *rows);
/* The number of an account; the exit code, with a message on standard error. */
int usage_account_number(const struct cli *cli, struct str address, int64_t *number);
/* `account show ADDRESS`, with "used" and "used_messages" behind the quota. Without them, and without
 * a complaint, when the mailbox role does not answer. */
int usage_account(const struct cli *cli, struct str args, struct rows *rows);
