/* Messages: added, copied, flagged, removed, walked, counted; keywords; summaries; pinned contents. */
#include "store_world.h"
#include "db/db.h"
#include "base/clock.h"
#include "mime/part_blob.h"
#include "roles/mailbox/summary.h"

#define err world_err

static struct store *begin(void)
{
    struct store *s = world_open();

    OK(store_begin(s, &err));
    return s;
}

static struct store_message get(struct store *s, struct folder *f, uint32_t uid)
{
    struct store_message m;
    bool found;

    OK(store_message_get(s, f, uid, &m, &found, &err));
    assert_true(found);
    return m;
}

static void flag(struct store *s, struct folder *f, uint32_t uid, int64_t flags)
{
    struct store_message m = get(s, f, uid);
    bool changed;

    OK(store_message_flags(s, f, &m, flags, STR(""), &changed, &err));
    assert_true(changed);
}

static void expunge(struct store *s, struct folder *f, uint32_t uid)
{
    bool found;

    OK(store_message_expunge(s, f, uid, &found, &err));
    assert_true(found);
}

static void sweep(struct store *s)
{
    for (bool more = true; more;) {
        OK(store_begin(s, &err));
        OK(store_sweep(s, &more, &err));
        OK(store_commit(s, &err));
    }
}

static void counts_are_exact(void **state)
{
    struct store *s = begin();
    struct folder *f = world_folder(s, "a");
    struct store_message m;
    bool found, changed;

    (void)state;
    assert_int_equal(world_add(s, f, 0), 1);
    assert_int_equal(world_add(s, f, STORE_SEEN | STORE_TO_DELETE), 2);
    assert_int_equal(world_add(s, f, STORE_DRAFT), 3);
    m = get(s, f, 2);
    assert_int_equal(f->now.messages, 3);
    assert_int_equal(f->now.unseen, 2);
    assert_int_equal(f->now.deleted, 1);
    assert_int_equal(f->now.deleted_bytes, m.size);
    assert_int_equal(f->now.bytes, store_totals(s).bytes);
    OK(store_message_flags(s, f, &m, m.flags, STR(""), &changed, &err));
    assert_false(changed);
    flag(s, f, 2, STORE_FLAGGED);
    assert_int_equal(f->now.unseen, 3);
    assert_int_equal(f->now.deleted, 0);
    assert_int_equal(f->now.deleted_bytes, 0);
    expunge(s, f, 1);
    OK(store_message_expunge(s, f, 1, &found, &err));
    assert_false(found);
    OK(store_message_get(s, f, 1, &m, &found, &err));
    assert_false(found);
    assert_int_equal(f->now.messages, 2);
    assert_int_equal(f->uids.count, 2);
    OK(store_commit(s, &err));
    world_check(s);
    store_close(s);
}

static void a_copy_shares_its_content(void **state)
{
    struct store *s = begin();
    struct folder *a = world_folder(s, "a"), *b = world_folder(s, "b");
    uint32_t copy;
    bool found;

    (void)state;
    world_add(s, a, STORE_SEEN | STORE_FLAGGED);
    OK(store_message_copy(s, a, 1, b, &copy, &found, &err));
    assert_true(found);
    assert_int_equal(get(s, b, copy).content, get(s, a, 1).content);
    assert_int_equal(get(s, b, copy).flags, STORE_SEEN | STORE_FLAGGED);
    OK(store_message_copy(s, a, 1, a, &copy, &found, &err));
    assert_int_equal(copy, 2);
    OK(store_message_copy(s, a, 9, b, &copy, &found, &err));
    assert_false(found);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM content"), 1);
    expunge(s, a, 1);
    expunge(s, a, 2);
    OK(store_commit(s, &err));
    sweep(s);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM content"), 1);
    OK(store_begin(s, &err));
    expunge(s, b, 1);
    OK(store_commit(s, &err));
    sweep(s);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM content"), 0);
    world_check(s);
    store_close(s);
}

/* Slot s of the folder "a" is keyword ks; in "b" they come the other way round. */
static void keywords_are_carried_over_by_name(void **state)
{
    enum { MOST = 60 };
    struct store *s = begin();
    struct folder *a = world_folder(s, "a"), *b = world_folder(s, "b");
    struct store_new n = {.content = 1000, .size = 1};
    struct store_message m;
    struct buf more;
    char name[20];
    uint32_t uid, copy;
    bool found;
    int slot;

    (void)state;
    buf_init(&more, 1000);
    for (int i = 0; i < MOST; i++) {
        snprintf(name, sizeof name, "k%d", i);
        OK(store_keyword(s, a, str_of(name), true, &slot, &err));
        snprintf(name, sizeof name, "k%d", MOST - 1 - i);
        OK(store_keyword(s, b, str_of(name), true, &slot, &err));
    }
    store_set_keyword(&n.flags, &more, 3, true);
    store_set_keyword(&n.flags, &more, 59, true);
    n.more = buf_str(&more);
    OK(store_put(s, n.content, STR("x"), &err));
    OK(store_message_add(s, a, &n, &uid, &err));
    OK(store_message_copy(s, a, uid, b, &copy, &found, &err));
    OK(store_commit(s, &err));
    world_check(s);
    m = get(s, b, copy);
    for (slot = 0; slot < MOST; slot++)
        assert_int_equal(store_has_keyword(m.flags, m.more, slot), slot == 0 || slot == 56);
    buf_clear(&more);
    store_close(s);
}

static void a_copy_goes_without_keywords_that_have_no_room(void **state)
{
    struct store *s = begin();
    struct folder *a = world_folder(s, "a"), *b = world_folder(s, "b");
    char name[20];
    uint32_t copy;
    bool found;
    int slot;

    (void)state;
    for (int i = 0; i < STORE_KEYWORDS_MAX; i++) {
        snprintf(name, sizeof name, "k%d", i);
        OK(store_keyword(s, b, str_of(name), true, &slot, &err));
    }
    OK(store_keyword(s, a, STR("new"), true, &slot, &err));
    OK(store_keyword(s, a, STR("k1"), true, &slot, &err));
    world_add(s, a, 3 << STORE_KEYWORD_SHIFT);
    OK(store_message_copy(s, a, 1, b, &copy, &found, &err));
    assert_int_equal(get(s, b, copy).flags, 2 << STORE_KEYWORD_SHIFT);
    OK(store_commit(s, &err));
    world_check(s);
    store_close(s);
}

static void later_keywords_have_one_form(void **state)
{
    struct buf more;
    int64_t flags = STORE_SEEN;

    (void)state;
    buf_init(&more, 1000);
    for (int slot = 0; slot < 200; slot++) {
        assert_false(store_has_keyword(flags, buf_str(&more), slot));
        store_set_keyword(&flags, &more, slot, true);
        assert_true(store_has_keyword(flags, buf_str(&more), slot));
    }
    assert_int_equal(more.n, 19);
    for (int slot = 199; slot >= 0; slot--)
        store_set_keyword(&flags, &more, slot, false);
    assert_int_equal(more.n, 0);
    assert_int_equal(flags, STORE_SEEN);
    buf_clear(&more);
}

struct seen {
    uint32_t uids[5000];
    size_t n, most;
};

static bool note(void *arg, const struct store_message *m)
{
    struct seen *seen = arg;

    seen->uids[seen->n++] = m->uid;
    return seen->n < seen->most;
}

static bool note_uid(void *arg, uint32_t uid)
{
    return note(arg, &(struct store_message){.uid = uid});
}

static void walks_give_what_was_asked_for(void **state)
{
    static struct seen seen;
    struct store *s = begin();
    struct folder *f = store_inbox(s);
    int64_t since;

    (void)state;
    for (int i = 0; i < 3000; i++)
        world_add(s, f, 0);
    OK(store_commit(s, &err));
    since = f->now.modseq;
    OK(store_begin(s, &err));
    flag(s, f, 1500, STORE_SEEN);
    flag(s, f, 2999, STORE_SEEN);
    OK(store_commit(s, &err));
    seen = (struct seen){.most = 5000};
    OK(store_messages_walk(s, f, 1, UINT32_MAX, since, note, &seen, &err));
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.uids[0], 1500);
    seen = (struct seen){.most = 5000};
    OK(store_messages_walk(s, f, 1501, 2998, since, note, &seen, &err));
    assert_int_equal(seen.n, 0);
    seen = (struct seen){.most = 5000};
    OK(store_messages_walk(s, f, 1020, 1030, -1, note, &seen, &err));
    assert_int_equal(seen.n, 11);
    seen = (struct seen){.most = 7};
    OK(store_messages_walk(s, f, 1, 3000, 0, note, &seen, &err));
    assert_int_equal(seen.n, 7);
    assert_int_equal(seen.uids[6], 7);
    store_close(s);
}

static void what_was_removed_is_remembered(void **state)
{
    static struct seen seen;
    struct store *s = begin();
    struct folder *f = store_inbox(s);
    int64_t first;
    bool known;

    (void)state;
    for (int i = 0; i < 10; i++)
        world_add(s, f, 0);
    OK(store_commit(s, &err));
    first = f->now.modseq;
    OK(store_begin(s, &err));
    expunge(s, f, 7);
    expunge(s, f, 3);
    store_new_modseq(s);
    expunge(s, f, 5);
    OK(store_commit(s, &err));
    seen = (struct seen){.most = 100};
    OK(store_expunged_walk(s, f, first, note_uid, &seen, &known, &err));
    assert_true(known);
    assert_int_equal(seen.n, 3);
    assert_int_equal(seen.uids[2], 5);
    OK(store_expunged_walk(s, f, 0, note_uid, &seen, &known, &err));
    assert_false(known); /* of before there was the folder */
    world_check(s);
    store_close(s);
}

static void very_many_removed_are_forgotten(void **state)
{
    enum { MANY = 50010 };
    static struct seen seen;
    struct store *s = begin();
    struct folder *f = store_inbox(s);
    int64_t floor;
    bool known;

    (void)state;
    world_add(s, f, 0);
    OK(db_exec(s->db, "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 50010) INSERT INTO expunged "
                      "(account, folder, modseq, uid) SELECT 7, 1, i, i FROM n", &err));
    f->now.uidnext = MANY + 1;
    f->now.modseq = MANY + 1;
    OK(store_commit(s, &err));
    OK(store_begin(s, &err));
    OK(store_prune(s, 0, &err));
    floor = f->now.expunged_floor;
    assert_int_equal(floor, MANY - 50000);
    store_rollback(s);
    assert_true(f->now.expunged_floor != floor);
    OK(store_begin(s, &err));
    OK(store_prune(s, 0, &err));
    OK(store_commit(s, &err));
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM expunged"), 50000);
    seen = (struct seen){.most = 1};
    OK(store_expunged_walk(s, f, floor, note_uid, &seen, &known, &err));
    assert_true(known);
    OK(store_expunged_walk(s, f, floor - 1, note_uid, &(struct seen){.most = 1}, &known, &err));
    assert_false(known);
    world_check(s);
    store_close(s);
}

static void the_last_uid_is_the_last(void **state)
{
    struct store *s = begin();
    struct folder *f = store_inbox(s);
    uint32_t uid;

    (void)state;
    world_add(s, f, 0);
    f->now.uidnext = UINT32_MAX;
    assert_int_equal(world_add(s, f, 0), UINT32_MAX);
    assert_false(world_put(s, f, 0, &uid, &err));
    store_rollback(s);
    OK(store_begin(s, &err));
    f->now.uidnext = UINT32_MAX;
    world_add(s, f, 0);
    OK(store_commit(s, &err));
    world_check(s);
    store_close(s);
}

static void a_pinned_content_stays(void **state)
{
    struct store *s = begin();
    struct folder *f = store_inbox(s);
    struct content_pin pin = {0};
    struct str piece;
    int64_t content;

    (void)state;
    world_add(s, f, 0);
    content = get(s, f, 1).content;
    store_pin(s, &pin, content);
    expunge(s, f, 1);
    OK(store_commit(s, &err));
    sweep(s);
    OK(store_read(s, content, 0, &piece, &err));
    assert_true(piece.n > 0);
    assert_false(store_has_loose(s));
    store_unpin(s, &pin);
    assert_true(store_has_loose(s));
    sweep(s);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM content"), 0);
    store_pin(s, &pin, 5);
    store_unpin(s, &pin);
    assert_false(store_has_loose(s)); /* nobody wanted to sweep it */
    store_unpin(s, &pin);
    store_close(s);
}

static void a_summary_is_kept_with_its_content(void **state)
{
    static const char text[] = "Date: Thu, 1 Jan 1970 00:00:10 +0000\r\nSubject: Re: Hello\r\nMessage-ID: <a@b>\r\n\r\nx\r\n";
    struct store *s = begin();
    struct folder *f = store_inbox(s);
    struct summary *summary = summary_new();
    struct content_info info;
    struct arena arena;
    int64_t content;
    bool found;

    (void)state;
    arena_init(&arena, 1000000);
    world_add(s, f, 0);
    content = get(s, f, 1).content;
    OK(store_info_get(s, content, STORE_ALL_INFO, &info, &found, &err));
    assert_false(found);
    summary_add(summary, str_of(text));
    summary_end(summary, &info);
    OK(store_info_put(s, content, &info, &err));
    OK(store_info_put(s, content, &info, &err)); /* again is no harm */
    summary_free(summary);
    OK(store_info_get(s, content, STORE_ALL_INFO, &info, &found, &err));
    assert_true(found);
    assert_int_equal(info.sent, 10 * INT64_C(1000000));
    assert_true(info.reply);
    assert_null(info.preview.p);
    assert_non_null(mime_tree_unpack(info.tree, &arena));
    OK(store_preview_put(s, content, STR("x"), &err));
    OK(store_info_get(s, content, STORE_TREE, &info, &found, &err));
    assert_true(str_eq(info.preview, STR("x")));
    OK(store_commit(s, &err));
    world_check(s);
    OK(store_begin(s, &err));
    expunge(s, f, 1);
    OK(store_commit(s, &err));
    sweep(s);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM content_info"), 0);
    assert_int_equal(world_count(s, "SELECT COUNT(*) FROM content_tree"), 0);
    arena_clear(&arena);
    store_close(s);
}

/* ---- what was delivered ---- */

static bool deliver(struct store *s, int64_t message, int64_t content)
{
    struct store_delivery d = {.message = message, .content = content, .size = 1, .received = 1};

    return store_put(s, content, STR("x"), &err) && store_deliver(s, &d, &err);
}

/* The keyword $Junk of the newest message. */
static bool is_marked(struct store *s, struct folder *f)
{
    struct store_message m;
    bool found;
    int slot;

    OK(store_keyword(s, f, STR("$Junk"), false, &slot, &err));
    OK(store_message_get(s, f, (uint32_t)f->now.uidnext - 1, &m, &found, &err));
    return found && slot >= 0 && store_has_keyword(m.flags, m.more, slot);
}

static void expect_junk_in(struct store *s, int64_t message, const char *name)
{
    struct store_delivery d = {.message = message, .content = message * 100, .size = 1, .received = 1, .junk = true};

    OK(store_begin(s, &err));
    OK(store_put(s, d.content, STR("x"), &err) && store_deliver(s, &d, &err));
    OK(store_commit(s, &err));
    world_check(s);
    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;)
        assert_int_equal(f->now.messages, str_eq(f->name, str_of(name)) ? 1 : 0);
    assert_true(is_marked(s, store_folder_find(s, str_of(name))));
    OK(store_begin(s, &err));
    for (struct folder *f = NULL; (f = store_folder_next(s, f)) != NULL;)
        if (f->now.messages > 0)
            expunge(s, f, (uint32_t)f->now.uidnext - 1);
    OK(store_commit(s, &err));
}

/* Into the mailbox with \Junk, whatever it is called; else into one called so; else where all mail goes. */
static void junk_is_kept_apart(void **state)
{
    struct store *s = begin();
    struct folder *junk, *spam;

    (void)state;
    OK(store_commit(s, &err));
    expect_junk_in(s, 1, "Junk");
    junk = store_folder_find(s, STR("Junk"));
    OK(store_begin(s, &err));
    OK(store_folder_delete(s, junk, &err));
    OK(store_folder_create(s, STR("Spam"), STR("\\Junk"), &spam, &err));
    OK(store_folder_create(s, STR("Junk"), STR(""), &junk, &err));
    OK(store_commit(s, &err));
    expect_junk_in(s, 2, "Spam");
    OK(store_begin(s, &err));
    OK(store_folder_delete(s, spam, &err));
    OK(store_commit(s, &err));
    expect_junk_in(s, 3, "Junk");
    OK(store_begin(s, &err));
    OK(store_folder_delete(s, junk, &err));
    OK(store_commit(s, &err));
    expect_junk_in(s, 4, "INBOX");
    store_close(s);
}

static void junk_is_delivered_where_no_keyword_fits(void **state)
{
    struct store_delivery d = {.message = 1, .content = 100, .size = 1, .received = 1, .junk = true};
    struct store *s = begin();
    struct folder *junk = store_folder_find(s, STR("Junk"));
    char name[20];
    int slot;

    (void)state;
    for (int i = 0; i < STORE_KEYWORDS_MAX; i++) {
        snprintf(name, sizeof name, "k%d", i);
        OK(store_keyword(s, junk, str_of(name), true, &slot, &err));
    }
    OK(store_put(s, d.content, STR("x"), &err) && store_deliver(s, &d, &err));
    OK(store_commit(s, &err));
    assert_int_equal(junk->now.messages, 1);
    assert_false(is_marked(s, junk));
    world_check(s);
    store_close(s);
}

static void a_queue_id_is_stored_once(void **state)
{
    struct store *s = begin();

    (void)state;
    OK(deliver(s, 7, 1000));
    OK(store_commit(s, &err));
    OK(store_begin(s, &err));
    assert_false(deliver(s, 7, 2000));
    store_rollback(s);
    assert_int_equal(store_totals(s).messages, 1);
    world_check(s);
    store_close(s);
}

static void deliveries_are_forgotten_in_time(void **state)
{
    struct store *s = begin();
    bool was;

    (void)state;
    OK(deliver(s, 7, 1000));
    OK(store_prune(s, clock_now() - SECOND * 10, &err));
    OK(store_was_delivered(s, 7, &was, &err));
    assert_true(was);
    OK(store_prune(s, clock_now() + SECOND, &err));
    OK(store_was_delivered(s, 7, &was, &err));
    assert_false(was);
    OK(store_commit(s, &err));
    store_close(s);
}

/* ---- mistakes are found ---- */

static struct store *with_messages(void)
{
    struct store *s = begin();
    struct folder *f = store_inbox(s);
    int slot;

    OK(store_keyword(s, f, STR("some"), true, &slot, &err));
    world_add(s, f, 0);
    world_add(s, f, STORE_SEEN | 1 << STORE_KEYWORD_SHIFT);
    return s;
}

static void mistakes_are_found(void **state)
{
    static const char *const damages[] = {
        "UPDATE folder SET messages = 9 WHERE id = 1",
        "UPDATE folder SET unseen = unseen + 1 WHERE id = 1",
        "UPDATE folder SET deleted = deleted + 1 WHERE id = 1",
        "UPDATE folder SET deleted_bytes = deleted_bytes + 1 WHERE id = 1",
        "UPDATE folder SET uidnext = 2 WHERE id = 1",
        "UPDATE folder SET modseq = 1 WHERE id = 1",
        "UPDATE uid_block SET unseen = unseen + 1",
        "UPDATE uid_block SET modseq = 0",
        "UPDATE uid_block SET bits = X'0400' || SUBSTR(bits, 3)",
        "UPDATE uid_block SET number = number + 1",
        "DELETE FROM uid_block",
        "INSERT INTO uid_block SELECT account, folder, number + 5, modseq, unseen, bits FROM uid_block",
        "INSERT INTO content_shared (account, content, extra) SELECT account, id, 1 FROM content",
        "INSERT INTO content_shared (account, content, extra) SELECT account, id, -1 FROM content",
        "INSERT INTO content_shared (account, content, extra) VALUES (7, 558, 0)",
        "UPDATE content SET head = X'00'",
        "UPDATE message SET folder = 99",
        "UPDATE message SET size = size + 1",
        "UPDATE message SET flags = flags + 512",
        "UPDATE message SET more = X'01'",
        "UPDATE keyword SET slot = slot + 1",
        "INSERT INTO keyword (account, folder, slot, name) VALUES (7, 1, 1, 'Some')",
        "INSERT INTO expunged (account, folder, modseq, uid) VALUES (7, 1, 5, 1)",
        "INSERT INTO expunged (account, folder, modseq, uid) VALUES (7, 1, 5, 100)",
        "INSERT INTO loose SELECT account, id FROM content",
        "INSERT INTO content_chunk (account, content, start, data) VALUES (7, 555, 1, X'00')",
        "INSERT INTO content_tree (account, content, tree) SELECT account, id, X'0102' FROM content LIMIT 1",
        "INSERT INTO content_tree (account, content, tree) VALUES (7, 556, X'')",
        "INSERT INTO content_info (account, content, sent, reply, subject, refs) VALUES (7, 556, 0, 0, '', X'')",
        "INSERT INTO content (account, id, size, refs, head) VALUES (7, 557, 0, 0, X'')",
    };

    (void)state;
    world_damages_are_found(with_messages, damages, sizeof damages / sizeof *damages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counts_are_exact), TEST(junk_is_kept_apart),
        TEST(junk_is_delivered_where_no_keyword_fits), TEST(a_queue_id_is_stored_once),
        TEST(deliveries_are_forgotten_in_time), TEST(a_copy_shares_its_content),
        TEST(keywords_are_carried_over_by_name), TEST(a_copy_goes_without_keywords_that_have_no_room),
        TEST(later_keywords_have_one_form), TEST(walks_give_what_was_asked_for),
        TEST(what_was_removed_is_remembered), TEST(very_many_removed_are_forgotten),
        TEST(the_last_uid_is_the_last), TEST(a_pinned_content_stays),
        TEST(a_summary_is_kept_with_its_content), TEST(mistakes_are_found),
    };

    db_exclude_others();
    fault_install();
    return cmocka_run_group_tests_name("store_message", tests, NULL, NULL);
}
