/* The directory's commands: what they refuse, lists in pages, what they never show, and a disk that fails below
 * them. */
#include "directory_world.h"

#include "fault_vfs.h"

#include <stdio.h>

static const struct {
    const char *line;
    int code;
    const char *words;
} wrong[] = {
    {"frob add", EX_USAGE, "no such command"},
    {"domain", EX_USAGE, "expected one of"},
    {"domain frob", EX_USAGE, "add, set, show, list, remove"},
    {"domain add", EX_USAGE, "usage"},
    {"domain add a b", EX_USAGE, "too many words"},
    {"domain add ok.example colour=red", EX_USAGE, "unknown option colour"},
    {"domain add ok.example kind=odd", EX_USAGE, "local, backup-mx"},
    {"domain add ok.example enabled=maybe", EX_USAGE, "yes or no"},
    {"domain add -x.example", EX_DATAERR, "no domain"},
    {"domain add x..example", EX_DATAERR, "no domain"},
    {"domain add a@b.example", EX_DATAERR, "no domain"},
    {"domain add [192.0.2.1]", EX_DATAERR, "no domain"},
    {"domain add example.org", EX_CANTCREAT, "exists already"},
    {"domain add ok.example catch_all=nothing", EX_DATAERR, "no domain"},
    {"domain add ok.example kind=backup-mx catch_all=a@b.example", EX_DATAERR, "catch_all"},
    {"domain show no.example", EX_NOHOST, "domain list"},
    {"domain remove example.org", EX_DATAERR, "3 accounts, 1 alias and"},
    {"domain set example.org kind=backup-mx", EX_DATAERR, "remove them"},
    {"account add x@no.example", EX_NOHOST, "staffetta domain add no.example"},
    {"account add x@backup.example", EX_DATAERR, "backup-mx"},
    {"account add x", EX_DATAERR, "user@domain"},
    {"account add x~y@example.org", EX_DATAERR, "no mail address"},
    {"account add "
     "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg@example.org",
        EX_DATAERR, ""},
    {"account add anna@EXAMPLE.org", EX_CANTCREAT, "exists already"},
    {"account add sales@example.org", EX_CANTCREAT, "is an alias"},
    {"account add x@example.org quota=lots", EX_USAGE, "500M"},
    {"account add x@example.org quota=99999999999999999999", EX_USAGE, "500M"},
    {"account add x@example.org messages_per_hour=-3", EX_USAGE, "none"},
    {"account add x@example.org send_as=king", EX_USAGE, "own, domain, any"},
    {"account add x@example.org password=", EX_DATAERR, "1 to"},
    {"account add x@example.org password=a\x01"
     "b",
        EX_DATAERR, "choose another"},
    {"account show y@example.org", EX_NOUSER, "account list"},
    {"account list limit=banana", EX_USAGE, "number"},
    {"alias add anna@example.org bob@example.org", EX_CANTCREAT, "is an account"},
    {"alias add x@example.org", EX_USAGE, "at least one"},
    {"alias add x@example.org y", EX_DATAERR, "user@domain"},
    {"alias add x@no.example y@z.example", EX_NOHOST, "domain add"},
    {"alias add sales@example.org bob@example.org", EX_CANTCREAT, "alias set"},
    {"alias set x@example.org bob@example.org", EX_NOUSER, "alias list"},
    {"credential add app password=x", EX_USAGE, "either"},
    {"credential add app account=anna@example.org domain=example.org password=x", EX_USAGE,
        "either"},
    {"credential add app account=anna@example.org", EX_USAGE, "password"},
    {"credential add app account=no@example.org password=x", EX_NOUSER, "account add"},
    {"credential add app domain=no.example password=x", EX_NOHOST, "domain add"},
    {"credential add anna@example.org domain=example.org password=x", EX_CANTCREAT,
        "is an account"},
    {"credential remove app", EX_NOUSER, "credential list"},
    {"route add recipient:x.example", EX_USAGE, "kind"},
    {"route add recipient:x.example teleport", EX_USAGE, "mx, smtp"},
    {"route add nonsense mx", EX_USAGE, "recipient:DOMAIN"},
    {"route add sender:* mx", EX_DATAERR, "no domain"},
    {"route add recipient:x.example smtp", EX_USAGE, "at least one HOST"},
    {"route add recipient:x.example smtp host:99999", EX_DATAERR, "no host"},
    {"route add recipient:x.example smtp [::1", EX_DATAERR, "no host"},
    {"route add recipient:x.example mx 10.0.0.1", EX_USAGE, "no hosts"},
    {"route add recipient:x.example smtp h.example login=a", EX_USAGE, "belong together"},
    {"route add recipient:x.example smtp h.example login=a password=b", EX_USAGE,
        "tls=verified"},
    {"route add recipient:x.example fail text=no", EX_USAGE, "enhanced code"},
    {"route remove recipient:x.example", EX_NOUSER, "route list"},
    {"pool add p", EX_USAGE, "which address"},
    {"pool add p nothing", EX_DATAERR, "IPv4"},
    {"pool add p 192.0.2.1 weight=heavy", EX_USAGE, "1000"},
    {"pool set p 192.0.2.1", EX_NOUSER, "pool add"},
    {"pool bind sender:example.org p", EX_NOUSER, "no pool"},
    {"pool bind recipient:x.example p", EX_USAGE, "expected sender:"},
    {"pool unbind class:bulk", EX_NOUSER, "bindings"},
    {"pool show p", EX_NOUSER, "pool list"},
};

static void command_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        refuses(wrong[i].line, wrong[i].code, wrong[i].words);
        assert_false(db_in_transaction(store.db));
    }
    must("domain list"); /* nothing of all that was kept */
    assert_int_equal(row_count, 3);
    must("account list");
    assert_int_equal(row_count, 3);
}

static void lists_have_pages(void **state)
{
    char line[100];
    struct command c = {.store = &store,
        .lookup = &lookup,
        .world = &world,
        .object = STR("account"),
        .args = {"list", 5}};
    struct err err = {0};
    struct buf text;
    int pages = 0;

    (void)state;
    assert_true(db_begin(store.db, &err));
    for (int i = 0; i < 450; i++) {
        struct account a = {.enabled = true};

        snprintf(line, sizeof line, "user%03d@second.example", i);
        name_set(&a.key, str_of(line));
        name_set(&a.address, str_of(line));
        name_set(&a.domain, STR("second.example"));
        assert_true(store_put_account(&store, &a, &err));
    }
    assert_true(db_commit(store.db, &err));
    must("account list");
    assert_int_equal(row_count, 453);
    must("account list domain=second.example");
    assert_int_equal(row_count, 450);
    must("account list user44");
    assert_int_equal(row_count, 10);
    must("account list limit=250");
    assert_int_equal(row_count, 250);
    buf_init(&text, 4096);
    buf_reset(&rows);
    c.text = &text;
    row_count = 0;
    do { /* never more than there is room for */
        int before = row_count;

        c.room = 100;
        assert_int_equal(command_run(&c), 0);
        assert_true(row_count - before <= 100);
        pages++;
    } while (c.more && pages < 20);
    assert_int_equal(row_count, 453);
    assert_int_equal(pages, 5);
    buf_clear(&text);
}

static void numbers_are_never_used_again(void **state)
{
    (void)state;
    must("account add first@example.org");
    assert_int_equal(changed, 4);
    must("account remove first@example.org");
    assert_int_equal(removed, 4);
    must("account add second@example.org");
    assert_int_equal(changed, 5);
    must("account show second@example.org");
    assert_true(shown("\"id\":5"));
}

static void nothing_secret_is_shown(void **state)
{
    (void)state;
    must("route add recipient:x.example smtp h.example tls=verified login=me password=topsecret");
    must("credential add app account=anna@example.org password=topsecret");
    must("route list");
    assert_false(shown("topsecret"));
    must("account list");
    assert_false(shown("argon"));
    must("credential list");
    assert_false(shown("argon") || shown("topsecret"));
}

/* ---- a disk that fails ---- */

static int64_t number(const char *sql)
{
    struct stmt *s = stmt_new(store.db, sql);
    struct err err = {0};
    int64_t n = stmt_row(s) ? column_int(s, 0) : -1;

    if (!stmt_done(s, &err))
        fail_msg("%s", err.text);
    stmt_free(s);
    return n;
}

/* Every command is done or not done, never half. */
static void check_whole(void)
{
    struct err err = {0};

    if (!db_check_integrity(store.db, &err))
        fail_msg("%s", err.text);
    assert_int_equal(
        number("SELECT count(*) FROM alias WHERE key NOT IN (SELECT alias FROM alias_target)"), 0);
    assert_int_equal(
        number("SELECT count(*) FROM alias_target WHERE alias NOT IN (SELECT key FROM alias)"), 0);
    assert_int_equal(
        number("SELECT count(*) FROM account WHERE id IN (SELECT id FROM removed_account)"), 0);
    assert_int_equal(number("SELECT count(*) FROM credential WHERE account <> 0 AND account NOT IN "
                            "(SELECT id FROM account)"),
        0);
    assert_int_equal(number("SELECT count(*) FROM account WHERE id > (SELECT last FROM sequence "
                            "WHERE name = 'principal')"),
        0);
}

static void every_write_fails_in_turn(void **state)
{
    static const char *const lines[] = {"account add f@example.org quota=1M",
        "alias add g@example.org f@example.org h@outside.example",
        "credential add c account=f@example.org password=x",
        "alias set g@example.org f@example.org i@outside.example", "pool add p 192.0.2.1",
        "pool bind class:bulk p", "route add class:bulk mx",
        "account remove f@example.org force=yes"};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        int code = EX_TEMPFAIL;

        for (int n = 1; code != 0; n++) {
            fault_at(n, n % 2 == 0);
            code = say(lines[i]);
            fault_at(0, false);
            if (code != 0 && code != EX_TEMPFAIL && code != EX_CANTCREAT && code != EX_NOUSER)
                fail_msg("%s: %d %s", lines[i], code, said);
            assert_false(db_in_transaction(store.db));
            check_whole();
            reopen(); /* as after a crash: a commit that was not promised may have come about */
            check_whole();
            if (code == EX_CANTCREAT || code == EX_NOUSER)
                break;
        }
    }
    assert_int_equal(number("SELECT count(*) FROM account WHERE key = 'f@example.org'"), 0);
    goes("g@example.org", "", "expand i@outside.example ");
}

/* Statements are prepared when they are needed; a malformed one would end the process. */
static void every_statement_is_well_formed(void **state)
{
    (void)state;
    for (int i = 0; i < SQL_COUNT; i++)
        assert_non_null(store_stmt(&store, (enum store_statement)i));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, directory_begin, directory_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(command_errors),
        TEST(lists_have_pages),
        TEST(numbers_are_never_used_again),
        TEST(nothing_secret_is_shown),
        TEST(every_write_fails_in_turn),
        TEST(every_statement_is_well_formed),
    };

    return cmocka_run_group_tests_name("directory_command", tests, directory_open, directory_close);
}
