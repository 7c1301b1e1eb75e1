/* The directory's database: opening, the statements, and rows as structs. Only copy 0 writes; the
 * other copies read what is there at each question. */
#pragma once
#include "db/db.h"
#include "ipc/messages.h"

/* A text of a row, kept by value. */
struct name {
    size_t n;
    char p[IPC_ADDRESS + 1];
};

struct str name_str(const struct name *name);
/* False when it does not fit; the name is then empty. */
bool name_set(struct name *name, struct str text);

/* Every statement of the role, prepared at its first use. */
#define STORE_STATEMENTS(X)                                                                        \
    X(DOMAIN_GET, "SELECT kind, catch_all, enabled, created, return_path FROM domain WHERE name = $1")          \
    X(DOMAIN_FIRST, "SELECT name FROM domain WHERE kind = 'local' ORDER BY created, name LIMIT 1") \
    X(DOMAIN_PUT,                                                                                  \
        "INSERT INTO domain (name, kind, catch_all, enabled, created, return_path) "               \
        "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO UPDATE SET "                        \
        "kind = excluded.kind, catch_all = excluded.catch_all, enabled = excluded.enabled, "       \
        "return_path = excluded.return_path")                                                      \
    X(DOMAIN_SIGNED_ANY, "SELECT count(*) FROM (SELECT 1 FROM domain WHERE return_path <> 'plain' LIMIT 1) AS d") \
    X(PATH_KEYS, "SELECT id, made FROM path_key ORDER BY id DESC LIMIT 16")                        \
    X(PATH_SECRETS, "SELECT id, secret FROM path_key ORDER BY id DESC LIMIT 4")                    \
    X(PATH_KEY_ADD, "INSERT INTO path_key (id, made, secret) VALUES ($1, $2, $3)")                 \
    X(PATH_KEY_REMOVE, "DELETE FROM path_key WHERE id = $1")                                       \
    X(DOMAIN_REMOVE, "DELETE FROM domain WHERE name = $1")                                         \
    X(DOMAIN_LIST, "SELECT name FROM domain WHERE name > $1 ORDER BY name LIMIT $2")               \
    X(DOMAIN_NEXT, "SELECT name FROM domain WHERE name > $1 ORDER BY name LIMIT 1")                \
    X(DOMAIN_ACCOUNTS, "SELECT count(*) FROM account WHERE domain = $1")                           \
    X(DOMAIN_ALIASES, "SELECT count(*) FROM alias WHERE domain = $1")                              \
    X(DOMAIN_CREDENTIALS, "SELECT count(*) FROM credential WHERE domain = $1")                     \
    X(ACCOUNT_BY_KEY, "SELECT " STORE_ACCOUNT " FROM account WHERE key = $1")                      \
    X(ACCOUNT_BY_ID, "SELECT " STORE_ACCOUNT " FROM account WHERE id = $1")                        \
    X(ACCOUNT_OLDEST, "SELECT " STORE_ACCOUNT                                                      \
                      " FROM account WHERE kind = 'normal' AND enabled = 1 ORDER BY id LIMIT 1")   \
    X(ACCOUNT_PUT,                                                                                 \
        "INSERT INTO account (id, key, address, domain, kind, send_as, enabled, quota_bytes, "     \
        "quota_messages, messages_per_hour, recipients_per_hour, password, scram_salt, "           \
        "scram_iterations, scram_stored, scram_server, created) VALUES ($1, $2, $3, $4, $5, $6, "  \
        "$7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT (id) DO UPDATE SET "      \
        "kind = excluded.kind, send_as = excluded.send_as, enabled = excluded.enabled, "           \
        "quota_bytes = excluded.quota_bytes, quota_messages = excluded.quota_messages, "           \
        "messages_per_hour = excluded.messages_per_hour, recipients_per_hour = "                   \
        "excluded.recipients_per_hour, "                                                           \
        "password = excluded.password, scram_salt = excluded.scram_salt, "                         \
        "scram_iterations = excluded.scram_iterations, scram_stored = excluded.scram_stored, "     \
        "scram_server = excluded.scram_server")                                                    \
    X(ACCOUNT_REMOVE, "DELETE FROM account WHERE id = $1")                                         \
    X(ACCOUNT_LIST, "SELECT " STORE_ACCOUNT " FROM account WHERE key > $1 ORDER BY key LIMIT $2")  \
    X(ACCOUNT_LIST_DOMAIN, "SELECT " STORE_ACCOUNT                                                 \
                           " FROM account WHERE domain = $3 AND key > $1 ORDER BY key LIMIT $2")   \
    X(REMOVED_PUT, "INSERT INTO removed_account (id, removed) VALUES ($1, $2)")                    \
    X(REMOVED_SWEEP, "DELETE FROM removed_account WHERE removed < $1")                             \
    X(REMOVED_LIST, "SELECT id FROM removed_account WHERE id > $1 ORDER BY id LIMIT $2")           \
    X(SHARE_HAS, "SELECT 1 FROM share WHERE grantee = $1 AND owner = $2")                          \
    X(SHARE_PUT, "INSERT INTO share (grantee, owner) VALUES ($1, $2) ON CONFLICT DO NOTHING")      \
    X(SHARE_REMOVE, "DELETE FROM share WHERE grantee = $1 AND owner = $2")                         \
    X(SHARE_SPLIT, "SELECT count(*) FROM share WHERE grantee <> 0 AND grantee % $1 <> owner % $1")  \
    X(SHARE_FORGET, "DELETE FROM share WHERE grantee = $1 OR owner = $1")                          \
    X(SHARE_LIST, "SELECT DISTINCT account.id, account.key FROM share JOIN account ON account.id " \
                  "= share.owner WHERE share.grantee IN ($1, $2) AND share.owner <> $1 ORDER BY "  \
                  "account.key")                                                                   \
    X(ALIAS_GET, "SELECT address, domain, enabled, created FROM alias WHERE key = $1")             \
    X(ALIAS_PUT,                                                                                   \
        "INSERT INTO alias (key, address, domain, enabled, created) VALUES ($1, $2, $3, $4, $5) "  \
        "ON CONFLICT (key) DO UPDATE SET enabled = excluded.enabled")                              \
    X(ALIAS_REMOVE, "DELETE FROM alias WHERE key = $1")                                            \
    X(ALIAS_LIST, "SELECT key, enabled FROM alias WHERE key > $1 ORDER BY key LIMIT $2")           \
    X(ALIAS_LIST_DOMAIN,                                                                           \
        "SELECT key, enabled FROM alias WHERE domain = $3 AND key > $1 ORDER BY key LIMIT $2")     \
    X(TARGET_LIST, "SELECT target, key FROM alias_target WHERE alias = $1 AND key > $2 ORDER BY "  \
                   "key LIMIT $3")                                                                 \
    X(TARGET_COUNT, "SELECT count(*) FROM alias_target WHERE alias = $1")                          \
    X(TARGET_HAS, "SELECT 1 FROM alias_target WHERE alias = $1 AND key = $2")                      \
    X(TARGET_PUT, "INSERT INTO alias_target (alias, key, target) VALUES ($1, $2, $3) ON CONFLICT " \
                  "DO NOTHING")                                                                    \
    X(TARGET_REMOVE, "DELETE FROM alias_target WHERE alias = $1 AND key = $2")                     \
    X(TARGET_CLEAR, "DELETE FROM alias_target WHERE alias = $1")                                   \
    X(TARGET_USED, "SELECT alias FROM alias_target WHERE key = $1 ORDER BY alias LIMIT 1")         \
    X(TARGET_FORGET, "DELETE FROM alias_target WHERE key = $1")                                    \
    X(ALIAS_EMPTY, "DELETE FROM alias WHERE key NOT IN (SELECT alias FROM alias_target)")          \
    X(CREDENTIAL_BY_NAME, "SELECT " STORE_CREDENTIAL " FROM credential WHERE name = $1")           \
    X(CREDENTIAL_BY_ID, "SELECT " STORE_CREDENTIAL " FROM credential WHERE id = $1")               \
    X(CREDENTIAL_PUT,                                                                              \
        "INSERT INTO credential (id, name, account, domain, enabled, messages_per_hour, "          \
        "recipients_per_hour, password, scram_salt, scram_iterations, scram_stored, "              \
        "scram_server, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) "  \
        "ON CONFLICT (id) DO UPDATE SET enabled = excluded.enabled, "                              \
        "messages_per_hour = excluded.messages_per_hour, recipients_per_hour = "                   \
        "excluded.recipients_per_hour, "                                                           \
        "password = excluded.password, scram_salt = excluded.scram_salt, "                         \
        "scram_iterations = excluded.scram_iterations, scram_stored = excluded.scram_stored, "     \
        "scram_server = excluded.scram_server")                                                    \
    X(CREDENTIAL_REMOVE, "DELETE FROM credential WHERE id = $1")                                   \
    X(CREDENTIAL_FORGET, "DELETE FROM credential WHERE account = $1")                              \
    X(CREDENTIAL_LIST,                                                                             \
        "SELECT " STORE_CREDENTIAL " FROM credential WHERE name > $1 ORDER BY name LIMIT $2")      \
    X(ROUTE_BY_MATCH, "SELECT " STORE_ROUTE " FROM route WHERE match = $1")                        \
    X(ROUTE_BY_ID, "SELECT " STORE_ROUTE " FROM route WHERE id = $1")                              \
    X(ROUTE_PUT, "INSERT INTO route (id, match, kind, hosts, tls, login, secret, text, created) "  \
                 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE SET "     \
                 "kind = excluded.kind, hosts = excluded.hosts, tls = excluded.tls, login = "      \
                 "excluded.login, "                                                                \
                 "secret = excluded.secret, text = excluded.text")                                 \
    X(ROUTE_REMOVE, "DELETE FROM route WHERE match = $1")                                          \
    X(ROUTE_LIST, "SELECT " STORE_ROUTE " FROM route WHERE match > $1 ORDER BY match LIMIT $2")    \
    X(ROUTE_ANY, "SELECT count(*) FROM (SELECT 1 FROM route LIMIT 1) AS r")                        \
    X(POOL_PUT, "INSERT INTO pool_source (pool, address, weight, ehlo) VALUES ($1, $2, $3, $4) "   \
                "ON CONFLICT (pool, address) DO UPDATE SET weight = excluded.weight, ehlo = "      \
                "excluded.ehlo")                                                                   \
    X(POOL_GET, "SELECT weight, ehlo FROM pool_source WHERE pool = $1 AND address = $2")           \
    X(POOL_REMOVE, "DELETE FROM pool_source WHERE pool = $1 AND address = $2")                     \
    X(POOL_CLEAR, "DELETE FROM pool_source WHERE pool = $1")                                       \
    X(POOL_COUNT, "SELECT count(*) FROM pool_source WHERE pool = $1")                              \
    X(POOL_BINDINGS, "SELECT match FROM pool_binding WHERE pool = $1 ORDER BY match LIMIT 20")     \
    X(POOL_USED, "SELECT match FROM pool_binding WHERE pool = $1 ORDER BY match LIMIT 1")          \
    X(POOL_LIST,                                                                                   \
        "SELECT pool, address, weight, ehlo FROM pool_source WHERE (pool, address) > ($1, $2) "    \
        "ORDER BY pool, address LIMIT $3")                                                         \
    X(BINDING_GET, "SELECT pool FROM pool_binding WHERE match = $1")                               \
    X(BINDING_PUT, "INSERT INTO pool_binding (match, pool) VALUES ($1, $2) ON CONFLICT (match) "   \
                   "DO UPDATE SET pool = excluded.pool")                                           \
    X(BINDING_REMOVE, "DELETE FROM pool_binding WHERE match = $1")                                 \
    X(BINDING_LIST,                                                                                \
        "SELECT match, pool FROM pool_binding WHERE match > $1 ORDER BY match LIMIT $2")           \
    X(BINDING_ANY, "SELECT count(*) FROM (SELECT 1 FROM pool_binding LIMIT 1) AS b")               \
    X(DKIM_OF_DOMAIN, "SELECT " STORE_DKIM " FROM dkim_key WHERE domain = $1 ORDER BY made, selector LIMIT 32") \
    X(DKIM_LIST, "SELECT " STORE_DKIM ", domain FROM dkim_key WHERE (domain, selector) > ($1, $2) " \
                 "ORDER BY domain, selector LIMIT $3")                                             \
    X(DKIM_PRIVATE, "SELECT private FROM dkim_key WHERE domain = $1 AND selector = $2")            \
    X(DKIM_ADD,                                                                                    \
        "INSERT INTO dkim_key (" STORE_DKIM ", domain, private) VALUES ($1, $2, $3, $4, $5, $6, "  \
        "$7, $8, $9, $10, $11, $12, $13, $14)")                                                    \
    X(DKIM_SET, "UPDATE dkim_key SET state = $3, by_hand = $4, published = $5, used = $6, "        \
                "retired = $7, ended = $8, looked = $9, record = $10 WHERE domain = $1 AND "       \
                "selector = $2")                                                                   \
    X(DKIM_WIPE, "UPDATE dkim_key SET private = $3 WHERE domain = $1 AND selector = $2")           \
    X(DKIM_REMOVE, "DELETE FROM dkim_key WHERE domain = $1 AND selector = $2")                     \
    X(DKIM_FORGET, "DELETE FROM dkim_key WHERE domain = $1")                                       \
    X(SEQUENCE_NEXT, "UPDATE sequence SET last = last + 1 WHERE name = $1")                        \
    X(SEQUENCE_GET, "SELECT last FROM sequence WHERE name = $1")                                   \
    X(WATCHED_LIST, "SELECT subject, at, problems FROM watched WHERE subject > $1 OR (CAST($2 AS BIGINT) = 1 AND subject = '') ORDER BY subject LIMIT $3") \
    X(WATCHED_PUT, "INSERT INTO watched (subject, at, problems) VALUES ($1, $2, $3) ON CONFLICT (subject) DO UPDATE SET "  \
                   "at = excluded.at, problems = excluded.problems")                              \
    X(WATCHED_REMOVE, "DELETE FROM watched WHERE subject = $1")                                    \
    X(SETTING_GET, "SELECT value FROM setting WHERE name = $1")                                    \
    X(SETTING_PUT, "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")

#define STORE_ACCOUNT                                                                              \
    "id, key, address, domain, kind, send_as, enabled, quota_bytes, quota_messages, "              \
    "messages_per_hour, "                                                                          \
    "recipients_per_hour, password, scram_salt, scram_iterations, scram_stored, scram_server, "    \
    "created"
#define STORE_CREDENTIAL                                                                           \
    "id, name, account, domain, enabled, messages_per_hour, recipients_per_hour, password, "       \
    "scram_salt, "                                                                                 \
    "scram_iterations, scram_stored, scram_server, created"
#define STORE_DKIM                                                                                 \
    "selector, algorithm, state, public, by_hand, made, published, used, retired, ended, looked, record"
#define STORE_ROUTE "id, match, kind, hosts, tls, login, secret, text, created"

enum store_statement {
#define STORE_ENUM(name, sql) SQL_##name,
    STORE_STATEMENTS(STORE_ENUM)
#undef STORE_ENUM
        SQL_COUNT,
};

struct store {
    struct db *db;
    struct stmt *statements[SQL_COUNT];
};

/* What is kept of a password. All texts; empty `hash` means that nobody can log in with it. */
struct verifier {
    char hash[160];                        /* Argon2id, of crypto_pwhash_str */
    char salt[32], stored[64], server[64]; /* SCRAM-SHA-256, base64 */
    int64_t iterations;
};

/* What is done about the return paths of a domain's own mail (docs/forwarding.md). Each does what the one before does, and more: sign:
 * mail sent gets signed ones; junk, refuse: what is done about bounces that come to another one. */
enum return_path_mode { RETURN_PATH_PLAIN, RETURN_PATH_SIGN, RETURN_PATH_JUNK, RETURN_PATH_REFUSE };

struct domain {
    struct name name, catch_all;
    bool local, enabled;
    enum return_path_mode return_path;
    int64_t created;
};

enum send_as { SEND_AS_OWN, SEND_AS_DOMAIN, SEND_AS_ANY };

struct account {
    int64_t id;
    struct name key, address, domain;
    bool sending_only, enabled;
    enum send_as send_as;
    int64_t quota_bytes, quota_messages, messages_per_hour, recipients_per_hour, created;
    struct verifier verifier;
};

struct credential {
    int64_t id, account;
    struct name name, domain;
    bool enabled;
    int64_t messages_per_hour, recipients_per_hour, created;
    struct verifier verifier;
};

struct route {
    int64_t id, created;
    struct name match, login, secret, text;
    enum route_action { ACTION_MX, ACTION_SMTP, ACTION_LMTP, ACTION_DISCARD, ACTION_FAIL } action;
    enum route_tls tls;
    size_t hosts_n;
    char hosts[IPC_TEXT];
};

/* The words that stand for enums in the database and in commands; NULL at the end. */
extern const char *const send_as_words[], *const route_action_words[], *const route_tls_words[], *const return_path_words[];
/* Place of a word in such a list, or -1. */
int word_index(const char *const *words, struct str word);

/* Makes the database unless it is there. One that is empty or gone, though it was made once, is refused (ERR_DAMAGED). */
MUST_CHECK bool store_open(struct store *store, const char *path, struct err *err);
void store_close(struct store *store);
struct stmt *store_stmt(struct store *store, enum store_statement which);

/* Each fills *found; false only when the database failed. */
MUST_CHECK bool store_get_domain(
    struct store *store, struct str name, struct domain *out, bool *found, struct err *err);
MUST_CHECK bool store_get_account(
    struct store *store, struct str key, struct account *out, bool *found, struct err *err);
MUST_CHECK bool store_get_account_id(
    struct store *store, int64_t id, struct account *out, bool *found, struct err *err);
MUST_CHECK bool store_get_credential(
    struct store *store, struct str name, struct credential *out, bool *found, struct err *err);
MUST_CHECK bool store_get_credential_id(
    struct store *store, int64_t id, struct credential *out, bool *found, struct err *err);
MUST_CHECK bool store_get_route(
    struct store *store, struct str match, struct route *out, bool *found, struct err *err);
MUST_CHECK bool store_get_route_id(
    struct store *store, int64_t id, struct route *out, bool *found, struct err *err);
/* The whole row is written; an id of 0 is given a number first (created is set too). */
MUST_CHECK bool store_put_account(struct store *store, struct account *a, struct err *err);
MUST_CHECK bool store_put_credential(struct store *store, struct credential *c, struct err *err);
MUST_CHECK bool store_put_route(struct store *store, struct route *r, struct err *err);
MUST_CHECK bool store_put_domain(struct store *store, struct domain *d, struct err *err);

/* Runs a statement of the table whose parameters are one or two texts. */
MUST_CHECK bool store_run(struct store *store, enum store_statement which, const struct str *values,
    size_t n, struct err *err);
/* First column of its first row, -1 for none. */
MUST_CHECK bool store_number(struct store *store, enum store_statement which, struct str value,
    int64_t *out, struct err *err);
/* First column of its first row as text; *found false for none. */
MUST_CHECK bool store_text(struct store *store, enum store_statement which,
    const struct str *values, size_t n, struct name *out, bool *found, struct err *err);

/* Rows of lists. */
void store_read_account(struct stmt *s, struct account *out);
void store_read_credential(struct stmt *s, struct credential *out);
void store_read_route(struct stmt *s, struct route *out);

/* 32 random bytes that are made once for this database: salts of logins that do not exist. */
MUST_CHECK bool store_secret(struct store *store, uint8_t out[32], struct err *err);
