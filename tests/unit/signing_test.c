/* Signing in the filter: what leaves verifies, with both keys, however the message came and whatever was taken out of it or added; and what
 * happens when directory says no, late or nothing. */
#include "dkim_signer.h"
#include "dkim_world.h"
#include "ipc/ipc.h"
#include "roles/filter/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* How directory answers. */
enum directory { AT_ONCE, LATE, SILENT, NO_KEYS, KEYS_FAIL, SIGNING_FAILS, SIGNS_HALF };

struct world {
    struct message *message;
    enum directory directory;
    struct buf body, prepend;
    char asked[300], sender[300];
    unsigned code, keys, signatures;
    bool ended;
    char hashes[2][DKIM_HASH];
};

static const uint64_t seconds = 1795318200;
static struct dkim_test_key keys[2];
static struct dkim_zone zone;

static int make_keys(void **state)
{
    (void)state;
    dkim_make_rsa(&keys[0], 2048);
    dkim_make_ed25519(&keys[1]);
    dkim_zone_add(&zone, "s0._domainkey.a.example", keys[0].record);
    dkim_zone_add(&zone, "s1._domainkey.a.example", keys[1].record);
    return 0;
}

static int clear_keys(void **state)
{
    (void)state;
    dkim_clear_key(&keys[0]);
    dkim_clear_key(&keys[1]);
    return 0;
}

static void on_chunk(void *owner, struct str data)
{
    buf_add(&((struct world *)owner)->body, data);
}

static void on_end(void *owner, uint64_t flags, struct str prepend, struct str message_id)
{
    struct world *w = owner;

    (void)flags;
    (void)message_id;
    assert_false(w->ended || w->code);
    w->ended = true;
    buf_add(&w->prepend, prepend);
}

static void on_refuse(void *owner, unsigned code, struct str text)
{
    struct world *w = owner;

    (void)text;
    assert_false(w->ended || w->code);
    w->code = code;
}

static void on_sender(void *owner, struct str address)
{
    snprintf(((struct world *)owner)->sender, 300, "%.*s", STR_ARG(address));
}

static void answer_keys(struct world *w)
{
    bool none = w->directory == NO_KEYS || w->directory == KEYS_FAIL;

    message_keys(w->message, &(struct msg_dkim_keys_reply){.failed = w->directory == KEYS_FAIL, .rsa = none ? STR("") : STR("s0"),
        .ed25519 = none ? STR("") : STR("s1")});
}

static void answer_signatures(struct world *w)
{
    struct buf out[2];

    for (int i = 0; i < 2; i++) {
        buf_init(&out[i], 1 << 12);
        dkim_sign_bytes(&keys[i], (const unsigned char *)w->hashes[i], &out[i]);
    }
    message_signatures(w->message, &(struct msg_dkim_sign_reply){.failed = w->directory == SIGNING_FAILS, .rsa_signature = buf_str(&out[0]),
        .ed25519_signature = w->directory == SIGNS_HALF ? STR("") : buf_str(&out[1])});
    buf_clear(&out[0]);
    buf_clear(&out[1]);
}

static bool waits_for_me(const struct world *w)
{
    return w->directory == LATE || w->directory == SILENT;
}

static void on_keys(void *owner, struct str domain)
{
    struct world *w = owner;

    w->keys++;
    snprintf(w->asked, sizeof w->asked, "%.*s", STR_ARG(domain));
    if (!waits_for_me(w))
        answer_keys(w);
}

static void on_signatures(void *owner, const struct msg_dkim_sign_ask *ask)
{
    struct world *w = owner;

    w->signatures++;
    assert_true(str_eq(ask->domain, str_of(w->asked)) && str_eq(ask->rsa, STR("s0")) && str_eq(ask->ed25519, STR("s1")));
    assert_true(ask->rsa_hash.n == DKIM_HASH && ask->ed25519_hash.n == DKIM_HASH);
    memcpy(w->hashes[0], ask->rsa_hash.p, DKIM_HASH);
    memcpy(w->hashes[1], ask->ed25519_hash.p, DKIM_HASH);
    if (!waits_for_me(w))
        answer_signatures(w);
}

static int64_t now(void *owner)
{
    (void)owner;
    return (int64_t)seconds * 1000000;
}

static uint64_t random_number(void *owner)
{
    (void)owner;
    return 255;
}

static const struct message_world calls = {on_chunk, on_end, on_refuse, on_sender, on_keys, on_signatures, NULL, NULL, now, random_number};
static const struct message_limits limits = {1 << 20, 5};

static void start(struct world *w, struct message *m, enum directory directory, uint64_t flags, uint64_t account)
{
    *w = (struct world){.message = m, .directory = directory};
    buf_init(&w->body, 1 << 22);
    buf_init(&w->prepend, 1 << 22);
    message_begin(m, &calls, w, &limits, STR("mx.example"), &(struct msg_txn_begin){.message = 1, .flags = flags, .account = account,
        .sender = STR("me@a.example"), .login = STR("me@a.example"), .trace = STR("Received: us\r\n")});
}

static void stop(struct world *w, struct message *m)
{
    message_clear(m);
    buf_clear(&w->body);
    buf_clear(&w->prepend);
}

static void feed(struct message *m, struct str text, size_t cut)
{
    message_chunk(m, str_sub(text, 0, cut));
    message_chunk(m, str_skip(text, cut));
    message_end(m, 0);
}

static void give_answers(struct world *w)
{
    if (w->directory == LATE && w->keys > 0)
        answer_keys(w);
    if (w->directory == LATE && w->signatures > 0)
        answer_signatures(w);
}

static void passes(struct world *w, const char *wanted)
{
    struct dkim_verify *v;

    assert_true(w->ended);
    buf_add(&w->prepend, buf_str(&w->body));
    v = dkim_verify_message(&zone, buf_str(&w->prepend), seconds, (struct dkim_way){1000, false});
    assert_string_equal(dkim_describe(v), wanted);
    dkim_verify_free(v);
}

static const char both[] = "pass/a.example/rsa-sha256 pass/a.example/ed25519-sha256";

static void what_leaves_verifies(void **state)
{
    static const char *const messages[] = {
        "From: me@a.example\r\nTo: you@b.example\r\nSubject: x\r\nDate: y\r\nMessage-ID: <z@a.example>\r\n\r\nhello\r\n",
        "From: me@a.example\r\nBcc: secret@b.example,\r\n more@b.example\r\nSubject: two\r\n  lines\r\n\r\nhello", /* and Date, Message-ID come */
        "Subject: no author\r\n\r\n.\r\n..\r\n\r\n\r\n",
        "just text",
        "",
        "From: me@a.example\r\nno field\r\n",
        "From me Sun\r\nReturn-Path: <x@y>\r\nX-Originating-IP: 10.1.1.1\r\nFrom: Me <me@A.Example>\r\n\r\n\xc3\xa4 \xff\r\n",
        "From: a@a.example\r\nFrom: me@a.example\r\nSubject: 1\r\nSubject: 2\r\nTo: x\r\nTo: y\r\n\r\nx\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        for (size_t cut = 0; cut <= strlen(messages[i]); cut += i < 2 ? 7 : 1) {
            struct message m;
            struct world w;

            start(&w, &m, cut % 2 ? LATE : AT_ONCE, TXN_SUBMISSION, 0);
            feed(&m, str_of(messages[i]), cut);
            give_answers(&w);
            passes(&w, both);
            assert_true(str_starts(buf_str(&w.prepend), STR("DKIM-Signature: v=1; a=rsa-sha256;")));
            stop(&w, &m);
        }
}

static void a_large_body_streams_past(void **state)
{
    static char piece[IPC_CHUNK];
    struct message m;
    struct world w;

    (void)state;
    memset(piece, 'x', sizeof piece);
    memcpy(piece + 1000, " \t\r\n\r\n", 6);
    start(&w, &m, LATE, TXN_SUBMISSION, 0);
    message_chunk(&m, STR("From: me@a.example\r\n\r\n"));
    for (int i = 0; i < 20; i++) {
        if (i == 10)
            answer_keys(&w);
        message_chunk(&m, str_from(piece, sizeof piece));
        assert_true(message_held(&m) < 20000);
    }
    message_end(&m, 0);
    answer_signatures(&w);
    passes(&w, both);
    stop(&w, &m);
}

static const struct {
    uint64_t flags, account;
    const char *from, *asked;
} authors[] = {
    {TXN_SUBMISSION, 0, "me@a.example", "a.example"},
    {TXN_SUBMISSION, 0, "Me <me@A.EXAMPLE>, you@b.example", "a.example"},
    {TXN_SUBMISSION, 0, "you@b.example, me@a.example", "b.example"},
    {0, 7, "me@a.example", "a.example"},
    {TXN_SUBMISSION, 0, "\"odd @ one\" (x@y) <me@b\xc3\xbc" "cher.example>", "xn--bcher-kva.example"},
    {TXN_SUBMISSION, 0, "friends: me@a.example;", "a.example"},
    {TXN_SUBMISSION, 0, "friends:;", ""},
    {TXN_SUBMISSION, 0, "nonsense", ""},
    {TXN_SUBMISSION, 0, "", ""},
    {TXN_SUBMISSION, 0, "me@[192.0.2.1]", ""},
    {0, 0, "me@a.example", ""}, /* a stranger may say so */
    {TXN_8BITMIME | TXN_BULK, 0, "me@a.example", ""},
};

static void the_first_author_is_signed_for(void **state)
{
    char text[300];

    (void)state;
    for (size_t i = 0; i < sizeof authors / sizeof *authors; i++) {
        struct message m;
        struct world w;

        start(&w, &m, NO_KEYS, authors[i].flags, authors[i].account);
        snprintf(text, sizeof text, "From: %s\r\n\r\nx\r\n", authors[i].from);
        feed(&m, str_of(text), 3);
        if (strcmp(w.asked, authors[i].asked) != 0)
            fail_msg("%s: asked for \"%s\"", authors[i].from, w.asked);
        assert_true(w.ended && w.signatures == 0 && w.keys == (authors[i].asked[0] != 0));
        assert_true(str_starts(buf_str(&w.prepend), STR("Received: us\r\n")));
        stop(&w, &m);
    }
}

static void troubles_are_temporary(void **state)
{
    static const enum directory troubles[] = {KEYS_FAIL, SIGNING_FAILS, SIGNS_HALF};
    struct message m;
    struct world w;

    (void)state;
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++) {
        start(&w, &m, troubles[i], TXN_SUBMISSION, 0);
        feed(&m, STR("From: me@a.example\r\n\r\nx"), 5);
        assert_int_equal(w.code, 451);
        answer_keys(&w); /* answers nobody waits for change nothing */
        answer_signatures(&w);
        stop(&w, &m);
    }
}

/* In each state in which something was asked. */
static void a_silent_directory_is_given_up(void **state)
{
    struct message m;
    struct world w;

    (void)state;
    for (int answers = 0; answers < 2; answers++)
        for (int whole = 0; whole < 2; whole++) {
            start(&w, &m, SILENT, TXN_SUBMISSION, 0);
            message_chunk(&m, STR("From: me@a.example\r\n\r\nx"));
            if (answers)
                answer_keys(&w);
            if (whole)
                message_end(&m, 0);
            message_directory_gone(&m);
            assert_int_equal(w.code, answers && !whole ? 0 : 451); /* nothing was open: the next question will tell */
            stop(&w, &m);
        }
}

static void the_sender_is_checked_first(void **state)
{
    struct message m;
    struct world w;

    (void)state;
    for (int allowed = 0; allowed < 2; allowed++) {
        start(&w, &m, AT_ONCE, TXN_SUBMISSION, 7);
        feed(&m, STR("From: other@a.example\r\n\r\nx\r\n"), 5);
        assert_string_equal(w.sender, "other@a.example");
        assert_int_equal(w.signatures, 0);
        message_sender(&m, allowed, false);
        assert_int_equal(w.signatures, allowed);
        assert_int_equal(w.code, allowed ? 0 : 553);
        if (allowed)
            passes(&w, both);
        stop(&w, &m);
    }
}

static void what_cannot_be_signed_is_refused(void **state)
{
    struct message m;
    struct buf text;
    struct world w;

    (void)state;
    buf_init(&text, 1 << 16);
    buf_add(&text, STR("From: me@a.example\r\n"));
    for (int i = 0; i < 21; i++)
        buf_add(&text, STR("Subject: again\r\n"));
    buf_add(&text, STR("\r\nbody\r\n"));
    for (int keyed = 0; keyed < 2; keyed++) {
        start(&w, &m, keyed ? AT_ONCE : NO_KEYS, TXN_SUBMISSION, 0);
        feed(&m, buf_str(&text), 30);
        assert_int_equal(w.code, keyed ? 554 : 0);
        assert_int_equal(w.ended, !keyed);
        stop(&w, &m);
    }
    buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_leaves_verifies),
        cmocka_unit_test(a_large_body_streams_past),
        cmocka_unit_test(the_first_author_is_signed_for),
        cmocka_unit_test(troubles_are_temporary),
        cmocka_unit_test(a_silent_directory_is_given_up),
        cmocka_unit_test(the_sender_is_checked_first),
        cmocka_unit_test(what_cannot_be_signed_is_refused),
    };

    return cmocka_run_group_tests_name("signing", tests, make_keys, clear_keys);
}
