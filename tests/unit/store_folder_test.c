/* Folders: names, order, numbers, subscriptions, keywords; what a commit, a sync, a rollback and a restart mean for them;
 * what a client may be told; databases of before. */
#include "store_world.h"
#include "db/db.h"
#include "0001.sql.h"
#include "0002.sql.h"

#define err world_err

static struct store *begin(void)
{
    struct store *s = world_open();

    OK(store_begin(s, &err));
    return s;
}

static struct store *reopen(struct store *s)
{
    store_close(s);
    return world_open();
}

static void expect_names(struct store *s, const char *names)
{
    struct buf have;

    buf_init(&have, 4096);
    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;)
        buf_addf(&have, "%.*s ", STR_ARG(f->name));
    assert_int_equal(store_folder_count(s),
        world_count(s, "SELECT COUNT(*) FROM folder WHERE special NOT IN ('\\gone', '\\swept')"));
    if (!str_eq(buf_str(&have), str_of(names)))
        fail_msg("folders are: %.*s", STR_ARG(buf_str(&have)));
    buf_clear(&have);
}

/* ---- names ---- */

static void a_new_account_has_its_folders(void **state)
{
    struct store *s = world_open();

    (void)state;
    expect_names(s, "INBOX Archive Drafts Junk Sent Trash ");
    assert_ptr_equal(store_inbox(s), store_folder_find(s, STR("INBOX")));
    assert_int_equal(store_inbox(s)->id, STORE_INBOX);
    assert_true(str_eq(store_folder_find(s, STR("Sent"))->special, STR("\\Sent")));
    assert_null(store_folder_find(s, STR("sent")));
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM subscription"), 6);
    world_check(s);
    store_close(s);
}

static void a_tree_stands_together(void **state)
{
    struct store *s = begin();

    (void)state;
    world_folder(s, "a b");
    world_folder(s, "a/b/c");
    world_folder(s, "a-b");
    world_folder(s, "a");
    world_folder(s, "a/b");
    expect_names(s, "INBOX Archive Drafts Junk Sent Trash a a/b a/b/c a b a-b ");
    OK(store_commit(s, &err));
    s = reopen(s);
    expect_names(s, "INBOX Archive Drafts Junk Sent Trash a a/b a/b/c a b a-b ");
    store_close(s);
}

static void a_tree_is_renamed_as_one(void **state)
{
    struct store *s = begin();
    struct folder *a = world_folder(s, "a"), *below = world_folder(s, "a/x/y");
    int64_t id = below->id;

    (void)state;
    world_folder(s, "ab");
    world_add(s, below, 0);
    OK(store_commit(s, &err));
    OK(store_begin(s, &err));
    OK(store_folder_rename(s, a->name, STR("zz"), &err));
    expect_names(s, "INBOX Archive Drafts Junk Sent Trash ab zz zz/x/y ");
    store_rollback(s);
    expect_names(s, "INBOX Archive Drafts Junk Sent Trash a a/x/y ab ");
    OK(store_begin(s, &err));
    OK(store_folder_rename(s, a->name, STR("q"), &err));
    OK(store_folder_rename(s, a->name, STR("r"), &err));
    OK(store_commit(s, &err));
    world_check(s);
    assert_int_equal(store_folder_find(s, STR("r/x/y"))->id, id);
    assert_int_equal(store_folder_find(s, STR("r/x/y"))->now.messages, 1);
    store_close(s);
}

static void a_renaming_that_collides_is_known_before(void **state)
{
    struct store *s = begin();
    struct folder *a = world_folder(s, "a");

    (void)state;
    world_folder(s, "a/x");
    world_folder(s, "b/x");
    assert_true(store_folder_collides(s, a->name, STR("b")));
    assert_false(store_folder_collides(s, a->name, STR("c")));
    store_close(s);
}

static void numbers_are_given_once(void **state)
{
    struct store *s = begin();
    int64_t id = world_folder(s, "a")->id, uidvalidity = world_folder(s, "a")->uidvalidity;
    bool more = true;

    (void)state;
    for (int i = 0; i < 5; i++) {
        OK(store_folder_delete(s, store_folder_find(s, STR("a")), &err));
        OK(store_commit(s, &err));
        for (more = true; more;) {
            OK(store_begin(s, &err));
            OK(store_sweep(s, &more, &err));
            OK(store_commit(s, &err));
        }
        assert_false(store_has_loose(s));
        s = reopen(s);
        assert_false(store_has_loose(s));
        OK(store_begin(s, &err));
        if (i == 2) { /* a number that was never committed is no reason to forget the highest */
            world_folder(s, "b");
            store_rollback(s);
            OK(store_begin(s, &err));
        }
        assert_true(world_folder(s, "a")->id > id);
        assert_true(world_folder(s, "a")->uidvalidity > uidvalidity);
        id = world_folder(s, "a")->id;
        uidvalidity = world_folder(s, "a")->uidvalidity;
    }
    OK(store_commit(s, &err));
    assert_true(world_count(s, "SELECT COUNT(*) FROM folder") <= 8);
    world_check(s);
    store_close(s);
}

/* The highest number is kept by the row that has it, not by what was once given and rolled back. */
static void a_rolled_back_folder_lets_no_number_come_again(void **state)
{
    struct store *s = begin();
    struct folder *a = world_folder(s, "a");
    int64_t id = a->id;
    bool more = true;

    (void)state;
    OK(store_commit(s, &err));
    OK(store_begin(s, &err));
    world_folder(s, "b");
    store_rollback(s);
    OK(store_begin(s, &err));
    OK(store_folder_delete(s, a, &err));
    OK(store_commit(s, &err));
    OK(store_begin(s, &err));
    while (more)
        OK(store_sweep(s, &more, &err));
    OK(store_commit(s, &err));
    s = reopen(s);
    OK(store_begin(s, &err));
    assert_true(world_folder(s, "c")->id > id);
    store_close(s);
}

static void what_a_transaction_did_to_folders_is_taken_back(void **state)
{
    struct store *s = begin();
    struct folder *a = world_folder(s, "a"), *made;

    (void)state;
    world_add(s, a, 0);
    OK(store_commit(s, &err));
    OK(store_begin(s, &err));
    made = world_folder(s, "b");
    world_add(s, made, 0);
    OK(store_folder_rename(s, a->name, STR("c"), &err));
    OK(store_folder_delete(s, a, &err));
    world_folder(s, "a");
    expect_names(s, "INBOX Archive Drafts Junk Sent Trash a b ");
    store_rollback(s);
    expect_names(s, "INBOX Archive Drafts Junk Sent Trash a ");
    assert_ptr_equal(store_folder_find(s, STR("a")), a);
    assert_int_equal(a->now.messages, 1);
    world_check(s);
    store_close(s);
}

static void a_deleted_folder_frees_its_bytes_at_once(void **state)
{
    struct store *s = begin();
    struct folder *a = world_folder(s, "a");
    bool more = true;

    (void)state;
    for (int i = 0; i < 500; i++)
        world_add(s, a, 0);
    OK(store_commit(s, &err));
    OK(store_begin(s, &err));
    OK(store_folder_delete(s, a, &err));
    assert_int_equal(store_totals(s).messages, 0);
    OK(store_sweep(s, &more, &err)); /* not before it is certain */
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM message"), 500);
    OK(store_commit(s, &err));
    assert_true(store_has_loose(s));
    s = reopen(s);
    assert_true(store_has_loose(s));
    OK(store_begin(s, &err));
    world_folder(s, "a");
    for (int n = 0; store_has_loose(s); n++) {
        assert_true(n < 100);
        OK(store_sweep(s, &more, &err));
        if (n == 2) {
            store_rollback(s);
            OK(store_begin(s, &err));
        }
    }
    OK(store_commit(s, &err));
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM message"), 0);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM content"), 0);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM uid_block"), 0);
    world_check(s);
    store_close(s);
}

static void note_name(void *arg, struct str name)
{
    buf_addf(arg, "%.*s,", STR_ARG(name));
}

static void a_subscription_outlives_its_folder(void **state)
{
    struct store *s = begin();
    struct buf names;

    (void)state;
    buf_init(&names, 1000);
    OK(store_subscribe(s, STR("x"), true, &err));
    OK(store_subscribe(s, STR("x"), true, &err));
    OK(store_subscribe(s, STR("Sent"), false, &err));
    OK(store_subscribe(s, STR("none"), false, &err));
    OK(store_commit(s, &err));
    s = reopen(s);
    OK(store_subscriptions(s, note_name, &names, &err));
    assert_true(str_eq(buf_str(&names), STR("Archive,Drafts,INBOX,Junk,Trash,x,")));
    buf_clear(&names);
    store_close(s);
}

static void keywords_have_slots(void **state)
{
    struct store *s = begin();
    struct folder *f = store_inbox(s), *a = world_folder(s, "a");
    char name[20];
    int slot;

    (void)state;
    OK(store_keyword(s, f, STR("$Junk"), false, &slot, &err));
    assert_int_equal(slot, -1);
    OK(store_keyword(s, f, STR("$Junk"), true, &slot, &err));
    assert_int_equal(slot, 0);
    OK(store_commit(s, &err));
    OK(store_begin(s, &err));
    OK(store_keyword(s, f, STR("$NotJunk"), true, &slot, &err));
    assert_int_equal(slot, 1);
    OK(store_keyword(s, f, STR("$junk"), true, &slot, &err));
    assert_int_equal(slot, 0);
    store_rollback(s);
    OK(store_begin(s, &err));
    OK(store_keyword(s, f, STR("other"), true, &slot, &err));
    assert_int_equal(slot, 1);
    a = world_folder(s, "a");
    for (int i = 0; i < STORE_KEYWORDS_MAX; i++) {
        snprintf(name, sizeof name, "k%d", i);
        OK(store_keyword(s, a, str_of(name), true, &slot, &err));
        assert_int_equal(slot, i);
    }
    assert_false(store_keyword(s, a, STR("one more"), true, &slot, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    OK(store_commit(s, &err));
    world_check(s);
    s = reopen(s);
    OK(store_keyword(s, store_inbox(s), STR("OTHER"), false, &slot, &err));
    assert_int_equal(slot, 1);
    store_close(s);
}

/* ---- what a client may be told ---- */

static void only_what_is_on_disk_is_shown(void **state)
{
    struct store *s = begin();
    struct folder *f = store_inbox(s);
    uint64_t version;

    (void)state;
    world_add(s, f, 0);
    world_sync(s);
    OK(store_folder_watch(s, f, true, &err));
    assert_true(f->is_shown);
    assert_int_equal(f->shown.count, 1);
    assert_int_equal(f->shown_modseq, f->now.modseq);
    version = f->version;
    OK(store_begin(s, &err));
    world_add(s, f, 0);
    assert_int_equal(f->shown.count, 1);
    OK(store_commit(s, &err));
    assert_int_equal(f->shown.count, 1);
    assert_int_equal(f->durable.uidnext, 2);
    OK(store_begin(s, &err)); /* another transaction before the sync of the first */
    world_add(s, f, 0);
    OK(store_sync(s, &err));
    store_synced(s);
    assert_int_equal(f->shown.count, 2);
    assert_int_equal(f->durable.uidnext, 3);
    assert_int_equal(f->version, version + 1);
    assert_true(f->shown_modseq < f->now.modseq);
    store_rollback(s);
    assert_int_equal(f->shown.count, 2);
    store_synced(s);
    assert_int_equal(f->version, version + 2); /* what could not be told because of it can be told now */
    store_folder_unwatch(f);
    assert_false(f->is_shown);
    store_close(s);
}

static void a_watch_begun_in_the_middle_waits_for_the_sync(void **state)
{
    struct store *s = begin();
    struct folder *f = store_inbox(s), *a = world_folder(s, "a");

    (void)state;
    world_add(s, f, 0);
    OK(store_folder_watch(s, f, false, &err));
    assert_false(f->is_shown);
    OK(store_commit(s, &err));
    OK(store_folder_watch(s, a, false, &err)); /* committed, not synced */
    assert_false(f->is_shown || a->is_shown);
    OK(store_sync(s, &err));
    store_synced(s);
    assert_true(f->is_shown && a->is_shown);
    assert_int_equal(f->shown.count, 1);
    assert_int_equal(a->shown.count, 0);
    store_folder_unwatch(f);
    store_folder_unwatch(a);
    /* Nothing but the watch happens in the transaction. */
    OK(store_begin(s, &err));
    OK(store_folder_watch(s, f, false, &err));
    world_sync(s);
    assert_true(f->is_shown);
    store_folder_unwatch(f);
    store_close(s);
}

/* After a rollback the uids are not loaded; a change that needs none of them must not show an empty folder. */
static void a_renaming_after_a_rollback_shows_all_messages(void **state)
{
    struct store *s = begin();
    struct folder *a = world_folder(s, "a");
    int slot;

    (void)state;
    world_add(s, a, 0);
    world_sync(s);
    OK(store_folder_watch(s, a, true, &err));
    OK(store_begin(s, &err));
    world_add(s, a, 0);
    store_rollback(s);
    OK(store_begin(s, &err));
    OK(store_folder_rename(s, a->name, STR("b"), &err));
    world_sync(s);
    assert_int_equal(a->shown.count, 1);
    OK(store_begin(s, &err));
    world_add(s, a, 0);
    store_rollback(s);
    OK(store_begin(s, &err));
    OK(store_keyword(s, a, STR("k"), true, &slot, &err));
    world_sync(s);
    assert_int_equal(a->shown.count, 1);
    store_folder_unwatch(a);
    store_close(s);
}

static void a_watched_folder_survives_the_rollback_of_its_creation(void **state)
{
    struct store *s = begin();
    struct folder *a = world_folder(s, "a"), *again;

    (void)state;
    OK(store_folder_watch(s, a, false, &err));
    store_rollback(s);
    assert_null(store_folder_find(s, STR("a")));
    assert_false(a->is_shown);
    OK(store_begin(s, &err));
    again = world_folder(s, "a");
    world_sync(s);
    assert_ptr_not_equal(a, again);
    assert_false(a->is_shown);
    store_folder_unwatch(a);
    store_close(s);
}

/* What somebody may have seen of a transaction that was rolled back is not said of another change. */
static void modseqs_are_given_once(void **state)
{
    struct store *s = begin();
    struct folder *f = store_inbox(s);
    int64_t seen, opened;

    (void)state;
    world_add(s, f, 0);
    OK(store_commit(s, &err));
    OK(store_begin(s, &err));
    world_add(s, f, 0);
    seen = f->now.modseq;
    store_rollback(s);
    OK(store_begin(s, &err));
    world_add(s, f, 0);
    assert_true(f->now.modseq > seen);
    seen = f->now.modseq;
    assert_true(store_new_modseq(s) > seen);
    world_add(s, f, 0);
    assert_true(f->now.modseq > seen);
    OK(store_commit(s, &err));
    seen = f->now.modseq;
    s = reopen(s);
    opened = store_inbox(s)->now.modseq;
    assert_int_equal(opened, seen);
    OK(store_begin(s, &err));
    world_add(s, store_inbox(s), 0);
    assert_true(store_inbox(s)->now.modseq > seen + 1);
    store_close(s);
}

static void the_first_unseen_is_found(void **state)
{
    struct store *s = begin();
    struct folder *f = store_inbox(s);
    struct store_message m;
    uint32_t uid;
    bool found, changed;

    (void)state;
    OK(store_first_unseen(s, f, &uid, &err));
    assert_int_equal(uid, 0);
    for (int i = 0; i < 1200; i++)
        world_add(s, f, STORE_SEEN);
    OK(store_first_unseen(s, f, &uid, &err));
    assert_int_equal(uid, 0);
    OK(store_message_get(s, f, 1100, &m, &found, &err));
    OK(store_message_flags(s, f, &m, 0, STR(""), &changed, &err));
    OK(store_first_unseen(s, f, &uid, &err));
    assert_int_equal(uid, 1100);
    OK(store_commit(s, &err));
    world_check(s);
    store_close(s);
}

/* ---- databases of before ---- */

static void make_old(size_t version)
{
    static const char *const steps[] = {schema_mailbox_0001, schema_mailbox_0002};
    struct db *db;

    OK(db_open(&db, world_path(), DB_SYNC_LATER, 1000, &err));
    OK(db_migrate(db, steps, version, &err));
    OK(db_exec(db, "INSERT INTO folder (account, id, name, special, uidvalidity, uidnext, modseq, expunged_floor, messages, bytes, "
                   "unseen, subscribed) VALUES (7, 1, 'INBOX', '', 1700000000, 2100, 50, 0, 3, 30, 2, 1), (7, 2, 'Sent', '\\Sent', "
                   "1700000000, 1, 2, 0, 0, 0, 0, 0)", &err));
    OK(db_exec(db, "INSERT INTO content (account, id, size, refs, head) VALUES (7, 11, 10, 1, '0123456789'), (7, 12, 10, 1, "
                   "'0123456789'), (7, 13, 10, 1, '0123456789')", &err));
    OK(db_exec(db, "INSERT INTO message (account, folder, uid, modseq, flags, received, size, content, features) VALUES "
                   "(7, 1, 5, 20, 0, 100, 10, 11, 0), (7, 1, 1024, 30, 1, 200, 10, 12, 0), (7, 1, 2099, 50, 0, 300, 10, 13, 1)", &err));
    OK(db_exec(db, "INSERT INTO expunged (account, folder, modseq, uid) VALUES (7, 1, 40, 6)", &err));
    db_close(db);
}

static void an_old_database_becomes_a_new_one(void **state)
{
    struct store *s;
    struct store_message m;
    struct folder *f;
    bool found, changed;

    (void)state;
    make_old(1);
    s = world_open();
    f = store_inbox(s);
    assert_int_equal(f->now.messages, 3);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM subscription"), 1);
    OK(store_folder_load(s, f, &err));
    assert_int_equal(f->uids.count, 3);
    assert_int_equal(f->uids.n, 3);
    assert_true(uid_set_has(&f->uids, 1024));
    OK(store_check(s, &err)); /* blocks not written yet */
    s = reopen(s);
    f = store_inbox(s);
    OK(store_begin(s, &err));
    OK(store_message_get(s, f, 5, &m, &found, &err));
    assert_true(found && m.saved == m.received && m.more.n == 0);
    OK(store_message_flags(s, f, &m, STORE_SEEN, STR(""), &changed, &err));
    store_rollback(s);
    assert_false(f->blocks_made);
    OK(store_begin(s, &err));
    OK(store_message_flags(s, f, &m, STORE_SEEN | STORE_TO_DELETE, STR(""), &changed, &err));
    OK(store_commit(s, &err));
    assert_int_equal(f->now.unseen, 1);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM uid_block"), 3);
    world_check(s);
    s = reopen(s);
    assert_true(store_inbox(s)->blocks_made);
    OK(store_folder_load(s, store_inbox(s), &err));
    assert_int_equal(store_inbox(s)->uids.count, 3);
    world_check(s);
    store_close(s);
}

/* Version 2 counted references in the row of the bytes. */
static void references_are_counted_anew(void **state)
{
    struct db *db;
    struct store *s;
    bool found, more = true;

    (void)state;
    make_old(2);
    OK(db_open(&db, world_path(), DB_SYNC_LATER, 1000, &err));
    OK(db_exec(db, "INSERT INTO message (account, folder, uid, modseq, flags, received, size, content, features) VALUES "
                   "(7, 2, 1, 2, 0, 100, 10, 11, 0), (7, 1, 6, 21, 0, 100, 10, 11, 0);"
                   "UPDATE content SET refs = 3 WHERE id = 11;"
                   "UPDATE folder SET messages = messages + 1, bytes = bytes + 10, unseen = unseen + 1, uidnext = MAX(uidnext, 2);"
                   "DELETE FROM expunged", &err));
    db_close(db);
    s = world_open();
    OK(store_check(s, &err));
    assert_int_equal(world_count(s, "SELECT extra FROM content_shared WHERE content = 11"), 2);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM content_shared"), 1);
    OK(store_begin(s, &err));
    for (uint32_t uid = 5; uid <= 6; uid++) {
        OK(store_message_expunge(s, store_inbox(s), uid, &found, &err));
        assert_true(found && !store_has_loose(s));
    }
    OK(store_message_expunge(s, store_folder_by_id(s, 2), 1, &found, &err));
    assert_true(found && store_has_loose(s));
    while (more)
        OK(store_sweep(s, &more, &err));
    OK(store_commit(s, &err));
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM content"), 2);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM content_shared"), 0);
    world_check(s);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_account_has_its_folders),
        TEST(a_tree_stands_together),
        TEST(a_tree_is_renamed_as_one),
        TEST(a_renaming_that_collides_is_known_before),
        TEST(numbers_are_given_once),
        TEST(a_rolled_back_folder_lets_no_number_come_again),
        TEST(what_a_transaction_did_to_folders_is_taken_back),
        TEST(a_deleted_folder_frees_its_bytes_at_once),
        TEST(a_subscription_outlives_its_folder),
        TEST(keywords_have_slots),
        TEST(only_what_is_on_disk_is_shown),
        TEST(a_watch_begun_in_the_middle_waits_for_the_sync),
        TEST(a_renaming_after_a_rollback_shows_all_messages),
        TEST(a_watched_folder_survives_the_rollback_of_its_creation),
        TEST(modseqs_are_given_once),
        TEST(the_first_unseen_is_found),
        TEST(an_old_database_becomes_a_new_one),
        TEST(references_are_counted_anew),
    };

    db_exclude_others();
    fault_install();
    return cmocka_run_group_tests_name("store_folder", tests, NULL, NULL);
}
