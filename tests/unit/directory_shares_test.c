/* Directory: whose an address is, and who may have granted something to whom (shares.c). */
#include "directory_world.h"
#include "fault_vfs.h"
#include "roles/directory/directory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct directory directory;
static char answer[200 * 1024]; /* the last one, "3 anna@example.org", "failed", or owners */
static uint64_t answered;       /* its id */
static unsigned troubles;
static uint64_t asker;          /* of names: an account */
static char known_asker[300];   /* its address, in the last answer */
static struct config config;

void *role_state(struct role *role)
{
    (void)role;
    return &directory;
}

const struct config *role_config(const struct role *role)
{
    (void)role;
    return &config;
}

void answers_trouble(struct directory *d, const char *question, const struct err *err)
{
    (void)d;
    assert_true(strlen(question) > 0 && err->kind != ERR_NONE);
    troubles++;
}

void ipc_send_name_reply(struct channel *to, const struct msg_name_reply *m)
{
    (void)to;
    answered = m->id;
    snprintf(known_asker, sizeof known_asker, "%.*s", STR_ARG(m->asker));
    if (m->failed)
        snprintf(answer, sizeof answer, "failed");
    else
        snprintf(answer, sizeof answer, "%" PRIu64 " %.*s", m->account, STR_ARG(m->address));
}

void ipc_send_shares_reply(struct channel *to, const struct msg_shares_reply *m)
{
    (void)to;
    assert_true(m->owners.n <= IPC_LIST);
    answered = m->id;
    snprintf(known_asker, sizeof known_asker, "%.*s", STR_ARG(m->asker));
    snprintf(answer, sizeof answer, "%s%.*s", m->failed ? "failed" : "", STR_ARG(m->owners));
}

/* ---- asking ---- */

/* The commands of directory_world.h and the role have one database, and one set of statements. */
static void lend(void)
{
    directory.store = store;
}

static void take_back(void)
{
    store = directory.store;
}

static const char *name(const char *address)
{
    static uint64_t id;

    lend();
    on_name_ask(NULL, NULL, &(struct msg_name_ask){++id, asker, str_of(address)});
    take_back();
    assert_int_equal(answered, id);
    return answer;
}

static const char *owners_for(int64_t account)
{
    static uint64_t id = 1000;

    lend();
    on_shares_ask(NULL, NULL, &(struct msg_shares_ask){++id, (uint64_t)account});
    take_back();
    assert_int_equal(answered, id);
    return answer;
}

static void note(uint64_t owner, uint64_t grantee, bool granted)
{
    lend();
    on_share_note(NULL, NULL, &(struct msg_share_note){owner, grantee, granted});
    take_back();
}

static int64_t number_of(const char *address)
{
    return strtoll(name(address), NULL, 10);
}

static void expect_line(const char *lines, int64_t account, const char *address, bool is_there)
{
    char line[300];

    snprintf(line, sizeof line, "%" PRId64 " %s\n", account, address);
    if ((strstr(lines, line) != NULL) != is_there)
        fail_msg("%s: %s", line, lines);
}

static int begin(void **state)
{
    if (directory_begin(state) != 0)
        return -1;
    troubles = 0;
    asker = 0;
    config.sharing_mode = SHARING_ANYONE;
    return 0;
}

/* ---- tests ---- */

static void names(void **state)
{
    int64_t anna = number_of("anna@example.org"), bob = number_of("bob@example.org");

    (void)state;
    assert_true(anna > 0 && bob > 0 && anna != bob);
    assert_int_equal(number_of("ANNA@Example.ORG"), anna);
    assert_non_null(strstr(name("Anna@example.org"), " anna@example.org")); /* as it is compared */
    assert_string_equal(name("Nobody@Example.org"), "0 nobody@example.org");
    assert_string_equal(name("robot@example.org"), "0 robot@example.org"); /* has no mailbox */
    assert_string_equal(name("sales@example.org"), "0 sales@example.org"); /* an alias: whom it means can change */
    assert_string_equal(name("anna+tag@example.org"), "0 anna+tag@example.org");
    assert_string_equal(name("x@second.example"), "0 x@second.example"); /* its catch-all */
    assert_string_equal(name("anna"), "0 anna");
    assert_string_equal(name("@"), "0 ");
    assert_string_equal(name(""), "0 ");
    assert_string_equal(name("anna@example.org@example.org"), "0 ");
    assert_string_equal(name("an na@example.org"), "0 ");
    assert_string_equal(known_asker, "");
    asker = (uint64_t)bob;
    assert_string_equal(name("an na@example.org"), "0 ");
    assert_string_equal(known_asker, "bob@example.org");
    asker = 999999;
    assert_int_equal(number_of("anna@example.org"), anna);
    assert_string_equal(known_asker, "");
    assert_int_equal(troubles, 0);
}

static void pairs(void **state)
{
    int64_t anna = number_of("anna@example.org"), bob = number_of("bob@example.org");

    (void)state;
    assert_string_equal(owners_for(bob), "");
    note((uint64_t)anna, (uint64_t)bob, true);
    note((uint64_t)anna, (uint64_t)bob, true);
    expect_line(owners_for(bob), anna, "anna@example.org", true);
    assert_string_equal(owners_for(anna), "");
    assert_string_equal(owners_for(12345), "");
    note((uint64_t)anna, 0, true); /* and anyone: told once */
    expect_line(owners_for(bob), anna, "anna@example.org", true);
    assert_ptr_equal(strchr(answer, '\n') + 1, answer + strlen(answer));
    assert_string_equal(known_asker, "bob@example.org");
    assert_string_equal(owners_for(12345), ""); /* who is not there has no part in that */
    note((uint64_t)anna, (uint64_t)bob, false);
    expect_line(owners_for(bob), anna, "anna@example.org", true);
    assert_string_equal(owners_for(anna), ""); /* her own are not others' */
    note((uint64_t)anna, 0, false);
    assert_string_equal(owners_for(bob), "");
    note((uint64_t)anna, 0, false);
    assert_int_equal(troubles, 0);
}

/* Who is told of whom, by the configuration. */
static void reach(void **state)
{
    int64_t anna = number_of("anna@example.org"), bob = number_of("bob@example.org"), far;

    (void)state;
    must("account add far@second.example");
    far = number_of("far@second.example");
    note((uint64_t)anna, (uint64_t)bob, true);
    note((uint64_t)anna, (uint64_t)far, true);
    note((uint64_t)bob, 0, true);
    expect_line(owners_for(far), anna, "anna@example.org", true);
    expect_line(owners_for(far), bob, "bob@example.org", true);
    config.sharing_mode = SHARING_SERVER;
    expect_line(owners_for(far), anna, "anna@example.org", true);
    expect_line(owners_for(far), bob, "bob@example.org", false);
    config.sharing_mode = SHARING_DOMAIN;
    assert_string_equal(owners_for(far), "");
    assert_string_equal(known_asker, "far@second.example");
    expect_line(owners_for(bob), anna, "anna@example.org", true);
    assert_string_equal(owners_for(anna), "");
    config.sharing_mode = SHARING_NONE;
    assert_string_equal(owners_for(bob), "");
    assert_int_equal(troubles, 0);
}

static void nonsense(void **state)
{
    int64_t bob = number_of("bob@example.org");

    (void)state;
    note(0, (uint64_t)bob, true);
    note(UINT64_MAX, (uint64_t)bob, true);
    note(7, UINT64_MAX, true);
    note(999999, (uint64_t)bob, true); /* an account that is not there */
    assert_string_equal(owners_for(bob), "");
    assert_string_equal(owners_for(-1), "");
    assert_int_equal(troubles, 0);
}

/* Nothing of a removed account is told, and its number is never another's. */
static void removed_accounts(void **state)
{
    int64_t anna = number_of("anna@example.org"), bob = number_of("bob@example.org");

    (void)state;
    note((uint64_t)anna, (uint64_t)bob, true);
    note((uint64_t)bob, (uint64_t)anna, true);
    must("account remove bob@example.org");
    assert_string_equal(owners_for(anna), "");
    assert_string_equal(owners_for(bob), "");
    must("account add bob@example.org");
    assert_string_equal(owners_for(number_of("bob@example.org")), "");
}

/* More owners than are told. */
static void many(void **state)
{
    enum { MANY = 1100 };
    int64_t bob = number_of("bob@example.org");
    const char *list;
    char line[100];
    size_t lines = 0;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        snprintf(line, sizeof line, "account add m%d@example.org", i);
        must(line);
        snprintf(line, sizeof line, "m%d@example.org", i);
        note((uint64_t)number_of(line), (uint64_t)bob, true);
    }
    list = owners_for(bob);
    for (const char *p = list; *p != 0; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 1000);
    assert_int_equal(list[strlen(list) - 1], '\n');
}

/* Pairs that several processes of mailbox cannot serve: said once, at the start. */
static void splits(void **state)
{
    int64_t anna = number_of("anna@example.org"), bob = number_of("bob@example.org");

    (void)state;
    note((uint64_t)anna, 0, true);
    note((uint64_t)anna, (uint64_t)bob, true);
    note((uint64_t)anna, (uint64_t)anna + 64, true);
    for (unsigned copies = 1; copies <= 64; copies++) {
        int64_t found;

        lend();
        found = shares_look_for_splits(&directory, copies);
        take_back();
        assert_int_equal(found, (anna % copies != bob % copies) + (64 % copies != 0));
    }
    assert_int_equal(troubles, 0);
}

/* A note that cannot be written is lost, and said so; the next one is written. */
static void disk_fails(void **state)
{
    int64_t anna = number_of("anna@example.org"), bob = number_of("bob@example.org");

    (void)state;
    fault_at(1, true);
    note((uint64_t)anna, (uint64_t)bob, true);
    assert_true(fault_happened());
    fault_at(0, false);
    assert_int_equal(troubles, 1);
    assert_string_equal(owners_for(bob), "");
    note((uint64_t)anna, (uint64_t)bob, true);
    expect_line(owners_for(bob), anna, "anna@example.org", true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, directory_end)
    const struct CMUnitTest tests[] = {TEST(names), TEST(pairs), TEST(reach), TEST(nonsense), TEST(removed_accounts), TEST(many), TEST(splits), TEST(disk_fails)};

    return cmocka_run_group_tests(tests, directory_open, directory_close);
}
