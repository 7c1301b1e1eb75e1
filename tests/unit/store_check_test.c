/* Looking for mistakes in turns, in databases of every version; files that become a store in turns (store_check.h, store_backup.c). */
#include "store_world.h"
#include "roles/mailbox/store_check.h"

#include <string.h>
#include <unistd.h>

enum { MESSAGES = 40 };

static struct db *db_of(const char *path)
{
    struct db *db;

    OK(db_open(&db, path, DB_SYNC_LATER, 1000, &world_err));
    return db;
}

/* One row a turn; how many turns it took. */
static unsigned check_slowly(struct db *db, unsigned what, struct store_checked *numbers)
{
    struct store_check *c;
    unsigned turns = 0;
    bool done = false;

    OK(store_check_new(&c, db, what, &world_err));
    for (; !done; turns++)
        OK(store_check_step(c, 0, &done, &world_err));
    *numbers = *store_check_numbers(c);
    store_check_free(c);
    return turns;
}

static bool finds(struct db *db, unsigned what, struct err *err)
{
    struct store_check *c;
    bool done, sound;

    *err = (struct err){0};
    OK(store_check_new(&c, db, what, &world_err));
    sound = store_check_step(c, INT64_MAX, &done, err);
    store_check_free(c);
    return !sound;
}

static void one_view_while_others_write(void **state)
{
    struct store *s = world_open();
    struct store_check *c;
    struct db *view;
    unsigned turns = 0;
    bool done = false;

    (void)state;
    OK(store_begin(s, &world_err));
    for (unsigned i = 0; i < MESSAGES; i++)
        world_add(s, store_inbox(s), i % 3 ? STORE_SEEN : 0);
    world_sync(s);
    OK(db_open_read_only(&view, world_path(), &world_err));
    OK(db_keep_view(view, &world_err));
    OK(store_check_new(&c, view, CHECK_SOUND, &world_err));
    for (; !done; turns++) {
        OK(store_check_step(c, 0, &done, &world_err));
        if (turns % 20 == 5) {
            OK(store_begin(s, &world_err));
            world_add(s, store_inbox(s), 0);
            world_sync(s);
        }
    }
    assert_true(turns > 2 * MESSAGES);
    assert_int_equal(store_check_numbers(c)->messages, MESSAGES);
    store_check_free(c);
    db_close(view);
    world_check(s);
    store_close(s);
}

static void a_file_becomes_a_store_in_turns(void **state)
{
    struct store *s = world_open(), *taken = NULL;
    struct store_taking *t;
    unsigned turns = 0;

    (void)state;
    OK(store_begin(s, &world_err));
    for (unsigned i = 0; i < MESSAGES; i++)
        world_add(s, store_inbox(s), 0);
    world_sync(s);
    store_close(s);
    OK(store_take_begin(&t, world_path(), 7, &world_err));
    for (; taken == NULL; turns++)
        OK(store_take_step(t, 0, &taken, &world_err));
    store_take_free(t);
    assert_true(turns > MESSAGES);
    assert_int_equal(store_totals(taken).messages, MESSAGES);
    store_close(taken);
    OK(store_take_begin(&t, world_path(), 7, &world_err)); /* one that is given up in the middle */
    OK(store_take_step(t, 0, &taken, &world_err));
    store_take_free(t);
}

/* ---- versions ---- */

static void make_old(const char *path, size_t version)
{
    static const char rows[] =
        "INSERT INTO folder (account, id, name, special, uidvalidity, uidnext, modseq, expunged_floor, messages, bytes, unseen, subscribed) "
        "VALUES (7, 1, 'INBOX', '', 1000, 5, 9, 0, 3, 30, 2, 1), (7, 2, 'Sent', '\\Sent', 1001, 1, 1, 0, 0, 0, 0, 0);"
        "INSERT INTO message (account, folder, uid, modseq, flags, received, size, content, features) VALUES (7, 1, 1, 3, 1, 5, 10, 11, 0), "
        "(7, 1, 2, 4, 4, 5, 10, 11, 0), (7, 1, 4, 9, 0, 5, 10, 12, 0);"
        "INSERT INTO expunged (account, folder, modseq, uid) VALUES (7, 1, 8, 3);"
        "INSERT INTO content (account, id, size, refs, head) VALUES (7, 11, 10, 2, x'30313233343536373839'), (7, 12, 10, 1, x'30313233');"
        "INSERT INTO content_chunk (account, content, start, data) VALUES (7, 12, 4, x'3435'), (7, 12, 6, x'36373839')";
    struct db *db = db_of(path);

    OK(db_migrate(db, store_steps, version, &world_err));
    OK(db_exec(db, rows, &world_err));
    if (version >= 4)
        OK(db_exec(db, "INSERT INTO content_shared (account, content, extra) VALUES (7, 11, 1)", &world_err));
    db_close(db);
}

static void every_version_is_known(void **state)
{
    struct store_checked numbers;
    struct store *s;

    (void)state;
    for (size_t version = 1; version <= STORE_VERSION; version++) {
        struct db *db;

        unlink(world_path());
        make_old(world_path(), version);
        OK(db_open_immutable(&db, world_path(), &world_err));
        assert_true(check_slowly(db, CHECK_PLAUSIBLE, &numbers) > 5);
        check_slowly(db, CHECK_SOUND | CHECK_BODIES, &numbers);
        assert_int_equal(numbers.messages, 3);
        assert_int_equal(numbers.contents, 2);
        db_close(db);
        OK(store_open_backup(&s, world_path(), 99, &world_err)); /* and brought to the newest */
        assert_int_equal(store_totals(s).messages, 3);
        OK(store_check(s, &world_err));
        OK(store_supersede(s, NULL, &world_err));
        OK(store_check(s, &world_err));
        store_close(s);
    }
}

static const struct {
    const char *change, *why;
    unsigned what;
} mistakes[] = {
    {"UPDATE message SET size = 11 WHERE uid = 1", "wrong totals", CHECK_SOUND},
    {"UPDATE folder SET messages = 4, bytes = 40 WHERE id = 2", "wrong totals", CHECK_SOUND},
    {"UPDATE folder SET unseen = 1 WHERE id = 1", "wrong totals of flags", CHECK_SOUND},
    {"UPDATE folder SET uidnext = 4 WHERE id = 1", "behind its messages", CHECK_SOUND},
    {"UPDATE folder SET modseq = 8 WHERE id = 1", "behind its messages", CHECK_SOUND},
    {"UPDATE expunged SET uid = 4", "removed messages that are there", CHECK_SOUND},
    {"UPDATE expunged SET uid = 7", "behind what was removed", CHECK_SOUND},
    {"INSERT INTO message SELECT account, 3, uid, modseq, flags, received, size, content, features FROM message WHERE uid = 1", "without a folder", CHECK_SOUND},
    {"UPDATE message SET content = 13 WHERE uid = 1", "without their content", CHECK_SOUND},
    {"UPDATE message SET content = 12 WHERE uid = 1", "wrong references", CHECK_SOUND},
    {"INSERT INTO loose VALUES (7, 11)", "would be swept", CHECK_SOUND},
    {"UPDATE content SET refs = 1 WHERE id = 11", "wrong references", CHECK_SOUND},
    {"DELETE FROM content_chunk WHERE start = 6", "missing pieces", CHECK_SOUND},
    {"UPDATE content_chunk SET start = 5 WHERE start = 4", "missing pieces", CHECK_SOUND | CHECK_BODIES},
    {"INSERT INTO content_chunk VALUES (7, 20, 0, x'30')", "pieces without a content", CHECK_SOUND},
    {"UPDATE folder SET account = 8 WHERE id = 2", "another account", CHECK_PLAUSIBLE},
    {"UPDATE folder SET uidvalidity = 0 WHERE id = 2", "counters that cannot be", CHECK_PLAUSIBLE},
    {"UPDATE message SET uid = 4294967296 WHERE uid = 4", "numbers that cannot be", CHECK_PLAUSIBLE},
    {"UPDATE folder SET uidnext = 4 WHERE id = 1", "above their folder's numbers", CHECK_PLAUSIBLE},
    {"UPDATE folder SET name = 'a' || char(10) WHERE id = 2", "name that cannot be", CHECK_PLAUSIBLE},
    {"DELETE FROM folder WHERE id = 1", "no INBOX", CHECK_PLAUSIBLE},
};

/* In the first version, which has all of these tables. */
static void mistakes_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct err err;
        struct db *db;

        unlink(world_path());
        make_old(world_path(), 1);
        db = db_of(world_path());
        OK(db_exec(db, mistakes[i].change, &world_err));
        if (!finds(db, mistakes[i].what, &err) || strstr(err.text, mistakes[i].why) == NULL)
            fail_msg("%s: \"%s\"", mistakes[i].change, err.text);
        assert_int_equal(err.kind, ERR_DAMAGED);
        db_close(db);
    }
}

/* INBOX has this keyword: whether that can be. */
static bool keyword_is_plausible(struct store *s, const char *name)
{
    struct db *view;
    struct err err;
    bool found;
    int slot;

    OK(store_begin(s, &world_err));
    OK(store_keyword(s, store_inbox(s), str_of(name), true, &slot, &world_err));
    world_sync(s);
    OK(db_open_read_only(&view, world_path(), &world_err));
    found = finds(view, CHECK_PLAUSIBLE, &err);
    db_close(view);
    assert_true(!found || strstr(err.text, "keyword that cannot be") != NULL);
    return !found;
}

/* Those of a file that no server made: as STORE takes them, or not at all. */
static void keywords_that_are_too_long(void **state)
{
    char name[202] = {0};
    struct store *s = world_open();

    (void)state;
    memset(name, 'k', 200);
    assert_true(keyword_is_plausible(s, name));
    name[200] = 'k';
    assert_false(keyword_is_plausible(s, name));
    store_close(s);
}

static void keywords_that_are_not_ascii(void **state)
{
    struct store *s = world_open();

    (void)state;
    assert_true(keyword_is_plausible(s, "k~"));
    assert_false(keyword_is_plausible(s, "k\xc3\xbc"));
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(one_view_while_others_write), TEST(a_file_becomes_a_store_in_turns), TEST(every_version_is_known),
        TEST(mistakes_are_found), TEST(keywords_that_are_too_long), TEST(keywords_that_are_not_ascii)};

    return cmocka_run_group_tests_name("store_check", tests, NULL, NULL);
}
