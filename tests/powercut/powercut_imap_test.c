/* Loss of power under IMAP: everything a client changes and is answered OK for is there as it saw it, what was under way is
 * done or not, nothing a second client was told is undone, and the search index finds what is there.
 *
 * The clients, the sessions and the store are real and in one process (imap_world.h); the disk is disk.h's. After each command
 * a third client looks at everything (imap_state.h). What it sees must be found after a loss of power, from the place on the
 * tape where the command was answered OK up to the next command; while that is under way, this or what is seen after it. */
#include "base/log.h"
#include "cut_clock.h"
#include "db/db.h"
#include "imap_client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { LOOKS = 300, STATE_MOST = 1024 * 1024, WORDS = 4 };
#define NEVER SIZE_MAX

static struct look {
    size_t at, begun; /* seen from there; the next command began there */
    bool single;      /* between the look before and this one was one command */
    struct buf state;
} looks[LOOKS];
static size_t looks_n;
static unsigned under_way; /* commands since the last look */
static uint64_t seed_;

/* ---- work ---- */

/* `at` NEVER: what is seen counts from now on. */
static void look(size_t at)
{
    struct look *l = &looks[looks_n];
    char why[400];

    if (looks_n == LOOKS)
        fatal("too many looks");
    if (l->state.ceiling == 0)
        buf_init(&l->state, STATE_MOST);
    if (!imap_state_look(&l->state, why, sizeof why))
        fail_msg("seed %llu: %s", (unsigned long long)seed_, why);
    l->at = at != NEVER ? at : disk_length();
    l->begun = NEVER;
    l->single = under_way <= 1;
    under_way = 0;
    looks_n++;
}

static void do_one(size_t *done)
{
    if (looks_n > 0 && looks[looks_n - 1].begun == NEVER)
        looks[looks_n - 1].begun = disk_length();
    under_way++;
    imap_client_work(done);
}

static void boot(void)
{
    imap_world_start();
}

static void step(void)
{
    uint64_t how = cut_random(10);
    size_t done;

    imap_clients_open();
    if (how < 1)
        disk_fail(1 + (unsigned)cut_random(60), cut_random(2) ? EIO : ENOSPC, true);
    else if (how < 4)
        disk_fail(1 + (unsigned)cut_random(60), cut_random(2) ? EIO : cut_random(2) ? ENOSPC : 0, false);
    do_one(&done);
    if (how < 1) { /* the process is killed there: nothing of what it still did reached the disk */
        imap_world_stop();
        disk_fail(0, 0, false);
        boot();
    }
    disk_fail(0, 0, false);
    look(how < 1 ? NEVER : done);
}

static void work(unsigned steps)
{
    look(NEVER);
    while (steps-- > 0)
        step();
}

/* ---- promises ---- */

static struct buf found;

/* Each word is found in its messages and in no others: some that are there, and one that is not. */
static bool finds_words(char *why, size_t size)
{
    for (unsigned i = 0; i < WORDS; i++) {
        struct str rest = buf_str(&found), line, got;
        unsigned wanted = 0, hits = 0, seen = 0, uid, word;
        char folder[40], is[20];

        for (unsigned n = 0; imap_next_line(&rest, &line);)
            if (imap_state_word(line, folder, &uid, &word) && strcmp(folder, "INBOX") == 0 && cut_random(++n) == 0)
                wanted = word;
        if (i == 0)
            wanted = 99999;
        for (rest = buf_str(&found); imap_next_line(&rest, &line);)
            hits += imap_state_word(line, folder, &uid, &word) && strcmp(folder, "INBOX") == 0 && word == wanted;
        if (wanted == 0 || !imap_ask(IMAP_LOOKER, &got, "UID SEARCH TEXT word%05uend", wanted)) {
            if (wanted == 0)
                continue;
            snprintf(why, size, "SEARCH fails");
            return false;
        }
        for (rest = buf_str(&found); imap_next_line(&rest, &line);) {
            if (!imap_state_word(line, folder, &uid, &word) || strcmp(folder, "INBOX") != 0 || word != wanted)
                continue;
            snprintf(is, sizeof is, " %u", uid);
            seen += str_ifind(got, str_of(is)) >= 0;
        }
        if (seen != hits) {
            snprintf(why, size, "word %u is in %u messages, %u are found: %.*s", wanted, hits, seen, STR_ARG(got));
            return false;
        }
    }
    return true;
}

static bool search_works(char *why, size_t size)
{
    struct str got;
    bool right;

    client_open(IMAP_LOOKER);
    right = imap_ask(IMAP_LOOKER, &got, "EXAMINE INBOX") && finds_words(why, size); /* with what is left of the index */
    if (right) {
        world_index();
        right = finds_words(why, size);
    }
    if (imap_clients[IMAP_LOOKER].open)
        client_close(IMAP_LOOKER);
    return right;
}

static bool store_is_sound(char *why, size_t size)
{
    struct err err = {0};
    struct box *box = boxes_enter(world_boxes, IMAP_WORLD_ACCOUNT, &err);
    bool sound = box != NULL && store_check(box->store, &err);

    if (box != NULL)
        box_leave(box);
    if (!sound)
        snprintf(why, size, "%s", err.text);
    return sound;
}

static bool is_what_was_seen(size_t at, char *why, size_t size)
{
    const struct look *last = NULL, *next;

    for (size_t i = 0; i < looks_n && looks[i].at <= at; i++)
        last = &looks[i];
    if (last == NULL || str_eq(buf_str(&found), buf_str(&last->state)))
        return true;
    next = last + 1 < looks + looks_n ? last + 1 : NULL;
    if (last->begun <= at && next != NULL && next->single && str_eq(buf_str(&found), buf_str(&next->state)))
        return true;
    if (last->begun <= at && (next == NULL || !next->single))
        return imap_state_follows(buf_str(&last->state), buf_str(&found), why, size);
    imap_state_differ(buf_str(&found), buf_str(&last->state), why, size);
    return false;
}

static bool keeps_promises(size_t at, char *why, size_t size)
{
    if (found.ceiling == 0)
        buf_init(&found, STATE_MOST);
    if (!imap_state_look(&found, why, size) || !is_what_was_seen(at, why, size) || !store_is_sound(why, size) ||
        !search_works(why, size))
        return false;
    imap_memory_check(at);
    return true;
}

static void forget_after(size_t at)
{
    while (looks_n > 0 && looks[looks_n - 1].at > at)
        looks_n--;
    for (size_t i = 0; i < looks_n; i++) {
        looks[i].at = 0;
        looks[i].begun = looks[i].begun <= at ? 0 : NEVER;
    }
    if (looks_n > 1) { /* only the last one counts */
        struct buf kept = looks[0].state;

        looks[0] = looks[looks_n - 1];
        looks[looks_n - 1].state = kept;
        looks_n = 1;
    }
    under_way = 0;
    imap_memory_forget_after(at);
}

/* ---- the world ---- */

static void open_world(uint64_t seed)
{
    log_set(LOG_LEVEL_ERROR, false); /* what ends the program says why */
    seed_ = seed;
    cut_seed(seed);
    cut_set_clock(CUT_FIRST_DAY + (int64_t)(seed % 1000) * DAY);
    imap_world_open("powercut_imap");
    world_index_from = 1;
    imap_world_stop();
    disk_remove(imap_world_folder());
    disk_record(imap_world_folder());
    looks_n = under_way = 0;
    imap_memory_forget();
    boot();
}

static void close_world(void)
{
    disk_pause();
    assert_int_equal(imap_world_close(), 0);
}

/* One sync fails once. Whoever is in that mailbox is sent away, also out of IDLE: then it can be opened anew. */
static void a_failed_sync_keeps_nobody_out(void **state)
{
    (void)state;
    open_world(1);
    client_open(0);
    client_open(1);
    client_say(1, "a SELECT Sent\r\nb IDLE\r\n");
    world_flush();
    (void)client_got(1);
    disk_fail_sync(1, EIO);
    client_expect(0, "a APPEND INBOX {3+}\r\nabc\r\n", "a NO [UNAVAILABLE] %\r\n* BYE [UNAVAILABLE] %\r\n");
    assert_true(disk_failed());
    assert_true(text_matches(STR("* BYE [UNAVAILABLE] %\r\n"), client_got(1)));
    assert_false(imap_clients[0].open || imap_clients[1].open);
    client_open(0);
    client_expect(0, "a APPEND INBOX {3+}\r\nabc\r\n", "a OK [APPENDUID %] %\r\n");
    close_world();
}

static void what_was_answered_survives_the_loss_of_power(void **state)
{
    static const struct cut_world world = {open_world, close_world, imap_world_folder, boot, imap_world_stop, work, cut_set_clock,
        keeps_promises, forget_after};
    static const struct cut_effort brief = {4, 2, 12, 8, 3}, thorough = {1, 3, 40, 0, DISK_LOSSES + 1};

    (void)state;
    cut_run(&world, &brief, &thorough);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_answered_survives_the_loss_of_power),
        cmocka_unit_test(a_failed_sync_keeps_nobody_out)};

    db_exclude_others();
    return cmocka_run_group_tests_name("powercut_imap", tests, NULL, NULL);
}
