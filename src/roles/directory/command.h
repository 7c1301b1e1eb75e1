/* Commands that look at and change the directory, as a table: object, verb, words, options, function. Knows nothing of
 * channels: rows go out through struct command_world. Lists come in pages of CONTROL_ROWS rows; nothing is held
 * between two pages but the last name. */
#pragma once
#include "lookup.h"

#include "ipc/args.h"

#include <sysexits.h>

struct command_world {
    void *arg;
    void (*row)(void *arg, struct str json);
    void (*account_changed)(void *arg, int64_t account, bool removed);
    void (*pools_changed)(void *arg);
};

struct command {
    struct store *store;
    struct lookup *lookup;
    const struct command_world *world;
    struct str object, args; /* args: without the verb's place changed; see ipc/args.h */
    struct buf *text;        /* what went wrong and what to do, or what was done */
    struct buf row;          /* scratch */
    /* Paging: where to go on, and whether there is more. */
    struct name after, after2;
    bool more;
    /* What to tell the others once it is on disk. */
    int64_t changed_account;
    bool removed_account, pools_changed;
};

/* Runs one command, or the next page of a list. Returns an exit code of sysexits.h, 0 for success; with `more` set,
 * call it again for the next page. A command that changes something is one transaction. */
int command_run(struct command *c);

/* ---- for the files command_*.c ---- */

struct command_type {
    const char *object, *verb;
    int (*run)(struct command *c);
    unsigned words;      /* how many must follow the verb */
    bool changes;
    const char *usage;   /* "ADDRESS [password=...]" */
    const char *options; /* names it takes, separated by blanks */
    unsigned optional;   /* how many more words may follow */
};

extern const struct command_type domain_commands[], account_commands[], alias_commands[], credential_commands[],
    route_commands[], pool_commands[];

/* Sets the text and returns the code. */
int command_fail(struct command *c, int code, const char *format, ...) PRINTF(3, 4);
int command_broken(struct command *c, const struct err *err); /* the database failed */
struct str command_word(const struct command *c, size_t i);    /* after the verb */
bool command_option(const struct command *c, const char *name, struct str *value);

/* Each reads one option if it is there; *code is set (with a text) when its value is bad. They do nothing once *code is set. */
void option_switch(struct command *c, const char *name, bool *value, int *code);
void option_size(struct command *c, const char *name, int64_t *value, int *code);  /* "1G", "none" is 0 */
void option_limit(struct command *c, const char *name, int64_t *value, int *code); /* a number, "default" 0, "none" -1 */
void option_word(struct command *c, const char *name, const char *const *words, int *value, int *code);
void option_password(struct command *c, struct verifier *v, int *code);

/* An address argument to its two forms (lookup_fold); it must have a domain. 0 or an exit code. */
int command_address(struct command *c, struct str text, struct name *canonical, struct name *key);
/* A domain argument to its canonical form. */
int command_domain(struct command *c, struct str text, struct name *out);
/* Fails unless the domain of `key` is a local one. */
int command_local_domain(struct command *c, struct str key, struct name *domain);
/* Printable without blanks: may stand as a word in a list. */
bool command_is_word(struct str text);

void row_begin(struct command *c);
void row_end(struct command *c);
void row_limit(struct command *c, const char *key, int64_t value);
