/* Inside of `staffetta certificate`: what is renewed, by whom, and what became of it. */
#pragma once
#include "base/arena.h"
#include "cli/outside.h"
#include "outside/certificate.h"

struct evp_pkey_st;

enum { RENEWAL_NAMES = OUTSIDE_NAMES, RENEWAL_TEXT = 600 };

struct renewal {
    const struct cli *cli;
    struct config *config;
    const struct config_certificate *section;
    struct arena arena;
    char chain_path[4096], key_path[4096], folder[4096];
    struct outside_certificate now; /* the one in use; not there: none, or none that can be read */
    struct str names[RENEWAL_NAMES];
    size_t name_count;
    struct str key; /* PEM of the certificate's private key */
};

/* ---- certificate_state.c: what is remembered from run to run, in DATA/acme ---- */
struct renewal_state {
    int64_t failures, next; /* in a row; wall time before which nothing is tried again */
    char error[RENEWAL_TEXT];
};
/* What cannot be read counts as nothing. */
void renewal_state_read(const struct renewal *r, struct renewal_state *state);
MUST_CHECK bool renewal_state_write(const struct renewal *r, const struct renewal_state *state, struct err *err);
/* How long to wait after so many failures in a row: far below what any authority allows. */
int64_t renewal_pause(int64_t failures);

/* ---- certificate_make.c: keys, requests, files ---- */
MUST_CHECK bool renewal_read_file(struct renewal *r, const char *path, struct str *text, struct err *err);
/* The private key of the certificate, and the account's; each is made when it is not there. */
MUST_CHECK bool renewal_key(struct renewal *r, struct err *err);
MUST_CHECK bool renewal_account(struct renewal *r, struct str *pem, struct err *err);
/* A certificate request (DER) for the names. */
MUST_CHECK bool renewal_request(const struct renewal *r, struct buf *der, struct err *err);
/* Checks what the authority gave, and puts it into its place. */
MUST_CHECK bool renewal_install(struct renewal *r, struct str chain, struct err *err);
/* The running server reads its files again. */
MUST_CHECK bool renewal_reload(const struct renewal *r, struct err *err);

/* ---- certificate_helper.c: staffetta-acme at work ---- */
/* False with err; culprit (NUL-terminated) is the name it failed for, if it was that. */
MUST_CHECK bool renewal_fetch(struct renewal *r, struct str account, struct str request, struct buf *chain, char culprit[256], struct err *err);
