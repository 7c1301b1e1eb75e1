/* Cache of directory's answers about accounts. See accounts.h. */
#include "accounts.h"
#include "shares.h"

#include <stdlib.h>

enum { ACCOUNTS_MOST = 20000 };

struct account {
    struct map_node node;
    uint64_t account;
    uint64_t asked; /* id of the question under way, 0 for none */
    bool known;
    struct account_info info; /* its address is owned */
    struct list waiting;
};

struct accounts {
    struct role *role;
    struct map map;
    struct shares *shares;
};

struct accounts *accounts_new(struct role *role)
{
    struct accounts *a = xcalloc(1, sizeof *a);

    a->role = role;
    map_init(&a->map);
    a->shares = shares_new(role);
    return a;
}

struct shares *accounts_shares(struct accounts *a)
{
    return a->shares;
}

static struct account *find(struct accounts *a, uint64_t account)
{
    for (struct map_node *n = map_find(&a->map, map_hash_number(account)); n != NULL; n = map_find_next(n))
        if (CONTAINER(n, struct account, node)->account == account)
            return CONTAINER(n, struct account, node);
    return NULL;
}

static void drop(struct accounts *a, struct account *entry)
{
    map_remove(&a->map, &entry->node);
    str_free(&entry->info.address);
    free(entry);
}

/* Forgets what nobody waits for. */
static void drop_unused(struct accounts *a)
{
    for (struct map_node *n = map_walk(&a->map, NULL), *next; n != NULL; n = next) {
        struct account *entry = CONTAINER(n, struct account, node);

        next = map_walk(&a->map, n);
        if (list_empty(&entry->waiting))
            drop(a, entry);
    }
}

void accounts_free(struct accounts *a)
{
    if (a == NULL)
        return;
    for (struct map_node *n; (n = map_walk(&a->map, NULL)) != NULL;)
        drop(a, CONTAINER(n, struct account, node));
    map_clear(&a->map);
    shares_free(a->shares);
    free(a);
}

static struct account *add(struct accounts *a, uint64_t account)
{
    struct account *entry;

    if (a->map.count >= ACCOUNTS_MOST)
        drop_unused(a);
    entry = xcalloc(1, sizeof *entry);
    entry->account = account;
    list_init(&entry->waiting);
    map_add(&a->map, &entry->node, map_hash_number(account));
    return entry;
}

static bool ask(struct accounts *a, struct account *entry)
{
    struct channel *directory = role_peer(a->role, ROLE_DIRECTORY, 0);

    if (directory == NULL)
        return false;
    if (entry->asked == 0) {
        entry->asked = role_next_id(a->role);
        ipc_send_account_ask(directory, &(struct msg_account_ask){entry->asked, entry->account});
    }
    return true;
}

void accounts_get(struct accounts *a, uint64_t account, struct account_waiter *w)
{
    struct account *entry = find(a, account);

    if (entry == NULL)
        entry = add(a, account);
    if (entry->known)
        w->ready(w, &entry->info);
    else if (ask(a, entry) || w->patient)
        list_add_last(&entry->waiting, &w->link);
    else
        w->ready(w, NULL);
}

static void tell(struct account *entry, const struct account_info *info)
{
    struct link *first;
    struct list patient;

    list_init(&patient);
    while ((first = list_first(&entry->waiting)) != NULL) {
        struct account_waiter *w = CONTAINER(first, struct account_waiter, link);

        list_remove(first);
        if (info == NULL && w->patient)
            list_add_last(&patient, first);
        else
            w->ready(w, info);
    }
    LIST_EACH(&patient, it) {
        list_remove(it);
        list_add_last(&entry->waiting, it);
    }
}

void accounts_reply(struct accounts *a, const struct msg_account_reply *m)
{
    struct account *entry = find(a, m->account);
    struct account_info info;

    if (entry == NULL || entry->asked != m->id || m->id == 0)
        return;
    entry->asked = 0;
    entry->known = true;
    str_free(&entry->info.address);
    entry->info = (struct account_info){m->found != 0, m->quota_bytes, m->quota_messages, str_dup(m->address)};
    info = entry->info;
    tell(entry, &info);
}

/* An answer under way may be older than the change: whoever waits for it asks again. */
void accounts_forget(struct accounts *a, uint64_t account)
{
    struct account *entry = find(a, account);

    if (entry == NULL)
        return;
    entry->known = false;
    entry->asked = 0;
    if (!list_empty(&entry->waiting) && !ask(a, entry))
        tell(entry, NULL);
}

void accounts_forget_all(struct accounts *a)
{
    drop_unused(a);
    for (struct map_node *n = map_walk(&a->map, NULL); n != NULL; n = map_walk(&a->map, n)) {
        struct account *entry = CONTAINER(n, struct account, node);

        entry->known = false;
        if (!list_empty(&entry->waiting))
            (void)ask(a, entry);
    }
}

void accounts_unreachable(struct accounts *a)
{
    for (struct map_node *n = map_walk(&a->map, NULL); n != NULL; n = map_walk(&a->map, n)) {
        struct account *entry = CONTAINER(n, struct account, node);

        entry->asked = 0;
        entry->known = false;
        tell(entry, NULL);
    }
    drop_unused(a);
    shares_unreachable(a->shares);
}
