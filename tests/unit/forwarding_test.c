/* The directory's part of forwarding: senders rewritten and taken back, our own return paths signed and checked, keys that follow one
 * another, what leads to another server. */
#include "directory_world.h"

#include "base/clock.h"
#include "fault_vfs.h"
#include "smtp/address.h"

#include <stdio.h>
#include <string.h>

static int64_t now;

int64_t __wrap_clock_now(void);
int64_t __wrap_clock_now(void)
{
    return now;
}

static void rotate_keys(void)
{
    struct err err = {0};
    bool did;

    if (!paths_rotate(&store, now, &did, &err))
        fail_msg("%s", err.text);
    lookup_changed(&lookup);
}

static int begin(void **state)
{
    now = 1000 * DAY;
    directory_begin(state);
    rotate_keys();
    return 0;
}

/* The sender that the next server is told; "" for the same. */
static const char *sender_for(const struct resolve_question *q)
{
    static char out[IPC_ADDRESS + 1];
    struct resolved r;

    resolved_init(&r);
    lookup_resolve(&lookup, q, &r);
    if (r.result != RESOLVE_REMOTE)
        fail_msg("%.*s: %.*s", STR_ARG(q->address), STR_ARG(buf_str(&r.text)));
    snprintf(out, sizeof out, "%s", r.sender.p);
    resolved_clear(&r);
    return out;
}

static const char *forwarded(const char *sender, const char *original)
{
    return sender_for(&(struct resolve_question){.address = STR("b@far.example"), .sender = str_of(sender), .original = str_of(original),
        .expanded = true});
}

static const char *sent(const char *sender)
{
    return sender_for(&(struct resolve_question){.address = STR("b@far.example"), .sender = str_of(sender),
        .original = STR("b@far.example"), .submitted = true});
}

static void expect_rcpt(const char *address, enum rcpt_result result, const char *words)
{
    if (rcpt_of(address, 0, true) != result || strstr(said, words) == NULL)
        fail_msg("%s: %s, expected %s", address, said, words);
}

static void expect_bounce(const char *address, enum rcpt_result result, const char *words)
{
    if (ask_rcpt(&(struct rcpt_question){.address = str_of(address), .first = true, .bounce = true}) != result || strstr(said, words) == NULL)
        fail_msg("bounce for %s: %s, expected %s", address, said, words);
}

static void expect_way(const char *address, const char *where)
{
    goes(address, "", where);
}

static bool ends(const char *text, const char *end)
{
    return str_ends(str_of(text), str_of(end));
}

/* ---- senders of forwarded mail ---- */

static void a_stranger_is_rewritten_and_found_again(void **state)
{
    char srs[IPC_ADDRESS + 1], upper[IPC_ADDRESS + 1];

    (void)state;
    snprintf(srs, sizeof srs, "%s", forwarded("User@other.example", "sales@example.org"));
    assert_true(strncmp(srs, "SRS0=", 5) == 0 && ends(srs, "=other.example=User@example.org"));
    expect_rcpt(srs, RCPT_LOCAL, "2.1.5");
    expect_way(srs, "expand User@other.example ");
    expect_bounce(srs, RCPT_LOCAL, "2.1.5");
    snprintf(upper, sizeof upper, "%s", srs);
    for (char *p = upper; *p != 0; p++)
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
    expect_rcpt(upper, RCPT_LOCAL, "2.1.5");
}

static void who_is_not_rewritten(void **state)
{
    (void)state;
    assert_string_equal(forwarded("", "sales@example.org"), "");
    assert_string_equal(forwarded("anna@example.org", "sales@example.org"), "");   /* ours */
    assert_string_equal(forwarded("x@second.example", "sales@example.org"), "");
    assert_string_equal(sender_for(&(struct resolve_question){.address = STR("b@far.example"), .sender = STR("u@other.example"),
                            .original = STR("b@far.example"), .submitted = true}), ""); /* not forwarded */
    assert_true(forwarded("x@backup.example", "sales@example.org")[0] != 0);
    configure("hostname = \"mail.test\"\nforward { srs = false }\n");
    assert_string_equal(forwarded("u@other.example", "sales@example.org"), "");
    configure("hostname = \"mail.test\"\n");
}

static void in_whose_name(void **state)
{
    char srs[IPC_ADDRESS + 1];

    (void)state;
    assert_true(ends(forwarded("u@other.example", "any@second.example"), "@second.example"));
    assert_true(ends(forwarded("u@other.example", "postmaster"), "@example.org"));
    assert_true(ends(forwarded("u@other.example", "x@gone.example"), "@example.org"));
    configure("hostname = \"mail.test\"\nforward { domain = \"bounces.example.net\" }\n");
    snprintf(srs, sizeof srs, "%s", forwarded("u@other.example", "sales@example.org"));
    assert_true(ends(srs, "@bounces.example.net"));
    expect_rcpt(srs, RCPT_LOCAL, "2.1.5");
    expect_rcpt("x@bounces.example.net", RCPT_REMOTE, "");
    assert_string_equal(forwarded(srs, "sales@example.org"), ""); /* our own, forwarded once more */
    configure("hostname = \"mail.test\"\n");
    expect_rcpt(srs, RCPT_REMOTE, "");
}

static void a_second_forwarder_gets_the_short_form(void **state)
{
    char srs[IPC_ADDRESS + 1];

    (void)state;
    snprintf(srs, sizeof srs, "%s", forwarded("SRS0=abcd=xy=origin.example=u@first.example", "sales@example.org"));
    assert_true(strncmp(srs, "SRS1=", 5) == 0 && ends(srs, "=first.example==abcd=xy=origin.example=u@example.org"));
    expect_way(srs, "expand SRS0=abcd=xy=origin.example=u@first.example ");
    snprintf(srs, sizeof srs, "%s", forwarded("SRS1=zzzz=first.example==abcd=xy=origin.example=u@second.example.net", "sales@example.org"));
    expect_way(srs, "expand SRS0=abcd=xy=origin.example=u@first.example ");
}

static void our_own_comes_round_again(void **state)
{
    char srs[IPC_ADDRESS + 1];

    (void)state;
    snprintf(srs, sizeof srs, "%s", forwarded("u@other.example", "sales@example.org"));
    assert_string_equal(forwarded(srs, "sales@example.org"), "");
    expect_way(srs, "expand u@other.example ");
}

static void forged_and_old_ones(void **state)
{
    char srs[IPC_ADDRESS + 1], bad[IPC_ADDRESS + 1];

    (void)state;
    must("domain set example.org catch_all=anna@example.org");
    expect_rcpt("SRS0=abcdefgh=aa=other.example=u@example.org", RCPT_UNKNOWN, "5.1.1 This is no return path");
    expect_rcpt("SRS0=@example.org", RCPT_UNKNOWN, "5.1.1 This is no return path");
    expect_rcpt("SRS1=abcdefgh=first.example==x@example.org", RCPT_UNKNOWN, "5.1.1 This is no return path");
    expect_way("SRS0=abcdefgh=aa=other.example=u@example.org", "fail 5.1.1 This is no return path of mail that was forwarded here: its "
                                                                "signature is wrong");
    expect_rcpt("srs0@example.org", RCPT_LOCAL, "2.1.5"); /* a name like any other */
    expect_rcpt("SRS0=x=y=z=u@far.example", RCPT_REMOTE, "");
    expect_rcpt("SRS0=x=y=z=u@backup.example", RCPT_BACKUP, "");
    snprintf(srs, sizeof srs, "%s", forwarded("u@other.example", "sales@example.org"));
    snprintf(bad, sizeof bad, "%s", srs);
    bad[5] = bad[5] == 'a' ? 'b' : 'a';
    expect_rcpt(bad, RCPT_UNKNOWN, "signature is wrong");
    now += 21 * DAY;
    rotate_keys();
    expect_rcpt(srs, RCPT_LOCAL, "2.1.5");
    now += DAY;
    expect_rcpt(srs, RCPT_UNKNOWN, "5.1.1 This return path of forwarded mail is too old");
    must("domain set example.org enabled=no");
    expect_rcpt(srs, RCPT_DISABLED, "5.2.1");
    must("domain set example.org enabled=yes");
}

static void too_long_a_sender_stays(void **state)
{
    char sender[400], local[251];

    (void)state;
    memset(local, 'x', 250);
    local[250] = 0;
    snprintf(sender, sizeof sender, "%s@other.example", local);
    assert_string_equal(forwarded(sender, "sales@example.org"), "");
    assert_true(forwarded("\"a b@c\"@other.example", "sales@example.org")[0] == '"');
    expect_way(forwarded("\"a b@c\"@other.example", "sales@example.org"), "expand \"a b@c\"@other.example ");
}

static void routes_to_a_store_of_ours_keep_the_sender(void **state)
{
    (void)state;
    must("route add recipient:far.example lmtp [127.0.0.1]:24");
    assert_string_equal(forwarded("u@other.example", "sales@example.org"), "");
    must("route set recipient:far.example kind=smtp hosts=[127.0.0.1]:25");
    assert_true(forwarded("u@other.example", "sales@example.org")[0] != 0);
}

/* ---- keys ---- */

static int64_t keys(void)
{
    struct err err = {0};
    struct stmt *s = store_stmt(&store, SQL_PATH_KEYS);
    int64_t n = 0;

    while (stmt_row(s))
        n++;
    if (!stmt_done(s, &err))
        fail_msg("%s", err.text);
    return n;
}

static void keys_follow_one_another(void **state)
{
    char srs[IPC_ADDRESS + 1];
    int64_t made;

    (void)state;
    for (int round = 0; round < 30; round++) {
        snprintf(srs, sizeof srs, "%s", forwarded("u@other.example", "sales@example.org"));
        made = now;
        for (int hours = 0; hours < 21 * 24; hours++) {
            now += HOUR;
            rotate_keys();
        }
        assert_int_equal(now - made, 21 * DAY);
        expect_rcpt(srs, RCPT_LOCAL, "2.1.5");
        reopen();
        expect_rcpt(srs, RCPT_LOCAL, "2.1.5");
        assert_true(keys() >= 1 && keys() <= 3);
    }
}

static void clocks_that_jump(void **state)
{
    (void)state;
    now += 3650 * DAY; /* and a key is made */
    rotate_keys();
    now -= 3650 * DAY;
    rotate_keys();
    rotate_keys();
    assert_int_equal(keys(), 3);
    assert_true(forwarded("u@other.example", "sales@example.org")[0] != 0);
    for (int i = 0; i < 50; i++) {
        now += (i % 2 ? -1 : 1) * 400 * DAY;
        rotate_keys();
    }
    assert_in_range(keys(), 1, PATH_KEYS_MAX);
}

static void a_disk_that_fails_makes_no_half_key(void **state)
{
    struct err err = {0};
    bool did = false, done = false;

    (void)state;
    now += 31 * DAY;
    for (int n = 1; !done; n++) {
        fault_at(n, n % 2 == 0);
        done = paths_rotate(&store, now, &did, &err);
        fault_at(0, false);
        assert_false(db_in_transaction(store.db));
        assert_in_range(keys(), 1, 2);
    }
    assert_true(done && did);
    assert_int_equal(keys(), 2);
}

/* ---- our own return paths ---- */

static void own_senders_are_signed_on_request(void **state)
{
    char path[IPC_ADDRESS + 1];

    (void)state;
    assert_string_equal(sent("anna@example.org"), "");
    expect_bounce("anna@example.org", RCPT_LOCAL, "2.1.5");
    must("domain set example.org return_path=sign");
    assert_string_equal(sent("x@second.example"), "");
    assert_string_equal(sent(""), "");
    assert_string_equal(sent("u@other.example"), "");
    assert_string_equal(sender_for(&(struct resolve_question){.address = STR("b@far.example"), .sender = STR("anna@example.org"),
                            .original = STR("sales@example.org"), .expanded = true}), ""); /* a stranger's, in our name */
    snprintf(path, sizeof path, "%s", sent("Anna+tag@example.org"));
    assert_true(strncmp(path, "prvs=", 5) == 0 && ends(path, "=Anna+tag@example.org"));
    expect_bounce(path, RCPT_LOCAL, "2.1.5");
    expect_way(path, "local 1 anna+tag@example.org");
    expect_bounce("anna@example.org", RCPT_LOCAL, "2.1.5"); /* not asked to do anything yet */
    assert_string_equal(forwarded(path, "sales@example.org"), "");
}

static void bounces_of_forged_mail(void **state)
{
    char path[IPC_ADDRESS + 1];

    (void)state;
    must("domain set example.org return_path=refuse");
    snprintf(path, sizeof path, "%s", sent("anna@example.org"));
    expect_bounce(path, RCPT_LOCAL, "2.1.5");
    expect_bounce("anna@example.org", RCPT_UNKNOWN, "5.7.1 Bounces come to signed addresses only");
    expect_bounce("nobody@example.org", RCPT_UNKNOWN, "5.1.1");
    expect_bounce("sales@example.org", RCPT_UNKNOWN, "5.7.1");
    expect_bounce("postmaster@example.org", RCPT_LOCAL, "2.1.5");
    expect_bounce("x@second.example", RCPT_LOCAL, "2.1.5");
    expect_bounce("prvs=1234abcdef=anna@example.org", RCPT_UNKNOWN, "5.1.1 This is no return path");
    expect_rcpt("anna@example.org", RCPT_LOCAL, "2.1.5"); /* no bounce */
    must("domain set example.org return_path=junk");
    expect_bounce("anna@example.org", RCPT_LOCAL, "(junk)");
    expect_bounce(path, RCPT_LOCAL, "2.1.5 Ok");
    assert_null(strstr(said, "(junk)"));
    now += 15 * DAY;
    expect_bounce(path, RCPT_UNKNOWN, "5.1.1 This return path is too old");
    must("domain set example.org return_path=plain");
    expect_rcpt(path, RCPT_UNKNOWN, "5.1.1 No such user");
    must("domain set example.org catch_all=anna@example.org"); /* not signing: anything may be an address */
    expect_rcpt("prvs=1234abcdef=anna@example.org", RCPT_LOCAL, "2.1.5");
    refuses("domain set example.org return_path=odd", 64, "return_path");
}

static void signed_ones_are_taken_after_it_was_switched_off(void **state)
{
    char path[IPC_ADDRESS + 1];

    (void)state;
    must("domain set example.org return_path=sign");
    snprintf(path, sizeof path, "%s", sent("anna@example.org"));
    must("domain set example.org return_path=plain");
    expect_bounce(path, RCPT_LOCAL, "2.1.5");
    expect_way(path, "local 1 anna@example.org");
}

/* ---- what leads away ---- */

static void what_is_to_be_sealed(void **state)
{
    static const struct {
        const char *address;
        bool forwards;
    } asks[] = {{"anna@example.org", false}, {"sales@example.org", true}, {"sales+tag@example.org", true}, {"deep@example.org", true},
        {"inside@example.org", false}, {"x@second.example", false}, {"x@backup.example", true}, {"x@away.example", true},
        {"anna@routed.example", true}, {"nobody@example.org", false}, {"anna@stored.example", false}};

    (void)state;
    must("alias add deep@example.org to=sales@example.org");
    must("alias add inside@example.org to=anna@example.org to=bob@example.org");
    must("domain add away.example catch_all=all@far.example");
    must("domain add routed.example");
    must("account add anna@routed.example");
    must("route add recipient:routed.example smtp [127.0.0.1]:25");
    must("domain add stored.example");
    must("account add anna@stored.example");
    must("route add recipient:stored.example lmtp [127.0.0.1]:24");
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
            (void)rcpt_of(asks[i].address, 0, true);
            if ((strstr(said, "(forwards)") != NULL) != asks[i].forwards)
                fail_msg("%s: %s", asks[i].address, said);
        }
    expect_rcpt(forwarded("u@other.example", "sales@example.org"), RCPT_LOCAL, "(forwards)");
    must("alias set sales@example.org to=anna@example.org");
    expect_rcpt("deep@example.org", RCPT_LOCAL, "2.1.5");
    assert_null(strstr(said, "(forwards)"));
    configure("hostname = \"mail.test\"\nforward { seal = false }\n");
    expect_rcpt("x@away.example", RCPT_LOCAL, "2.1.5");
    assert_null(strstr(said, "(forwards)"));
    configure("hostname = \"mail.test\"\n");
}

#define EACH(name) cmocka_unit_test_setup_teardown(name, begin, directory_end)

int main(void)
{
    const struct CMUnitTest tests[] = {EACH(a_stranger_is_rewritten_and_found_again), EACH(who_is_not_rewritten), EACH(in_whose_name),
        EACH(a_second_forwarder_gets_the_short_form), EACH(our_own_comes_round_again), EACH(forged_and_old_ones),
        EACH(too_long_a_sender_stays), EACH(routes_to_a_store_of_ours_keep_the_sender), EACH(keys_follow_one_another),
        EACH(clocks_that_jump), EACH(a_disk_that_fails_makes_no_half_key), EACH(own_senders_are_signed_on_request),
        EACH(bounces_of_forged_mail), EACH(signed_ones_are_taken_after_it_was_switched_off), EACH(what_is_to_be_sealed)};

    return cmocka_run_group_tests(tests, directory_open, directory_close);
}
