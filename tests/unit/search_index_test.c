/* The search index of an account: every answer is that of reading the messages, whatever was added, removed and moved. */
#include "search_world.h"
#include "base/log.h"
#include "mime/charset.h"
#include "base/clock.h"
#include "roles/mailbox/box_search.h"
#include "roles/mailbox/boxes_private.h"
#include "roles/mailbox/grams.h"
#include "roles/mailbox/search_index.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { MESSAGES = 260 };

static int setup(void **state)
{
    (void)state;
    imap_world_open("search_index_test");
    world_index_from = 100;
    boxes_set_index_from(world_boxes, world_index_from);
    client_open(1); /* keeps the box open */
    search_fill(MESSAGES, 4711);
    search_enter();
    return 0;
}

static struct search_index_size size_of_index(void)
{
    struct search_index_size size = {0};
    struct err err = {0};

    if (world_box()->index != NULL && !search_index_size(world_box()->index, &size, &err))
        fatal("%s", err.text);
    return size;
}

static void random_programs(void **state)
{
    int64_t before = search_metric("staffetta_imap_searches_indexed_total");

    (void)state;
    search_compare(600);
    assert_true(search_metric("staffetta_imap_searches_indexed_total") > before + 150);
    assert_int_equal(size_of_index().docs, MESSAGES);
    world_tick = 3000; /* a turn does as little as it can */
    search_compare(20);
}

/* Only what may match is read. */
static void reads_little(void **state)
{
    int64_t before;

    (void)state;
    search_deliver("A heron", "Of the wobbegong there is one.");
    world_index();
    CONVERSE(0, {"n NOOP\r\n", "* 261 EXISTS\r\nn OK Done\r\n"});
    before = search_metric("staffetta_imap_messages_compared_total");
    CONVERSE(0, {"a SEARCH TEXT WobbeGong\r\n", "* SEARCH 261\r\na OK Done\r\n"}, {"b SEARCH SUBJECT heron BODY wobbegon\r\n", "* SEARCH 261\r\nb OK Done\r\n"},
        {"c SEARCH OR TEXT wobbegong TEXT nowhere-at-all\r\n", "* SEARCH 261\r\nc OK Done\r\n"}, {"d SEARCH TEXT wobbegongs\r\n", "* SEARCH\r\nd OK Done\r\n"},
        {"e SEARCH 1:260 TEXT wobbegong\r\n", "* SEARCH\r\ne OK Done\r\n"}, {"f SORT (DATE) UTF-8 TEXT wobbegong\r\n", "* SORT 261\r\nf OK Done\r\n"},
        {"g SEARCH RETURN (COUNT) NOT TEXT wobbegong\r\n", "* ESEARCH (TAG \"g\") COUNT 260\r\ng OK Done\r\n"});
    assert_in_range(search_metric("staffetta_imap_messages_compared_total") - before, 261 + 4, 261 + 20);
}

static void what_came_later_is_found(void **state)
{
    (void)state;
    search_deliver("later", "one thylacine");
    CONVERSE(0, {"n NOOP\r\n", "* 261 EXISTS\r\nn OK Done\r\n"}, {"a SEARCH TEXT thylacine\r\n", "* SEARCH 261\r\na OK Done\r\n"},
        {"b APPEND INBOX {26+}\r\nSubject: x\r\n\r\nthylacines\r\n\r\n", "* 262 EXISTS\r\nb OK [APPENDUID % 262] Stored\r\n"},
        {"c SEARCH TEXT thylacine\r\n", "* SEARCH 261 262\r\nc OK Done\r\n"});
    world_index();
    CONVERSE(0, {"d SEARCH TEXT thylacine\r\n", "* SEARCH 261 262\r\nd OK Done\r\n"});
}

/* Copies share their text; it is known once. */
static void moved_copied_and_removed(void **state)
{
    (void)state;
    CONVERSE(0, {"a COPY 1:200 Archive\r\n", "a OK [COPYUID % 1:200 1:200] Done\r\n"});
    world_index();
    assert_int_equal(size_of_index().docs, MESSAGES);
    assert_int_equal(size_of_index().places, MESSAGES + 200);
    client_say(0, "b MOVE 100:120 Archive\r\nc STORE 1:30 +FLAGS.SILENT (\\Deleted)\r\nd EXPUNGE\r\n");
    world_flush();
    (void)client_got(0);
    search_compare(100);
    world_index();
    client_say(0, "e SELECT Archive\r\n");
    world_flush();
    (void)client_got(0);
    search_compare(300);
    assert_int_equal(size_of_index().docs, MESSAGES);
    client_say(0, "f SELECT INBOX\r\n");
    world_flush();
    (void)client_got(0);
    search_compare(100);
}

/* Nothing is taken in that a rollback or a crash could take back. */
static void waits_for_the_disk(void **state)
{
    (void)state;
    world_deliver(STR("Subject: s\r\n\r\nunflushed numbat\r\n"));
    boxes_fill(world_boxes, 1000000);
    assert_int_equal(size_of_index().docs, MESSAGES);
    world_index();
    assert_int_equal(size_of_index().docs, MESSAGES + 1);
}

/* Work of sessions comes first, but not for ever. */
static void seldom_while_there_is_work(void **state)
{
    int64_t rested;

    (void)state;
    world_deliver(STR("Subject: s\r\n\r\nbusy numbat\r\n"));
    world_flush();
    world_boxes->fill_due = world_boxes->filled_at = world_boxes->busy_at = 1;
    assert_int_equal(boxes_fill_due(world_boxes), 1 + 60 * 1000);
    rested = clock_monotonic();
    boxes_are_busy(world_boxes);
    assert_int_equal(boxes_fill_due(world_boxes), 1 + 60 * 1000);
    world_boxes->filled_at = world_boxes->busy_at;
    assert_true(boxes_fill_due(world_boxes) >= rested + 60 * 1000);
    world_boxes->busy_at = 1;
    assert_int_equal(boxes_fill_due(world_boxes), 1 + 200 * 1000);
    world_index();
    assert_int_equal(boxes_fill_due(world_boxes), INT64_MAX);
}

static void kept_over_a_restart(void **state)
{
    char path[300];
    struct stat before, after;

    (void)state;
    imap_world_stop();
    world_path(".search", path);
    assert_int_equal(stat(path, &before), 0);
    imap_world_start();
    search_enter();
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino == after.st_ino);
    assert_int_equal(size_of_index().docs, MESSAGES);
    search_compare(100);
}

static void no_index_for_small_accounts(void **state)
{
    char path[300];
    struct stat about;

    (void)state;
    imap_world_stop();
    world_path(".search", path);
    search_index_remove(path);
    world_index_from = MESSAGES + 1;
    imap_world_start();
    search_enter();
    search_compare(20);
    assert_int_not_equal(stat(path, &about), 0);
}

static void remade_when_most_is_gone(void **state)
{
    (void)state;
    client_say(0, "a STORE 1:150 +FLAGS.SILENT (\\Deleted)\r\nb EXPUNGE\r\n");
    for (unsigned i = 0; i < 60; i++)
        client_say(0, "c COPY 1:100 Trash\r\nd SELECT Trash\r\ne STORE 1:* +FLAGS.SILENT (\\Deleted)\r\nf CLOSE\r\ng SELECT INBOX\r\n");
    world_flush();
    (void)client_got(0);
    world_index();
    assert_true(size_of_index().places >= MESSAGES);
    search_compare(30);
}

static void removed_with_the_account(void **state)
{
    char path[300];
    struct stat about;

    (void)state;
    world_path(".search", path);
    assert_int_equal(stat(path, &about), 0);
    client_close(0);
    client_close(1);
    boxes_remove(world_boxes, IMAP_WORLD_ACCOUNT);
    assert_int_not_equal(stat(path, &about), 0);
}

/* A message that is too large for the index is compared with every word. */
static void large_messages(void **state)
{
    static char text[1500000] = "Subject: large\n\n";

    (void)state;
    for (size_t i = 16; i < sizeof text; i++)
        text[i] = i % 70 == 69 ? '\n' : (char)('a' + i * i % 23);
    memcpy(text + sizeof text - 40, " at the end a bandicoot.", 24);
    client_say(0, "m APPEND INBOX {1500000+}\r\n");
    client_say_bytes(0, str_from(text, sizeof text));
    CONVERSE(0, {"\r\n", "* 261 EXISTS\r\nm OK [%] Stored\r\n"});
    world_index();
    CONVERSE(0, {"a SEARCH TEXT bandicoot\r\n", "* SEARCH 261\r\na OK Done\r\n"},
        {"b SEARCH TEXT bandicoots\r\n", "* SEARCH\r\nb OK Done\r\n"});
}

/* ---- grams ---- */

static bool all_in(struct str query, struct str words)
{
    for (size_t i = 1; i + 4 < query.n; i += strlen("0123 AND ")) {
        if (memmem(words.p, words.n, query.p + i, 4) == NULL)
            return false;
        if (query.p[i + 4] == ')')
            return true;
    }
    return false;
}

/* Whatever stands around a word, also halves of characters: its grams are found. */
static void grams_of_a_part(void **state)
{
    static const char *const around[] = {"", "\xe2\x82", "\xf0\x9f", "\x80\x80", "\xc3", "\xff", "abc", "\xe6\x97"};
    static const char *const parts[] = {"abc", "größe", "日本語テ", "a\xf0\x9f\x98\x80z", "a much longer word with many characters in it"};
    struct grams *g = grams_new();
    struct buf words, query;

    (void)state;
    buf_init(&words, 1 << 20);
    buf_init(&query, 4096);
    for (size_t i = 0; i < 8 * 8 * 5; i++) {
        char text[200];

        snprintf(text, sizeof text, "%s%s%s", around[i % 8], parts[i / 64], around[i / 8 % 8]);
        grams_reset(g);
        buf_reset(&words);
        buf_reset(&query);
        grams_add(g, str_of(text));
        grams_write(g, &words);
        assert_true(grams_query(str_of(parts[i / 64]), &query));
        assert_true(all_in(buf_str(&query), buf_str(&words)));
    }
    assert_false(grams_query(STR("ab"), &query));
    assert_false(grams_query(STR("\xe6\x97\xa5\xe6\x9c\xac"), &query));
    assert_false(grams_query(STR("abc\xe6\x97"), &query));
    grams_free(g);
    buf_clear(&words);
    buf_clear(&query);
}

/* What the index is made of. If this fails because the text that is searched, its folding or its grams changed, old indexes would
 * miss messages: let SEARCH_INDEX_RULES grow, and put the new sum here. */
static void rules_are_as_they_were(void **state)
{
    struct grams *g = grams_new();
    struct buf words;
    uint64_t sum = 0;

    (void)state;
    buf_init(&words, 1 << 20);
    grams_add(g, STR("subject: stra\xc3\x9f" "e \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e \xff\x80 end"));
    grams_write(g, &words);
    for (size_t i = 0; i < words.n; i++)
        sum = sum * 31 + (unsigned char)words.p[i];
    assert_int_equal(SEARCH_INDEX_RULES, 1);
    assert_int_equal(sum, UINT64_C(0x7f3518096fdf1908));
    buf_clear(&words);
    grams_free(g);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(random_programs), TEST(reads_little), TEST(what_came_later_is_found), TEST(moved_copied_and_removed), TEST(waits_for_the_disk),
        TEST(seldom_while_there_is_work), TEST(no_index_for_small_accounts), TEST(remade_when_most_is_gone), TEST(removed_with_the_account),
        TEST(kept_over_a_restart), TEST(no_index_for_small_accounts), TEST(remade_when_most_is_gone), TEST(removed_with_the_account),
        TEST(large_messages), cmocka_unit_test(grams_of_a_part), cmocka_unit_test(rules_are_as_they_were),
    };

    log_set(LOG_LEVEL_WARNING, false);
    charset_prepare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
