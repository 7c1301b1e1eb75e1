/* staffetta mailbox: what accounts hold. */
#include "cli/verb.h"

const struct verb mailbox_verbs[] = {
    {"show", "ADDRESS", 1, 1, NULL, "shows the folders of a mailbox: messages, bytes, messages not read yet",
        LAYOUT_TABLE, VERB_OF_MAILBOX},
    {"check", "ADDRESS", 1, 1, NULL, "tests that a mailbox is sound: its database, totals, messages and their pieces",
        LAYOUT_DETAILS, VERB_OF_MAILBOX},
    {"reindex", "ADDRESS", 1, 1, NULL, "throws the full-text index of a mailbox away; a new one is made when it is used over IMAP",
        LAYOUT_DETAILS, VERB_OF_MAILBOX},
    {0}};
