/* A search index that is damaged, cut off, foreign, older or newer than the mailbox, or whose disk fails: no answer misses a
 * message. Message i has a word of its own, which must find it and nothing else. */
#include "base/log.h"
#include "db/db.h"
#include "fault_vfs.h"
#include "roles/mailbox/box_search.h"
#include "search_world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { MESSAGES = 150, PAGE = 4096 };

static struct buf kept_db, kept_index;
static unsigned era; /* words of another history are others */

static unsigned number_of(unsigned i)
{
    return era * 100000 + i * 7919 % 10007;
}

static void deliver(unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++) {
        char text[600];
        int n = 0;

        for (unsigned k = 0; k < 40; k++)
            n += snprintf(text + n, sizeof text - (size_t)n, "fill%u ", (i * 31 + k * k) % 977);
        snprintf(text + n, sizeof text - (size_t)n, "own%06u.", number_of(i));
        search_deliver("s", text);
    }
}

static void read_file(const char *suffix, struct buf *out)
{
    char path[300], *room;
    FILE *f;
    size_t n;

    world_path(suffix, path);
    buf_init(out, 16 << 20);
    f = fopen(path, "rb");
    if (f == NULL)
        return;
    while ((room = buf_reserve(out, 65536)) != NULL && (n = fread(room, 1, 65536, f)) > 0)
        out->n += n;
    fclose(f);
}

static void write_file(const char *suffix, struct str bytes)
{
    char path[300];
    FILE *f;

    world_path(suffix, path);
    f = fopen(path, "wb");
    if (f == NULL || fwrite(bytes.p, 1, bytes.n, f) != bytes.n || fclose(f) != 0)
        fatal("%s cannot be written", path);
}

static void remove_file(const char *suffix)
{
    char path[300];

    world_path(suffix, path);
    unlink(path);
}

/* The mailbox has the messages from..to of this era, with numbers from `first` on. */
static void look(unsigned from, unsigned to, unsigned first, unsigned step)
{
    for (unsigned i = from; i <= to; i += step) {
        char say[80], expected[80];

        snprintf(say, sizeof say, "a SEARCH TEXT Own%06u\r\n", number_of(i));
        snprintf(expected, sizeof expected, "* SEARCH %u\r\na OK Done\r\n", first + i - from);
        client_expect(0, say, expected);
    }
}

static void enter(void)
{
    client_open(0);
    client_say(0, "s SELECT INBOX\r\n");
    world_flush();
    (void)client_got(0);
}

static int setup(void **state)
{
    (void)state;
    imap_world_open("search_damage_test");
    world_index_from = 100;
    boxes_set_index_from(world_boxes, world_index_from);
    era = 0;
    deliver(1, MESSAGES);
    search_enter();
    imap_world_stop();
    read_file(".db", &kept_db);
    read_file(".search", &kept_index);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_clear(&kept_db);
    buf_clear(&kept_index);
    fault_at(0, false);
    return imap_world_close();
}

/* Starts on the files as they are: right at once, and right with the index that is made. */
static void start_and_look(unsigned to, unsigned step)
{
    imap_world_start();
    enter();
    look(1, to, 1, step);
    world_index();
    if (world_box()->index == NULL)
        world_expected("an index", STR("one"), STR("none"));
    look(1, to, 1, step * 3);
    imap_world_stop();
}

static void put(struct str index)
{
    write_file(".search", index);
    remove_file(".search-wal");
    remove_file(".search-shm");
}

static void damaged_bytes(void **state)
{
    struct buf index;

    (void)state;
    buf_init(&index, 16 << 20);
    srand(7);
    for (unsigned round = 0; round < 60; round++) {
        buf_reset(&index);
        buf_add(&index, buf_str(&kept_index));
        for (unsigned i = 0; i <= round % 8; i++)
            index.p[(size_t)rand() % index.n] ^= (char)(1 << rand() % 8);
        if (round % 10 == 9) /* one page in the place of another */
            memcpy(index.p + index.n / PAGE / 2 * PAGE, index.p + PAGE * 3, PAGE);
        put(buf_str(&index));
        start_and_look(MESSAGES, 6);
    }
    buf_clear(&index);
    imap_world_start();
}

static void not_an_index(void **state)
{
    char path[300];

    (void)state;
    put(STR(""));
    start_and_look(MESSAGES, 10);
    put(STR("This is no database, but it is longer than nothing."));
    start_and_look(MESSAGES, 10);
    put(buf_str(&kept_db));
    start_and_look(MESSAGES, 10);
    for (size_t n = 1000; n < kept_index.n; n += kept_index.n / 7) {
        put(str_sub(buf_str(&kept_index), 0, n));
        start_and_look(MESSAGES, 10);
    }
    put(str_sub(buf_str(&kept_index), 0, kept_index.n - PAGE));
    start_and_look(MESSAGES, 10);
    remove_file(".search");
    world_path(".search", path);
    assert_int_equal(mkdir(path, 0700), 0); /* no index is possible */
    imap_world_start();
    enter();
    look(1, MESSAGES, 1, 10);
    assert_int_equal(rmdir(path), 0);
}

/* A backup of the mailbox is put back; its index knows what came after it. */
static void mailbox_put_back(void **state)
{
    (void)state;
    imap_world_start();
    enter();
    deliver(MESSAGES + 1, MESSAGES + 60);
    client_say(0, "n NOOP\r\n");
    world_index();
    (void)client_got(0);
    look(MESSAGES + 50, MESSAGES + 60, MESSAGES + 50, 1);
    imap_world_stop();
    write_file(".db", buf_str(&kept_db));
    start_and_look(MESSAGES, 10);
    imap_world_start();
}

/* The same, and mail comes before somebody looks: the numbers of what is gone are given again. `removed`: and the newest of
 * those that the index would know is gone again. */
static void put_back_and_gone_on(bool removed)
{
    struct buf newer;

    imap_world_start();
    enter();
    deliver(MESSAGES + 1, MESSAGES + 60);
    world_index();
    imap_world_stop();
    read_file(".search", &newer);
    write_file(".db", buf_str(&kept_db));
    world_index_from = 0;
    imap_world_start();
    enter();
    era = 1;
    deliver(1, 100);
    if (removed)
        client_say(0, "n NOOP\r\na UID STORE 190:210 +FLAGS.SILENT (\\Deleted)\r\nb EXPUNGE\r\n");
    world_flush();
    (void)client_got(0);
    imap_world_stop();
    put(buf_str(&newer));
    buf_clear(&newer);
    world_index_from = 100;
    imap_world_start();
    enter();
    look(1, 39, MESSAGES + 1, 3);
    look(61, 100, removed ? MESSAGES + 40 : MESSAGES + 61, 3);
    world_index();
    look(1, 39, MESSAGES + 1, 3);
    look(61, 100, removed ? MESSAGES + 40 : MESSAGES + 61, 3);
}

static void put_back_and_more_came(void **state)
{
    (void)state;
    put_back_and_gone_on(false);
}

static void put_back_and_some_went(void **state)
{
    (void)state;
    put_back_and_gone_on(true);
}

static void older_index(void **state)
{
    (void)state;
    imap_world_start();
    enter();
    deliver(MESSAGES + 1, MESSAGES + 60);
    imap_world_stop();
    put(buf_str(&kept_index));
    start_and_look(MESSAGES + 60, 10);
    imap_world_start();
}

/* The process dies in the middle of filling: what it left is usable. */
static void killed(void **state)
{
    (void)state;
    for (unsigned turns = 1; turns < 60; turns += 4) {
        struct buf index, log;

        remove_file(".search");
        imap_world_start();
        enter();
        world_flush();
        for (unsigned i = 0; i < turns; i++)
            boxes_fill(world_boxes, 50);
        read_file(".search", &index);
        read_file(".search-wal", &log);
        imap_world_stop();
        put(buf_str(&index));
        write_file(".search-wal", turns % 8 == 1 ? str_sub(buf_str(&log), 0, log.n * 2 / 3) : buf_str(&log));
        buf_clear(&index);
        buf_clear(&log);
        start_and_look(MESSAGES, 20);
    }
    imap_world_start();
}

/* Every write, sync, opening and deletion of the index fails in turn, once or from then on. */
static void failing_disk(void **state)
{
    bool happened = true;

    (void)state;
    for (int n = 1; happened; n += n < 60 ? 1 : 7) {
        for (int forever = 0; forever < 2; forever++) {
            remove_file(".search");
            imap_world_start();
            enter();
            world_flush();
            fault_at(n, forever);
            for (unsigned i = 0; i < 20; i++)
                boxes_fill(world_boxes, 100000);
            happened = fault_happened();
            look(1, MESSAGES, 1, 50);
            fault_at(0, false);
            look(1, MESSAGES, 1, 50);
            world_box()->index_retry = 0;
            world_index();
            look(1, MESSAGES, 1, 50);
            imap_world_stop();
        }
    }
    imap_world_start();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(damaged_bytes), TEST(not_an_index), TEST(mailbox_put_back), TEST(put_back_and_more_came), TEST(put_back_and_some_went),
        TEST(older_index), TEST(killed), TEST(failing_disk),
    };

    db_exclude_others();
    fault_install();
    log_set(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
