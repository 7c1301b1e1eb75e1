/* Several IMAP sessions and deliveries on one mailbox, in random order, turn by turn: whatever happens, each client's
 * memory of the mailbox, made of what it was told, is the mailbox; also after it was away and came back with QRESYNC.
 *
 *   imap_together_test [SEED [HISTORIES]]   other histories than those of every run */
#include "imap_cache.h"
#include "imap_world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CLIENTS = 3, STEPS = 150, TRUTH = 7 };
enum kind { PLAIN, CONDSTORE, QRESYNC };

static struct imap_cache caches[CLIENTS], truth;
static enum kind kinds[CLIENTS];
static uint64_t seed, history, state_;
static unsigned histories = 150;
static bool verbose;

static unsigned chance(unsigned below)
{
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return (unsigned)(state_ >> 20) % below;
}

/* Some hear of changes between their commands too; not of what is gone, because they use numbers. */
static const char *const notify[] = {"", "", "e NOTIFY SET (SELECTED-DELAYED (MessageNew MessageExpunge FlagChange)) (PERSONAL (MailboxName))\r\n",
    "", "e NOTIFY SET (SELECTED-DELAYED (MessageNew (UID FLAGS) MessageExpunge FlagChange)) (INBOXES (MessageNew MessageExpunge))\r\n"};

static const char *notify_of(unsigned c)
{
    return notify[(history + c) % (sizeof notify / sizeof *notify)];
}

static bool notifies(unsigned c)
{
    return notify_of(c)[0] != 0;
}

/* ---- saying and hearing ---- */

static void hear(unsigned c)
{
    struct str got = client_got(c);

    if (verbose && got.n > 0)
        fprintf(stderr, "%u< %.*s", c, STR_ARG(got));
    if (c == TRUTH)
        cache_feed(&truth, got);
    else
        cache_feed(&caches[c], got);
}

static void hear_all(void)
{
    for (unsigned c = 0; c < CLIENTS; c++)
        hear(c);
}

PRINTF(3, 4) static void command(unsigned c, bool no_expunge, const char *format, ...)
{
    char line[400];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    hear(c);
    cache_commands(&caches[c], no_expunge);
    if (verbose)
        fprintf(stderr, "%u> %s\n", c, line);
    client_say(c, "t ");
    client_say(c, line);
    client_say(c, "\r\n");
}

/* ---- what a client does ---- */

static const char *flags(void)
{
    static const char *const some[] = {"\\Seen", "\\Deleted", "\\Flagged", "\\Answered \\Draft", "k1", "k2 \\Seen", "\\Deleted k1", "", "\\Seen \\Deleted"};

    return some[chance(sizeof some / sizeof *some)];
}

/* Of what it knows: numbers, or uids of which some may be gone. */
static void set(unsigned c, bool uid, char *out, size_t size)
{
    const struct imap_cache *m = &caches[c];
    unsigned largest = uid ? 30 : (unsigned)m->n, a = 1 + chance(largest), b = 1 + chance(largest);

    switch (chance(4)) {
    case 0: snprintf(out, size, "%u", a); break;
    case 1: snprintf(out, size, "%u:%u", a, b); break;
    case 2: snprintf(out, size, "%u,%u", a, b); break;
    default: snprintf(out, size, "%u:*", a); break;
    }
}

static const char *uid_(bool uid)
{
    return uid ? "UID " : "";
}

static void do_store(unsigned c, bool uid, const char *numbers)
{
    static const char *const how[] = {"FLAGS", "+FLAGS", "-FLAGS", "+FLAGS.SILENT", "FLAGS.SILENT", "-FLAGS.SILENT"};
    char since[60] = "";
    unsigned k = chance(notifies(c) ? 3 : 6); /* who may hear of the flags before a silent one does not know what they are after it */
    const char *what = flags();

    if (kinds[c] != PLAIN && chance(4) == 0)
        snprintf(since, sizeof since, "(UNCHANGEDSINCE %" PRIu64 ") ", caches[c].highest);
    command(c, !uid, "%sSTORE %s %s%s (%s)", uid_(uid), numbers, since, how[k], what);
    for (size_t i = 0; k >= 3 && i < caches[c].n; i++)
        caches[c].messages[i].has_flags = false; /* what they are now is not computed here */
}

static void do_fetch(unsigned c, bool uid, const char *numbers)
{
    char since[80] = "";

    if (kinds[c] != PLAIN && chance(3) == 0)
        snprintf(since, sizeof since, " (CHANGEDSINCE %" PRIu64 "%s)", caches[c].saved > 0 ? caches[c].saved : 1,
            kinds[c] == QRESYNC && uid && chance(2) ? " VANISHED" : "");
    command(c, !uid, "%sFETCH %s (%sFLAGS%s)%s", uid_(uid), numbers, chance(2) ? "UID " : "", kinds[c] != PLAIN && chance(2) ? " MODSEQ" : "", since);
}

static void do_with_set(unsigned c)
{
    bool uid = chance(2);
    char numbers[60];

    set(c, uid, numbers, sizeof numbers);
    switch (chance(7)) {
    case 0: case 1: do_store(c, uid, numbers); break;
    case 2: case 3: do_fetch(c, uid, numbers); break;
    case 4: command(c, false, "%sCOPY %s %s", uid_(uid), numbers, chance(2) ? "INBOX" : "Sent"); break;
    case 5: command(c, false, "%sMOVE %s %s", uid_(uid), numbers, chance(3) ? "Sent" : "INBOX"); break;
    default: command(c, !uid, "%sSEARCH %s SEEN", uid_(uid), uid ? "ALL" : numbers); break;
    }
}

static void select_again(unsigned c)
{
    struct imap_cache *m = &caches[c];
    bool resync = kinds[c] == QRESYNC && m->saved > 0 && m->uidvalidity > 0;
    char line[200];

    hear(c);
    m->qresync = kinds[c] == QRESYNC;
    snprintf(line, sizeof line, "t SELECT INBOX\r\n");
    if (resync)
        snprintf(line, sizeof line, "t SELECT INBOX (QRESYNC (%" PRIu64 " %" PRIu64 "%s))\r\n", m->uidvalidity, m->saved, chance(2) ? " 1:500" : "");
    cache_selects(m, resync);
    if (verbose)
        fprintf(stderr, "%u> %s", c, line);
    client_say(c, line);
}

static void open_client(unsigned c)
{
    static const char *const enable[] = {"", "e ENABLE CONDSTORE\r\n", "e ENABLE QRESYNC\r\n"};

    cache_lost(&caches[c]);
    client_open(c);
    client_say(c, enable[kinds[c]]);
    client_say(c, notify_of(c));
    select_again(c);
}

static void do_something(unsigned c)
{
    struct imap_cache *m = &caches[c];

    hear(c);
    if (m->idling) {
        if (chance(3) == 0) {
            client_say(c, "DONE\r\n");
            m->idling = false; /* and waits for the answer */
        }
        return;
    }
    if (m->waits)
        return;
    if (!m->selected) {
        select_again(c);
        return;
    }
    switch (chance(16)) {
    case 0: command(c, false, "NOOP"); break;
    case 1: command(c, false, "EXPUNGE"); break;
    case 2: command(c, false, "UID EXPUNGE %u:%u", 1 + chance(30), 1 + chance(30)); break;
    case 3: command(c, false, "APPEND INBOX (%s) {3+}\r\nabc", flags()); break;
    case 4:
        command(c, false, "IDLE");
        m->idling = true;
        break;
    case 5:
        if (chance(3) == 0 || notifies(c)) { /* else it could hear of one mailbox when it has sent that it leaves it */
            client_close(c);
            open_client(c);
        } else if (chance(2)) {
            command(c, false, "UNSELECT");
            m->selected = false;
        } else {
            select_again(c);
        }
        break;
    case 6:
        if (kinds[c] == QRESYNC)
            command(c, false, "UID FETCH 1:* (FLAGS)");
        else
            command(c, false, "NOOP");
        break;
    default:
        if (m->n > 0)
            do_with_set(c);
        else
            command(c, false, "NOOP");
    }
}

/* ---- histories ---- */

static void world_does_something(void)
{
    struct err err = {0};

    switch (chance(10)) {
    case 0: world_deliver(STR("A: b\r\n\r\nx\r\n")); break;
    case 1: case 2: boxes_finish(world_boxes); break;
    case 3:
        if (chance(4) == 0) {
            err_set(&err, ERR_TEMPORARY, "somebody's storage failed");
            box_fail(world_box(), &err); /* nothing that was told is undone by it */
        }
        break;
    default: world_turn(); break;
    }
}

static void everybody_ends(void)
{
    hear_all();
    world_tick = WORLD_TICK;
    world_flush();
    hear_all();
    for (unsigned c = 0; c < CLIENTS; c++) {
        if (caches[c].idling)
            client_say(c, "DONE\r\n");
        world_flush();
        hear(c);
        if (caches[c].waits)
            fatal("client %u still waits for an answer", c);
        if (!caches[c].selected)
            select_again(c);
        else
            command(c, false, "NOOP");
        world_flush();
        hear(c);
    }
}

static void learn_the_truth(void)
{
    cache_init(&truth);
    client_open(TRUTH);
    cache_selects(&truth, false);
    client_say(TRUTH, "t EXAMINE INBOX\r\n");
    world_flush();
    hear(TRUTH);
    cache_commands(&truth, true);
    client_say(TRUTH, "t UID FETCH 1:* (UID FLAGS)\r\n");
    world_flush();
    hear(TRUTH);
}

static void compare_all(void)
{
    char who[100];

    for (unsigned c = 0; c < CLIENTS; c++) {
        snprintf(who, sizeof who, "history %" PRIu64 " of seed %" PRIu64 ", client %u", history, seed, c);
        cache_compare(&caches[c], &truth, who);
    }
}

static void one_history(void)
{
    static const char *const names[] = {"plain", "condstore", "qresync"};

    state_ = (seed + 1) * 1000003 + history * 7919 + 12345;
    for (int i = 0; i < 10; i++)
        chance(2);
    imap_world_open("imap_together_test");
    world_fill(chance(8));
    world_tick = chance(3) == 0 ? WORLD_TICK : 2000 / (1 + chance(4));
    for (unsigned c = 0; c < CLIENTS; c++) {
        cache_init(&caches[c]);
        kinds[c] = (enum kind)chance(3);
        if (verbose)
            fprintf(stderr, "client %u: %s\n", c, names[kinds[c]]);
        open_client(c);
    }
    for (unsigned i = 0; i < STEPS; i++) {
        if (chance(2))
            do_something(chance(CLIENTS));
        else
            world_does_something();
        hear_all();
    }
    everybody_ends();
    learn_the_truth();
    compare_all();
    for (unsigned c = 0; c < CLIENTS; c++)
        if (kinds[c] == QRESYNC)
            select_again(c);
    world_flush();
    hear_all();
    compare_all();
    for (unsigned c = 0; c < CLIENTS; c++)
        cache_clear(&caches[c]);
    cache_clear(&truth);
    assert_int_equal(imap_world_close(), 0);
}

static void every_client_knows_the_mailbox(void **state)
{
    (void)state;
    for (unsigned i = 0; i < histories; i++, history++)
        one_history();
}

/* A late turn between what is told of the selected mailbox and of the others, while a message is changed again. */
static void one_that_never_rested(void **state)
{
    (void)state;
    seed = 2001;
    history = 37;
    one_history();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_client_knows_the_mailbox), cmocka_unit_test(one_that_never_rested)};

    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        histories = (unsigned)strtoul(argv[2], NULL, 10);
    if (argc > 3) {
        history = strtoull(argv[3], NULL, 10);
        verbose = true;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
