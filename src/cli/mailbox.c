/* staffetta mailbox: what accounts hold, and bringing it here and there. */
#include "cli/verb.h"

static const struct verb_option import_options[] = {{"folder", "NAME", NULL}, {"dry-run", NULL, "dry_run"},
    {"password-file", "FILE", NULL}, {"ca", "FILE", NULL}, {"tls", "none", NULL}, {0}};
static const struct verb_option export_options[] = {{"folder", "NAME", NULL}, {"dry-run", NULL, "dry_run"}, {0}};

const struct verb mailbox_verbs[] = {
    {"show", "ADDRESS", 1, 1, NULL, "shows the folders of a mailbox: messages, bytes, messages not read yet",
        LAYOUT_TABLE, VERB_OF_MAILBOX},
    {"check", "ADDRESS", 1, 1, NULL, "tests that a mailbox is sound: its database, totals, messages and their pieces",
        LAYOUT_DETAILS, VERB_OF_MAILBOX},
    {"reindex", "ADDRESS", 1, 1, NULL, "throws the full-text index of a mailbox away; a new one is made when it is used over IMAP",
        LAYOUT_DETAILS, VERB_OF_MAILBOX},
    {"acl", "ADDRESS FOLDER [IDENTIFIER RIGHTS]", 2, 4, NULL,
        "shows who else may use a folder, and how; or grants it: IDENTIFIER is an address or anyone (as far as `sharing` in staffetta.conf allows), RIGHTS are letters of lrswipkxtea "
        "(+ adds, - takes away) or none", LAYOUT_TABLE, VERB_OF_ACL, "Nobody but its owner may use this folder."},
    {"import", "ADDRESS maildir|mbox|imap PATH|URL", 3, 3, import_options,
        "brings messages from elsewhere into a mailbox: what an earlier run brought is not brought again", LAYOUT_TABLE,
        VERB_MIGRATES},
    {"export", "ADDRESS maildir|mbox PATH", 3, 3, export_options,
        "writes a mailbox into files; a second run adds what is missing there", LAYOUT_TABLE, VERB_MIGRATES},
    {0}};
