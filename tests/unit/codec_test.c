/* Messages between roles: what is sent arrives, and nothing malformed does. */
#include "ipc/args.h"
#include "ipc/ipc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static struct msg_txn_rcpt seen;
static char seen_address[IPC_ADDRESS];
static int calls;

static void on_rcpt(struct role *role, struct channel *from, const struct msg_txn_rcpt *m)
{
    (void)role, (void)from;
    seen = *m;
    memcpy(seen_address, m->address.p, m->address.n);
    calls++;
}

static const struct handlers handlers = {.txn_rcpt = on_rcpt};

static struct str encode(struct buf *b, struct str address)
{
    buf_init(b, IPC_FRAME_MAX);
    ipc_encode_txn_rcpt(b, &(struct msg_txn_rcpt){.id = 7, .notify = NOTIFY_DELAY, .address = address});
    return str_skip(buf_str(b), 4);
}

static bool dispatch(struct str frame, enum role_id sender, enum role_id receiver, const char **why)
{
    return ipc_dispatch(NULL, NULL, sender, receiver, &handlers, frame, why);
}

static void what_is_sent_arrives(void **state)
{
    struct buf b;
    const char *why;
    struct str frame = encode(&b, STR("a@b.example"));

    (void)state;
    calls = 0;
    assert_true(dispatch(frame, ROLE_SMTP, ROLE_FILTER, &why));
    assert_int_equal(calls, 1);
    assert_int_equal(seen.id, 7);
    assert_int_equal(seen.notify, NOTIFY_DELAY);
    assert_memory_equal(seen_address, "a@b.example", 11);
    assert_int_equal(seen.orcpt.n, 0);
    buf_clear(&b);
}

static void only_the_right_peers_may_say_it(void **state)
{
    struct buf b;
    const char *why;
    struct str frame = encode(&b, STR("a@b.example"));

    (void)state;
    calls = 0;
    assert_false(dispatch(frame, ROLE_RELAY, ROLE_QUEUE, &why));
    assert_string_equal(why, "this sender may not send it");
    assert_false(dispatch(frame, ROLE_SMTP, ROLE_DIRECTORY, &why));
    assert_string_equal(why, "not for this receiver");
    assert_int_equal(calls, 0);
    buf_clear(&b);
}

static void every_cut_and_every_tail_is_refused(void **state)
{
    struct buf b;
    const char *why;
    struct str frame = encode(&b, STR("a@b.example"));

    (void)state;
    calls = 0;
    for (size_t n = 0; n < frame.n; n++)
        assert_false(dispatch(str_sub(frame, 0, n), ROLE_SMTP, ROLE_FILTER, &why));
    buf_add_char(&b, 0);
    assert_false(dispatch(str_skip(buf_str(&b), 4), ROLE_SMTP, ROLE_FILTER, &why));
    assert_string_equal(why, "malformed");
    assert_int_equal(calls, 0);
    buf_clear(&b);
}

static void a_length_over_the_limit_is_refused(void **state)
{
    struct buf b;
    const char *why;
    struct str frame = encode(&b, STR("a@b.example"));
    uint32_t huge = IPC_ADDRESS + 1;

    (void)state;
    memcpy(b.p + 4 + 2 + 3 * 8, &huge, sizeof huge);
    assert_false(dispatch(frame, ROLE_SMTP, ROLE_FILTER, &why));
    huge = UINT32_MAX;
    memcpy(b.p + 4 + 2 + 3 * 8, &huge, sizeof huge);
    assert_false(dispatch(frame, ROLE_SMTP, ROLE_FILTER, &why));
    buf_clear(&b);
}

static void words_for_people_are_cut(void **state)
{
    static char text[IPC_TEXT + 10];
    struct buf b;

    (void)state;
    memset(text, 'x', sizeof text);
    buf_init(&b, IPC_FRAME_MAX);
    ipc_encode_txn_done(&b, &(struct msg_txn_done){1, 250, {text, sizeof text}});
    assert_int_equal(b.n, 4 + 2 + 8 + 8 + 4 + IPC_TEXT);
    buf_clear(&b);
}

static void arguments_are_words_and_options(void **state)
{
    struct str args = STR("list\0to=a@b\0to=c=d\0x@y=z\0last"), at = args, name, value;
    int options = 0;

    (void)state;
    assert_true(str_eq(args_word(args, 0), STR("list")));
    assert_true(str_eq(args_word(args, 1), STR("x@y=z")));
    assert_true(str_eq(args_word(args, 2), STR("last")));
    assert_int_equal(args_word(args, 3).n, 0);
    assert_true(args_option(args, "to", &value) && str_eq(value, STR("a@b")));
    assert_false(args_option(args, "from", &value));
    assert_true(str_eq(value, STR("a@b")));
    while (args_next_option(&at, &name, &value))
        options++;
    assert_int_equal(options, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_arrives),
        cmocka_unit_test(only_the_right_peers_may_say_it),
        cmocka_unit_test(every_cut_and_every_tail_is_refused),
        cmocka_unit_test(a_length_over_the_limit_is_refused),
        cmocka_unit_test(words_for_people_are_cut),
        cmocka_unit_test(arguments_are_words_and_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
