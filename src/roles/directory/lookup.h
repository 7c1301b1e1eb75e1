/* Answers of the directory: where an address belongs, who may send as what, by which route mail
 * leaves. Knows nothing of channels. Answers about recipients are remembered (bounded) until
 * anything changes. */
#pragma once
#include "base/map.h"
#include "config/config.h"
#include "hourly.h"
#include "paths.h"
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
    bool any_route, any_binding, any_signed_path;
    struct paths paths;
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

struct rcpt_question {
    struct str address;
    int64_t account;    /* charged for what is accepted; 0: nobody */
    bool first, bounce; /* bounce: of a stranger with the null sender */
    int64_t now;        /* monotonic */
};
struct rcpt_said {
    enum rcpt_result result;
    struct buf text; /* the reply with its enhanced code; of the caller */
    bool forwards;   /* it leads (also) to another server, and is to be sealed for that */
    bool junk;       /* a bounce of mail that was not sent from here */
};
void lookup_rcpt(struct lookup *l, const struct rcpt_question *q, struct rcpt_said *said);

/* Does mail for this key, which was found, go on to another server? Remembered; the second one finds it out. */
MUST_CHECK bool lookup_forwards(
    struct lookup *l, struct str key, const struct found *found, bool *yes, struct err *err);
MUST_CHECK bool lookup_leads_away(
    struct lookup *l, struct str key, const struct found *found, bool *yes, struct err *err);

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
    struct name address, pool, sender; /* sender: to be used instead; empty: the same */
    struct buf targets, hosts, text;
};

void resolved_init(struct resolved *r);
void resolved_clear(struct resolved *r);
/* expanded: an alias led to it, so an account that keeps a copy and forwards gets its copy and is not
 * expanded again. original: the recipient that came in. submitted: by somebody who may send through us. */
struct resolve_question {
    struct str address, sender, original;
    int64_t class;
    bool expanded, submitted;
};
/* Where mail for an address goes now. Always gives an answer; a failing database is RESOLVE_TEMPFAIL. */
void lookup_resolve(struct lookup *l, const struct resolve_question *q, struct resolved *out);
