/* Commands that a role carries out: "domain add NAME". What may be said is in tables; the words are
 * checked here as far as syntax goes, the role checks the rest. */
#pragma once
#include "cli/cli.h"

/* How rows are shown to people. */
enum layout {
    LAYOUT_TABLE,   /* a line each, aligned under titles */
    LAYOUT_DETAILS, /* a block of "name: value" lines each */
    LAYOUT_STORY,   /* events of messages, told */
    LAYOUT_STATUS,  /* of `staffetta status` */
    LAYOUT_TEXT,    /* the bytes in "base64" alone: queue export */
};

enum verb_flags {
    VERB_PASSWORD = 1 << 0,       /* needs one: asks on the terminal or reads a line */
    VERB_MAY_PASSWORD = 1 << 1,   /* the same, only with --password or --password-stdin */
    VERB_NEEDS_OPTION = 1 << 2,   /* refuses to work on everything: at least one word or option */
    VERB_OF_MAILBOX = 1 << 3,     /* the address becomes the number of its account, which the mailbox role knows */
    VERB_OF_ACL = 1 << 7,         /* the same, for a folder and who may use it */
    VERB_MIGRATES = 1 << 5,       /* the work is done here: migrate/migrate.h */
    VERB_BACKUP = 1 << 6,         /* the same: backup.h */
    VERB_OUTSIDE = 1 << 8,        /* the same: outside.h */
    VERB_WITH_USAGE = 1 << 4,     /* the mailbox role is asked, too, how much the account holds */
};

/* An option "--name=VALUE" (hint: what stands for the value), or a switch without hint. `wire`: the setting a
 * switch stands for; for an option its name on the wire, where that is another (else hyphens just
 * become underscores there). */
struct verb_option {
    const char *name, *hint, *wire;
};

struct verb {
    const char *name;  /* second word; "" for a command without one */
    const char *words; /* "ADDRESS TARGET..." */
    int least, most;   /* number of words; most < 0 for any number */
    const struct verb_option *options; /* ended by a row without a name; may be NULL */
    const char *summary;
    enum layout layout;
    unsigned flags;
    const char *nothing; /* said on a terminal when there is no row; may be NULL */
};

struct verb_call {
    const struct verb *verb;
    struct buf args; /* packed as ipc/args.h wants */
    bool json, ask_password, password_given;
    struct str words[4]; /* the first ones as they stood */
    bool named; /* the first word had to be sent as name=..., so the others go as to=... */
};

/* The verb of that name, or the one of a command without names; NULL: there is none. */
const struct verb *verb_find(const struct command *command, const char *name);
/* Fills the call from the words after the command's name; argv[0] is the command. Returns 0, or
 * EXIT_USAGE with a message in err. */
int verb_parse(const struct command *command, int argc, char **argv, struct verb_call *call, struct err *err);
void verb_call_clear(struct verb_call *call);
/* Adds "name=value". */
void verb_add_setting(struct verb_call *call, const char *name, struct str value);

/* The run function of every command with verbs. */
int verb_run(struct cli *cli, int argc, char **argv);
/* The usage of a verb (NULL: of the whole command) on standard error, after a reason; always EXIT_USAGE. */
int verb_usage(const struct command *command, const struct verb *verb, const char *why);
/* "domain add NAME [--kind=...]" of one verb. */
void verb_write_usage(struct buf *out, const struct command *command, const struct verb *verb);

extern const struct verb domain_verbs[], account_verbs[], alias_verbs[], credential_verbs[], route_verbs[],
    pool_verbs[], dkim_verbs[], setup_verbs[], dns_verbs[], certificate_verbs[],
    check_verbs[], lookup_verbs[], queue_verbs[], mailbox_verbs[], trace_verbs[], report_verbs[], status_verbs[], check_sandbox_verbs[];
