/* Marks of imported messages (schema/mailbox: imported). See store.h. */
#include "store_private.h"

bool store_mark_is_known(struct store *s, struct str mark, bool *known, struct err *err)
{
    struct stmt *find = store_stmt(s, SQL_FIND_MARK);

    stmt_int(find, s->account);
    stmt_blob(find, mark);
    *known = stmt_row(find);
    return stmt_done(find, err);
}

bool store_mark_put(struct store *s, struct str mark, struct err *err)
{
    struct stmt *put = store_stmt(s, SQL_PUT_MARK);

    stmt_int(put, s->account);
    stmt_blob(put, mark);
    return stmt_run(put, err);
}
