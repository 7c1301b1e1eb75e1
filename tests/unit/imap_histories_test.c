/* IMAP: histories of several sessions on one mailbox that once went wrong. */
#include "base/clock.h"
#include "imap_world.h"
#include "roles/mailbox/store_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_histories_test");
    world_fill(3);
    for (unsigned c = 0; c < 3; c++)
        client_open(c);
    return 0;
}

static void fails(void)
{
    struct err err = {0};

    err_set(&err, ERR_TEMPORARY, "somebody's storage failed");
    box_fail(world_box(), &err);
    world_run();
}

/* Message 2 is changed again before the idling client hears of the change before: that is told later, and what can be told
 * is not told over and over meanwhile. */
static void idle_with_a_change_after_the_change(void **state)
{
    (void)state;
    client_select(0);
    client_select(1);
    client_expect(0, "i IDLE\r\n", "+ idling\r\n");
    client_say(1, "a STORE 1:2 +FLAGS.SILENT (\\Seen)\r\nb STORE 2 +FLAGS.SILENT (\\Flagged)\r\n");
    world_run();
    boxes_finish(world_boxes);
    world_run();
    client_was_told(0, "* 1 FETCH (FLAGS (\\Seen))\r\n");
    world_flush();
    client_was_told(0, "* 1 FETCH (FLAGS (\\Seen))\r\n* 2 FETCH (FLAGS (\\Seen \\Flagged))\r\n");
    client_expect(0, "DONE\r\n", "i OK %\r\n");
}

/* The same, but what came after is undone: the idling client hears of what was before. */
static void idle_with_a_change_that_is_undone(void **state)
{
    (void)state;
    client_select(0);
    client_select(1);
    client_expect(0, "i IDLE\r\n", "+ idling\r\n");
    client_say(1, "a STORE 2 +FLAGS.SILENT (\\Seen)\r\nb STORE 2 +FLAGS.SILENT (\\Flagged)\r\n");
    world_run();
    boxes_finish(world_boxes);
    world_run();
    client_was_told(0, "");
    fails();
    client_was_told(0, "* 2 FETCH (FLAGS (\\Seen))\r\n");
    client_was_told(1, "a OK Done\r\nb NO [UNAVAILABLE] %\r\n");
}

/* A message whose flags were not told yet is taken away, and is back. */
static void changed_flags_of_a_message_that_is_back(void **state)
{
    (void)state;
    client_select(0);
    client_select(1);
    client_expect(1, "a STORE 2 +FLAGS.SILENT (\\Deleted)\r\n", "a OK Done\r\n");
    client_say(1, "b EXPUNGE\r\n");
    world_run();
    client_say(0, "a NOOP\r\n");
    world_run();
    client_was_told(0, "a OK Done\r\n");
    fails();
    client_expect(0, "b NOOP\r\n", "* 2 FETCH (FLAGS (\\Deleted))\r\nb OK Done\r\n");
}

/* While a client comes back with QRESYNC a message goes that it never heard of: it hears which one it was told to be there. */
static void a_message_goes_during_qresync(void **state)
{
    char line[200];

    (void)state;
    client_expect(0, "e ENABLE QRESYNC\r\n", "%\r\ne OK %\r\n");
    client_select(1);
    client_say(1, "a STORE 3 +FLAGS.SILENT (\\Deleted)\r\nb EXPUNGE\r\n");
    world_run();
    snprintf(line, sizeof line, "s SELECT INBOX (QRESYNC (%lld 1 1:3))\r\n", (long long)store_inbox(world_box()->store)->uidvalidity);
    client_say(0, line);
    world_flush();
    client_was_told(0, "%\r\n%\r\n* 3 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n* 1 FETCH (UID 1 FLAGS () MODSEQ (%))\r\n* 2 FETCH (UID 2 FLAGS () MODSEQ (%))\r\n"
           "* 3 FETCH (UID 3)\r\ns OK [READ-WRITE] Selected\r\n");
    client_expect(0, "n NOOP\r\n", "* VANISHED 3\r\nn OK Done\r\n");
}

/* What is gone is not remembered any more, and nothing above it is left. */
static void qresync_below_the_floor(void **state)
{
    char line[200];

    (void)state;
    client_expect(0, "e ENABLE QRESYNC\r\n", "%\r\ne OK %\r\n");
    client_select(1);
    client_expect(1, "a STORE 2:3 +FLAGS.SILENT (\\Deleted)\r\n", "a OK Done\r\n");
    client_expect(1, "b EXPUNGE\r\n", "* 3 EXPUNGE\r\n* 2 EXPUNGE\r\nb OK Done\r\n");
    store_inbox(world_box()->store)->now.expunged_floor = INT64_MAX / 2;
    for (int known = 0; known < 2; known++) {
        snprintf(line, sizeof line, "s SELECT INBOX (QRESYNC (%lld 1000%s))\r\n", (long long)store_inbox(world_box()->store)->uidvalidity,
            known ? " 2:9" : "");
        client_say(0, line);
        world_flush();
        client_was_told(0, known ? "* OK [CLOSED] %\r\n%\r\n%\r\n* 1 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n* VANISHED (EARLIER) 2:3\r\ns OK %\r\n"
                     : "%\r\n%\r\n* 1 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n* VANISHED (EARLIER) 2:3\r\n* 1 FETCH (%)\r\ns OK %\r\n");
    }
    store_inbox(world_box()->store)->now.expunged_floor = store_inbox(world_box()->store)->committed.expunged_floor;
}

/* A client is told of a new keyword once somebody else's, that took its place, is undone. */
static void a_keyword_in_the_place_of_another(void **state)
{
    (void)state;
    client_select(0);
    client_select(1);
    client_say(1, "a STORE 1 +FLAGS.SILENT (undone)\r\n");
    world_run();
    client_say(0, "s EXAMINE INBOX\r\n");
    world_run();
    client_was_told(0, "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK %\r\n");
    fails();
    client_expect(1, "b STORE 1 +FLAGS.SILENT (kept)\r\n", "a NO %\r\n* FLAGS (% kept)\r\n%\r\nb OK Done\r\n");
    client_expect(0, "c NOOP\r\n", "* FLAGS (% kept)\r\n%\r\n* 1 FETCH (FLAGS (kept))\r\nc OK Done\r\n");
}

/* However long each look at the clock takes, everything comes to its end. */
static void no_time_at_all(void **state)
{
    (void)state;
    world_tick = SECOND;
    client_select(0);
    CONVERSE(0, {"a STORE 1:* +FLAGS (\\Seen)\r\n", "%\r\n%\r\n%\r\na OK Done\r\n"},
        {"b FETCH 3 (FLAGS BINARY[1] BODY[TEXT])\r\n", "* 3 FETCH (FLAGS (\\Seen) BINARY[1] ~{%}\r\n%\r\n BODY[TEXT] {%}\r\n%\r\n)\r\nb OK Done\r\n"},
        {"c SORT (SUBJECT) US-ASCII TEXT text\r\n", "* SORT 1 2 3\r\nc OK Done\r\n"}, {"d THREAD REFERENCES US-ASCII ALL\r\n", "* THREAD %\r\nd OK Done\r\n"},
        {"e COPY 1:* Sent\r\n", "e OK %\r\n"}, {"f MOVE 1:2 Sent\r\n", "%\r\n%\r\n%\r\nf OK Done\r\n"}, {"g APPEND INBOX {5+}\r\nabcde\r\n", "* 2 EXISTS\r\ng OK %\r\n"},
        {"h LIST \"\" *\r\n", "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\nh OK Done\r\n"}, {"i STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n", "i OK Done\r\n"},
        {"j EXPUNGE\r\n", "%\r\n%\r\nj OK Done\r\n"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(idle_with_a_change_after_the_change, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(idle_with_a_change_that_is_undone, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(changed_flags_of_a_message_that_is_back, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(a_message_goes_during_qresync, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(qresync_below_the_floor, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(a_keyword_in_the_place_of_another, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(no_time_at_all, setup, imap_world_teardown)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
