/* Access control lists: their rows. See store_acl.h. */
#include "store_acl.h"
#include "store_private.h"

static const char letters[] = "lrswipkxtea";

void acl_write_rights(struct buf *out, unsigned rights)
{
    for (size_t i = 0; i < sizeof letters - 1; i++) {
        if (letters[i] == 'a' && rights & (ACL_CREATE | ACL_DELETE))
            buf_add_char(out, 'c');
        if (letters[i] == 'a' && rights & (ACL_TO_DELETE | ACL_EXPUNGE))
            buf_add_char(out, 'd');
        if (rights >> i & 1)
            buf_add_char(out, letters[i]);
    }
}

bool acl_read_rights(struct str text, unsigned *rights)
{
    *rights = 0;
    for (size_t i = 0; i < text.n; i++) {
        ptrdiff_t at = str_find(str_of(letters), text.p[i]);

        if (text.p[i] == 'c')
            *rights |= ACL_CREATE | ACL_DELETE;
        else if (text.p[i] == 'd')
            *rights |= ACL_TO_DELETE | ACL_EXPUNGE;
        else if (at < 0)
            return false;
        else
            *rights |= 1u << at;
    }
    return true;
}

unsigned acl_change(unsigned was, char how, unsigned rights)
{
    return how == '+' ? was | rights : how == '-' ? was & ~rights : rights;
}

struct sum {
    unsigned given, taken;
};

/* The row has grantee, negative, rights. */
static void add_row(struct sum *sum, struct stmt *row, bool anyone)
{
    bool negative = column_int(row, 1) != 0;

    if (negative)
        sum->taken |= (unsigned)column_int(row, 2);
    else if (anyone || column_int(row, 0) != ACL_ANYONE)
        sum->given |= (unsigned)column_int(row, 2);
}

static unsigned rights_of(const struct sum *sum)
{
    return sum->given & ~sum->taken & ACL_ALL;
}

bool store_acl_rights(struct store *s, const struct folder *f, int64_t account, bool anyone, unsigned *rights, struct err *err)
{
    struct stmt *get = store_stmt(s, SQL_ACL_RIGHTS);
    struct sum sum = {0, 0};

    stmt_int(get, s->account);
    stmt_int(get, f->id);
    stmt_int(get, account);
    while (stmt_row(get))
        add_row(&sum, get, anyone);
    *rights = rights_of(&sum);
    return stmt_done(get, err);
}

bool store_acl_folders(struct store *s, int64_t account, bool anyone, int64_t above, store_acl_folder_fn *tell, void *arg, struct err *err)
{
    struct stmt *walk = store_stmt(s, SQL_ACL_FOLDERS);
    struct sum sum = {0, 0};
    int64_t folder = 0;
    bool goes_on = true;

    stmt_int(walk, s->account);
    stmt_int(walk, account);
    stmt_int(walk, above);
    while (goes_on && stmt_row(walk)) {
        if (column_int(walk, 3) != folder) {
            goes_on = folder == 0 || tell(arg, folder, rights_of(&sum));
            folder = column_int(walk, 3);
            sum = (struct sum){0, 0};
        }
        add_row(&sum, walk, anyone);
    }
    if (goes_on && folder != 0)
        (void)tell(arg, folder, rights_of(&sum));
    return stmt_done(walk, err);
}

bool store_acl_list(struct store *s, const struct folder *f, struct acl_entry entries[ACL_ENTRIES_MAX], size_t *n, struct err *err)
{
    struct stmt *walk = store_stmt(s, SQL_ACL_LIST);

    *n = 0;
    stmt_int(walk, s->account);
    stmt_int(walk, f->id);
    while (stmt_row(walk) && *n < ACL_ENTRIES_MAX)
        entries[(*n)++] = (struct acl_entry){column_int(walk, 0), column_int(walk, 1) != 0, (unsigned)column_int(walk, 2) & ACL_ALL};
    return stmt_done(walk, err);
}

static void bind_entry(struct stmt *to, const struct store *s, const struct folder *f, const struct acl_entry *entry)
{
    stmt_int(to, s->account);
    stmt_int(to, f->id);
    stmt_int(to, entry->grantee);
    stmt_int(to, entry->negative);
}

bool store_acl_get(struct store *s, const struct folder *f, struct acl_entry *entry, struct err *err)
{
    struct stmt *get = store_stmt(s, SQL_ACL_GET);

    bind_entry(get, s, f, entry);
    entry->rights = stmt_row(get) ? (unsigned)column_int(get, 0) & ACL_ALL : 0;
    return stmt_done(get, err);
}

bool store_acl_set(struct store *s, const struct folder *f, const struct acl_entry *entry, struct err *err)
{
    struct stmt *set = store_stmt(s, entry->rights == 0 ? SQL_ACL_REMOVE : SQL_ACL_PUT);

    s->names++;
    events_add_rights(s, f->id);
    bind_entry(set, s, f, entry);
    if (entry->rights != 0)
        stmt_int(set, entry->rights);
    return stmt_run(set, err);
}

bool store_acl_copy(struct store *s, const struct folder *from, const struct folder *to, struct err *err)
{
    struct stmt *copy = store_stmt(s, SQL_ACL_COPY);

    stmt_int(copy, to->id);
    stmt_int(copy, s->account);
    stmt_int(copy, from->id);
    return stmt_run(copy, err);
}

bool store_acl_grantees(struct store *s, store_grantee_fn *tell, void *arg, struct err *err)
{
    struct stmt *walk = store_stmt(s, SQL_ACL_GRANTEES);

    stmt_int(walk, s->account);
    while (stmt_row(walk))
        tell(arg, column_int(walk, 0));
    return stmt_done(walk, err);
}

bool store_acl_has(struct store *s, int64_t grantee, bool *has, struct err *err)
{
    struct stmt *find = store_stmt(s, SQL_ACL_HAS);

    stmt_int(find, s->account);
    stmt_int(find, grantee);
    *has = stmt_row(find);
    return stmt_done(find, err);
}

bool store_acl_forget(struct store *s, int64_t grantee, struct err *err)
{
    struct stmt *forget = store_stmt(s, SQL_ACL_FORGET);

    s->names++;
    events_add_rights(s, 0);
    stmt_int(forget, s->account);
    stmt_int(forget, grantee);
    return stmt_run(forget, err);
}

bool acl_drop(struct store *s, int64_t folder, struct err *err)
{
    struct stmt *drop = store_stmt(s, SQL_ACL_DROP);

    stmt_int(drop, s->account);
    stmt_int(drop, folder);
    return stmt_run(drop, err);
}
