/* Questions to directory about shared mailboxes. See shares.h. */
#include "shares.h"

#include <stdlib.h>

struct shares {
    struct role *role;
    struct list waiting;
};

struct shares *shares_new(struct role *role)
{
    struct shares *s = xcalloc(1, sizeof *s);

    s->role = role;
    list_init(&s->waiting);
    return s;
}

void shares_free(struct shares *s)
{
    for (struct link *first; (first = list_first(&s->waiting)) != NULL;)
        list_remove(first);
    free(s);
}

bool shares_is_ours(const struct shares *s, int64_t account)
{
    return account > 0 && (uint64_t)account % role_copies(s->role) == role_copy(s->role);
}

bool shares_may(const struct shares *s, struct str owner, struct str other)
{
    return config_lets_share(role_config(s->role), owner, other);
}

bool shares_is_beyond(const struct shares *s, const struct shares_answer *answer)
{
    return !answer->failed && str_rfind(answer->address, '@') > 0 && !shares_may(s, answer->asker, answer->address);
}

enum sharing shares_mode(const struct shares *s)
{
    return role_config(s->role)->sharing_mode;
}

/* NULL: directory is away, the waiter was told. */
static struct channel *directory_for(struct shares *s, struct shares_waiter *w)
{
    struct channel *directory = role_peer(s->role, ROLE_DIRECTORY, 0);

    if (directory == NULL) {
        w->ready(w, &(struct shares_answer){.failed = true});
        return NULL;
    }
    w->id = role_next_id(s->role);
    list_add_last(&s->waiting, &w->link);
    return directory;
}

void shares_find(struct shares *s, int64_t asker, struct str address, struct shares_waiter *w)
{
    struct channel *directory;

    if (address.n == 0 || address.n > IPC_ADDRESS) {
        w->ready(w, &(struct shares_answer){.account = 0});
        return;
    }
    directory = directory_for(s, w);
    if (directory != NULL)
        ipc_send_name_ask(directory, &(struct msg_name_ask){w->id, (uint64_t)asker, address});
}

void shares_list(struct shares *s, int64_t account, struct shares_waiter *w)
{
    struct channel *directory = directory_for(s, w);

    if (directory != NULL)
        ipc_send_shares_ask(directory, &(struct msg_shares_ask){w->id, (uint64_t)account});
}

void shares_note(struct shares *s, int64_t owner, int64_t grantee, bool granted)
{
    struct channel *directory = role_peer(s->role, ROLE_DIRECTORY, 0);

    if (directory != NULL)
        ipc_send_share_note(directory, &(struct msg_share_note){(uint64_t)owner, (uint64_t)grantee, granted});
}

static void tell(struct shares *s, uint64_t id, const struct shares_answer *answer)
{
    LIST_EACH(&s->waiting, it) {
        struct shares_waiter *w = CONTAINER(it, struct shares_waiter, link);

        if (w->id != id)
            continue;
        list_remove(&w->link);
        w->ready(w, answer);
        return;
    }
}

void shares_name_reply(struct shares *s, const struct msg_name_reply *m)
{
    bool sane = m->account <= INT64_MAX;

    tell(s, m->id, &(struct shares_answer){.failed = m->failed != 0, .account = sane ? (int64_t)m->account : 0,
        .address = m->address, .asker = m->asker});
}

void shares_reply(struct shares *s, const struct msg_shares_reply *m)
{
    tell(s, m->id, &(struct shares_answer){.failed = m->failed != 0, .asker = m->asker, .owners = m->owners});
}

void shares_unreachable(struct shares *s)
{
    for (struct link *first; (first = list_first(&s->waiting)) != NULL;) {
        struct shares_waiter *w = CONTAINER(first, struct shares_waiter, link);

        list_remove(first);
        w->ready(w, &(struct shares_answer){.failed = true});
    }
}
