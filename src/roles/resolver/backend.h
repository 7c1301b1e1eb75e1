/* libunbound on the role's event loop: validating, caching, no threads, no processes. */
#pragma once
#include "base/err.h"
#include "config/config.h"
#include "questions.h"

struct event_base;
struct backend;

/* What has to be read from files before the sandbox closes them. */
struct backend_files {
    struct str anchor;      /* text of the trust anchor file; empty: no validation */
    struct str resolv_conf; /* text of /etc/resolv.conf; empty: ask the root servers */
};

/* Reads both files; one that is missing or unreadable is empty. Freed with backend_files_clear. */
void backend_files_read(struct backend_files *files, const struct config *config);
void backend_files_clear(struct backend_files *files);

/* answered() is called once a started question, also from inside backend_start. */
typedef void backend_answered_fn(void *owner, struct question *q, const struct msg_dns_reply *reply);

MUST_CHECK bool backend_new(struct backend **backend, struct event_base *base, const struct config *config,
    const struct backend_files *files, backend_answered_fn *answered, void *owner, struct err *err);
/* All questions must have been cancelled. */
void backend_free(struct backend *b);
bool backend_start(struct backend *b, struct question *q);
void backend_cancel(struct backend *b, struct question *q);
