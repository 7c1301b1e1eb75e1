#include "throttle.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/ip.h"

#include <stdlib.h>
#include <string.h>

enum { CLIENT_TEXT = IP_TEXT + 20 };
static const int64_t slow_step = SECOND / 4, slow_most = 4 * SECOND;

struct entry {
    struct map_node node;
    struct link link;
    struct str key; /* owned: 'c' and the address, or 'l' and the login */
    int64_t failures, since;
    char good[CLIENT_TEXT]; /* of a login: the address of its last success */
};

void throttle_init(struct throttle *t, int64_t failures, int64_t window)
{
    map_init(&t->map);
    list_init(&t->order);
    t->failures = failures > 0 ? failures : 1;
    t->window = window;
}

static void forget(struct throttle *t, struct entry *e)
{
    map_remove(&t->map, &e->node);
    list_remove(&e->link);
    str_free(&e->key);
    free(e);
}

void throttle_clear(struct throttle *t)
{
    LIST_EACH(&t->order, it)
    forget(t, CONTAINER(it, struct entry, link));
    map_clear(&t->map);
}

/* The network that counts: an IPv4 address, an IPv6 /64; other text as it is. */
static void client_key(struct str client, char out[CLIENT_TEXT])
{
    struct ip ip;
    size_t n = client.n < CLIENT_TEXT - 1 ? client.n : CLIENT_TEXT - 1;

    memset(out, 0, CLIENT_TEXT);
    if (ip_parse(client, &ip)) {
        ip = ip_limit_key(&ip);
        ip_format(&ip, out);
    } else if (n > 0) {
        memcpy(out, client.p, n);
    }
}

static struct entry *find(struct throttle *t, char kind, struct str text)
{
    char key[1200];
    struct str whole = {key, 1};
    struct map_node *node;

    if (text.n > sizeof key - 1)
        text.n = sizeof key - 1;
    key[0] = kind;
    if (text.n > 0)
        memcpy(key + 1, text.p, text.n);
    whole.n += text.n;
    for (node = map_find(&t->map, map_hash_str(whole)); node != NULL; node = map_find_next(node)) {
        struct entry *e = CONTAINER(node, struct entry, node);

        if (str_eq(e->key, whole))
            return e;
    }
    return NULL;
}

static struct entry *find_or_add(struct throttle *t, char kind, struct str text, int64_t now)
{
    struct entry *e = find(t, kind, text);
    struct buf key;

    if (e != NULL)
        return e;
    if (t->map.count >= THROTTLE_MAX)
        forget(t, CONTAINER(t->order.head.next, struct entry, link));
    e = xcalloc(1, sizeof *e);
    e->since = now;
    buf_init(&key, 1200);
    buf_add_char(&key, kind);
    buf_add(&key, str_sub(text, 0, 1199));
    e->key = str_dup(buf_str(&key));
    buf_clear(&key);
    map_add(&t->map, &e->node, map_hash_str(e->key));
    list_add_last(&t->order, &e->link);
    return e;
}

/* The failures that still count. */
static int64_t recent(const struct throttle *t, const struct entry *e, int64_t now)
{
    return e == NULL || now - e->since >= t->window ? 0 : e->failures;
}

bool throttle_refuses(struct throttle *t, struct str client, struct str login, int64_t now)
{
    char from[CLIENT_TEXT];
    const struct entry *e;

    client_key(client, from);
    if (client.n > 0 && recent(t, find(t, 'c', str_of(from)), now) >= t->failures)
        return true;
    e = login.n > 0 ? find(t, 'l', login) : NULL;
    return e != NULL && recent(t, e, now) >= t->failures * THROTTLE_LOGIN_FACTOR &&
           (client.n == 0 || strcmp(e->good, from) != 0);
}

static int64_t count(struct throttle *t, char kind, struct str text, int64_t now)
{
    struct entry *e = find_or_add(t, kind, text, now);

    if (now - e->since >= t->window) {
        e->failures = 0;
        e->since = now;
    }
    list_remove(&e->link);
    list_add_last(&t->order, &e->link);
    return ++e->failures;
}

int64_t throttle_failed(struct throttle *t, struct str client, struct str login, int64_t now)
{
    char from[CLIENT_TEXT];
    int64_t most = 1, n, wait;

    client_key(client, from);
    if (client.n > 0)
        most = count(t, 'c', str_of(from), now);
    if (login.n > 0 && (n = count(t, 'l', login, now)) > most)
        most = n;
    wait = (most > 16 ? 16 : most) * slow_step;
    return wait < slow_most ? wait : slow_most;
}

void throttle_succeeded(struct throttle *t, struct str client, struct str login, int64_t now)
{
    struct entry *e;
    char from[CLIENT_TEXT];

    client_key(client, from);
    e = find_or_add(t, 'l', login, now);
    if (client.n > 0)
        memcpy(e->good, from, sizeof e->good);
    list_remove(&e->link);
    list_add_last(&t->order, &e->link);
    /* The address keeps its count: one valid login must not pay for guessing at others. */
    e->failures = 0;
    e->since = now;
}
