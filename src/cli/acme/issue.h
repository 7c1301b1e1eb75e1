/* A certificate by ACME (RFC 8555): account, order, challenges, certificate. The protocol alone: requests, challenges and pauses go
 * through functions of the owner, so the program, the unit test and the fuzzer run the same code. What the other side says is bounded:
 * requests, polls, names, octets. */
#pragma once
#include "base/buf.h"

struct evp_pkey_st;

enum { ACME_NAMES_MAX = 100, ACME_ANSWER_MAX = 256 * 1024, ACME_HEADER_MAX = 2048, ACME_REQUESTS_MAX = 1000, ACME_PAUSE_MAX = 30 };

struct acme_answer {
    unsigned status;
    unsigned retry_after; /* seconds; 0: not said */
    struct buf nonce, location, body;
};

struct acme_challenge {
    const char *kind; /* "http-01", "tls-alpn-01" */
    struct str name, token, authorization; /* the key authorization (8.1) */
};

struct acme_world {
    /* False: no answer came. The answer's buffers are there, and empty. */
    bool (*request)(void *arg, const char *method, struct str url, struct str body, struct acme_answer *answer, struct err *err);
    /* The name answers this challenge from now on. */
    bool (*publish)(void *arg, const struct acme_challenge *challenge, struct err *err);
    void (*withdraw)(void *arg, struct str token);
    void (*pause)(void *arg, unsigned seconds);
};

struct acme_job {
    struct str directory, contact; /* URL; mail address, may be empty */
    const char *challenge;
    const struct str *names;
    size_t n;
    struct str csr; /* DER */
    struct evp_pkey_st *account;
};

/* On failure err says why, and `culprit` (a buffer of the caller) the name that could not be shown to be ours, if it was that. */
MUST_CHECK bool acme_issue(const struct acme_world *world, void *arg, const struct acme_job *job, struct buf *chain, struct buf *culprit, struct err *err);
