/* Subscriptions: names, not folders, because one outlives its folder (RFC 9051, section 6.3.7). See store_folder.h. */
#include "store_private.h"

bool store_subscribe(struct store *s, struct str name, bool subscribed, struct err *err)
{
    struct stmt *set = stmt_new(s->db,
        subscribed ? "INSERT INTO subscription (account, name) VALUES ($1, $2) ON CONFLICT (account, name) DO NOTHING"
                   : "DELETE FROM subscription WHERE account = $1 AND name = $2");
    bool done;

    s->names++;
    stmt_int(set, s->account);
    stmt_str(set, name);
    done = stmt_run(set, err);
    stmt_free(set);
    if (done)
        events_add_subscription(s, name, subscribed);
    return done;
}

bool store_subscriptions(struct store *s, store_name_fn *tell, void *arg, struct err *err)
{
    struct stmt *walk = stmt_new(s->db, "SELECT name FROM subscription WHERE account = $1 ORDER BY name");
    bool done;

    stmt_int(walk, s->account);
    while (stmt_row(walk))
        tell(arg, column_str(walk, 0));
    done = stmt_done(walk, err);
    stmt_free(walk);
    return done;
}

bool store_subscription_count(struct store *s, int64_t *count, struct err *err)
{
    struct stmt *get = store_stmt(s, SQL_COUNT_SUBSCRIPTIONS);

    stmt_int(get, s->account);
    *count = stmt_row(get) ? column_int(get, 0) : 0;
    return stmt_done(get, err);
}

bool store_is_subscribed(struct store *s, struct str name, bool *subscribed, struct err *err)
{
    struct stmt *find = store_stmt(s, SQL_IS_SUBSCRIBED);

    stmt_int(find, s->account);
    stmt_str(find, name);
    *subscribed = stmt_row(find);
    return stmt_done(find, err);
}
