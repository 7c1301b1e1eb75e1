/* What the directory does with any bytes of its peers: addresses in questions, words of commands. The
 * input is a list of lines; the first byte of each chooses the question, by whom and how it is asked, the
 * rest is its text (for a command: the packed words, object first). The database lives in memory, and is
 * new for each input that finds it changed. */
#include "roles/directory/command.h"
#include "roles/directory/login.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct store store;
static struct lookup lookup;
static struct config *config;
static int rows;
static bool dirty;

static void on_row(void *arg, struct str json)
{
    (void)arg;
    rows++;
    if (json.n < 2 || json.p[0] != '{' || json.p[json.n - 1] != '}' || !str_is_utf8(json))
        abort();
}

static void on_account(void *arg, int64_t account, bool removed)
{
    (void)arg;
    (void)removed;
    if (account <= 0)
        abort();
}

static void on_pools(void *arg)
{
    (void)arg;
}

static void run_command(struct str object, struct str args)
{
    static const struct command_world world = {NULL, on_row, on_account, on_pools};
    struct command c = {
        .store = &store, .lookup = &lookup, .world = &world, .object = object, .args = args};
    struct buf text;
    int code, pages = 0;

    buf_init(&text, IPC_TEXT);
    c.text = &text;
    do {
        c.room = CONTROL_ROWS;
        rows = 0;
        code = command_run(&c);
        if (rows > CONTROL_ROWS || ++pages > 10000)
            abort();
    } while (c.more);
    if (code != 0 && (code < 64 || code > 78 || text.n == 0))
        abort();
    if (db_in_transaction(store.db))
        abort();
    dirty |= code == 0;
    buf_clear(&text);
}

/* Always the same one: seeds hold addresses signed with it. */
static void add_path_key(void)
{
    static const char zeros[PATH_KEY_OCTETS];
    struct stmt *s = store_stmt(&store, SQL_PATH_KEY_ADD);
    struct err err = {0};

    stmt_int(s, 1);
    stmt_int(s, 1);
    stmt_blob(s, str_from(zeros, sizeof zeros));
    if (!stmt_run(s, &err))
        fatal("%s", err.text);
}

static void open_world(void)
{
    static const char *const lines[] = {"domain\0add\0example.org\0",
        "account\0add\0anna@example.org\0",
        "alias\0add\0all@example.org\0anna@example.org\0b@far.example\0",
        "domain\0add\0b.example\0kind=backup-mx\0"};
    struct err err = {0};

    if (!store_open(&store, ":memory:", &err) ||
        (config == NULL && !config_parse(&config, STR("c"),
                               STR("hostname = \"mail.test\"\nlimits { recipients_per_account = 5 }\n"), &err)))
        fatal("%s", err.text);
    add_path_key();
    lookup_init(&lookup, &store, config);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        size_t n = 0, words = i == 2 ? 5 : i == 3 ? 4 : 3;
        struct str all, object;

        for (size_t w = 0; w < words; w++)
            n += strlen(lines[i] + n) + 1;
        all = str_from(lines[i], n);
        str_next(&all, 0, &object);
        run_command(object, all);
    }
    dirty = false;
}

static void close_world(void)
{
    lookup_clear(&lookup);
    store_close(&store);
    memset(&store, 0, sizeof store);
}

static void ask_rcpt(struct str address, int64_t account, bool first, bool bounce)
{
    struct rcpt_said said;

    dirty |= account != 0;
    buf_init(&said.text, IPC_TEXT);
    lookup_rcpt(&lookup, &(struct rcpt_question){address, account, first, bounce, 1}, &said);
    if (said.result == RCPT_TEMPFAIL || said.text.n < 6)
        abort();
    buf_clear(&said.text);
}

static void ask_resolve(struct str text, int64_t class, bool expanded, bool submitted)
{
    struct resolved r;
    struct str address;

    if (!str_next(&text, 0, &address))
        return;
    resolved_init(&r);
    lookup_resolve(&lookup, &(struct resolve_question){address, text, address, class, expanded, submitted}, &r);
    if (r.result == RESOLVE_TEMPFAIL && !str_starts(buf_str(&r.text), STR("4.2.1")))
        abort();
    if (r.result == RESOLVE_EXPAND && r.targets.n == 0)
        abort();
    resolved_clear(&r);
}

static void ask_login(struct str text)
{
    static const uint8_t secret[32];
    struct sasl_login login;
    struct err err = {0};

    if (!login_find(&store, secret, text, &login, &err) || login.verifier.salt[0] == 0)
        abort();
}

/* how: account of the sender (or class of the mail), and whether this is its first recipient (or comes out
 * of an alias). */
static void ask(unsigned question, unsigned how, struct str text)
{
    struct err err = {0};
    struct str object;
    bool allowed;

    switch (question) {
    case 0:
        ask_rcpt(text, how % 4, how / 4 % 2, how / 8 % 2);
        break;
    case 1:
        ask_resolve(text, how % 2, how / 4 % 2, how / 8 % 2);
        break;
    case 2:
        if (!lookup_sender(&lookup, how % 4 + 1, text, &allowed, &err))
            abort();
        break;
    case 3:
        ask_login(text);
        break;
    default:
        if (str_next(&text, 0, &object))
            run_command(object, text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size}, line;

    if (store.db == NULL)
        open_world();
    if (size < 2 || size > 4000)
        return 0;
    while (str_next(&rest, '\n', &line))
        if (line.n > 1)
            ask((unsigned char)line.p[0] % 5, (unsigned char)line.p[0] / 5, str_skip(line, 1));
    if (dirty)
        close_world();
    return 0;
}
