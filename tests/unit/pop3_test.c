/* Conversations with the POP3 machine after login, over a maildrop in memory. */
#include "base/buf.h"
#include "roles/mailbox/pop3.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct mail {
    const char *text;
    unsigned flags;
};

/* A maildrop in memory. piece: how many bytes read() gives at once, 0 for all. */
struct maildrop {
    struct mail mails[8];
    size_t count, loaded, piece;
    size_t load_at_once;
    bool load_fails, commit_fails, commit_waits, commits, aborted;
    int remove_fails_at, removes;
    int read_fails_at, reads;
    uint32_t removed[8];
};

static size_t length_of(const struct mail *m)
{
    return strlen(m->text);
}

static enum pop3_result load(void *world, struct pop3 *p)
{
    struct maildrop *d = world;

    if (d->load_fails)
        return POP3_FAILED;
    for (size_t n = 0; d->loaded < d->count; d->loaded++, n++) {
        if (d->load_at_once != 0 && n == d->load_at_once)
            return POP3_MORE;
        assert_true(pop3_add(p, (uint32_t)d->loaded + 11, length_of(&d->mails[d->loaded]), d->mails[d->loaded].flags));
    }
    return POP3_OK;
}

static enum pop3_result read_piece(void *world, uint32_t uid, uint64_t offset, struct str *piece)
{
    struct maildrop *d = world;
    const struct mail *m = &d->mails[uid - 11];
    struct str text = str_of(m->text);

    if (++d->reads == d->read_fails_at)
        return POP3_FAILED;
    if (strcmp(m->text, "gone") == 0)
        return POP3_MISSING;
    *piece = str_skip(text, (size_t)offset);
    if (d->piece != 0)
        *piece = str_sub(*piece, 0, d->piece);
    return POP3_OK;
}

static enum pop3_result remove_one(void *world, uint32_t uid)
{
    struct maildrop *d = world;

    if (++d->removes == d->remove_fails_at)
        return POP3_FAILED;
    d->removed[d->removes - 1] = uid;
    return POP3_OK;
}

static enum pop3_result remove_commit(void *world)
{
    struct maildrop *d = world;

    d->commits = true;
    return d->commit_waits ? POP3_WAITS : d->commit_fails ? POP3_FAILED : POP3_OK;
}

static void remove_abort(void *world)
{
    ((struct maildrop *)world)->aborted = true;
}

static const struct pop3_store store = {load, read_piece, remove_one, remove_commit, remove_abort};

static enum pop3_next run(struct pop3 *p, struct buf *said)
{
    enum pop3_next next;

    do {
        next = pop3_run(p);
        buf_add(said, buf_str(pop3_output(p)));
        buf_consume(pop3_output(p), pop3_output(p)->n);
    } while (next == POP3_AGAIN || next == POP3_WAIT_OUTPUT);
    return next;
}

static void expect_text(struct buf *said, const char *expected, const char *where)
{
    struct str want = str_of(expected);

    if (!str_eq(buf_str(said), want))
        fail_msg("%s\n expected: %s\n      got: %.*s", where, expected, STR_ARG(buf_str(said)));
    buf_reset(said);
}

struct turn {
    const char *say, *expect;
};

/* The last turn's `expect` may be followed by the end of the session: `closed` says whether it must. */
static void converse_with(struct maildrop *d, unsigned flags, const struct turn *turns, bool closed)
{
    struct pop3 *p = pop3_new(&store, d, flags);
    enum pop3_next next;
    struct buf said;

    buf_init(&said, 4 * 1024 * 1024);
    pop3_set_uidvalidity(p, 0x1234abcd);
    next = run(p, &said);
    for (; turns->expect != NULL; turns++) {
        if (turns->say != NULL) {
            assert_true(pop3_input(p, str_of(turns->say)));
            next = run(p, &said);
        }
        expect_text(&said, turns->expect, turns->say ? turns->say : "greeting");
    }
    assert_int_equal(next == POP3_CLOSED, closed);
    pop3_free(p);
    buf_clear(&said);
}

static const char plain[] = "Subject: one\r\n\r\nline 1\r\n.dot\r\n..two\r\nline 4\r\n";

static struct maildrop three(void)
{
    return (struct maildrop){.mails = {{plain, 0}, {"Subject: two\r\n\r\nbody", 0}, {"To: x\r\n", 0}}, .count = 3};
}

static void every_command(void **state)
{
    struct maildrop d = three();

    (void)state;
    converse_with(&d, 0, (struct turn[]){
        {NULL, "+OK 3 messages (72 octets)\r\n"},
        {"STAT\r\n", "+OK 3 72\r\n"},
        {"stat\r\n", "+OK 3 72\r\n"},
        {"NOOP\r\n", "+OK\r\n"},
        {"LIST\r\n", "+OK 3 messages (72 octets)\r\n1 45\r\n2 20\r\n3 7\r\n.\r\n"},
        {"LIST 2\r\n", "+OK 2 20\r\n"},
        {"UIDL\r\n", "+OK Unique ids follow\r\n1 1234abcd0000000b\r\n2 1234abcd0000000c\r\n3 1234abcd0000000d\r\n.\r\n"},
        {"UIDL 3\r\n", "+OK 3 1234abcd0000000d\r\n"},
        {"LAST\r\n", "+OK 0\r\n"},
        {"RETR 2\r\n", "+OK 20 octets\r\nSubject: two\r\n\r\nbody\r\n.\r\n"},
        {"LAST\r\n", "+OK 2\r\n"},
        {"DELE 2\r\n", "+OK Message 2 deleted\r\n"},
        {"STAT\r\n", "+OK 2 52\r\n"},
        {"LIST\r\n", "+OK 2 messages (52 octets)\r\n1 45\r\n3 7\r\n.\r\n"},
        {"UIDL\r\n", "+OK Unique ids follow\r\n1 1234abcd0000000b\r\n3 1234abcd0000000d\r\n.\r\n"},
        {"RSET\r\n", "+OK 3 messages (72 octets)\r\n"},
        {"LAST\r\n", "+OK 0\r\n"},
        {"DELE 1\r\n", "+OK Message 1 deleted\r\n"},
        {"DELE 3\r\n", "+OK Message 3 deleted\r\n"},
        {"LANG\r\n", "+OK Language listing follows:\r\nen English\r\n.\r\n"},
        {"LANG EN\r\n", "+OK en Language changed\r\n"},
        {"LANG *\r\n", "+OK en Language changed\r\n"},
        {"QUIT\r\n", "+OK Goodbye, 1 messages left\r\n"},
        {0}}, true);
    assert_int_equal(d.removes, 2);
    assert_int_equal(d.removed[0], 11);
    assert_int_equal(d.removed[1], 13);
    assert_true(d.commits && !d.aborted);
}

static void every_error(void **state)
{
    struct maildrop d = three();

    (void)state;
    converse_with(&d, 0, (struct turn[]){
        {NULL, "+OK 3 messages (72 octets)\r\n"},
        {"DELE 2\r\n", "+OK Message 2 deleted\r\n"},
        {"DELE 2\r\n", "-ERR This message is deleted\r\n"},
        {"RETR 2\r\n", "-ERR This message is deleted\r\n"},
        {"LIST 2\r\n", "-ERR This message is deleted\r\n"},
        {"UIDL 2\r\n", "-ERR This message is deleted\r\n"},
        {"RETR 0\r\n", "-ERR No such message\r\n"},
        {"RETR 4\r\n", "-ERR No such message\r\n"},
        {"RETR 99999999999999999999999\r\n", "-ERR Not a message number\r\n"},
        {"RETR -1\r\n", "-ERR Not a message number\r\n"},
        {"RETR\r\n", "-ERR Wrong number of arguments\r\n"},
        {"RETR 1 2\r\n", "-ERR Wrong number of arguments\r\n"},
        {"STAT 1\r\n", "-ERR Wrong number of arguments\r\n"},
        {"TOP 1\r\n", "-ERR Wrong number of arguments\r\n"},
        {"TOP 1 x\r\n", "-ERR Not a number of lines\r\n"},
        {"PASS x\r\n", "-ERR You are logged in already\r\n"},
        {"UTF8\r\n", "-ERR You are logged in already\r\n"},
        {"LANG xx\r\n", "-ERR No such language\r\n"},
        {"\r\n", "-ERR Unknown command\r\n"},
        {"XYZZY\r\n", "-ERR Unknown command\r\n"},
        {0}}, false);
    assert_int_equal(d.removes, 0);
}

static void too_many_errors_close_and_remove_nothing(void **state)
{
    struct maildrop d = three();
    char many[20 * 3 + 20] = "DELE 1\r\n";
    struct pop3 *p = pop3_new(&store, &d, 0);
    struct buf said;

    (void)state;
    buf_init(&said, 100000);
    for (int i = 0; i < 20; i++)
        strncat(many, "X\r\n", 4);
    assert_true(pop3_input(p, str_of(many)));
    assert_int_equal(run(p, &said), POP3_CLOSED);
    assert_true(str_ends(buf_str(&said), STR("-ERR Too many errors, goodbye\r\n")));
    assert_int_equal(pop3_taken(p), strlen(many));
    pop3_free(p);
    assert_int_equal(d.removes, 0);
    buf_clear(&said);
}

static void capabilities_follow_the_connection(void **state)
{
    struct maildrop d = {.count = 0};
    const char *common = "+OK Capability list follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n";
    const char *end = "LANG\r\nIMPLEMENTATION Staffetta\r\n.\r\n";
    char secure[400], open[400];

    (void)state;
    snprintf(secure, sizeof secure, "%sUSER\r\nSASL PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS\r\nUTF8 USER\r\n%s", common, end);
    snprintf(open, sizeof open, "%sSASL SCRAM-SHA-256\r\nUTF8\r\n%s", common, end);
    converse_with(&d, POP3_TLS, (struct turn[]){{NULL, "+OK 0 messages (0 octets)\r\n"}, {"CAPA\r\n", secure}, {0}}, false);
    converse_with(&d, 0, (struct turn[]){{NULL, "+OK 0 messages (0 octets)\r\n"}, {"CAPA\r\n", open}, {0}}, false);
}

/* The same answers whatever the size of the pieces: lines, dots and the empty line fall on every border. */
static void messages_in_pieces_of_any_size(void **state)
{
    static const struct {
        const char *text;
        const char *command, *expect;
    } cases[] = {
        {plain, "RETR 1\r\n", "+OK 45 octets\r\nSubject: one\r\n\r\nline 1\r\n..dot\r\n...two\r\nline 4\r\n.\r\n"},
        {plain, "TOP 1 0\r\n", "+OK Top of message follows\r\nSubject: one\r\n\r\n.\r\n"},
        {plain, "TOP 1 1\r\n", "+OK Top of message follows\r\nSubject: one\r\n\r\nline 1\r\n.\r\n"},
        {plain, "TOP 1 3\r\n", "+OK Top of message follows\r\nSubject: one\r\n\r\nline 1\r\n..dot\r\n...two\r\n.\r\n"},
        {plain, "TOP 1 99\r\n", "+OK Top of message follows\r\nSubject: one\r\n\r\nline 1\r\n..dot\r\n...two\r\nline 4\r\n.\r\n"},
        {"A: b\r\nC: d\r\n", "TOP 1 0\r\n", "+OK Top of message follows\r\nA: b\r\nC: d\r\n.\r\n"},
        {"A: b", "TOP 1 5\r\n", "+OK Top of message follows\r\nA: b\r\n.\r\n"},
        {"", "TOP 1 5\r\n", "+OK Top of message follows\r\n.\r\n"},
        {"", "RETR 1\r\n", "+OK 0 octets\r\n.\r\n"},
        {"\r\nbody\r\n", "TOP 1 0\r\n", "+OK Top of message follows\r\n\r\n.\r\n"},
        {"\r\nbody\r\nx", "TOP 1 1\r\n", "+OK Top of message follows\r\n\r\nbody\r\n.\r\n"},
        {"A: b\n\n.x\n.\n", "RETR 1\r\n", "+OK 11 octets\r\nA: b\n\n..x\n..\n.\r\n"},
        {"A: b\n\nx\ny\n", "TOP 1 1\r\n", "+OK Top of message follows\r\nA: b\n\nx\n.\r\n"},
        {"\r\n.", "RETR 1\r\n", "+OK 3 octets\r\n\r\n..\r\n.\r\n"},
        {"\r\nx\r", "RETR 1\r\n", "+OK 4 octets\r\n\r\nx\r\r\n.\r\n"},
        {"A: b\r\n\r\r\n\r\nx\r\n", "TOP 1 0\r\n", "+OK Top of message follows\r\nA: b\r\n\r\r\n\r\n.\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 0; piece < 12; piece++) {
            struct maildrop d = {.mails = {{cases[i].text, 0}}, .count = 1, .piece = piece};
            char greeting[64];

            snprintf(greeting, sizeof greeting, "+OK 1 messages (%zu octets)\r\n", strlen(cases[i].text));
            converse_with(&d, 0, (struct turn[]){{NULL, greeting}, {cases[i].command, cases[i].expect}, {0}}, false);
        }
}

static void commands_in_one_packet_or_byte_by_byte(void **state)
{
    const char *all = "STAT\r\nTOP 3 0\r\nDELE 1\nNOOP\r\nQUIT\r\nSTAT\r\n";
    const char *answers = "+OK 3 messages (72 octets)\r\n+OK 3 72\r\n+OK Top of message follows\r\nTo: x\r\n.\r\n"
                          "+OK Message 1 deleted\r\n+OK\r\n+OK Goodbye, 2 messages left\r\n";
    struct buf said;

    (void)state;
    buf_init(&said, 100000);
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        struct maildrop d = three();
        struct pop3 *p = pop3_new(&store, &d, 0);
        size_t taken = 0;

        for (const char *at = all; *at; at += bytewise ? 1 : strlen(all)) {
            assert_true(pop3_input(p, bytewise ? (struct str){at, 1} : str_of(at)));
            run(p, &said);
            taken += pop3_taken(p);
        }
        expect_text(&said, answers, "pipelined");
        assert_int_equal(taken, strlen(all));
        pop3_free(p);
    }
    buf_clear(&said);
}

static void long_lines_are_refused_once(void **state)
{
    struct maildrop d = three();
    char fits[600], over[600], endless[5000];

    (void)state;
    memset(fits, 'x', sizeof fits);
    memcpy(fits + 510, "\r\n", 3);
    memset(over, 'x', sizeof over);
    memcpy(over + 511, "\r\n", 3);
    memset(endless, 'y', sizeof endless);
    endless[sizeof endless - 1] = 0;
    converse_with(&d, 0, (struct turn[]){
        {NULL, "+OK 3 messages (72 octets)\r\n"},
        {fits, "-ERR Unknown command\r\n"},
        {over, "-ERR Line too long\r\n"},
        {endless, "-ERR Line too long\r\n"},
        {endless, ""},
        {"z\r\nNOOP\r\n", "+OK\r\n"},
        {0}}, false);
}

static void input_is_bounded(void **state)
{
    struct maildrop d = three();
    struct pop3 *p = pop3_new(&store, &d, 0);
    static char much[POP3_INPUT_MAX];

    (void)state;
    memset(much, 'x', sizeof much);
    assert_true(pop3_input(p, (struct str){much, sizeof much}));
    assert_false(pop3_input(p, STR("y")));
    pop3_free(p);
}

static void utf8_messages_need_utf8_mode(void **state)
{
    struct maildrop d = {.mails = {{"S: \xc3\xa9\r\n\r\nx\r\n", POP3_NEEDS_UTF8}}, .count = 1};

    (void)state;
    converse_with(&d, 0, (struct turn[]){
        {NULL, "+OK 1 messages (12 octets)\r\n"},
        {"LIST 1\r\n", "+OK 1 12\r\n"},
        {"RETR 1\r\n", "-ERR [UTF8] This message needs UTF8 mode\r\n"},
        {"TOP 1 0\r\n", "-ERR [UTF8] This message needs UTF8 mode\r\n"},
        {"DELE 1\r\n", "+OK Message 1 deleted\r\n"},
        {0}}, false);
    d.loaded = 0;
    converse_with(&d, POP3_UTF8, (struct turn[]){
        {NULL, "+OK 1 messages (12 octets)\r\n"},
        {"RETR 1\r\n", "+OK 12 octets\r\nS: \xc3\xa9\r\n\r\nx\r\n.\r\n"},
        {0}}, false);
}

static void storage_failures_are_told(void **state)
{
    struct maildrop broken = {.load_fails = true};
    struct maildrop gone = {.mails = {{"gone", 0}}, .count = 1};
    struct maildrop unreadable = three(), half = three();

    (void)state;
    converse_with(&broken, 0, (struct turn[]){
        {NULL, "-ERR [SYS/TEMP] The mailbox cannot be opened now, try again later\r\n"}, {0}}, true);
    converse_with(&gone, 0, (struct turn[]){{NULL, "+OK 1 messages (4 octets)\r\n"},
        {"RETR 1\r\n", "-ERR This message is gone\r\n"}, {0}}, false);
    unreadable.read_fails_at = 1;
    converse_with(&unreadable, 0, (struct turn[]){{NULL, "+OK 3 messages (72 octets)\r\n"},
        {"RETR 1\r\n", "-ERR [SYS/TEMP] The message cannot be read now\r\n"}, {0}}, false);
    half.read_fails_at = 2;
    half.piece = 5;
    converse_with(&half, 0, (struct turn[]){{NULL, "+OK 3 messages (72 octets)\r\n"},
        {"RETR 1\r\n", "+OK 45 octets\r\nSubje"}, {0}}, true);
}

static void removal_is_all_or_nothing(void **state)
{
    static const struct turn turns[] = {{NULL, "+OK 3 messages (72 octets)\r\n"},
        {"DELE 1\r\nDELE 2\r\n", "+OK Message 1 deleted\r\n+OK Message 2 deleted\r\n"},
        {"QUIT\r\n", "-ERR [SYS/TEMP] Deleted messages were not removed\r\n"}, {0}};
    struct maildrop second = three(), commit = three();

    (void)state;
    second.remove_fails_at = 2;
    converse_with(&second, 0, turns, true);
    assert_true(second.aborted && !second.commits);
    commit.commit_fails = true;
    converse_with(&commit, 0, turns, true);
    assert_true(commit.commits);
}

/* The goodbye comes when somebody says that it is done; what the client says meanwhile is not read. */
static void removal_may_wait(void **state)
{
    (void)state;
    for (int removed = 0; removed < 2; removed++) {
        struct maildrop d = three();
        struct pop3 *p = pop3_new(&store, &d, 0);

        d.commit_waits = true;
        assert_true(pop3_input(p, STR("DELE 1\r\nQUIT\r\nNOOP\r\n")));
        for (int i = 0; i < 3; i++)
            assert_int_equal(pop3_run(p), POP3_WAIT_INPUT);
        assert_true(d.commits && str_ends(buf_str(pop3_output(p)), STR("+OK Message 1 deleted\r\n")));
        buf_reset(pop3_output(p));
        pop3_removed(p, removed);
        assert_int_equal(pop3_run(p), POP3_CLOSED);
        assert_true(str_eq(buf_str(pop3_output(p)),
            removed ? STR("+OK Goodbye, 2 messages left\r\n") : STR("-ERR [SYS/TEMP] Deleted messages were not removed\r\n")));
        assert_int_equal(pop3_counts(p).deleted, removed);
        pop3_free(p);
        assert_false(d.aborted);
    }
}

static void the_snapshot_may_come_in_parts(void **state)
{
    struct maildrop d = three();

    (void)state;
    d.load_at_once = 1;
    converse_with(&d, 0, (struct turn[]){{NULL, "+OK 3 messages (72 octets)\r\n"}, {0}}, false);
}

/* ---- a large maildrop ---- */

static enum pop3_result load_many(void *world, struct pop3 *p)
{
    size_t *n = world;

    for (size_t i = 0; i < 100000; i++)
        assert_true(pop3_add(p, (uint32_t)i + 1, 1000, 0));
    *n = 0;
    return POP3_OK;
}

static enum pop3_result remove_many(void *world, uint32_t uid)
{
    size_t *n = world;

    (void)uid;
    ++*n;
    return POP3_OK;
}

/* Listings stop when the output is full; a removal of very many takes several turns. */
static void a_hundred_thousand_messages(void **state)
{
    static const struct pop3_store many = {load_many, read_piece, remove_many, remove_commit, remove_abort};
    size_t removed = 0, lines = 0, most = 0;
    struct pop3 *p = pop3_new(&many, &removed, 0);
    enum pop3_next next;
    struct buf *out = pop3_output(p);

    (void)state;
    assert_true(pop3_input(p, STR("UIDL\r\n")));
    do {
        next = pop3_run(p);
        most = out->n > most ? out->n : most;
        for (size_t i = 0; i < out->n; i++)
            lines += out->p[i] == '\n';
        buf_consume(out, out->n);
    } while (next != POP3_WAIT_INPUT);
    assert_int_equal(lines, 1 + 1 + 100000 + 1);
    assert_true(most < POP3_OUTPUT_MAX / 2);
    pop3_free(p);
}

/* The world of the tests above cannot commit for this one: it counts in a number. */
static enum pop3_result commit_many(void *world)
{
    (void)world;
    return POP3_OK;
}

static void removing_very_many_takes_turns(void **state)
{
    static const struct pop3_store many = {load_many, read_piece, remove_many, commit_many, remove_abort};
    size_t removed = 0, turns = 0;
    struct pop3 *p = pop3_new(&many, &removed, 0);
    char dele[32];

    (void)state;
    for (int i = 1; i <= 5000; i++) {
        snprintf(dele, sizeof dele, "DELE %d\r\n", i);
        assert_true(pop3_input(p, str_of(dele)));
        while (pop3_run(p) != POP3_WAIT_INPUT)
            buf_consume(pop3_output(p), pop3_output(p)->n);
    }
    assert_true(pop3_input(p, STR("QUIT\r\n")));
    buf_consume(pop3_output(p), pop3_output(p)->n);
    for (turns = 1; pop3_run(p) != POP3_CLOSED; turns++)
        buf_consume(pop3_output(p), pop3_output(p)->n);
    assert_int_equal(removed, 5000);
    assert_int_equal(pop3_counts(p).deleted, 5000);
    assert_true(turns > 5);
    pop3_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command),
        cmocka_unit_test(every_error),
        cmocka_unit_test(too_many_errors_close_and_remove_nothing),
        cmocka_unit_test(capabilities_follow_the_connection),
        cmocka_unit_test(messages_in_pieces_of_any_size),
        cmocka_unit_test(commands_in_one_packet_or_byte_by_byte),
        cmocka_unit_test(long_lines_are_refused_once),
        cmocka_unit_test(input_is_bounded),
        cmocka_unit_test(utf8_messages_need_utf8_mode),
        cmocka_unit_test(storage_failures_are_told),
        cmocka_unit_test(removal_is_all_or_nothing),
        cmocka_unit_test(removal_may_wait),
        cmocka_unit_test(the_snapshot_may_come_in_parts),
        cmocka_unit_test(a_hundred_thousand_messages),
        cmocka_unit_test(removing_very_many_takes_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
