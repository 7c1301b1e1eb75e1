/* Loss of power under the directory's commands, all of them real; a second copy reads beside the first one, as in a
 * server. A command that failed is given again until it is done or refused, as people do.
 *
 * The promises: what a command that said it was done has changed is there, all of it; of the one command that was
 * under way all or nothing; the database passes SQLite's integrity check, opens, and takes the next command. So
 * the whole of the database, logins' secret included, is compared with what it was after each command. */
#include "cut.h"
#include "cut_clock.h"
#include "db/sqlite.h"
#include "roles/directory/command.h"
#include "scratch.h"

#include <errno.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { DEEDS = 400, LINE = 200, DOMAINS = 3, NAMES = 4 };

struct deed {
    size_t begun, done; /* places on the tape */
    uint64_t state;     /* of the database after it */
    char text[LINE];
};

static struct deed deeds[DEEDS];
static size_t deed_count;
static uint64_t left[2]; /* what the disk of the run before may hold */
static bool goes_on;

static char folder[SCRATCH_MAX];
static struct config *config;
static struct store store, other; /* copy 0, and copy 1 while it is there */
static bool other_lives;
static struct lookup lookup;

/* Real hashing takes its time on purpose. */
int crypto_pwhash_str_alg(char out[crypto_pwhash_STRBYTES], const char *const passwd, unsigned long long passwdlen,
    unsigned long long opslimit, size_t memlimit, int alg)
{
    unsigned char salt;

    (void)opslimit;
    (void)memlimit;
    (void)alg;
    randombytes_buf(&salt, 1);
    memset(out, 0, crypto_pwhash_STRBYTES);
    snprintf(out, crypto_pwhash_STRBYTES, "$hash$%u$%.*s", salt, (int)passwdlen, passwd);
    return 0;
}

/* A command that is given again makes the same key. */
EVP_PKEY *EVP_PKEY_Q_keygen(OSSL_LIB_CTX *context, const char *properties, const char *type, ...)
{
    unsigned char seed[32];

    (void)context;
    (void)properties;
    (void)type;
    randombytes_buf(seed, sizeof seed);
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
}

/* ---- the role ---- */

static void path_of_store(char path[static SCRATCH_MAX + 20])
{
    snprintf(path, SCRATCH_MAX + 20, "%s/directory.db", folder);
}

/* As main.c does it. */
static bool open_copy(struct store *s, struct err *err)
{
    char path[SCRATCH_MAX + 20];
    uint8_t secret[32];

    path_of_store(path);
    if (store_open(s, path, err) && store_secret(s, secret, err))
        return true;
    store_close(s);
    return false;
}

static void boot(void)
{
    struct err err = {0};

    if (!open_copy(&store, &err))
        fail_msg("%s", err.text);
    lookup_init(&lookup, &store, config);
    lookup_changed(&lookup);
}

static void end_writer(void)
{
    lookup_clear(&lookup);
    store_close(&store);
}

static void end_reader(void)
{
    if (other_lives)
        store_close(&other);
    other_lives = false;
}

static void halt(void)
{
    end_reader();
    end_writer();
}

static void on_row(void *arg, struct str json)
{
    (void)arg;
    (void)json;
}

static void on_account(void *arg, int64_t account, bool gone)
{
    (void)arg;
    (void)account;
    (void)gone;
}

static void on_pools(void *arg)
{
    (void)arg;
}

/* "path-key N": a key of signed addresses at some time, earlier or later than the last. */
static int rotate(struct str line)
{
    struct err err = {0};
    uint64_t n = 0;
    bool changed_;

    (void)str_to_u64(str_skip(line, strlen("path-key ")), 1000, &n);
    return paths_rotate(&store, (int64_t)n * 5 * DAY, &changed_, &err) ? 0 : EX_TEMPFAIL;
}

static int run(const char *line)
{
    static const struct command_world world = {NULL, on_row, on_account, on_pools};
    struct str rest = str_of(line), word;
    struct command c = {.store = &store, .lookup = &lookup, .world = &world, .room = CONTROL_ROWS};
    struct buf args, text;
    int code;

    if (str_starts(rest, STR("path-key ")))
        return rotate(rest);
    buf_init(&args, 4000);
    buf_init(&text, 4096);
    str_next_word(&rest, &c.object);
    while (str_next_word(&rest, &word)) {
        buf_add(&args, word);
        buf_add_char(&args, 0);
    }
    c.args = buf_str(&args);
    c.text = &text;
    code = command_run(&c);
    if (code == EX_USAGE)
        fail_msg("%s: %.*s", line, STR_ARG(buf_str(&text)));
    buf_clear(&args);
    buf_clear(&text);
    return code;
}

/* ---- the whole database as a number ---- */

static void add_bytes(uint64_t *hash, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i++)
        *hash = (*hash ^ p[i]) * UINT64_C(0x100000001b3);
    *hash = (*hash ^ n) * UINT64_C(0x100000001b3);
}

static sqlite3_stmt *ask(struct store *s, const char *sql)
{
    sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(s->db->raw, sql, -1, &stmt, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(s->db->raw));
    return stmt;
}

static void add_table(struct store *s, const char *table, uint64_t *hash)
{
    char sql[100];
    sqlite3_stmt *rows;

    snprintf(sql, sizeof sql, "SELECT * FROM %s", table);
    rows = ask(s, sql);
    add_bytes(hash, table, strlen(table));
    while (sqlite3_step(rows) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(rows); i++) {
            const void *bytes = sqlite3_column_blob(rows, i);

            add_bytes(hash, bytes, (size_t)sqlite3_column_bytes(rows, i));
        }
    assert_int_equal(sqlite3_finalize(rows), SQLITE_OK);
}

static uint64_t state_of(struct store *s)
{
    sqlite3_stmt *tables = ask(s, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    while (sqlite3_step(tables) == SQLITE_ROW)
        add_table(s, (const char *)sqlite3_column_text(tables, 0), &hash);
    assert_int_equal(sqlite3_finalize(tables), SQLITE_OK);
    return hash;
}

/* ---- work ---- */

static unsigned pick(unsigned below)
{
    return (unsigned)cut_random(below);
}

/* %d: a domain, %n: the number of a name, %r: any number from 1. */
static const char *const kinds[] = {
    "domain add d%d.test", "domain add d%d.test", "domain set d%d.test catch_all=u%n@d%d.test",
    "domain set d%d.test enabled=no", "domain remove d%d.test",
    "account add u%n@d%d.test quota=%rM", "account add u%n@d%d.test password=secret%r",
    "account add s%n@d%d.test kind=sending-only password=beep%r", "account set u%n@d%d.test password=other%r",
    "account set u%n@d%d.test quota=%rM enabled=no", "account remove u%n@d%d.test", "account remove u%n@d%d.test force=yes",
    "alias add l%n@d%d.test to=u%n@d%d.test to=x%r@far.test", "alias set l%n@d%d.test u%n@d%d.test y%r@far.test",
    "alias remove l%n@d%d.test", "credential add c%n domain=d%d.test password=key%r",
    "credential add k%n account=u%n@d%d.test password=key%r", "credential set c%n password=new%r",
    "credential remove c%n", "route add recipient:far%n.test smtp host%r.test:25",
    "route remove recipient:far%n.test", "pool add p%n 192.0.2.%r weight=%r", "pool remove p%n",
    "pool bind sender:d%d.test p%n", "pool unbind sender:d%d.test",
    "dkim make d%d.test algorithm=ed25519 selector=k%n", "dkim confirm d%d.test", "dkim rotate d%d.test algorithm=ed25519",
    "dkim revoke d%d.test k%n", "domain set d%d.test return_path=refuse", "path-key %r", "path-key %r",
};

static void write_line(char out[static LINE])
{
    const char *kind = kinds[pick(sizeof kinds / sizeof *kinds)];
    size_t n = 0;

    for (; *kind != 0; kind++) {
        if (*kind == '%' && *++kind != 0)
            n += (size_t)snprintf(out + n, LINE - n, "%u", *kind == 'd'   ? pick(DOMAINS)
                                                           : *kind == 'n' ? pick(NAMES)
                                                                          : 1 + pick(250));
        else
            out[n++] = *kind;
    }
    out[n] = 0;
}

/* So many targets that the commit has many pages. */
static void write_long_line(char out[static LINE])
{
    size_t n = (size_t)snprintf(out, LINE, "alias set big@d0.test");

    while (n < LINE - 20)
        n += (size_t)snprintf(out + n, LINE - n, " t%u@far.test", pick(10000));
}

static void revive_writer(void)
{
    if (pick(2))
        end_reader();
    end_writer();
    disk_fail(0, 0, false);
    boot();
}

/* Nothing; or one call of the next command fails; or all from one on, which is how a killed process looks to the
 * disk. */
static bool hamper(void)
{
    static const int errors[] = {EIO, EIO, ENOSPC, ENOMEM, EMFILE, 0};
    unsigned how = pick(10);

    if (how < 3)
        disk_fail(1 + pick(12), errors[pick(sizeof errors / sizeof *errors)], false);
    else if (how < 5)
        disk_fail(1 + pick(25), pick(2) ? EIO : ENOSPC, true);
    else if (how < 6)
        disk_fail_sync(1, EIO);
    return how >= 3 && how < 5;
}

static void give(const char *line)
{
    struct deed *d = &deeds[deed_count];
    bool kill = hamper();
    uint64_t chance = cut_state;
    int code = EX_TEMPFAIL;

    assert_true(deed_count < DEEDS);
    snprintf(d->text, sizeof d->text, "%s", line);
    d->begun = disk_length();
    d->done = SIZE_MAX;
    deed_count++;
    for (int tries = 0; code == EX_TEMPFAIL && tries < 3; tries++) {
        cut_state = chance; /* the same salts */
        code = run(line);
        if (kill && disk_failed())
            revive_writer();
        disk_fail(0, 0, false);
        kill = false;
    }
    if (code == EX_TEMPFAIL)
        fail_msg("%s fails on a sound disk", line);
    d->state = state_of(&store);
    d->done = disk_length();
}

/* A copy that checks passwords: comes, reads, is killed. */
static void use_reader(void)
{
    struct err err = {0};

    if (other_lives && state_of(&other) != deeds[deed_count - 1].state)
        fail_msg("the other copy does not see what \"%s\" did", deeds[deed_count - 1].text);
    if (pick(4) == 0 && other_lives)
        end_reader();
    else if (pick(4) == 0 && !other_lives)
        other_lives = open_copy(&other, &err);
}

/* What the run begins with. */
static void begin_deeds(void)
{
    uint64_t now = state_of(&store);

    if (goes_on && now != left[0] && now != left[1])
        fail_msg("the disk to go on with is not as it was promised");
    deeds[0] = (struct deed){.state = now, .done = disk_length(), .text = "start"};
    deed_count = 1;
}

static void work(unsigned steps)
{
    char line[LINE];

    if (deed_count == 0)
        begin_deeds();
    while (steps-- > 0) {
        cut_set_clock(clock_now() + (int64_t)cut_random(HOUR));
        if (pick(12) == 0)
            write_long_line(line);
        else
            write_line(line);
        give(line);
        use_reader();
    }
}

/* ---- promises ---- */

/* The last deed that was promised before `at`. */
static size_t last_promised(size_t at)
{
    size_t i = deed_count;

    while (i > 0 && deeds[i - 1].done > at)
        i--;
    return i;
}

static uint64_t also_allowed(size_t promised, size_t at)
{
    return deeds[promised < deed_count && deeds[promised].begun < at ? promised : promised - 1].state;
}

static bool takes_the_next(char *why, size_t size)
{
    if (run("domain add next.test") == EX_OK) {
        halt();
        boot();
        if (run("domain show next.test") == EX_OK)
            return true;
    }
    snprintf(why, size, "it does not take the next command");
    return false;
}

static bool keeps_promises(size_t at, char *why, size_t size)
{
    size_t promised = last_promised(at);
    struct err err = {0};
    uint64_t now;

    if (!db_check_integrity(store.db, &err)) {
        snprintf(why, size, "%s", err.text);
        return false;
    }
    now = state_of(&store);
    if (promised > 0 && now != deeds[promised - 1].state && now != also_allowed(promised, at)) {
        snprintf(why, size, "the database is not what \"%s\" left, nor with what came next",
            deeds[promised - 1].text);
        return false;
    }
    return takes_the_next(why, size);
}

static void forget_after(size_t at)
{
    size_t promised = last_promised(at);

    goes_on = promised > 0;
    if (goes_on) {
        left[0] = deeds[promised - 1].state;
        left[1] = also_allowed(promised, at);
    }
    deed_count = 0;
}

/* ---- the world ---- */

static void open_world(uint64_t seed)
{
    struct err err = {0};

    cut_seed(seed);
    cut_set_clock(CUT_FIRST_DAY + (int64_t)(seed % 1000) * DAY);
    scratch_make_in_memory(folder, "powercut_directory");
    if (!config_parse(&config, STR("test.conf"), STR("hostname = \"mail.test\"\ndata = \"/nowhere\"\n"), &err))
        fail_msg("%s", err.text);
    deed_count = 0;
    goes_on = false;
    disk_record(folder);
    boot();
    begin_deeds();
}

static void close_world(void)
{
    halt();
    config_free(config);
    scratch_remove(folder);
}

static const char *folder_of_world(void)
{
    return folder;
}

static void what_a_command_did_survives_the_loss_of_power(void **state)
{
    static const struct cut_world world = {open_world, close_world, folder_of_world, boot, halt, work, cut_set_clock,
        keeps_promises, forget_after};
    static const struct cut_effort brief = {6, 2, 40, 12, 3}, thorough = {1, 3, 100, 0, DISK_LOSSES + 1};

    (void)state;
    cut_run(&world, &brief, &thorough);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_a_command_did_survives_the_loss_of_power)};

    return cmocka_run_group_tests_name("powercut_directory", tests, NULL, NULL);
}
