/* Where an address belongs, and whether it may be sent to or from. Expansion and routes are in
 * resolve.c. */
#include "lookup.h"

#include "smtp/address.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How often one address may lead to another (catch-all, postmaster) before it counts as a loop. */
enum { FORWARD_DEPTH = 4 };

struct cached {
    struct map_node node;
    struct link link;
    struct str key; /* owned, as is address */
    enum place place;
    int64_t account;
    struct str address;
    enum { NOT_KNOWN, STAYS, GOES_ON } forwards;
};

void lookup_init(struct lookup *l, struct store *store, const struct config *config)
{
    memset(l, 0, sizeof *l);
    l->store = store;
    l->config = config;
    l->any_route = l->any_binding = l->any_signed_path = true;
    hourly_init(&l->hourly);
    map_init(&l->cache);
    list_init(&l->cache_order);
}

static void drop(struct lookup *l, struct cached *c)
{
    map_remove(&l->cache, &c->node);
    list_remove(&c->link);
    str_free(&c->key);
    str_free(&c->address);
    free(c);
}

void lookup_changed(struct lookup *l)
{
    int64_t routes = 1, bindings = 1, signed_paths = 1;

    l->generation++;
    LIST_EACH(&l->cache_order, it)
    drop(l, CONTAINER(it, struct cached, link));
    /* Without any route or binding the questions about them are spared; when in doubt they are
     * asked. */
    l->any_route =
        !store_number(l->store, SQL_ROUTE_ANY, (struct str){0}, &routes, NULL) || routes > 0;
    l->any_binding =
        !store_number(l->store, SQL_BINDING_ANY, (struct str){0}, &bindings, NULL) || bindings > 0;
    l->any_signed_path =
        !store_number(l->store, SQL_DOMAIN_SIGNED_ANY, (struct str){0}, &signed_paths, NULL) || signed_paths > 0;
}

void lookup_clear(struct lookup *l)
{
    LIST_EACH(&l->cache_order, it)
    drop(l, CONTAINER(it, struct cached, link));
    map_clear(&l->cache);
    hourly_clear(&l->hourly);
    paths_clear(&l->paths);
}

bool lookup_fold(struct str address, struct name *canonical, struct name *key, const char **why)
{
    struct buf text;
    bool fits;

    *why = "too long";
    buf_init(&text, IPC_ADDRESS);
    fits = address_canonical(address, ADDRESS_UTF8 | ADDRESS_LOCAL_ONLY, &text, why) &&
           !text.failed && name_set(canonical, buf_str(&text)) && name_set(key, buf_str(&text));
    buf_clear(&text);
    if (!fits)
        return false;
    for (size_t i = 0; i < key->n; i++)
        key->p[i] = ascii_lower(key->p[i]);
    return true;
}

/* ---- one local part in one local domain ---- */

static bool find_account(
    struct lookup *l, struct str key, struct found *out, bool *found, struct err *err)
{
    struct account a;

    if (!store_get_account(l->store, key, &a, found, err))
        return false;
    /* A sending-only account has no mailbox; an alias may stand at its address. */
    if (*found && a.sending_only)
        *found = false;
    if (*found) {
        out->place = a.enabled ? PLACE_ACCOUNT : PLACE_DISABLED;
        out->account = a.id;
        name_set(&out->address, key);
    }
    return true;
}

static bool find_alias(
    struct lookup *l, struct str key, struct found *out, bool *found, struct err *err)
{
    struct stmt *s = store_stmt(l->store, SQL_ALIAS_GET);

    stmt_str(s, key);
    *found = stmt_row(s);
    if (*found) {
        out->place = column_int(s, 2) != 0 ? PLACE_ALIAS : PLACE_DISABLED;
        name_set(&out->address, key);
    }
    return stmt_done(s, err);
}

bool lookup_leads_to(
    struct lookup *l, struct str alias, struct str key, bool *yes, struct err *err)
{
    struct stmt *s = store_stmt(l->store, SQL_TARGET_HAS);

    stmt_str(s, alias);
    stmt_str(s, key);
    *yes = stmt_row(s);
    return stmt_done(s, err);
}

/* An account with an alias of the same address that leads to itself too keeps a copy and forwards. */
static bool find_forwarding(struct lookup *l, struct str key, struct found *out, struct err *err)
{
    struct found alias;
    bool both;

    if (!lookup_leads_to(l, key, key, &both, err))
        return false;
    if (both && !find_alias(l, key, &alias, &both, err))
        return false;
    if (both && alias.place == PLACE_ALIAS)
        out->place = PLACE_ALIAS;
    return true;
}

static bool find_exact(
    struct lookup *l, struct str key, struct found *out, bool *found, struct err *err)
{
    if (!find_account(l, key, out, found, err))
        return false;
    if (!*found)
        return find_alias(l, key, out, found, err);
    return out->place != PLACE_ACCOUNT || find_forwarding(l, key, out, err);
}

/* "user+tag@domain" to "user@domain"; false when there is no tag. */
static bool strip_tag(const struct lookup *l, struct str key, struct name *out)
{
    struct str local, domain, separator = l->config->subaddress_separator;
    ptrdiff_t at = -1;
    struct buf text;

    address_split(key, &local, &domain);
    if (separator.n == 0 || local.n == 0 || local.p[0] == '"')
        return false;
    at = str_ifind(str_skip(local, 1), separator);
    if (at < 0)
        return false;
    buf_init(&text, IPC_ADDRESS);
    buf_add(&text, str_sub(local, 0, (size_t)at + 1));
    buf_add_char(&text, '@');
    buf_add(&text, domain);
    name_set(out, buf_str(&text));
    buf_clear(&text);
    return true;
}

static bool find_user(
    struct lookup *l, struct str key, struct found *out, bool *found, struct err *err)
{
    struct name plain;

    if (!find_exact(l, key, out, found, err))
        return false;
    if (*found || !strip_tag(l, key, &plain))
        return true;
    if (!find_exact(l, name_str(&plain), out, found, err))
        return false;
    if (*found && out->place == PLACE_ACCOUNT)
        name_set(&out->address, key); /* the tag stays visible in Delivered-To */
    return true;
}

/* ---- domains, catch-all, postmaster ---- */

static bool find_at(
    struct lookup *l, struct str key, int depth, struct found *out, struct err *err);

/* Mail for `to` instead: a local address is followed, another one is forwarded to. */
static bool follow(struct lookup *l, struct str to, int depth, struct found *out, struct err *err)
{
    struct name canonical, key;
    const char *why;

    if (!lookup_fold(to, &canonical, &key, &why) || depth >= FORWARD_DEPTH) {
        out->place = PLACE_UNKNOWN;
        return true;
    }
    if (!find_at(l, name_str(&key), depth + 1, out, err))
        return false;
    if (out->place == PLACE_REMOTE || out->place == PLACE_BACKUP) {
        out->place = PLACE_FORWARD;
        out->address = canonical;
    }
    return true;
}

static bool is_postmaster(struct str local)
{
    return str_eq(local, STR("postmaster"));
}

/* "postmaster@" the first local domain, its catch-all aside; else the oldest account, so that what
 * had to be accepted (RFC 5321 4.5.1) reaches somebody. */
static bool find_default_postmaster(struct lookup *l, struct found *out, struct err *err)
{
    struct name domain;
    struct account a;
    struct stmt *s;
    struct buf key;
    bool found;

    if (!store_text(l->store, SQL_DOMAIN_FIRST, NULL, 0, &domain, &found, err))
        return false;
    if (found) {
        buf_init(&key, IPC_ADDRESS);
        buf_add(&key, STR("postmaster@"));
        buf_add(&key, name_str(&domain));
        found = find_exact(l, buf_str(&key), out, &found, err) && found;
        buf_clear(&key);
        if (found)
            return true;
    }
    s = store_stmt(l->store, SQL_ACCOUNT_OLDEST);
    found = stmt_row(s);
    if (found)
        store_read_account(s, &a);
    if (!stmt_done(s, err))
        return false;
    out->place = found ? PLACE_ACCOUNT : PLACE_NOBODY;
    if (found) {
        out->account = a.id;
        out->address = a.key;
    }
    return true;
}

static bool find_postmaster(struct lookup *l, int depth, struct found *out, struct err *err)
{
    struct str to = l->config->postmaster;
    struct name canonical, key;
    const char *why;

    if (to.n > 0 && depth < FORWARD_DEPTH && lookup_fold(to, &canonical, &key, &why)) {
        if (str_find(name_str(&key), '@') >= 0 && !follow(l, to, depth, out, err))
            return false;
        if (out->place != PLACE_UNKNOWN)
            return true;
    }
    return find_default_postmaster(l, out, err);
}

/* <postmaster> without a domain: ours as soon as we have a domain. */
static bool find_without_domain(
    struct lookup *l, struct str local, int depth, struct found *out, struct err *err)
{
    struct name domain;
    bool any;

    out->place = PLACE_UNKNOWN;
    if (!is_postmaster(local))
        return true;
    if (!store_text(l->store, SQL_DOMAIN_FIRST, NULL, 0, &domain, &any, err))
        return false;
    return !any && l->config->postmaster.n == 0 ? true : find_postmaster(l, depth, out, err);
}

static bool find_at(struct lookup *l, struct str key, int depth, struct found *out, struct err *err)
{
    struct str local, domain;
    struct domain d;
    bool found;

    address_split(key, &local, &domain);
    out->place = PLACE_UNKNOWN;
    out->account = 0;
    if (domain.n == 0)
        return find_without_domain(l, local, depth, out, err);
    if (!store_get_domain(l->store, domain, &d, &found, err))
        return false;
    if (!found || !d.local || !d.enabled) {
        out->place = !found ? PLACE_REMOTE : !d.enabled ? PLACE_DISABLED : PLACE_BACKUP;
        name_set(&out->address, key);
        return true;
    }
    if (!find_user(l, key, out, &found, err))
        return false;
    if (found)
        return true;
    if (is_postmaster(local))
        return find_postmaster(l, depth, out, err);
    return d.catch_all.n > 0 ? follow(l, name_str(&d.catch_all), depth, out, err) : true;
}

/* ---- the cache in front of it ---- */

static struct cached *cache_find(struct lookup *l, struct str key)
{
    struct map_node *node = map_find(&l->cache, map_hash_str(key));

    for (; node != NULL; node = map_find_next(node)) {
        struct cached *c = CONTAINER(node, struct cached, node);

        if (str_eq(c->key, key))
            return c;
    }
    return NULL;
}

static void cache_add(struct lookup *l, struct str key, const struct found *f)
{
    struct cached *c = xcalloc(1, sizeof *c);

    if (l->cache.count >= LOOKUP_CACHE)
        drop(l, CONTAINER(l->cache_order.head.next, struct cached, link));
    c->key = str_dup(key);
    c->place = f->place;
    c->account = f->account;
    c->address = str_dup(name_str(&f->address));
    map_add(&l->cache, &c->node, map_hash_str(key));
    list_add_last(&l->cache_order, &c->link);
}

bool lookup_find(struct lookup *l, struct str key, struct found *out, struct err *err)
{
    struct cached *c = cache_find(l, key);

    if (c != NULL) {
        out->place = c->place;
        out->account = c->account;
        name_set(&out->address, c->address);
        list_remove(&c->link);
        list_add_last(&l->cache_order, &c->link);
        return true;
    }
    out->address.n = 0;
    if (!find_at(l, key, 0, out, err))
        return false;
    cache_add(l, key, out);
    return true;
}

bool lookup_forwards(
    struct lookup *l, struct str key, const struct found *found, bool *yes, struct err *err)
{
    struct cached *c = cache_find(l, key);

    if (c == NULL || c->forwards == NOT_KNOWN) {
        if (!lookup_leads_away(l, key, found, yes, err))
            return false;
        c = cache_find(l, key); /* the other look-ups may have pushed it out */
        if (c != NULL)
            c->forwards = *yes ? GOES_ON : STAYS;
        return true;
    }
    *yes = c->forwards == GOES_ON;
    return true;
}

/* ---- senders ---- */

static bool same_domain(struct str key, struct str domain)
{
    struct str local, its;

    address_split(key, &local, &its);
    return its.n > 0 && str_eq(its, domain);
}

/* Own address or an alias that leads straight to it, each also with a tag. */
static bool account_owns(
    struct lookup *l, const struct account *a, struct str key, bool *owns, struct err *err)
{
    struct name plain;

    *owns = str_eq(key, name_str(&a->key));
    if (*owns)
        return true;
    if (!lookup_leads_to(l, key, name_str(&a->key), owns, err))
        return false;
    if (*owns || !strip_tag(l, key, &plain))
        return true;
    *owns = str_eq(name_str(&plain), name_str(&a->key));
    return *owns || lookup_leads_to(l, name_str(&plain), name_str(&a->key), owns, err);
}

static bool account_sends_as(
    struct lookup *l, const struct account *a, struct str key, bool *allowed, struct err *err)
{
    if (!a->enabled)
        return true;
    *allowed = a->send_as == SEND_AS_ANY ||
               (a->send_as == SEND_AS_DOMAIN && same_domain(key, name_str(&a->domain)));
    return *allowed || account_owns(l, a, key, allowed, err);
}

bool lookup_sender(
    struct lookup *l, int64_t account, struct str address, bool *allowed, struct err *err)
{
    struct name canonical, key;
    struct credential c;
    struct account a;
    const char *why;
    bool found;

    /* The null sender belongs to everybody; a host of a listed network has no account to compare
     * with. */
    *allowed = address.n == 0 || account == 0;
    if (*allowed || !lookup_fold(address, &canonical, &key, &why))
        return true;
    if (!store_get_account_id(l->store, account, &a, &found, err))
        return false;
    if (found)
        return account_sends_as(l, &a, name_str(&key), allowed, err);
    if (!store_get_credential_id(l->store, account, &c, &found, err))
        return false;
    if (!found || !c.enabled)
        return true;
    if (c.account == 0) {
        *allowed = same_domain(name_str(&key), name_str(&c.domain));
        return true;
    }
    if (!store_get_account_id(l->store, c.account, &a, &found, err))
        return false;
    return !found || account_sends_as(l, &a, name_str(&key), allowed, err);
}
