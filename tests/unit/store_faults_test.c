/* Each statement of each operation on an account's database failing, and each of them prepared once. */
#include "roles/mailbox/store_annotation.h"
#include "store_world.h"
#include "db/db.h"

#define err world_err

static struct store *begin(void)
{
    struct store *s = world_open();

    OK(store_begin(s, &err));
    return s;
}

static bool op_add(struct store *s)
{
    uint32_t uid;

    return world_put(s, store_inbox(s), 0, &uid, &err);
}

static bool op_copy(struct store *s)
{
    uint32_t copy;
    bool found;

    return store_message_copy(s, store_inbox(s), 2, world_folder(s, "a"), &copy, &found, &err) &&
           store_message_copy(s, store_inbox(s), 2, store_inbox(s), &copy, &found, &err);
}

static bool op_flags(struct store *s)
{
    struct store_message m;
    bool found, changed;

    return store_message_get(s, store_inbox(s), 1, &m, &found, &err) &&
           store_message_flags(s, store_inbox(s), &m, STORE_SEEN | STORE_TO_DELETE, STR(""), &changed, &err);
}

static bool op_expunge(struct store *s)
{
    bool found;

    for (uint32_t uid = 1; uid <= 3; uid++)
        if (!store_message_expunge(s, store_inbox(s), uid, &found, &err))
            return false;
    return true;
}

static bool op_create(struct store *s)
{
    struct folder *f;
    uint32_t uid;

    return store_folder_create(s, STR("new"), STR(""), &f, &err) && world_put(s, f, 0, &uid, &err);
}

static bool op_rename(struct store *s)
{
    return store_folder_rename(s, STR("a"), STR("z"), &err);
}

static bool op_delete(struct store *s)
{
    return store_folder_delete(s, store_folder_find(s, STR("a")), &err);
}

static bool op_keyword(struct store *s)
{
    int slot;

    return store_keyword(s, store_inbox(s), STR("k"), true, &slot, &err);
}

static bool op_subscribe(struct store *s)
{
    return store_subscribe(s, STR("zzz"), true, &err);
}

static bool op_annotate(struct store *s)
{
    struct annotation_place at = {STORE_INBOX, 7};

    return store_annotation_set(s, at, STR("/private/b"), STR("v"), &err) && store_annotation_set(s, at, STR("/shared/a"), STR("w"), &err) &&
           store_annotation_set(s, at, STR("/private/a"), (struct str){0}, &err) &&
           store_annotations_copy(s, store_inbox(s), world_folder(s, "a/b"), &err);
}

/* What it is in memory goes with what it is in the database. */
static bool op_special(struct store *s)
{
    struct folder *f = store_folder_find(s, STR("Sent"));
    bool done;

    assert_string_equal(f->special.p, "\\Sent");
    done = store_folder_special(s, f, STR(""), &err) && store_folder_special(s, f, STR("\\Junk"), &err) &&
           store_folder_special(s, store_folder_find(s, STR("Junk")), STR("\\Sent"), &err) && store_folder_delete(s, f, &err);
    return done;
}

static bool op_sweep(struct store *s)
{
    bool more = true;

    while (more)
        if (!store_sweep(s, &more, &err))
            return false;
    return true;
}

static bool op_copy_many(struct store *s)
{
    struct store_copied copied[4];
    size_t count;

    return store_messages_copy(s, store_inbox(s), (uint32_t[]){1, 2, 3, 4}, 4, store_folder_find(s, STR("a")), false, copied, &count, &err);
}

static bool op_move_many(struct store *s)
{
    struct store_copied copied[4];
    size_t count;

    return store_messages_copy(s, store_inbox(s), (uint32_t[]){1, 2, 3, 4}, 4, store_folder_find(s, STR("a")), true, copied, &count, &err);
}

static bool op_flag_many(struct store *s)
{
    struct uid_set changed = {0}, refused = {0};
    struct store_flagging what = {STORE_FLAGS_ADD, STORE_FLAGGED, STR(""), -1, &changed, &refused};
    bool done = store_messages_flag(s, store_inbox(s), (uint32_t[]){1, 2, 3, 4}, 4, &what, &err);

    uid_set_clear(&changed);
    return done;
}

static bool op_prune(struct store *s)
{
    return store_prune(s, INT64_MAX, &err);
}

static bool op_watch(struct store *s)
{
    bool watched = store_folder_watch(s, store_inbox(s), false, &err);

    if (watched)
        store_folder_unwatch(store_inbox(s));
    return watched;
}

static bool op_deliver(struct store *s)
{
    struct store_delivery d = {.message = 77, .content = 7700, .size = 3, .received = 1};
    struct content_info info = {.subject = STR("s"), .tree = STR(""), .refs = STR("12345678")};
    struct content_writer w;

    return store_put_begin(s, &w, d.content, 0, &err) && store_put_piece(s, &w, STR("ab"), &err) &&
           store_put_piece(s, &w, STR("c"), &err) && store_put_end(s, &w, &err) && store_info_put(s, d.content, &info, &err) &&
           store_deliver(s, &d, &err);
}

/* INBOX with three messages, "a" with one and a keyword, "a/b", a deleted folder with one, something loose. */
static void furnish(struct store *s)
{
    struct folder *a = world_folder(s, "a"), *gone = world_folder(s, "gone");
    bool found;
    int slot;

    world_folder(s, "a/b");
    for (int i = 0; i < 4; i++)
        world_add(s, store_inbox(s), i == 1 ? 1 << STORE_KEYWORD_SHIFT : 0);
    OK(store_keyword(s, store_inbox(s), STR("first"), true, &slot, &err));
    OK(store_annotation_set(s, (struct annotation_place){STORE_INBOX, 7}, STR("/private/a"), STR("1"), &err));
    OK(store_annotation_set(s, (struct annotation_place){a->id, 7}, STR("/shared/a"), STR("2"), &err));
    world_add(s, a, 0);
    world_add(s, gone, 0);
    OK(store_folder_delete(s, gone, &err));
    OK(store_commit(s, &err));
    OK(store_begin(s, &err));
    OK(store_message_expunge(s, store_inbox(s), 4, &found, &err));
    OK(store_commit(s, &err));
}

struct picture {
    int64_t counts[10];
};

static struct picture look(struct store *s)
{
    static const char *const tables[] = {"message", "folder", "content", "loose", "expunged", "keyword", "uid_block", "subscription",
        "annotation", "content_shared"};
    struct picture p;
    char sql[64];

    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM %s", tables[i]);
        p.counts[i] = world_count(s, sql);
    }
    return p;
}

/* With the uids of INBOX in memory before, or not. After a failure all is as before, and the same works at once. */
static void fail_each(void **state, bool (*op)(struct store *s), bool loaded)
{
    bool done = false;

    for (unsigned n = 1; !done; n++) {
        struct store *s = begin();
        struct picture before, after;

        furnish(s);
        store_close(s);
        s = world_open();
        if (loaded)
            OK(store_folder_load(s, store_inbox(s), &err));
        before = look(s);
        world_fail_at(n);
        done = store_begin(s, &err) && op(s) && store_commit(s, &err);
        assert_true(done != world_failed());
        world_fail_at(0);
        if (!done) {
            store_rollback(s);
            after = look(s);
            assert_memory_equal(&before, &after, sizeof before);
            world_check(s);
            OK(store_begin(s, &err));
            OK(op(s));
            OK(store_commit(s, &err));
        }
        world_check(s);
        store_close(s);
        world_teardown(state);
        world_setup(state);
        assert_true(n < 200);
    }
}

static void whatever_statement_fails(void **state)
{
    static bool (*const ops[])(struct store *) = {op_add, op_copy, op_flags, op_expunge, op_create, op_rename, op_delete,
        op_keyword, op_subscribe, op_annotate, op_special, op_sweep, op_prune, op_watch, op_deliver, op_copy_many,
        op_move_many, op_flag_many};

    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        fail_each(state, ops[i], false);
        fail_each(state, ops[i], true);
    }
}

static void whatever_statement_fails_while_opening(void **state)
{
    bool done = false;

    for (unsigned n = 1; !done; n++) {
        struct store *s = NULL;

        world_fail_at(n);
        done = store_open(&s, world_path(), 7, 0, &err);
        assert_true(done != world_failed());
        world_fail_at(0);
        store_close(s);
        s = world_open();
        assert_int_equal(store_folder_count(s), 6);
        assert_int_equal(store_inbox(s)->id, STORE_INBOX);
        world_check(s);
        store_close(s);
        world_teardown(state);
        world_setup(state);
        assert_true(n < 500);
    }
}

/* Statements are prepared when they are needed; a malformed one would end the process. */
static void every_statement_is_well_formed(void **state)
{
    struct store *s = world_open();

    (void)state;
    for (int i = 0; i < SQL_COUNT; i++)
        assert_non_null(store_stmt(s, (enum store_sql)i));
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whatever_statement_fails),
        TEST(whatever_statement_fails_while_opening),
        TEST(every_statement_is_well_formed),
    };

    db_exclude_others();
    fault_install();
    return cmocka_run_group_tests_name("store_faults", tests, NULL, NULL);
}
