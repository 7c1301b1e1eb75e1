/* Statements and rows of the directory's database; the schema is in schema/directory. Structs are
 * filled by value, so a row may be kept while other statements run. */
#include "store.h"

#include "0001.sql.h"
#include "0002.sql.h"
#include "0003.sql.h"
#include "0004.sql.h"
#include "0005.sql.h"
#include "base/clock.h"
#include "base/folder.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const statement_texts[] = {
#define STORE_TEXT(name, sql) sql,
    STORE_STATEMENTS(STORE_TEXT)
#undef STORE_TEXT
};

const char *const send_as_words[] = {"own", "domain", "any", NULL};
const char *const route_action_words[] = {"mx", "smtp", "lmtp", "discard", "fail", NULL};
const char *const route_tls_words[] = {
    "opportunistic", "none", "required", "verified", "implicit", NULL};

const char *const return_path_words[] = {"plain", "sign", "junk", "refuse", NULL};

int word_index(const char *const *words, struct str word)
{
    for (int i = 0; words[i] != NULL; i++)
        if (str_ieq(word, str_of(words[i])))
            return i;
    return -1;
}

struct str name_str(const struct name *name)
{
    return str_from(name->p, name->n);
}

bool name_set(struct name *name, struct str text)
{
    bool fits = text.n < sizeof name->p;

    name->n = fits ? text.n : 0;
    if (name->n > 0)
        memcpy(name->p, text.p, name->n);
    name->p[name->n] = 0;
    return fits;
}

static void copy_text(char *out, size_t size, struct str text)
{
    size_t n = text.n < size ? text.n : 0;

    if (n > 0)
        memcpy(out, text.p, n);
    out[n] = 0;
}

/* FILE.kept, an empty file, says that FILE was made and written. A database that is empty or gone would be taken for a
 * new one otherwise, and a server that has forgotten all its users refuses their mail for good. */
enum { PATH_ROOM = 4096 };

static bool mark_path(char mark[static PATH_ROOM], const char *path, struct err *err)
{
    int n = snprintf(mark, PATH_ROOM, "%s.kept", path);

    return (n > 0 && n < PATH_ROOM) || err_set(err, ERR_PERMANENT, "%s: the path is too long", path);
}

static bool is_there(const char *path, const char *mark, struct err *err)
{
    struct stat about;

    if (stat(mark, &about) != 0 || (stat(path, &about) == 0 && about.st_size > 0))
        return true;
    return err_set(err, ERR_DAMAGED,
        "%s: it is empty or gone: restore it from a backup; to begin with no domains and accounts, remove %s", path,
        mark);
}

/* When everything is in the database for good. */
static bool leave_mark(const char *path, const char *mark, struct err *err)
{
    int fd;

    if (access(mark, F_OK) == 0 || access(path, F_OK) != 0) /* a database in memory has no file */
        return true;
    fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fsync(fd) != 0) {
        err_set(err, ERR_TEMPORARY, "%s: %s", mark, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    close(fd);
    return folder_sync_parent(mark, err);
}

bool store_open(struct store *store, const char *path, struct err *err)
{
    static const char *const steps[] = {schema_directory_0001, schema_directory_0002, schema_directory_0003,
        schema_directory_0004, schema_directory_0005};
    char mark[PATH_ROOM];

    memset(store, 0, sizeof *store);
    return mark_path(mark, path, err) && is_there(path, mark, err) &&
           db_open(&store->db, path, DB_SYNC_FULL, 5000, err) &&
           db_migrate(store->db, steps, sizeof steps / sizeof *steps, err) && leave_mark(path, mark, err);
}

void store_close(struct store *store)
{
    db_close(store->db);
    memset(store, 0, sizeof *store);
}

struct stmt *store_stmt(struct store *store, enum store_statement which)
{
    if (store->statements[which] == NULL)
        store->statements[which] = stmt_new(store->db, statement_texts[which]);
    return store->statements[which];
}

bool store_run(struct store *store, enum store_statement which, const struct str *values, size_t n,
    struct err *err)
{
    struct stmt *s = store_stmt(store, which);

    for (size_t i = 0; i < n; i++)
        stmt_str(s, values[i]);
    return stmt_run(s, err);
}

bool store_number(struct store *store, enum store_statement which, struct str value, int64_t *out,
    struct err *err)
{
    struct stmt *s = store_stmt(store, which);

    if (value.p != NULL)
        stmt_str(s, value);
    *out = stmt_row(s) ? column_int(s, 0) : -1;
    return stmt_done(s, err);
}

bool store_text(struct store *store, enum store_statement which, const struct str *values, size_t n,
    struct name *out, bool *found, struct err *err)
{
    struct stmt *s = store_stmt(store, which);

    for (size_t i = 0; i < n; i++)
        stmt_str(s, values[i]);
    *found = stmt_row(s);
    name_set(out, *found ? column_str(s, 0) : STR(""));
    return stmt_done(s, err);
}

static void read_verifier(struct stmt *s, int column, struct verifier *v)
{
    copy_text(v->hash, sizeof v->hash, column_str(s, column));
    copy_text(v->salt, sizeof v->salt, column_str(s, column + 1));
    v->iterations = column_int(s, column + 2);
    copy_text(v->stored, sizeof v->stored, column_str(s, column + 3));
    copy_text(v->server, sizeof v->server, column_str(s, column + 4));
}

static void bind_verifier(struct stmt *s, const struct verifier *v)
{
    stmt_str(s, str_of(v->hash));
    stmt_str(s, str_of(v->salt));
    stmt_int(s, v->iterations);
    stmt_str(s, str_of(v->stored));
    stmt_str(s, str_of(v->server));
}

/* A word in the database that this program does not know counts as the first of its list. */
static int known_word(const char *const *words, struct str word)
{
    int i = word_index(words, word);

    return i < 0 ? 0 : i;
}

void store_read_account(struct stmt *s, struct account *a)
{
    a->id = column_int(s, 0);
    name_set(&a->key, column_str(s, 1));
    name_set(&a->address, column_str(s, 2));
    name_set(&a->domain, column_str(s, 3));
    a->sending_only = str_eq(column_str(s, 4), STR("sending-only"));
    a->send_as = (enum send_as)known_word(send_as_words, column_str(s, 5));
    a->enabled = column_int(s, 6) != 0;
    a->quota_bytes = column_int(s, 7);
    a->quota_messages = column_int(s, 8);
    a->messages_per_hour = column_int(s, 9);
    a->recipients_per_hour = column_int(s, 10);
    read_verifier(s, 11, &a->verifier);
    a->created = column_int(s, 16);
}

void store_read_credential(struct stmt *s, struct credential *c)
{
    c->id = column_int(s, 0);
    name_set(&c->name, column_str(s, 1));
    c->account = column_int(s, 2);
    name_set(&c->domain, column_str(s, 3));
    c->enabled = column_int(s, 4) != 0;
    c->messages_per_hour = column_int(s, 5);
    c->recipients_per_hour = column_int(s, 6);
    read_verifier(s, 7, &c->verifier);
    c->created = column_int(s, 12);
}

void store_read_route(struct stmt *s, struct route *r)
{
    struct str hosts = column_str(s, 3);

    r->id = column_int(s, 0);
    name_set(&r->match, column_str(s, 1));
    r->action = (enum route_action)known_word(route_action_words, column_str(s, 2));
    copy_text(r->hosts, sizeof r->hosts, hosts);
    r->hosts_n = strlen(r->hosts);
    r->tls = (enum route_tls)known_word(route_tls_words, column_str(s, 4));
    name_set(&r->login, column_str(s, 5));
    name_set(&r->secret, column_str(s, 6));
    name_set(&r->text, column_str(s, 7));
    r->created = column_int(s, 8);
}

bool store_get_domain(
    struct store *store, struct str name, struct domain *d, bool *found, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_DOMAIN_GET);

    stmt_str(s, name);
    *found = stmt_row(s);
    if (*found) {
        name_set(&d->name, name);
        d->local = str_eq(column_str(s, 0), STR("local"));
        name_set(&d->catch_all, column_str(s, 1));
        d->enabled = column_int(s, 2) != 0;
        d->created = column_int(s, 3);
        d->return_path = (enum return_path_mode)known_word(return_path_words, column_str(s, 4));
    }
    return stmt_done(s, err);
}

static bool get_account(struct stmt *s, struct account *a, bool *found, struct err *err)
{
    *found = stmt_row(s);
    if (*found)
        store_read_account(s, a);
    return stmt_done(s, err);
}

bool store_get_account(
    struct store *store, struct str key, struct account *a, bool *found, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_ACCOUNT_BY_KEY);

    stmt_str(s, key);
    return get_account(s, a, found, err);
}

bool store_get_account_id(
    struct store *store, int64_t id, struct account *a, bool *found, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_ACCOUNT_BY_ID);

    stmt_int(s, id);
    return get_account(s, a, found, err);
}

static bool get_credential(struct stmt *s, struct credential *c, bool *found, struct err *err)
{
    *found = stmt_row(s);
    if (*found)
        store_read_credential(s, c);
    return stmt_done(s, err);
}

bool store_get_credential(
    struct store *store, struct str name, struct credential *c, bool *found, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_CREDENTIAL_BY_NAME);

    stmt_str(s, name);
    return get_credential(s, c, found, err);
}

bool store_get_credential_id(
    struct store *store, int64_t id, struct credential *c, bool *found, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_CREDENTIAL_BY_ID);

    stmt_int(s, id);
    return get_credential(s, c, found, err);
}

static bool get_route(struct stmt *s, struct route *r, bool *found, struct err *err)
{
    *found = stmt_row(s);
    if (*found)
        store_read_route(s, r);
    return stmt_done(s, err);
}

bool store_get_route(
    struct store *store, struct str match, struct route *r, bool *found, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_ROUTE_BY_MATCH);

    stmt_str(s, match);
    return get_route(s, r, found, err);
}

bool store_get_route_id(
    struct store *store, int64_t id, struct route *r, bool *found, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_ROUTE_BY_ID);

    stmt_int(s, id);
    return get_route(s, r, found, err);
}

/* Gives a new row its number and its date. Inside a transaction of the caller. */
static bool give_number(
    struct store *store, struct str sequence, int64_t *id, int64_t *created, struct err *err)
{
    if (*id != 0)
        return true;
    *created = clock_now();
    return store_run(store, SQL_SEQUENCE_NEXT, &sequence, 1, err) &&
           store_number(store, SQL_SEQUENCE_GET, sequence, id, err);
}

bool store_put_account(struct store *store, struct account *a, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_ACCOUNT_PUT);

    if (!give_number(store, STR("principal"), &a->id, &a->created, err))
        return false;
    stmt_int(s, a->id);
    stmt_str(s, name_str(&a->key));
    stmt_str(s, name_str(&a->address));
    stmt_str(s, name_str(&a->domain));
    stmt_str(s, a->sending_only ? STR("sending-only") : STR("normal"));
    stmt_str(s, str_of(send_as_words[a->send_as]));
    stmt_int(s, a->enabled);
    stmt_int(s, a->quota_bytes);
    stmt_int(s, a->quota_messages);
    stmt_int(s, a->messages_per_hour);
    stmt_int(s, a->recipients_per_hour);
    bind_verifier(s, &a->verifier);
    stmt_int(s, a->created);
    return stmt_run(s, err);
}

bool store_put_credential(struct store *store, struct credential *c, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_CREDENTIAL_PUT);

    if (!give_number(store, STR("principal"), &c->id, &c->created, err))
        return false;
    stmt_int(s, c->id);
    stmt_str(s, name_str(&c->name));
    stmt_int(s, c->account);
    stmt_str(s, name_str(&c->domain));
    stmt_int(s, c->enabled);
    stmt_int(s, c->messages_per_hour);
    stmt_int(s, c->recipients_per_hour);
    bind_verifier(s, &c->verifier);
    stmt_int(s, c->created);
    return stmt_run(s, err);
}

bool store_put_route(struct store *store, struct route *r, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_ROUTE_PUT);

    if (!give_number(store, STR("route"), &r->id, &r->created, err))
        return false;
    stmt_int(s, r->id);
    stmt_str(s, name_str(&r->match));
    stmt_str(s, str_of(route_action_words[r->action]));
    stmt_str(s, str_from(r->hosts, r->hosts_n));
    stmt_str(s, str_of(route_tls_words[r->tls]));
    stmt_str(s, name_str(&r->login));
    stmt_str(s, name_str(&r->secret));
    stmt_str(s, name_str(&r->text));
    stmt_int(s, r->created);
    return stmt_run(s, err);
}

bool store_put_domain(struct store *store, struct domain *d, struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_DOMAIN_PUT);

    if (d->created == 0)
        d->created = clock_now();
    stmt_str(s, name_str(&d->name));
    stmt_str(s, d->local ? STR("local") : STR("backup-mx"));
    stmt_str(s, name_str(&d->catch_all));
    stmt_int(s, d->enabled);
    stmt_int(s, d->created);
    stmt_str(s, str_of(return_path_words[d->return_path]));
    return stmt_run(s, err);
}

bool store_secret(struct store *store, uint8_t out[32], struct err *err)
{
    struct stmt *s = store_stmt(store, SQL_SETTING_PUT);
    char fresh[32];
    struct str value;

    random_bytes(fresh, sizeof fresh);
    stmt_str(s, STR("login-secret"));
    stmt_blob(s, str_from(fresh, sizeof fresh));
    if (!stmt_run(s, err))
        return false;
    s = store_stmt(store, SQL_SETTING_GET);
    stmt_str(s, STR("login-secret"));
    memset(out, 0, 32);
    if (stmt_row(s) && (value = column_str(s, 0)).n == 32)
        memcpy(out, value.p, 32);
    return stmt_done(s, err);
}
