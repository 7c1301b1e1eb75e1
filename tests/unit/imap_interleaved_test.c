/* Every order in which two sessions (and three, of fewer commands) can say STORE, EXPUNGE, MOVE, FETCH, NOOP and IDLE on one mailbox,
 * with a commit or none after each of them. After every step each untagged response is held against a model: a number is one that this
 * client has (imap_cache.c), flags are those that are on disk at that moment, messages go only when a client may hear of it; at the
 * end every client knows what the model knows, and so does the server.
 *
 *   imap_interleaved_test all      also two commands of each of two sessions, and the whole alphabet for three */
#include "imap_cache.h"
#include "imap_world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { CLIENTS = 3, COMMANDS = 2, MESSAGES = 3, CHOICES = 40, UIDS = 400000 };
enum kind { PLAIN, CONDSTORE, QRESYNC };
enum command { MARK, UNMARK, EXPUNGE, MOVE, FETCH, NOOP, IDLE, ALPHABET };

static const struct {
    const char *text;
    unsigned needs; /* so many messages, or it is BAD */
    bool no_expunge;
} commands[ALPHABET] = {
    [MARK] = {"STORE 1:2 +FLAGS (\\Deleted)", 2, true}, [UNMARK] = {"STORE 2 FLAGS (\\Seen)", 2, true}, [EXPUNGE] = {"EXPUNGE", 0, false},
    [MOVE] = {"MOVE 1 Sent", 1, false}, [FETCH] = {"FETCH 1:3 (FLAGS)", 3, true}, [NOOP] = {"NOOP", 0, false}, [IDLE] = {"IDLE", 0, false},
};

/* ---- the model: what there is, by uid; flags are an index of `flags`, 0: there is no such message ---- */

enum { GONE, CLEAR, DELETED, SEEN, SEEN_DELETED };

static const char *const flags[] = {NULL, "", "\\Deleted", "\\Seen", "\\Seen \\Deleted"};
static uint8_t now[UIDS], durable[UIDS];
static uint32_t first, last; /* uids of this history lie between */

static unsigned clients, said[CLIENTS];
static enum command scripts[CLIENTS][COMMANDS];
static unsigned lengths[CLIENTS];
static struct imap_cache caches[CLIENTS], truth;
static bool thorough;
static uint64_t histories;

static struct {
    unsigned at, n;
    unsigned char chosen[CHOICES], options[CHOICES];
} path;

static const char *describe(void)
{
    static char text[600];
    size_t n = 0;

    for (unsigned c = 0; c < clients; c++)
        for (unsigned i = 0; i < lengths[c]; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%u: %s; ", c, commands[scripts[c][i]].text);
    for (unsigned i = 0; i < path.n; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%u", path.chosen[i]);
    return text;
}

static void model_run(unsigned c, enum command command)
{
    const struct imap_cache *m = &caches[c];

    if (m->n < commands[command].needs)
        return;
    for (size_t i = 0; i < m->n; i++) {
        uint8_t *f = &now[m->messages[i].uid];

        if (*f == GONE)
            continue;
        if (command == MARK && i < 2)
            *f = *f == SEEN || *f == SEEN_DELETED ? SEEN_DELETED : DELETED;
        else if (command == UNMARK && i == 1)
            *f = SEEN;
        else if ((command == EXPUNGE && (*f == DELETED || *f == SEEN_DELETED)) || (command == MOVE && i == 0))
            *f = GONE;
    }
}

/* ---- hearing ---- */

static void check_flags(unsigned c, const struct cached *m)
{
    const char *is = flags[durable[m->uid]];

    if (is == NULL || strcmp(m->flags, is) != 0)
        fatal("%s: client %u heard that uid %" PRIu32 " has (%s), which is not on disk (%s)", describe(), c, m->uid, m->flags, is == NULL ? "gone" : is);
}

/* What was told now is so on disk now; of the others the client keeps what it knows. */
static void hear(unsigned c)
{
    struct imap_cache *m = &caches[c];
    struct str got = client_got(c);
    struct cached before[MESSAGES];
    size_t n = m->n;

    if (got.n == 0)
        return;
    memcpy(before, m->messages, n * sizeof *before);
    for (size_t i = 0; i < n; i++)
        m->messages[i].has_flags = false;
    cache_feed(m, got);
    for (size_t i = 0; i < m->n; i++) {
        if (m->messages[i].has_flags)
            check_flags(c, &m->messages[i]);
        for (size_t k = 0; k < n && !m->messages[i].has_flags; k++)
            if (before[k].uid == m->messages[i].uid)
                m->messages[i] = before[k];
    }
}

static void hear_all(void)
{
    for (unsigned c = 0; c < clients; c++)
        hear(c);
}

static void say(unsigned c, bool no_expunge, const char *text)
{
    cache_commands(&caches[c], no_expunge);
    client_say(c, "t ");
    client_say(c, text);
    client_say(c, "\r\n");
    world_run();
}

static void commit(void)
{
    boxes_finish(world_boxes);
    memcpy(durable + first, now + first, last - first + 1);
    world_run();
    hear_all();
}

static void end_idle(unsigned c)
{
    if (!caches[c].idling)
        return;
    caches[c].idling = false;
    client_say(c, "DONE\r\n");
    world_run();
    hear_all();
}

/* ---- one history ---- */

static unsigned choose(unsigned options)
{
    if (path.at == CHOICES)
        fatal("a history has too many steps");
    if (path.at == path.n) {
        path.options[path.n] = (unsigned char)options;
        path.chosen[path.n++] = 0;
    }
    if (path.options[path.at] != options)
        fatal("%s: the same steps led elsewhere", describe());
    return path.chosen[path.at++];
}

static bool may_speak(unsigned c)
{
    return said[c] < lengths[c] && (!caches[c].waits || caches[c].idling);
}

static void speak(unsigned c)
{
    enum command command = scripts[c][said[c]++];

    end_idle(c);
    if (caches[c].waits) /* what it heard while idling is not complete: another time */
        commit();
    model_run(c, command);
    caches[c].idling = command == IDLE;
    say(c, commands[command].no_expunge && caches[c].n >= commands[command].needs, commands[command].text);
    hear_all();
}

static void every_step(void)
{
    bool open = false; /* something may wait for a commit */

    for (;;) {
        unsigned who[CLIENTS], n = 0, chosen;

        for (unsigned c = 0; c < clients; c++)
            if (may_speak(c))
                who[n++] = c;
        if (n == 0 && !open)
            return;
        chosen = choose(n + open);
        if (chosen < n)
            speak(who[chosen]);
        else
            commit();
        open = chosen < n;
    }
}

static void know_all(unsigned c)
{
    say(c, true, "UID FETCH 1:* (UID FLAGS)");
    commit();
}

/* Three messages without flags, which all know. */
static void begin_history(void)
{
    uint32_t there = 0;

    for (uint32_t uid = first; uid <= last; uid++)
        there += now[uid] != GONE;
    for (; there < MESSAGES; there++) {
        if (++last >= UIDS)
            fatal("too many histories");
        now[last] = CLEAR;
        world_deliver(STR("A: b\r\n\r\nx\r\n"));
    }
    while (now[first] == GONE)
        first++;
    for (uint32_t uid = first; uid <= last; uid++)
        now[uid] = now[uid] == GONE ? GONE : CLEAR;
    commit();
    say(0, true, "UID STORE 1:* FLAGS ()");
    commit();
    for (unsigned c = 0; c < clients; c++) {
        say(c, false, "NOOP");
        hear_all();
        know_all(c);
        said[c] = 0;
    }
}

static void compare(const struct imap_cache *m, const char *who, unsigned c)
{
    size_t n = 0;

    for (uint32_t uid = first; uid <= last; uid++) {
        if (now[uid] == GONE)
            continue;
        if (n == m->n || m->messages[n].uid != uid || strcmp(m->messages[n].flags, flags[now[uid]]) != 0)
            fatal("%s: %s %u knows another mailbox at uid %" PRIu32, describe(), who, c, uid);
        n++;
    }
    if (n != m->n)
        fatal("%s: %s %u knows %zu messages, there are %zu", describe(), who, c, m->n, n);
}

static void end_history(void)
{
    commit();
    for (unsigned c = 0; c < clients; c++) {
        end_idle(c);
        say(c, false, "NOOP");
        hear_all();
        if (caches[c].waits)
            fatal("%s: client %u still waits for an answer", describe(), c);
        compare(&caches[c], "client", c);
    }
    histories++;
}

static bool next_path(void)
{
    while (path.n > 0 && path.chosen[path.n - 1] + 1 == path.options[path.n - 1])
        path.n--;
    if (path.n == 0)
        return false;
    path.chosen[path.n - 1]++;
    return true;
}

static void every_history(void)
{
    path.n = 0;
    do {
        path.at = 0;
        begin_history();
        every_step();
        end_history();
    } while (next_path());
}

/* ---- all of them ---- */

static void open_client(unsigned c, enum kind kind)
{
    static const char *const enable[] = {"", "e ENABLE CONDSTORE\r\n", "e ENABLE QRESYNC\r\n"};

    cache_init(&caches[c]);
    client_open(c);
    client_say(c, enable[kind]);
    caches[c].qresync = kind == QRESYNC;
    cache_selects(&caches[c], false);
    client_say(c, "t SELECT INBOX\r\n");
    world_flush();
    hear(c);
}

static void open_world(unsigned n, const enum kind *kinds)
{
    memset(now, GONE, sizeof now);
    memset(durable, GONE, sizeof durable);
    first = 1;
    last = 0;
    clients = n;
    imap_world_open("imap_interleaved_test");
    for (unsigned c = 0; c < n; c++)
        open_client(c, kinds[c]);
}

/* What the server says to one that comes new. */
static void close_world(void)
{
    cache_init(&truth);
    client_open(CLIENTS);
    cache_selects(&truth, false);
    client_say(CLIENTS, "t EXAMINE INBOX\r\n");
    world_flush();
    cache_feed(&truth, client_got(CLIENTS));
    cache_commands(&truth, true);
    client_say(CLIENTS, "t UID FETCH 1:* (UID FLAGS)\r\n");
    world_flush();
    cache_feed(&truth, client_got(CLIENTS));
    compare(&truth, "a new client", CLIENTS);
    cache_clear(&truth);
    for (unsigned c = 0; c < clients; c++)
        cache_clear(&caches[c]);
    assert_int_equal(imap_world_close(), 0);
}

/* All scripts with so many commands of each, of the first `alphabet` commands. */
static void every_script(unsigned c, unsigned i, unsigned alphabet)
{
    if (c == clients) {
        every_history();
        return;
    }
    if (i == lengths[c]) {
        every_script(c + 1, 0, alphabet);
        return;
    }
    for (unsigned command = 0; command < alphabet; command++) {
        scripts[c][i] = (enum command)command;
        every_script(c, i + 1, alphabet);
    }
}

static void all_of(unsigned n, const enum kind *kinds, const unsigned *many, unsigned alphabet)
{
    open_world(n, kinds);
    memcpy(lengths, many, n * sizeof *many);
    every_script(0, 0, alphabet);
    close_world();
}

static void two_sessions(void **state)
{
    static const enum kind kinds[][2] = {{PLAIN, PLAIN}, {QRESYNC, PLAIN}, {PLAIN, QRESYNC}, {CONDSTORE, QRESYNC}};

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        all_of(2, kinds[i], (const unsigned[]){1, 1}, ALPHABET);
        if (i < 2 || thorough)
            all_of(2, kinds[i], (const unsigned[]){2, 1}, ALPHABET);
        if (thorough)
            all_of(2, kinds[i], (const unsigned[]){2, 2}, ALPHABET);
    }
    printf("%" PRIu64 " histories\n", histories);
}

static void three_sessions(void **state)
{
    static const enum kind kinds[] = {PLAIN, QRESYNC, PLAIN};

    (void)state;
    all_of(3, kinds, (const unsigned[]){1, 1, 1}, thorough ? ALPHABET : FETCH + 1);
    printf("%" PRIu64 " histories\n", histories);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_sessions), cmocka_unit_test(three_sessions)};

    thorough = argc > 1 && strcmp(argv[1], "all") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
