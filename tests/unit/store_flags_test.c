/* Flags in blocks of 128 messages: when a message has an entry, what copies, removals and rollbacks make of it, keywords of
 * late slots beside it, and what is left of it after damage. */
#include "store_world.h"

#define err world_err

enum { LATE = STORE_KEYWORD_BITS + 3 };

static struct store *begin(void)
{
    struct store *s = world_open();

    OK(store_begin(s, &err));
    return s;
}

static struct store *again(struct store *s)
{
    OK(store_commit(s, &err));
    world_check(s);
    store_close(s);
    return begin();
}

static void add(struct store *s, struct folder *f, int n)
{
    for (int i = 0; i < n; i++)
        world_add(s, f, 0);
}

static void flag_all(struct store *s, struct folder *f, enum store_flags_how how, int64_t flags, struct str more)
{
    struct uid_set changed, refused;
    const struct store_flagging what = {how, flags, more, -1, &changed, &refused};

    uid_set_init(&changed);
    uid_set_init(&refused);
    OK(store_folder_load(s, f, &err));
    for (uint32_t from = 1; (from = uid_set_next(&f->uids, from)) != 0;) {
        uint32_t uids[STORE_MANY];
        size_t n = 0;

        for (; n < STORE_MANY && from != 0; from = uid_set_next(&f->uids, from + 1))
            uids[n++] = from;
        OK(store_messages_flag(s, f, uids, n, &what, &err));
        if (from == 0)
            break;
    }
    uid_set_clear(&changed);
    uid_set_clear(&refused);
}

static int64_t flags_of(struct store *s, struct folder *f, uint32_t uid)
{
    struct store_message m;
    bool found;

    OK(store_message_get(s, f, uid, &m, &found, &err));
    return found ? m.flags : -1;
}

/* A late keyword of one message. */
static void set_late(struct store *s, struct folder *f, uint32_t uid, bool on)
{
    struct store_message m;
    struct buf more;
    bool found, changed;
    int64_t flags;

    for (int slot = 0; slot <= LATE; slot++) {
        char name[20];
        int is;

        snprintf(name, sizeof name, "k%d", slot);
        OK(store_keyword(s, f, str_of(name), true, &is, &err));
    }
    OK(store_message_get(s, f, uid, &m, &found, &err));
    assert_true(found);
    flags = m.flags;
    buf_init(&more, STORE_KEYWORDS_MAX / 8 + 1);
    buf_add(&more, m.more);
    store_set_keyword(&flags, &more, LATE, on);
    OK(store_message_flags(s, f, &m, flags, buf_str(&more), &changed, &err));
    assert_true(changed);
    buf_clear(&more);
}

struct seen {
    struct store *s;
    struct folder *f;
    uint32_t n, with, late;
    int64_t flags, bytes;
};

static bool see(void *arg, const struct store_message *m)
{
    struct seen *seen = arg;

    seen->n++;
    seen->with += m->flags == seen->flags;
    seen->late += store_has_keyword(m->flags, m->more, LATE);
    seen->bytes += m->size;
    return true;
}

/* How many messages have exactly these flags, as both walks say it. */
static struct seen look(struct store *s, struct folder *f, int64_t flags)
{
    struct seen a = {.flags = flags}, b = {.flags = flags};

    OK(store_flags_walk(s, f, 1, UINT32_MAX, -1, see, &a, &err));
    OK(store_messages_walk(s, f, 1, UINT32_MAX, -1, see, &b, &err));
    assert_true(a.n == b.n && a.with == b.with && a.late == b.late && a.bytes == b.bytes);
    assert_int_equal(a.n, f->now.messages);
    assert_int_equal(a.bytes, f->now.bytes);
    return a;
}

static void a_full_block_has_its_entries(void **state)
{
    struct store *s = begin();
    struct folder *f = store_inbox(s);

    (void)state;
    add(s, f, 126);
    OK(store_commit(s, &err));
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM flag_block"), 0);
    OK(store_begin(s, &err));
    add(s, f, 1);
    OK(store_commit(s, &err));
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM flag_block"), 1);
    s = again(s);
    f = store_inbox(s);
    OK(db_exec(s->db, "UPDATE message SET flags = 16", &err)); /* nobody asks for that any more */
    assert_int_equal(look(s, f, 0).with, 127);
    store_close(s);
}

static void a_change_of_all_writes_blocks(void **state)
{
    struct store *s = begin();
    struct folder *f = store_inbox(s);

    (void)state;
    add(s, f, 1100);
    s = again(s);
    f = store_inbox(s);
    flag_all(s, f, STORE_FLAGS_ADD, STORE_SEEN | STORE_TO_DELETE, STR(""));
    assert_int_equal(look(s, f, STORE_SEEN | STORE_TO_DELETE).with, 1100);
    s = again(s);
    f = store_inbox(s);
    assert_int_equal(world_count(s, "SELECT SUM(flags) FROM message"), 0);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM flag_block"), 9);
    assert_int_equal(look(s, f, STORE_SEEN | STORE_TO_DELETE).with, 1100);
    assert_int_equal(f->now.unseen, 0);
    assert_int_equal(f->now.deleted_bytes, f->now.bytes);
    flag_all(s, f, STORE_FLAGS_REMOVE, STORE_TO_DELETE, STR(""));
    s = again(s);
    assert_int_equal(look(s, store_inbox(s), STORE_SEEN).with, 1100);
    store_close(s);
}

/* More blocks than are kept in memory are written before the commit; the rollback takes them back. */
static void a_rollback_takes_it_back(void **state)
{
    struct store *s = begin();
    struct folder *f = store_inbox(s);
    bool found;

    (void)state;
    add(s, f, 128 * FLAGS_CACHED * 2);
    flag_all(s, f, STORE_FLAGS_SET, STORE_DRAFT, STR(""));
    s = again(s);
    f = store_inbox(s);
    flag_all(s, f, STORE_FLAGS_SET, STORE_SEEN, STR(""));
    OK(store_message_expunge(s, f, 130, &found, &err));
    store_rollback(s);
    OK(store_begin(s, &err));
    assert_int_equal(look(s, f, STORE_DRAFT).with, 128 * FLAGS_CACHED * 2);
    assert_int_equal(flags_of(s, f, 130), STORE_DRAFT);
    s = again(s);
    store_close(s);
}

static void late_keywords_stay_with_the_message(void **state)
{
    struct store *s = begin();
    struct folder *f = store_inbox(s);

    (void)state;
    add(s, f, 300);
    set_late(s, f, 140, true);
    flag_all(s, f, STORE_FLAGS_ADD, STORE_FLAGGED, STR(""));
    s = again(s);
    f = store_inbox(s);
    assert_int_equal(look(s, f, STORE_FLAGGED).with, 300);
    assert_int_equal(look(s, f, STORE_FLAGGED).late, 1);
    flag_all(s, f, STORE_FLAGS_REMOVE, STORE_FLAGGED, STR(""));
    assert_int_equal(look(s, f, 0).late, 1);
    set_late(s, f, 140, false);
    set_late(s, f, 200, true);
    s = again(s);
    f = store_inbox(s);
    assert_int_equal(look(s, f, 0).with, 300);
    assert_int_equal(look(s, f, 0).late, 1);
    flag_all(s, f, STORE_FLAGS_SET, STORE_SEEN, STR("\x08"));
    assert_int_equal(look(s, f, STORE_SEEN).late, 300);
    flag_all(s, f, STORE_FLAGS_SET, 0, STR(""));
    s = again(s);
    assert_int_equal(look(s, store_inbox(s), 0).late, 0);
    assert_int_equal(look(s, store_inbox(s), 0).with, 300);
    store_close(s);
}

static void copy(struct store *s, struct folder *from, struct folder *to, bool moves)
{
    struct store_copied copied[STORE_MANY];
    uint32_t uids[STORE_MANY];
    size_t n = 0, count;

    for (uint32_t uid = 0; n < STORE_MANY && (uid = uid_set_next(&from->uids, uid + 1)) != 0;)
        uids[n++] = uid;
    OK(store_messages_copy(s, from, uids, n, to, moves, copied, &count, &err));
    assert_int_equal(count, n);
}

static void copies_have_what_counts(void **state)
{
    struct store *s = begin();
    struct folder *f = store_inbox(s), *a = world_folder(s, "a"), *b = world_folder(s, "b");

    (void)state;
    add(s, f, 200);
    add(s, a, 5);
    flag_all(s, f, STORE_FLAGS_ADD, STORE_FLAGGED, STR(""));
    set_late(s, f, 3, true);
    copy(s, f, a, false);
    copy(s, f, f, false);
    s = again(s);
    f = store_inbox(s);
    a = world_folder(s, "a");
    b = world_folder(s, "b");
    assert_int_equal(look(s, a, STORE_FLAGGED).with, 199);
    assert_int_equal(look(s, a, STORE_FLAGGED | 1 << STORE_KEYWORD_SHIFT).with, 1); /* its slot there is the first */
    assert_int_equal(look(s, f, STORE_FLAGGED).with, 400);
    assert_int_equal(look(s, f, STORE_FLAGGED).late, 2);
    copy(s, a, b, true);
    s = again(s);
    b = world_folder(s, "b");
    assert_int_equal(look(s, b, STORE_FLAGGED).with, 199);
    assert_int_equal(look(s, b, STORE_FLAGGED | 1 << STORE_KEYWORD_SHIFT).with, 1);
    assert_int_equal(look(s, b, 0).with, 5);
    assert_int_equal(look(s, world_folder(s, "a"), 0).n, 0);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM flag_block WHERE folder = (SELECT id FROM folder WHERE name = 'a')"), 0);
    store_close(s);
}

static void what_is_gone_leaves_nothing(void **state)
{
    struct store *s = begin();
    struct folder *f = store_inbox(s), *a = world_folder(s, "a");
    bool found, more = true;

    (void)state;
    add(s, f, 1200);
    add(s, a, 200);
    s = again(s);
    f = store_inbox(s);
    a = world_folder(s, "a");
    for (uint32_t uid = 1; uid < 1024; uid++)
        OK(store_message_expunge(s, f, uid, &found, &err));
    flag_all(s, f, STORE_FLAGS_ADD, STORE_SEEN, STR(""));
    flag_all(s, a, STORE_FLAGS_ADD, STORE_SEEN, STR(""));
    OK(store_folder_delete(s, a, &err));
    s = again(s);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM flag_block WHERE folder = 1"), 2);
    while (more) {
        OK(store_sweep(s, &more, &err));
        OK(store_commit(s, &err));
        OK(store_begin(s, &err));
    }
    s = again(s);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM flag_block"), 2);
    store_close(s);
}

/* The database of before this table: what nobody has touched is read from its rows, what is touched gets entries. */
static void messages_of_before_get_entries(void **state)
{
    struct store *s = begin();
    struct folder *f = store_inbox(s);
    struct store_message m;
    bool found, changed;

    (void)state;
    add(s, f, 300);
    OK(store_commit(s, &err));
    OK(db_exec(s->db, "DELETE FROM flag_block", &err));
    OK(db_exec(s->db, "UPDATE message SET flags = 4, modseq = 2000000", &err));
    OK(db_exec(s->db, "UPDATE folder SET modseq = 2000000", &err));
    OK(db_exec(s->db, "UPDATE uid_block SET modseq = 2000000", &err));
    store_close(s);
    s = begin();
    f = store_inbox(s);
    assert_int_equal(look(s, f, STORE_FLAGGED).with, 300);
    OK(store_message_get(s, f, 200, &m, &found, &err));
    OK(store_message_flags(s, f, &m, STORE_SEEN, STR(""), &changed, &err));
    s = again(s);
    f = store_inbox(s);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM flag_block"), 1);
    assert_int_equal(look(s, f, STORE_FLAGGED).with, 299);
    assert_int_equal(flags_of(s, f, 200), STORE_SEEN);
    store_close(s);
}

static struct store *with_flags(void)
{
    struct store *s = begin();

    add(s, store_inbox(s), 10);
    flag_all(s, store_inbox(s), STORE_FLAGS_ADD, STORE_SEEN, STR(""));
    return s;
}

static void damage_is_said(void **state)
{
    static const char *const damages[] = {
        "UPDATE flag_block SET data = X'00'",
        "UPDATE flag_block SET number = number + 1",
        "UPDATE flag_block SET number = number + 8",
        "UPDATE flag_block SET folder = 2",
        ("UPDATE message SET size = size + 1; UPDATE content SET size = size + 1, head = head || '!'; "
         "UPDATE folder SET bytes = bytes + messages"),
    };

    (void)state;
    world_damages_are_found(with_flags, damages, sizeof damages / sizeof *damages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_full_block_has_its_entries),
        TEST(a_change_of_all_writes_blocks),
        TEST(a_rollback_takes_it_back),
        TEST(late_keywords_stay_with_the_message),
        TEST(copies_have_what_counts),
        TEST(what_is_gone_leaves_nothing),
        TEST(messages_of_before_get_entries),
        TEST(damage_is_said),
    };

    return cmocka_run_group_tests_name("store_flags", tests, NULL, NULL);
}
