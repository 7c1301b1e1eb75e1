/* Answers of the directory: where an address belongs, who may send as what, by which route mail
 * leaves. Knows nothing of channels. Answers about recipients are remembered (bounded) until
 * anything changes. */
#pragma once
#include "base/map.h"
#include "config/config.h"
#include "hourly.h"
#include "store.h"

enum { LOOKUP_CACHE = 20000, EXPAND_DEPTH = 10, EXPAND_TARGETS = 1000 };

struct lookup {
    struct store *store;
    const struct config *config;
    struct hourly hourly;
    struct map cache;
    struct list cache_order; /* least recently used first */
    int64_t changes;         /* db_data_version when the cache was filled */
    uint64_t generation;     /* goes up with each change that was noticed */
    bool any_route, any_binding;
    struct err trouble; /* why the last lookup_rcpt or lookup_resolve found no answer; ERR_NONE when the database did not fail */
};

void lookup_init(struct lookup *l, struct store *store, const struct config *config);
void lookup_clear(struct lookup *l);
/* Forgets what is remembered: call after each change of the database. */
void lookup_changed(struct lookup *l);

enum place {
    PLACE_ACCOUNT, /* `account`, delivered to `address` */
    PLACE_ALIAS,   /* `address` is the alias' key; `account` when it is an account's address too */
    PLACE_FORWARD, /* a catch-all or postmaster that lives elsewhere: `address` */
    PLACE_REMOTE,
    PLACE_BACKUP,
    PLACE_UNKNOWN, /* our domain, nobody there */
    PLACE_DISABLED,
    PLACE_NOBODY, /* postmaster, and there is no account at all */
};

struct found {
    enum place place;
    int64_t account;
    struct name address;
};

/* Folds and completes: "User@BÜCHER.example" to its canonical form in *canonical and to the form
 * that is compared in *key. False with a reason when it is no address. A missing domain is left
 * out. */
MUST_CHECK bool lookup_fold(
    struct str address, struct name *canonical, struct name *key, const char **why);

/* Where a key belongs. False only when the database failed. */
MUST_CHECK bool lookup_find(struct lookup *l, struct str key, struct found *out, struct err *err);

/* Whether key is one of the alias' own targets. */
MUST_CHECK bool lookup_leads_to(
    struct lookup *l, struct str alias, struct str key, bool *yes, struct err *err);

/* RCPT. `text` is the reply with its enhanced code. now: monotonic. Charges `account` for what is
 * accepted. */
enum rcpt_result lookup_rcpt(struct lookup *l, struct str address, int64_t account, bool first,
    int64_t now, struct buf *text);

/* Whether account (or credential) may use the address as sender. False with err when the database
 * failed. */
MUST_CHECK bool lookup_sender(
    struct lookup *l, int64_t account, struct str address, bool *allowed, struct err *err);

/* Everything an alias leads to, each target once, ended by NULs. *why (a reply text) when it leads
 * nowhere. */
MUST_CHECK bool lookup_expand(
    struct lookup *l, struct str key, struct buf *targets, const char **why, struct err *err);

struct resolved {
    enum resolve_result result;
    enum route_kind kind;
    enum route_tls tls;
    int64_t account, credential;
    struct name address, pool;
    struct buf targets, hosts, text;
};

void resolved_init(struct resolved *r);
void resolved_clear(struct resolved *r);
/* Where mail for an address goes now. Always gives an answer; a failing database is
 * RESOLVE_TEMPFAIL. expanded: an alias led to it, so an account that keeps a copy and forwards gets
 * its copy and is not expanded again. */
void lookup_resolve(struct lookup *l, struct str address, struct str sender, int64_t class,
    bool expanded, struct resolved *out);
