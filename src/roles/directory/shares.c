/* Questions of mailbox about shared mailboxes: whose an address is, and who may have granted something to whom (schema/directory/0002.sql).
 * See directory.h.
 *
 * Owners whose grants have no effect, because the configuration does not let them share with that account, are not told of.
 *
 * A note that could not be written is lost: the owner's mailbox notes it again when it is opened. */
#include "directory.h"

#include "base/log.h"

#include <inttypes.h>

enum { OWNERS_MAX = 1000 };

void on_name_ask(struct role *role, struct channel *from, const struct msg_name_ask *m)
{
    struct directory *d = role_state(role);
    struct msg_name_reply reply = {.id = m->id, .address = STR(""), .asker = STR("")};
    struct name canonical, key;
    struct err err = {0};
    struct account a, asker;
    const char *why;
    bool found = false, knows = false;

    if (!store_get_account_id(&d->store, (int64_t)(m->asker & INT64_MAX), &asker, &knows, &err)) {
        reply.failed = 1;
    } else if (lookup_fold(m->address, &canonical, &key, &why)) {
        reply.failed = !store_get_account(&d->store, name_str(&key), &a, &found, &err);
        reply.address = name_str(&key);
    }
    if (reply.failed)
        answers_trouble(d, "name", &err);
    if (found && !a.sending_only)
        reply.account = (uint64_t)a.id;
    if (knows)
        reply.asker = name_str(&asker.key);
    ipc_send_name_reply(from, &reply);
}

int64_t shares_look_for_splits(struct directory *d, unsigned copies)
{
    struct stmt *s = store_stmt(&d->store, SQL_SHARE_SPLIT);
    struct err err = {0};
    int64_t splits;

    stmt_int(s, copies);
    splits = stmt_row(s) ? column_int(s, 0) : 0;
    if (!stmt_done(s, &err))
        answers_trouble(d, "shares", &err);
    else if (splits > 0)
        log_warning("shares-split", "pairs=%" PRId64 " copies=%u reason=who shares mailboxes with each other must be served by one process: set copies { mailbox = 1 }",
            splits, copies);
    return splits;
}

static bool has_share(struct directory *d, int64_t grantee, int64_t owner, bool *has, struct err *err)
{
    struct stmt *s = store_stmt(&d->store, SQL_SHARE_HAS);

    stmt_int(s, grantee);
    stmt_int(s, owner);
    *has = stmt_row(s);
    return stmt_done(s, err);
}

/* Mostly it is known already, and nothing is written. */
static bool note(struct directory *d, int64_t grantee, int64_t owner, bool granted, struct err *err)
{
    struct stmt *s;
    bool has;

    if (!has_share(d, grantee, owner, &has, err))
        return false;
    if (has == granted)
        return true;
    s = store_stmt(&d->store, granted ? SQL_SHARE_PUT : SQL_SHARE_REMOVE);
    stmt_int(s, grantee);
    stmt_int(s, owner);
    return stmt_run(s, err);
}

void on_share_note(struct role *role, struct channel *from, const struct msg_share_note *m)
{
    struct directory *d = role_state(role);
    struct err err = {0};

    (void)from;
    if (m->owner == 0 || m->owner > INT64_MAX || m->grantee > INT64_MAX)
        return;
    if (!note(d, (int64_t)m->grantee, (int64_t)m->owner, m->granted != 0, &err))
        answers_trouble(d, "shares", &err);
}

static bool list_owners(struct directory *d, const struct config *config, const struct account *asker, struct buf *owners, struct err *err)
{
    struct stmt *s = store_stmt(&d->store, SQL_SHARE_LIST);
    unsigned n = 0;

    stmt_int(s, asker->id);
    stmt_int(s, config->sharing_mode == SHARING_ANYONE ? 0 : asker->id);
    while (stmt_row(s) && n < OWNERS_MAX && owners->n < owners->ceiling - IPC_ADDRESS - 30)
        if (config_lets_share(config, column_str(s, 1), name_str(&asker->key))) {
            buf_addf(owners, "%" PRId64 " %.*s\n", column_int(s, 0), STR_ARG(column_str(s, 1)));
            n++;
        }
    return stmt_done(s, err);
}

void on_shares_ask(struct role *role, struct channel *from, const struct msg_shares_ask *m)
{
    struct directory *d = role_state(role);
    struct msg_shares_reply reply = {.id = m->id, .asker = STR(""), .owners = STR("")};
    struct err err = {0};
    struct account asker;
    struct buf owners;
    bool found = false;

    buf_init(&owners, IPC_LIST - IPC_ADDRESS - 30);
    reply.failed = !store_get_account_id(&d->store, (int64_t)(m->account & INT64_MAX), &asker, &found, &err);
    if (found) {
        reply.asker = name_str(&asker.key);
        reply.failed = !list_owners(d, role_config(role), &asker, &owners, &err);
    }
    if (reply.failed)
        answers_trouble(d, "shares", &err);
    else
        reply.owners = buf_str(&owners);
    ipc_send_shares_reply(from, &reply);
    buf_clear(&owners);
}
