/* Where mail goes: aliases expanded, routes and source pools chosen. */
#include "lookup.h"

#include "smtp/address.h"

#include <stdlib.h>
#include <string.h>

void resolved_init(struct resolved *r)
{
    memset(r, 0, sizeof *r);
    buf_init(&r->targets, IPC_LIST);
    buf_init(&r->hosts, IPC_TEXT);
    buf_init(&r->text, IPC_TEXT);
}

void resolved_clear(struct resolved *r)
{
    buf_clear(&r->targets);
    buf_clear(&r->hosts);
    buf_clear(&r->text);
}

/* ---- aliases ---- */

struct seen {
    struct map_node node;
    struct link link;
    struct str key, target; /* owned */
    int depth;
    bool alias; /* to be expanded, or was */
    bool keeps; /* an account of that address gets a copy */
};

struct expansion {
    struct lookup *lookup;
    struct map map;
    struct list all; /* in the order of their finding: the walk is breadth first */
    const char *why;
};

static bool is_seen(const struct expansion *e, struct str key)
{
    struct map_node *node = map_find(&e->map, map_hash_str(key));

    for (; node != NULL; node = map_find_next(node))
        if (str_eq(CONTAINER(node, struct seen, node)->key, key))
            return true;
    return false;
}

static void add_seen(struct expansion *e, struct str key, struct str target, int depth, bool alias)
{
    struct seen *s = xcalloc(1, sizeof *s);

    s->key = str_dup(key);
    s->target = str_dup(target);
    s->depth = depth;
    s->alias = alias;
    map_add(&e->map, &s->node, map_hash_str(key));
    list_add_last(&e->all, &s->link);
}

static void expansion_clear(struct expansion *e)
{
    LIST_EACH(&e->all, it)
    {
        struct seen *s = CONTAINER(it, struct seen, link);

        list_remove(&s->link);
        str_free(&s->key);
        str_free(&s->target);
        free(s);
    }
    map_clear(&e->map);
}

/* A target is a leaf unless it is (or leads to) an alias that can be expanded further. */
static bool visit(
    struct expansion *e, struct str target, struct str key, int depth, struct err *err)
{
    struct found found;

    if (is_seen(e, key))
        return true;
    if (e->map.count >= EXPAND_TARGETS) {
        e->why = "5.2.4 The alias leads to too many addresses";
        return true;
    }
    if (!lookup_find(e->lookup, key, &found, err))
        return false;
    if (found.place != PLACE_ALIAS) {
        add_seen(e, key, target, depth, false);
        return true;
    }
    if (depth >= EXPAND_DEPTH) {
        e->why = "5.4.6 Aliases lead to each other too deeply";
        return true;
    }
    /* An alias reached with a tag or through a catch-all is the same alias. */
    if (!is_seen(e, name_str(&found.address)))
        add_seen(e, name_str(&found.address), target, depth, true);
    return true;
}

/* The alias leads to its own address: a copy for the account there, if there is one. */
static bool keep_copy(struct expansion *e, struct seen *alias, struct err *err)
{
    struct found found;

    if (!lookup_find(e->lookup, alias->key, &found, err))
        return false;
    alias->keeps = found.place == PLACE_ALIAS && found.account != 0;
    return true;
}

static bool expand_one(struct expansion *e, struct seen *alias, struct err *err)
{
    struct name last = {0}, key, target;
    struct stmt *s = store_stmt(e->lookup->store, SQL_TARGET_LIST);
    bool more = true;

    /* One row at a time: looking at a target may use any statement, this one too. */
    while (more && e->why == NULL) {
        stmt_str(s, alias->key);
        stmt_str(s, name_str(&last));
        stmt_int(s, 1);
        more = stmt_row(s);
        if (more) {
            name_set(&target, column_str(s, 0));
            name_set(&key, column_str(s, 1));
        }
        if (!stmt_done(s, err))
            return false;
        if (more && str_eq(name_str(&key), alias->key) && !keep_copy(e, alias, err))
            return false;
        if (more && !visit(e, name_str(&target), name_str(&key), alias->depth + 1, err))
            return false;
        last = key;
    }
    return true;
}

bool lookup_expand(
    struct lookup *l, struct str key, struct buf *targets, const char **why, struct err *err)
{
    struct expansion e = {.lookup = l};
    bool done = true;

    map_init(&e.map);
    list_init(&e.all);
    add_seen(&e, key, key, 0, true);
    for (struct link *it = e.all.head.next; done && it != &e.all.head; it = it->next) {
        struct seen *s = CONTAINER(it, struct seen, link);

        if (s->alias)
            done = expand_one(&e, s, err);
        if (!s->alias || s->keeps) {
            buf_add(targets, s->alias ? s->key : s->target);
            buf_add_char(targets, 0);
        }
    }
    if (e.why == NULL && targets->failed)
        e.why = "5.2.4 The alias leads to too many addresses";
    if (e.why == NULL && targets->n == 0)
        e.why = "5.4.6 The alias leads only to itself";
    *why = e.why;
    expansion_clear(&e);
    return done;
}

/* ---- routes and pools ---- */

static const char *const class_words[] = {"transactional", "bulk"};

static struct str class_word(int64_t class)
{
    return str_of(class_words[class == 1]);
}

static bool find_route(struct lookup *l, const char *what, struct str value, struct route *out,
    bool *found, struct err *err)
{
    struct buf match;
    bool done;

    *found = false;
    if (value.n == 0)
        return true;
    buf_init(&match, IPC_ADDRESS);
    buf_addf(&match, "%s:%.*s", what, STR_ARG(value));
    done = store_get_route(l->store, buf_str(&match), out, found, err);
    buf_clear(&match);
    return done;
}

/* The most special one wins: recipient domain, sender domain, class, "recipient:*". */
static bool choose_route(struct lookup *l, struct str domain, struct str sender_domain,
    int64_t class, struct route *out, bool *found, struct err *err)
{
    const struct {
        const char *what;
        struct str value;
    } tries[] = {{"recipient", domain}, {"sender", sender_domain}, {"class", class_word(class)},
        {"recipient", STR("*")}};

    *found = false;
    for (size_t i = 0; l->any_route && !*found && i < sizeof tries / sizeof tries[0]; i++)
        if (!find_route(l, tries[i].what, tries[i].value, out, found, err))
            return false;
    return true;
}

static bool choose_pool(
    struct lookup *l, struct str sender_domain, int64_t class, struct name *pool, struct err *err)
{
    const struct {
        const char *what;
        struct str value;
    } tries[] = {{"sender", sender_domain}, {"class", class_word(class)}};
    bool found = false, done = true;
    struct buf match;

    pool->n = 0;
    buf_init(&match, IPC_ADDRESS);
    for (size_t i = 0; l->any_binding && done && !found && i < 2; i++) {
        struct str text;

        if (tries[i].value.n == 0)
            continue;
        buf_reset(&match);
        buf_addf(&match, "%s:%.*s", tries[i].what, STR_ARG(tries[i].value));
        text = buf_str(&match);
        done = store_text(l->store, SQL_BINDING_GET, &text, 1, pool, &found, err);
    }
    buf_clear(&match);
    return done;
}

static struct str domain_of(struct str key)
{
    struct str local, domain;

    address_split(key, &local, &domain);
    return domain;
}

static void say(struct resolved *r, enum resolve_result result, const char *text)
{
    r->result = result;
    buf_reset(&r->text);
    buf_add(&r->text, str_of(text));
}

static void apply_route(const struct route *route, struct resolved *r)
{
    static const enum route_kind kinds[] = {
        [ACTION_MX] = ROUTE_MX, [ACTION_SMTP] = ROUTE_SMTP, [ACTION_LMTP] = ROUTE_LMTP};

    if (route->action == ACTION_DISCARD) {
        say(r, RESOLVE_DISCARD, "2.0.0 Discarded as a route says");
    } else if (route->action == ACTION_FAIL) {
        say(r, RESOLVE_FAIL, "5.7.1 Mail for this address is refused by a route");
        if (route->text.n > 0)
            say(r, RESOLVE_FAIL, route->text.p);
    } else {
        r->result = RESOLVE_REMOTE;
        r->kind = kinds[route->action];
        r->tls = route->tls;
        r->credential = route->login.n > 0 ? route->id : 0;
        buf_add(&r->hosts, str_from(route->hosts, route->hosts_n));
    }
}

/* `special`: only a route made for this very domain counts (that of a local domain). */
static bool send_away(struct lookup *l, struct str key, const struct resolve_question *q, bool special,
    struct resolved *r, bool *routed, struct err *err)
{
    struct name canonical, sender_key = {0};
    struct route route;
    const char *why;
    bool done;

    if (q->sender.n > 0 && !lookup_fold(q->sender, &canonical, &sender_key, &why))
        sender_key.n = 0;
    done = special
               ? !l->any_route || find_route(l, "recipient", domain_of(key), &route, routed, err)
               : choose_route(l, domain_of(key), domain_of(name_str(&sender_key)), q->class, &route,
                     routed, err);
    if (!done)
        return false;
    if (special && !l->any_route)
        *routed = false;
    if (special && !*routed)
        return true;
    r->result = RESOLVE_REMOTE;
    if (*routed)
        apply_route(&route, r);
    return choose_pool(l, domain_of(name_str(&sender_key)), q->class, &r->pool, err);
}

static bool resolve_local(struct lookup *l, const struct found *found, struct str key,
    const struct resolve_question *q, struct resolved *r, struct err *err)
{
    bool routed;

    /* A route for a local domain sends what its accounts would get to another store. */
    if (!send_away(l, key, q, true, r, &routed, err))
        return false;
    if (routed)
        return true;
    r->result = RESOLVE_LOCAL;
    r->account = found->account;
    r->address = found->address;
    return true;
}

/* To a server of others: the sender may have to be another one. A store that takes LMTP is our own. */
static bool resolve_remote(struct lookup *l, struct str key, const struct resolve_question *q, struct resolved *r, struct err *err)
{
    bool routed;

    if (!send_away(l, key, q, false, r, &routed, err))
        return false;
    return r->result != RESOLVE_REMOTE || r->kind == ROUTE_LMTP || paths_sender(l, q, &r->sender, err);
}

static void expand_to(struct resolved *r, const struct name *address)
{
    r->result = RESOLVE_EXPAND;
    buf_add(&r->targets, name_str(address));
    buf_add_char(&r->targets, 0);
}

static bool resolve_alias(struct lookup *l, struct str key, struct resolved *r, struct err *err)
{
    const char *why;

    if (!lookup_expand(l, key, &r->targets, &why, err))
        return false;
    r->result = RESOLVE_EXPAND;
    if (why != NULL) {
        buf_reset(&r->targets);
        say(r, RESOLVE_FAIL, why);
    }
    return true;
}

static bool resolve_found(struct lookup *l, const struct found *found, struct str key,
    const struct resolve_question *q, struct resolved *r, struct err *err)
{
    switch (found->place) {
    case PLACE_ACCOUNT:
        return resolve_local(l, found, key, q, r, err);
    case PLACE_ALIAS:
        if (q->expanded && found->account != 0)
            return resolve_local(l, found, key, q, r, err);
        return resolve_alias(l, name_str(&found->address), r, err);
    case PLACE_FORWARD:
        expand_to(r, &found->address);
        return true;
    case PLACE_REMOTE:
    case PLACE_BACKUP:
        return resolve_remote(l, key, q, r, err);
    case PLACE_DISABLED:
        say(r, RESOLVE_FAIL, "5.2.1 This mailbox is switched off");
        return true;
    case PLACE_NOBODY:
        say(r, RESOLVE_TEMPFAIL,
            "4.2.1 There is no account yet that could get the postmaster's mail");
        return true;
    case PLACE_UNKNOWN:
        break;
    }
    say(r, RESOLVE_FAIL, "5.1.1 No such user here");
    return true;
}

/* An address that we have signed stands for another one. */
static bool resolve_path(struct lookup *l, const struct path_found *path, const struct resolve_question *q, struct resolved *r, struct err *err)
{
    struct name canonical, key;
    struct found found;
    const char *why;

    if (path->result != PATH_GOOD || !lookup_fold(name_str(&path->address), &canonical, &key, &why)) {
        say(r, RESOLVE_FAIL, paths_refusal(path));
        return true;
    }
    if (path->kind == PATH_KIND_SRS) {
        expand_to(r, &canonical);
        return true;
    }
    r->address = canonical;
    return lookup_find(l, name_str(&key), &found, err) && resolve_found(l, &found, name_str(&key), q, r, err);
}

void lookup_resolve(struct lookup *l, const struct resolve_question *q, struct resolved *r)
{
    struct path_found path;
    struct name canonical, key;
    struct found found;
    const char *why;
    bool done;

    l->trouble.kind = ERR_NONE;
    if (!lookup_fold(q->address, &canonical, &key, &why)) {
        say(r, RESOLVE_FAIL, "5.1.3 This is no mail address");
        return;
    }
    r->address = canonical;
    done = paths_find(l, name_str(&canonical), &path, &l->trouble);
    if (done && path.kind != PATH_KIND_NONE)
        done = resolve_path(l, &path, q, r, &l->trouble);
    else if (done)
        done = lookup_find(l, name_str(&key), &found, &l->trouble) &&
               resolve_found(l, &found, name_str(&key), q, r, &l->trouble);
    if (!done) {
        buf_reset(&r->targets);
        say(r, RESOLVE_TEMPFAIL, "4.3.0 The directory cannot answer now");
    }
}

/* ---- does it go on to another server? ---- */

static bool is_routed_away(struct lookup *l, struct str key, bool *yes, struct err *err)
{
    struct route route;
    bool found;

    *yes = false;
    if (!l->any_route)
        return true;
    if (!find_route(l, "recipient", domain_of(key), &route, &found, err))
        return false;
    *yes = found && (route.action == ACTION_MX || route.action == ACTION_SMTP);
    return true;
}

static bool leaf_leads_away(struct lookup *l, enum place place, struct str key, bool *yes, struct err *err)
{
    *yes = place == PLACE_FORWARD || place == PLACE_BACKUP || place == PLACE_REMOTE;
    return *yes || place != PLACE_ACCOUNT || is_routed_away(l, key, yes, err);
}

static bool any_target_leads_away(struct lookup *l, struct str targets, bool *yes, struct err *err)
{
    struct name canonical, key;
    struct found found;
    struct str target;
    const char *why;

    while (!*yes && str_next(&targets, 0, &target)) {
        if (!lookup_fold(target, &canonical, &key, &why))
            continue;
        if (!lookup_find(l, name_str(&key), &found, err) || !leaf_leads_away(l, found.place, name_str(&key), yes, err))
            return false;
    }
    return true;
}

bool lookup_leads_away(
    struct lookup *l, struct str key, const struct found *found, bool *yes, struct err *err)
{
    struct buf targets;
    const char *why;
    bool done;

    *yes = false;
    if (found->place == PLACE_REMOTE) /* who may send there is no stranger */
        return true;
    if (found->place != PLACE_ALIAS)
        return leaf_leads_away(l, found->place, key, yes, err);
    buf_init(&targets, IPC_LIST);
    done = lookup_expand(l, name_str(&found->address), &targets, &why, err) &&
           any_target_leads_away(l, buf_str(&targets), yes, err);
    buf_clear(&targets);
    return done;
}
