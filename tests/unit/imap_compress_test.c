/* IMAP: COMPRESS (RFC 4978) and UNAUTHENTICATE (RFC 8437), with a client that has zlib of its own; and the stream alone. */
#include "base/clock.h"
#include "imap_world.h"
#include "imap/compress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

static z_stream sends, hears;
static struct buf plain;

static void new_streams(void)
{
    sends = hears = (z_stream){0};
    assert_int_equal(deflateInit2(&sends, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(inflateInit2(&hears, -15), Z_OK);
}

static void end_streams(void)
{
    deflateEnd(&sends);
    inflateEnd(&hears);
}

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_compress_test");
    world_fill(3);
    client_open(0);
    buf_init(&plain, 64 << 20);
    new_streams();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    end_streams();
    buf_clear(&plain);
    return imap_world_close();
}

static struct str deflated(struct str text, int flush)
{
    static char out[1 << 20];

    sends.next_in = (Bytef *)(uintptr_t)text.p;
    sends.avail_in = (uInt)text.n;
    sends.next_out = (Bytef *)out;
    sends.avail_out = sizeof out;
    deflate(&sends, flush);
    return str_from(out, sizeof out - sends.avail_out);
}

static struct str inflated(struct str bytes)
{
    char *room;

    buf_reset(&plain);
    hears.next_in = (Bytef *)(uintptr_t)bytes.p;
    hears.avail_in = (uInt)bytes.n;
    while (hears.avail_in > 0) {
        room = buf_reserve(&plain, 1 << 20);
        hears.next_out = (Bytef *)room;
        hears.avail_out = 1 << 20;
        assert_int_equal(inflate(&hears, Z_SYNC_FLUSH), Z_OK);
        plain.n += (1 << 20) - hears.avail_out;
    }
    return buf_str(&plain);
}

static void hear(const char *what, const char *expected)
{
    struct str got;

    world_flush();
    got = inflated(client_got(0));
    if (!text_matches(str_of(expected), got))
        world_expected(what, str_of(expected), got);
}

static void converse(const char *say, const char *expected)
{
    client_say_bytes(0, deflated(str_of(say), Z_SYNC_FLUSH));
    hear(say, expected);
}

#define COMPRESS {"z COMPRESS DEFLATE\r\n", "z OK %\r\n"}
#define SELECTED "%\r\n%\r\n* 3 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK [READ-WRITE] Selected\r\n"

static void a_session(void **state)
{
    (void)state;
    CONVERSE(0, {"a COMPRESS\r\n", "a BAD %\r\n"}, {"b COMPRESS LZW\r\n", "b BAD %\r\n"}, {"c COMPRESS DEFLATE LZW\r\n", "c BAD %\r\n"},
        {"d CAPABILITY\r\n", "* CAPABILITY % COMPRESS=DEFLATE %\r\nd OK %\r\n"}, COMPRESS);
    converse("a COMPRESS DEFLATE\r\n", "a BAD [COMPRESSIONACTIVE] %\r\n");
    converse("b CAPABILITY\r\n", "* CAPABILITY % UNAUTHENTICATE APPENDLIMIT=%\r\nb OK %\r\n"); /* not twice */
    converse("s SELECT INBOX\r\n", SELECTED);
    converse("c FETCH 1:2 BODY.PEEK[HEADER.FIELDS (SUBJECT)]\r\nd NOOP\r\n", "* 1 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {15}\r\nSubject: m1\r\n\r\n)\r\n"
        "* 2 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {15}\r\nSubject: m2\r\n\r\n)\r\nc OK Done\r\nd OK Done\r\n");
    converse("e APPEND INBOX {5}\r\n", "+ Go on\r\n");
    converse("a: b\n\r\n", "* 4 EXISTS\r\ne OK [APPENDUID % 4] Stored\r\n");
    converse("f IDLE\r\n", "+ idling\r\n");
    client_open(1);
    CONVERSE(1, {"a APPEND INBOX {5+}\r\nc: d\n\r\n", "a OK %\r\n"});
    hear("idle", "* 5 EXISTS\r\n");
    converse("DONE\r\n", "f OK Idle is over\r\n");
    converse("g LOGOUT\r\n", "* BYE %\r\ng OK Goodbye\r\n");
    assert_false(imap_clients[0].open);
}

/* Byte by byte; with blocks of every kind; with a client that takes little. */
static void by_and_by(void **state)
{
    static char command[3000];
    struct str bytes;

    (void)state;
    CONVERSE(0, COMPRESS);
    bytes = deflated(STR("s SELECT INBOX\r\n"), Z_SYNC_FLUSH);
    for (size_t i = 0; i < bytes.n; i++) {
        client_say_bytes(0, str_sub(bytes, i, i + 1));
        world_run();
    }
    hear("SELECT", SELECTED);
    client_say_bytes(0, deflated(STR("a NO"), Z_PARTIAL_FLUSH));
    client_say_bytes(0, deflated(STR("OP\r"), Z_BLOCK));
    client_say_bytes(0, deflated(STR("\nb NOOP\r\n"), Z_FULL_FLUSH));
    hear("NOOP", "a OK Done\r\nb OK Done\r\n");
    deflateParams(&sends, 0, Z_DEFAULT_STRATEGY); /* stored blocks */
    converse("c NOOP\r\n", "c OK Done\r\n");
    memset(command, 'x', sizeof command - 3);
    memcpy(command + sizeof command - 3, "\r\n", 3);
    converse(command, "* BAD %\r\n");
    imap_clients[0].stingy = true;
    client_say_bytes(0, deflated(STR("d FETCH 1:3 BODY.PEEK[]\r\n"), Z_SYNC_FLUSH));
    for (int i = 0; i < 2000 && imap_clients[0].unpaid < 70000; i++) {
        client_pay(0, 1);
        world_run();
    }
    imap_clients[0].stingy = false;
    client_pay(0, 1 << 20);
    hear("FETCH", "* 1 FETCH (BODY[] {%}\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n)\r\n* 2 FETCH (BODY[] {%}\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n)\r\n"
        "* 3 FETCH (BODY[] {%}\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n)\r\nd OK Done\r\n");
}

/* After a rest both sides go on where they were, and refer back to what was before it. */
static void a_rest(void **state)
{
    struct imap_compression *c = imap_compression_new();
    struct buf out, wire;
    struct str bytes;
    size_t awake;

    (void)state;
    buf_init(&out, 1 << 20);
    buf_init(&wire, 1 << 20);
    for (int round = 0; round < 5; round++) {
        bytes = deflated(STR("a UID FETCH 1:* (FLAGS UID ENVELOPE BODYSTRUCTURE)\r\n"), Z_SYNC_FLUSH);
        assert_true(round == 0 || bytes.n < 20); /* it refers back */
        buf_reset(&out);
        while (bytes.n > 0)
            assert_true(imap_inflate(c, &bytes, &out, 7));
        assert_true(str_eq(buf_str(&out), STR("a UID FETCH 1:* (FLAGS UID ENVELOPE BODYSTRUCTURE)\r\n")));
        assert_true(imap_inflate_at_end(c));
        buf_reset(&wire);
        imap_deflate(c, STR("* 1 FETCH (FLAGS ())\r\n"), &wire);
        assert_true(str_eq(inflated(buf_str(&wire)), STR("* 1 FETCH (FLAGS ())\r\n")));
        awake = imap_compression_memory(c);
        imap_compression_rest(c);
        assert_true(imap_compression_memory(c) < 1000 && awake > 50000);
        imap_compression_rest(c);
    }
    bytes = deflated(STR("in the middle"), Z_BLOCK); /* of a byte: not yet */
    while (bytes.n > 0)
        assert_true(imap_inflate(c, &bytes, &out, 100));
    imap_compression_rest(c);
    assert_true(imap_compression_memory(c) > 30000);
    bytes = deflated(STR("."), Z_SYNC_FLUSH);
    while (bytes.n > 0)
        assert_true(imap_inflate(c, &bytes, &out, 100));
    assert_true(str_ends(buf_str(&out), STR("in the middle.")));
    imap_compression_free(c);
    buf_clear(&out);
    buf_clear(&wire);
}

/* What comes deflated opens the database again too. */
static void the_database_rests(void **state)
{
    (void)state;
    CONVERSE(0, COMPRESS);
    converse("a NOOP\r\n", "a OK Done\r\n");
    world_later(20 * SECOND);
    (void)boxes_tidy(world_boxes);
    assert_int_equal(boxes_open(world_boxes), 0);
    converse("b STATUS INBOX (MESSAGES)\r\n", "* STATUS INBOX (MESSAGES 3)\r\nb OK Done\r\n");
}

static void damaged(void **state)
{
    (void)state;
    CONVERSE(0, COMPRESS);
    converse("a NOOP\r\n", "a OK Done\r\n");
    client_say_bytes(0, STR("\x07not deflated"));
    hear("damage", "* BYE %\r\n");
    assert_false(imap_clients[0].open);
    client_open(0);
    CONVERSE(0, COMPRESS);
    end_streams();
    new_streams();
    client_say_bytes(0, deflated(STR("a NOOP\r\n"), Z_FINISH));
    hear("the end of the stream", "a OK Done\r\n");
    client_say_bytes(0, STR("more"));
    hear("behind its end", "* BYE %\r\n");
    assert_false(imap_clients[0].open);
    client_open(0); /* plain commands in one breath with it */
    client_expect(0, "z COMPRESS DEFLATE\r\na NOOP\r\n", "z OK %\r\n%");
}

/* 64 MB of one byte: inflated a piece at a time, turn by turn; other sessions go on. */
static void a_bomb(void **state)
{
    static char much[1 << 20];
    size_t most = 0;

    (void)state;
    memset(much, 'a', sizeof much);
    client_open(1);
    CONVERSE(0, COMPRESS);
    for (int i = 0; i < 64; i++) {
        client_say_bytes(0, deflated(str_from(much, sizeof much), Z_SYNC_FLUSH));
        world_turn();
        if (imap_clients[0].got.n > most)
            most = imap_clients[0].got.n;
    }
    client_expect(1, "a NOOP\r\n", "a OK Done\r\n");
    converse("\r\nb NOOP\r\n", "* BAD %\r\nb OK Done\r\n");
    assert_in_range(most, 0, 1000);
}

/* ---- UNAUTHENTICATE ---- */

static void gives_back(const char *left)
{
    char expected[300];

    snprintf(expected, sizeof expected, "<back 1 %s>", left);
    assert_int_equal(world_returns, 1);
    buf_reset(&world_said);
    sessions_stopped(world_sessions, world_access, &(struct msg_session_stopped){1});
    if (!str_eq(buf_str(&world_said), str_of(expected)))
        fail_msg("%s, not %.*s", expected, STR_ARG(buf_str(&world_said)));
    buf_reset(&world_said);
    imap_clients[0].open = false;
    world_returns = 0;
    sessions_stopped(world_sessions, world_access, &(struct msg_session_stopped){1});
    assert_int_equal(world_said.n, 0);
}

static void unauthenticate(void **state)
{
    (void)state;
    CONVERSE(0, {"s SELECT INBOX\r\n", SELECTED}, {"a UNAUTHENTICATE now\r\n", "a BAD %\r\n"}, {"b NOOP\r\n", "b OK Done\r\n"},
        {"c STORE 1 +FLAGS.SILENT (\\Deleted)\r\n", "c OK Done\r\n"});
    sessions_stopped(world_sessions, world_access, &(struct msg_session_stopped){1}); /* nobody asked */
    CONVERSE(0, {"d UNAUTHENTICATE\r\ne LOGIN x y\r\n", "d OK %\r\n"}, {"f NOOP\r\n", ""});
    gives_back("e LOGIN x y\r\nf NOOP\r\n");
    client_open(0); /* nothing of the other session is left, and nothing was expunged */
    CONVERSE(0, {"a FETCH 1 FLAGS\r\n", "a BAD %\r\n"}, {"s SELECT INBOX\r\n", SELECTED}, {"b UNAUTHENTICATE\r\n", "b OK %\r\n"});
    client_close(0); /* in the middle of it */
    world_returns = 0;
}

/* Compression ends behind the flush that follows the command; what comes then is plain, however it was cut. */
static void unauthenticate_compressed(void **state)
{
    struct str bytes;

    (void)state;
    for (int way = 0; way < 4; way++) {
        world_returns = 0;
        CONVERSE(0, COMPRESS);
        end_streams();
        new_streams();
        converse("a NOOP\r\n", "a OK Done\r\n");
        bytes = deflated(STR("b UNAUTHENTICATE\r\n"), way == 1 ? Z_FINISH : way == 2 ? Z_FULL_FLUSH : Z_SYNC_FLUSH);
        if (way == 3) {
            client_say_bytes(0, str_sub(bytes, 0, bytes.n - 2));
            hear("before the flush", "b OK %\r\n");
            assert_int_equal(world_returns, 0);
            client_say_bytes(0, str_skip(bytes, bytes.n - 2));
            client_say(0, "c NOOP\r\n");
            hear("the flush", "");
        } else {
            client_say_bytes(0, bytes);
            client_say(0, "c NOOP\r\n");
            hear("UNAUTHENTICATE", "b OK %\r\n");
        }
        gives_back("c NOOP\r\n");
        client_open(0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(a_session), TEST(by_and_by), TEST(a_rest), TEST(the_database_rests), TEST(damaged), TEST(a_bomb), TEST(unauthenticate),
        TEST(unauthenticate_compressed)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
