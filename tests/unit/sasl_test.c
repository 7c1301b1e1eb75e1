/* Logins: conversations of libgsasl's client side with our server side, wrong and malformed ones by
 * hand, passwords, and the counting of failures. */
#include "roles/directory/password.h"
#include "roles/directory/sasl.h"
#include "roles/directory/throttle.h"

#include "base/clock.h"
#include "base/encode.h"

#include <gsasl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifndef WITH_ASAN
#define WITH_ASAN 0
#endif

static struct sasl_library *library;
static Gsasl *client_library;
static struct verifier anna;
static struct password_cache cache;
static uint8_t secret[32];
static enum sasl_state find_says = SASL_MORE;
static int checks;

static enum sasl_state world_find(void *arg, struct str name, struct sasl_login *out)
{
    (void)arg;
    if (find_says != SASL_MORE)
        return find_says;
    memset(out, 0, sizeof *out);
    if (str_ieq(name, STR("anna@example.org"))) {
        out->principal = 7;
        out->verifier = anna;
    } else {
        password_invent(secret, name, &out->verifier);
    }
    return SASL_MORE;
}

static bool world_check(void *arg, const struct verifier *v, struct str password)
{
    (void)arg;
    checks++;
    /* What was invented has no Argon2id hash, and is never right. */
    return password_check(&cache, v, password, clock_monotonic());
}

static const struct sasl_world world = {NULL, world_find, world_check};

static int begin(void **state)
{
    struct err err = {0};

    (void)state;
    find_says = SASL_MORE;
    if (library != NULL)
        return 0;
    library = sasl_library_new();
    gsasl_init(&client_library);
    password_cache_init(&cache);
    if (!password_make(STR("p\xc3\xa4sswort & more"), &anna, &err))
        fail_msg("%s", err.text);
    return 0;
}

/* ---- with a real client ---- */

struct
try {
    const char *mechanism, *user, *password, *authzid;
    const char *client_unique, *server_unique, *client_exporter, *server_exporter;
    enum sasl_state result;
};

static void set(Gsasl_session *client, Gsasl_property property, const char *value)
{
    if (value != NULL)
        assert_int_equal(gsasl_property_set(client, property, value), GSASL_OK);
}

static void set_binding(Gsasl_session *client, Gsasl_property property, const char *raw)
{
    struct buf text;

    if (raw == NULL)
        return;
    buf_init(&text, 1000);
    base64_encode(&text, str_of(raw));
    gsasl_property_set_raw(client, property, text.p, text.n);
    buf_clear(&text);
}

static enum sasl_state converse(const struct try *t)
{
    struct sasl *s = sasl_new(library, &world, str_of(t->mechanism), str_of(t->server_unique),
        str_of(t->server_exporter));
    enum sasl_state state = SASL_MORE;
    Gsasl_session *client;
    struct buf challenge;
    char *answer;
    size_t n;
    int rc = GSASL_NEEDS_MORE;

    assert_non_null(s);
    assert_int_equal(gsasl_client_start(client_library, t->mechanism, &client), GSASL_OK);
    set(client, GSASL_AUTHID, t->user);
    set(client, GSASL_PASSWORD, t->password);
    set(client, GSASL_AUTHZID, t->authzid);
    set_binding(client, GSASL_CB_TLS_UNIQUE, t->client_unique);
    set_binding(client, GSASL_CB_TLS_EXPORTER, t->client_exporter);
    buf_init(&challenge, SASL_DATA_MAX);
    if (strcmp(t->mechanism, "LOGIN") == 0)
        state = sasl_step(s, STR(""), &challenge);
    while (state == SASL_MORE && rc == GSASL_NEEDS_MORE) {
        rc = gsasl_step(client, challenge.p == NULL ? "" : challenge.p, challenge.n, &answer, &n);
        if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
            break;
        buf_reset(&challenge);
        state = sasl_step(s, str_from(answer, n), &challenge);
        gsasl_free(answer);
    }
    if (state == SASL_RIGHT) {
        assert_int_equal(sasl_login(s)->principal, 7);
        if (str_starts(str_of(t->mechanism), STR("SCRAM"))) { /* the client believes us too */
            rc = gsasl_step(client, challenge.p, challenge.n, &answer, &n);
            assert_int_equal(rc, GSASL_OK);
            gsasl_free(answer);
        }
    }
    buf_clear(&challenge);
    gsasl_finish(client);
    sasl_free(s);
    return state;
}

#define RIGHT "p\xc3\xa4sswort & more"

/* .NET and smtplib send the name with the command: the next thing said is the password. */
static void login_takes_the_name_at_once(void **state)
{
    struct sasl *s = sasl_new(library, &world, STR("login"), STR(""), STR(""));
    struct buf out;

    (void)state;
    buf_init(&out, SASL_DATA_MAX);
    assert_int_equal(sasl_step(s, STR("anna@example.org"), &out), SASL_MORE);
    assert_true(str_eq(buf_str(&out), STR("Password")));
    assert_int_equal(sasl_step(s, STR(RIGHT), &out), SASL_RIGHT);
    assert_true(str_eq(sasl_typed_name(s), STR("anna@example.org")));
    buf_clear(&out);
    sasl_free(s);
}

static void clients_log_in(void **state)
{
    static const struct try tries[] = {
        {"PLAIN", "anna@example.org", RIGHT, .result = SASL_RIGHT},
        {"PLAIN", "Anna@Example.org", RIGHT, .result = SASL_RIGHT},
        {"PLAIN", "anna@example.org", RIGHT, "anna@example.org", .result = SASL_RIGHT},
        {"PLAIN", "anna@example.org", RIGHT, "bob@example.org", .result = SASL_WRONG},
        {"PLAIN", "anna@example.org", "wrong", .result = SASL_WRONG},
        {"PLAIN", "anna@example.org", "p\xc3\xa4sswort & mor", .result = SASL_WRONG},
        {"PLAIN", "nobody@example.org", RIGHT, .result = SASL_WRONG},
        {"LOGIN", "anna@example.org", RIGHT, .result = SASL_RIGHT},
        {"LOGIN", "anna@example.org", "wrong", .result = SASL_WRONG},
        {"LOGIN", "nobody@example.org", RIGHT, .result = SASL_WRONG},
        {"SCRAM-SHA-256", "anna@example.org", RIGHT, .result = SASL_RIGHT},
        {"SCRAM-SHA-256", "anna@example.org", RIGHT, "anna@example.org", .result = SASL_RIGHT},
        {"SCRAM-SHA-256", "anna@example.org", RIGHT, "bob@example.org", .result = SASL_WRONG},
        {"SCRAM-SHA-256", "anna@example.org", "wrong", .result = SASL_WRONG},
        {"SCRAM-SHA-256", "nobody@example.org", RIGHT, .result = SASL_WRONG},
        {"SCRAM-SHA-256-PLUS", "anna@example.org", RIGHT, NULL, "finished", "finished",
            .result = SASL_RIGHT},
        {"SCRAM-SHA-256-PLUS", "anna@example.org", RIGHT, NULL, "finished", "somebody else",
            .result = SASL_WRONG},
        {"SCRAM-SHA-256-PLUS", "anna@example.org", RIGHT, NULL, NULL, NULL, "exported", "exported",
            .result = SASL_RIGHT},
        {"SCRAM-SHA-256-PLUS", "anna@example.org", RIGHT, NULL, NULL, NULL, "exported",
            "something else", .result = SASL_WRONG},
        {"SCRAM-SHA-256-PLUS", "anna@example.org", "wrong", NULL, "finished", "finished",
            .result = SASL_WRONG},
    };

    (void)state;
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        enum sasl_state got = converse(&tries[i]);

        if (got != tries[i].result)
            fail_msg("try %zu (%s, %s, %s): %d", i, tries[i].mechanism, tries[i].user,
                tries[i].password, got);
    }
}

/* ---- by hand ---- */

static enum sasl_state one_step(const char *mechanism, struct str data)
{
    struct sasl *s = sasl_new(library, &world, str_of(mechanism), STR(""), STR(""));
    enum sasl_state state;
    struct buf out;

    if (s == NULL)
        return SASL_MALFORMED;
    buf_init(&out, SASL_DATA_MAX);
    state = sasl_step(s, data, &out);
    buf_clear(&out);
    sasl_free(s);
    return state;
}

#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define RIGHT_PLAIN ((struct str)BYTES("\0anna@example.org\0" RIGHT))

static void malformed_messages(void **state)
{
    static const struct {
        const char *mechanism;
        struct str data;
        enum sasl_state result;
    } tries[] = {
        {"USERPASS", BYTES("\0anna@example.org\0" RIGHT), SASL_RIGHT},
        {"USERPASS", BYTES("\0anna@example.org\0wrong"), SASL_WRONG},
        {"USERPASS", BYTES("\0anna@example.org\0"), SASL_WRONG},
        {"USERPASS", BYTES("\0anna@example.org"), SASL_WRONG},
        {"USERPASS", BYTES("x\0anna@example.org\0wrong"), SASL_MALFORMED},
        {"USERPASS", BYTES("\0\0wrong"), SASL_MALFORMED},
        {"USERPASS", BYTES("\0a\0b\0c"), SASL_MALFORMED},
        {"USERPASS", BYTES(""), SASL_MALFORMED},
        {"PLAIN", BYTES(""), SASL_MORE},
        {"PLAIN", BYTES("anna"), SASL_MALFORMED},
        {"PLAIN", BYTES("\0anna@example.org"), SASL_MALFORMED},
        {"LOGIN", BYTES(""), SASL_MORE},
        {"SCRAM-SHA-256", BYTES(""), SASL_MORE},
        {"SCRAM-SHA-256", BYTES("hello"), SASL_MALFORMED},
        {"SCRAM-SHA-256", BYTES("n,,n=anna@example.org"), SASL_MALFORMED},
        {"SCRAM-SHA-256", BYTES("n,,n=anna@example.org,r=abc"), SASL_MORE},
        {"CRAM-MD5", BYTES(""), SASL_MALFORMED},
        {"ANONYMOUS", BYTES("x"), SASL_MALFORMED},
        {"", BYTES(""), SASL_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        enum sasl_state got = one_step(tries[i].mechanism, tries[i].data);

        if (got != tries[i].result && !(got == SASL_WRONG && tries[i].result == SASL_MALFORMED))
            fail_msg("try %zu: %s gives %d", i, tries[i].mechanism, got);
    }
}

static void an_end_is_an_end(void **state)
{
    struct sasl *s = sasl_new(library, &world, STR("USERPASS"), STR(""), STR(""));
    struct buf out, big;

    (void)state;
    buf_init(&out, SASL_DATA_MAX);
    buf_init(&big, SASL_DATA_MAX + 10);
    assert_int_equal(sasl_step(s, str_from("\0anna@example.org\0wrong", 23), &out), SASL_WRONG);
    assert_true(str_eq(sasl_typed_name(s), STR("anna@example.org")));
    assert_int_equal(sasl_step(s, RIGHT_PLAIN, &out), SASL_MALFORMED);
    sasl_free(s);
    memset(buf_reserve(&big, SASL_DATA_MAX + 1), 'a', SASL_DATA_MAX + 1);
    big.n = SASL_DATA_MAX + 1;
    assert_int_equal(one_step("PLAIN", buf_str(&big)), SASL_MALFORMED);
    buf_clear(&out);
    buf_clear(&big);
}

static void the_world_may_refuse(void **state)
{
    (void)state;
    find_says = SASL_REFUSED;
    assert_int_equal(one_step("USERPASS", RIGHT_PLAIN), SASL_REFUSED);
    assert_int_equal(one_step("PLAIN", RIGHT_PLAIN), SASL_REFUSED);
    assert_int_equal(one_step("SCRAM-SHA-256", STR("n,,n=anna@example.org,r=abc")), SASL_REFUSED);
    find_says = SASL_TROUBLE;
    assert_int_equal(one_step("PLAIN", RIGHT_PLAIN), SASL_TROUBLE);
    assert_int_equal(one_step("SCRAM-SHA-256", STR("n,,n=anna@example.org,r=abc")), SASL_TROUBLE);
}

/* A client that could bind to TLS but was told that we cannot ("y"): somebody in between took -PLUS
 * away. */
static void a_downgrade_is_noticed(void **state)
{
    struct sasl *s = sasl_new(library, &world, STR("SCRAM-SHA-256"), STR(""), STR("exported"));
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    assert_int_equal(sasl_step(s, STR("y,,n=anna@example.org,r=abc"), &out), SASL_WRONG);
    sasl_free(s);
    s = sasl_new(library, &world, STR("SCRAM-SHA-256"), STR(""), STR("exported"));
    assert_int_equal(sasl_step(s, STR("n,,n=anna@example.org,r=abc"), &out), SASL_MORE);
    sasl_free(s);
    buf_clear(&out);
}

/* A stranger learns nothing from what SCRAM shows: the salt of a login that does not exist stays
 * the same. */
static void unknown_logins_look_like_others(void **state)
{
    struct buf first, second;
    struct sasl *a, *b;

    (void)state;
    buf_init(&first, 1000);
    buf_init(&second, 1000);
    a = sasl_new(library, &world, STR("SCRAM-SHA-256"), STR(""), STR(""));
    b = sasl_new(library, &world, STR("SCRAM-SHA-256"), STR(""), STR(""));
    assert_int_equal(sasl_step(a, STR("n,,n=nobody,r=abc"), &first), SASL_MORE);
    assert_int_equal(sasl_step(b, STR("n,,n=nobody,r=abc"), &second), SASL_MORE);
    assert_true(str_eq(str_skip(buf_str(&first), (size_t)str_ifind(buf_str(&first), STR(",s="))),
        str_skip(buf_str(&second), (size_t)str_ifind(buf_str(&second), STR(",s=")))));
    assert_true(str_ends(buf_str(&first), STR(",i=10000")));
    sasl_free(a);
    sasl_free(b);
    buf_clear(&first);
    buf_clear(&second);
}

/* ---- passwords ---- */

static void passwords(void **state)
{
    struct verifier v, none = {0};
    struct err err = {0};
    char longest[PASSWORD_MAX + 2];

    (void)state;
    memset(longest, 'x', sizeof longest);
    assert_false(password_make(STR(""), &v, &err));
    assert_false(password_make(str_from(longest, PASSWORD_MAX + 1), &v, &err));
    assert_false(password_make(str_from("a\0b", 3), &v, &err));
    assert_false(password_make(STR("a\tb"), &v, &err));
    assert_false(password_make(STR("\xff\xfe"), &v, &err));
    assert_true(password_make(str_from(longest, PASSWORD_MAX), &v, &err));
    assert_true(password_check(&cache, &v, str_from(longest, PASSWORD_MAX), clock_monotonic()));
    assert_false(
        password_check(&cache, &v, str_from(longest, PASSWORD_MAX - 1), clock_monotonic()));
    assert_false(
        password_check(&cache, &v, str_from(longest, PASSWORD_MAX + 1), clock_monotonic()));
    assert_false(password_check(&cache, &none, STR(""), clock_monotonic()));
    assert_false(password_check(&cache, &none, STR("?"), clock_monotonic()));
    /* SASLprep: a no-break space is a space, and forms of one letter are one. */
    assert_true(
        password_check(&cache, &anna, STR("pa\xcc\x88sswort\xc2\xa0& more"), clock_monotonic()));
    assert_true(str_starts(str_of(v.hash), STR("$argon2id$v=19$m=19456,t=2,p=1$")));
}

static void right_passwords_are_remembered(void **state)
{
    int64_t now = clock_monotonic(), begun, first, second;
    struct verifier v, other;
    struct err err = {0};

    (void)state;
    assert_true(password_make(STR("one"), &v, &err) && password_make(STR("two"), &other, &err));
    begun = clock_monotonic();
    assert_true(password_check(&cache, &v, STR("one"), now));
    first = clock_monotonic() - begun;
    begun = clock_monotonic();
    assert_true(password_check(&cache, &v, STR("one"), now + MINUTE));
    second = clock_monotonic() - begun;
    assert_true(second < first);
    assert_false(password_check(&cache, &v, STR("two"), now));
    assert_false(password_check(&cache, &other, STR("one"), now));   /* changed in between */
    assert_true(password_check(&cache, &v, STR("one"), now + HOUR)); /* looked at again */
    password_cache_wipe(&cache);
    for (size_t i = 0; i < PASSWORD_REMEMBERED; i++)
        assert_int_equal(cache.entries[i].until, 0);
}

/* From now on there is room for small things only. */
static void take_memory_away(void)
{
    unsigned long pages = 0;
    FILE *sizes = fopen("/proc/self/statm", "re");
    struct rlimit limit = {0, RLIM_INFINITY};

    if (sizes == NULL || fscanf(sizes, "%lu", &pages) != 1)
        _exit(1);
    fclose(sizes);
    limit.rlim_cur = pages * (unsigned long)sysconf(_SC_PAGESIZE) + 1024 * 1024;
    setrlimit(RLIMIT_AS, &limit);
}

/* Argon2id that got no memory was taken for a wrong password: whose was right heard 535, and was banned after five. */
static void want_of_memory_is_no_wrong_password(void **state)
{
    int status = 0;
    pid_t child;

    (void)state;
    if (WITH_ASAN) /* which needs all addresses for itself */
        skip();
    child = fork();
    if (child == 0) {
        cache = (struct password_cache){0};
        take_memory_away();
        _exit(password_check(&cache, &anna, STR("p\xc3\xa4sswort & more"), 0) ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EX_SOFTWARE);
}

/* ---- failures ---- */

static void failures_slow_down_and_ban(void **state)
{
    const struct str here = STR("192.0.2.1"), there = STR("198.51.100.7"),
                     login = STR("anna@example.org");
    struct throttle t;
    int64_t now = HOUR, wait = 0, last = 0;

    (void)state;
    throttle_init(&t, 5, 15 * MINUTE);
    for (int i = 0; i < 5; i++) {
        assert_false(throttle_refuses(&t, here, login, now));
        last = wait;
        wait = throttle_failed(&t, here, login, now);
        assert_true(wait > last && wait <= 5 * SECOND);
    }
    assert_true(throttle_refuses(&t, here, login, now));
    assert_true(throttle_refuses(
        &t, here, STR("bob@example.org"), now)); /* the address is out, whoever it tries */
    assert_true(throttle_refuses(&t, here, (struct str){0}, now));
    assert_false(throttle_refuses(&t, there, login, now));
    assert_false(throttle_refuses(&t, here, login, now + 15 * MINUTE));
    throttle_succeeded(&t, here, login, now); /* one right login pays for no guessing */
    assert_true(throttle_refuses(&t, here, login, now));
    throttle_clear(&t);
}

/* A webmail: one user who forgot the password must not shut out the others. */
static void a_client_without_address_is_counted_by_login(void **state)
{
    const struct str nobody = {0}, home = STR("192.0.2.1"), user = STR("anna@example.org"), bob = STR("bob@example.org");
    struct throttle t;

    (void)state;
    throttle_init(&t, 5, 15 * MINUTE);
    throttle_succeeded(&t, home, user, HOUR);
    throttle_succeeded(&t, nobody, user, HOUR); /* does not become the address of its owner */
    for (int i = 0; i < 5 * THROTTLE_LOGIN_FACTOR; i++) {
        assert_false(throttle_refuses(&t, nobody, user, HOUR));
        assert_true(throttle_failed(&t, nobody, user, HOUR) > 0);
    }
    assert_true(throttle_refuses(&t, nobody, user, HOUR));
    assert_false(throttle_refuses(&t, nobody, bob, HOUR));
    assert_false(throttle_refuses(&t, nobody, nobody, HOUR));
    assert_false(throttle_refuses(&t, home, user, HOUR));
    throttle_clear(&t);
}

static void a_login_guessed_at_from_everywhere(void **state)
{
    const struct str home = STR("192.0.2.1"), login = STR("anna@example.org");
    struct throttle t;
    char from[40];

    (void)state;
    throttle_init(&t, 5, 15 * MINUTE);
    throttle_succeeded(&t, home, login, HOUR);
    for (int i = 0; i < 5 * THROTTLE_LOGIN_FACTOR; i++) {
        snprintf(from, sizeof from, "2001:db8:%x::1", i);
        assert_false(throttle_refuses(&t, str_of(from), login, HOUR));
        throttle_failed(&t, str_of(from), login, HOUR);
    }
    assert_true(throttle_refuses(&t, STR("203.0.113.1"), login, HOUR));
    assert_false(throttle_refuses(&t, home, login, HOUR)); /* its owner is not locked out */
    assert_false(throttle_refuses(&t, STR("203.0.113.1"), STR("bob@example.org"), HOUR));
    throttle_clear(&t);
}

static void throttle_is_bounded(void **state)
{
    struct throttle t;
    char from[40];

    (void)state;
    throttle_init(&t, 5, 15 * MINUTE);
    for (int i = 0; i < THROTTLE_MAX + 100; i++) {
        snprintf(from, sizeof from, "user%d", i);
        throttle_failed(&t, STR("192.0.2.1"), str_of(from), HOUR);
    }
    assert_int_equal(t.map.count, THROTTLE_MAX);
    /* The /64 of an IPv6 address counts as one. */
    throttle_failed(&t, STR("2001:db8::1"), (struct str){0}, HOUR);
    throttle_failed(&t, STR("2001:db8::2"), (struct str){0}, HOUR);
    throttle_failed(&t, STR("2001:db8::3"), (struct str){0}, HOUR);
    throttle_failed(&t, STR("2001:db8::4"), (struct str){0}, HOUR);
    throttle_failed(&t, STR("2001:db8::5"), (struct str){0}, HOUR);
    assert_true(throttle_refuses(&t, STR("2001:db8::6"), (struct str){0}, HOUR));
    throttle_clear(&t);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(clients_log_in),
        TEST(login_takes_the_name_at_once),
        TEST(malformed_messages),
        TEST(an_end_is_an_end),
        TEST(the_world_may_refuse),
        TEST(a_downgrade_is_noticed),
        TEST(unknown_logins_look_like_others),
        TEST(passwords),
        TEST(right_passwords_are_remembered),
        TEST(want_of_memory_is_no_wrong_password),
        TEST(failures_slow_down_and_ban),
        TEST(a_client_without_address_is_counted_by_login),
        TEST(a_login_guessed_at_from_everywhere),
        TEST(throttle_is_bounded),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    sasl_library_free(library);
    gsasl_done(client_library);
    return failed;
}
