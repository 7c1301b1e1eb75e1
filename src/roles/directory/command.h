/* Commands that look at and change the directory, as a table: object, verb, words, options,
 * function. Knows nothing of channels: rows go out through struct command_world. Lists come in
 * pages; nothing is held between two pages but the last name. */
#pragma once
#include "lookup.h"

#include "ipc/args.h"

#include <sysexits.h>

enum { LIST_SCAN = 200 };

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
    /* Lists. The caller gives `room`, how many rows it takes now, and keeps `after`, `after2` and
     * `sent` for the next call while `more` says so. A call may end with room left: it looks at
     * LIST_SCAN rows at most. */
    struct name after, after2;
    int64_t sent, limit;
    struct str filter;
    int room;
    bool more;
    bool asked_dns; /* for `dkim check`, just before */
    /* What to tell the others once it is on disk. */
    int64_t changed_account;
    bool removed_account, pools_changed;
};

/* Runs one command, or the next page of a list. Returns an exit code of sysexits.h, 0 for success;
 * with `more` set, call it again for the next page. A command that changes something is one
 * transaction. */
int command_run(struct command *c);

/* ---- for the files command_*.c ---- */

enum { ANY_WORDS = 100000 };

struct command_type {
    const char *object, *verb;
    int (*run)(struct command *c);
    unsigned words; /* how many must follow the verb */
    bool changes;
    const char *usage;   /* "ADDRESS [password=...]" */
    const char *options; /* names it takes, separated by blanks */
    unsigned optional;   /* how many more words may follow; ANY_WORDS for any number */
};

extern const struct command_type domain_commands[], account_commands[], alias_commands[],
    credential_commands[], route_commands[], pool_commands[], dkim_commands[], watched_commands[];

/* Sets the text and returns the code. */
int command_fail(struct command *c, int code, const char *format, ...) PRINTF(3, 4);
int command_broken(struct command *c, const struct err *err); /* the database failed */
struct str command_word(const struct command *c, size_t i);   /* after the verb */
bool command_option(const struct command *c, const char *name, struct str *value);

/* Each reads one option if it is there; *code is set (with a text) when its value is bad. They do
 * nothing once *code is set. */
void option_switch(struct command *c, const char *name, bool *value, int *code);
void option_size(
    struct command *c, const char *name, int64_t *value, int *code); /* "1G", "none" is 0 */
void option_limit(struct command *c, const char *name, int64_t *value,
    int *code); /* a number, "default" 0, "none" -1 */
void option_word(
    struct command *c, const char *name, const char *const *words, int *value, int *code);
void option_password(struct command *c, struct verifier *v, int *code);

/* An address argument to its two forms (lookup_fold); it must have a domain. 0 or an exit code. */
int command_address(struct command *c, struct str text, struct name *canonical, struct name *key);
/* A domain argument to its canonical form. */
int command_domain(struct command *c, struct str text, struct name *out);
/* The same for an address of ours to be: its domain must be a local one, and what is before the '@' at most 64 octets
 * (RFC 5321, section 4.5.3.1.1), because not everybody could write to a longer one. */
int command_local_address(struct command *c, struct str text, struct name *canonical, struct name *key, struct name *domain);
/* Printable without blanks: may stand as a word in a list. */
bool command_is_word(struct str text);

void row_begin(struct command *c);
void row_end(struct command *c);
/* Of the lists: [TEXT] shows what has it in its name, [limit=N] ends after that many. 0 or an exit
 * code. */
int list_begin(struct command *c);
bool list_takes(const struct command *c, struct str key);
/* `scanned` rows were looked at, LIST_SCAN were asked for. */
void list_end(struct command *c, int scanned);
void row_limit(struct command *c, const char *key, int64_t value);
