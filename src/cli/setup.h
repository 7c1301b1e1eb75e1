/* Inside of `staffetta setup`: what was answered, and the files made of it. */
#pragma once
#include "base/arena.h"
#include "cli/outside.h"
#include "cli/secret.h"

struct setup_answers {
    struct arena arena;
    struct str hostname, domain, account;
    struct str addresses[OUTSIDE_ADDRESSES];
    size_t address_count;
    struct str chain, key;  /* a certificate that is there; empty: one is made */
    struct str folder;      /* everything below it; empty: /etc and /var */
    struct str listen;      /* address of all listeners; empty: all addresses */
    unsigned port_offset;
    struct secret password;
};

/* From the options, and where there is a terminal by asking. The exit code, with a message. */
int setup_ask(const struct verb_call *call, struct setup_answers *a);
void setup_answers_clear(struct setup_answers *a);

/* Where everything goes, ended by NUL. */
struct setup_paths {
    char config[4096], unfinished[4096]; /* the latter until all is done, then it takes the name of the former */
    char data[4096], run[4096], chain[4096], key[4096];
};
int setup_choose_paths(const struct cli *cli, const struct setup_answers *a, struct setup_paths *p);
/* The text of the configuration. */
void setup_write_config(const struct setup_answers *a, const struct setup_paths *p, struct buf *out);
/* Writes a file as a whole, durably, or not at all. */
MUST_CHECK bool setup_write_file(const char *path, struct str text, unsigned mode, struct err *err);
/* Makes folders, and the certificate unless one is there. *made: it was made. */
MUST_CHECK bool setup_make_files(const struct setup_answers *a, const struct setup_paths *p, bool *made, struct err *err);
/* Takes the finished configuration into its place. */
MUST_CHECK bool setup_finish(const struct setup_paths *p, struct err *err);
