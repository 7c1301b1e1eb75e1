/* staffetta dkim: what the commands do and refuse, the records they print, signatures made with the keys, and a disk that fails at each write. */
#include "directory_world.h"

#include "base/encode.h"
#include "fault_vfs.h"
#include "mailauth/dkim_key.h"
#include "roles/directory/dkim_make.h"
#include "roles/directory/dkim_signer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct dkim_rows keys;

static struct dkim_row *key(enum dkim_algorithm algorithm, enum dkim_state state)
{
    struct err err = {0};

    if (!dkim_rows_get(&store, STR("example.org"), &keys, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < keys.n; i++)
        if (keys.rows[i].algorithm == algorithm && keys.rows[i].state == state)
            return &keys.rows[i];
    return NULL;
}

static size_t private_bytes(const char *selector)
{
    struct err err = {0};
    struct buf der;
    size_t n;

    buf_init(&der, 8192);
    assert_true(dkim_rows_private(&store, STR("example.org"), str_of(selector), &der, &err));
    n = der.n;
    buf_clear(&der);
    return n;
}

static const struct {
    const char *line;
    int code;
    const char *words;
} wrong[] = {
    {"dkim", EX_USAGE, "make, show, check, confirm, rotate, revoke, list"},
    {"dkim make", EX_USAGE, "usage"},
    {"dkim make no.example", EX_NOHOST, "domain list"},
    {"dkim make x..y", EX_DATAERR, "no domain"},
    {"dkim make example.org more", EX_USAGE, "too many"},
    {"dkim make example.org algorithm=dsa", EX_USAGE, "rsa, ed25519"},
    {"dkim make example.org selector=s1", EX_USAGE, "for which algorithm"},
    {"dkim make example.org algorithm=rsa selector=S_1", EX_DATAERR, "no selector"},
    {"dkim make example.org algorithm=rsa selector=-a", EX_DATAERR, "no selector"},
    {"dkim make example.org algorithm=rsa selector=a.b", EX_DATAERR, "no selector"},
    {"dkim make example.org algorithm=rsa selector=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234", EX_DATAERR, "no selector"},
    {"dkim show example.org", EX_NOUSER, "dkim make example.org"},
    {"dkim check example.org", EX_NOUSER, "dkim make example.org"},
    {"dkim confirm example.org s1", EX_NOUSER, "dkim list"},
    {"dkim rotate example.org algorithm=none", EX_USAGE, "rsa, ed25519"},
    {"dkim revoke example.org", EX_USAGE, "usage"},
    {"dkim revoke example.org s1", EX_NOUSER, "dkim list"},
    {"dkim list limit=x", EX_USAGE, "number"},
};

static void command_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        refuses(wrong[i].line, wrong[i].code, wrong[i].words);
        assert_false(db_in_transaction(store.db));
    }
    must("dkim list");
    assert_int_equal(row_count, 0);
}

static void a_domain_gets_both_keys(void **state)
{
    (void)state;
    must("dkim make Example.ORG");
    assert_int_equal(row_count, 2);
    assert_true(shown("v=DKIM1; k=rsa; p=MIIBIjAN") && shown("v=DKIM1; k=ed25519; p="));
    assert_non_null(key(DKIM_RSA_SHA256, DKIM_WAITING));
    assert_non_null(key(DKIM_ED25519_SHA256, DKIM_WAITING));
    must("dkim make example.org"); /* nothing is missing: the same again */
    must("dkim rotate example.org");
    assert_int_equal(row_count, 2);
    must("dkim make example.org algorithm=ed25519 selector=mine");
    assert_int_equal(row_count, 3);
    refuses("dkim make example.org algorithm=ed25519 selector=mine", EX_CANTCREAT, "already");
    must("dkim show example.org mine");
    assert_true(row_count == 1 && shown("mine._domainkey.example.org"));
    must("dkim list");
    assert_int_equal(row_count, 3);
    must("dkim list limit=2");
    assert_int_equal(row_count, 2);
    must("dkim list second");
    assert_int_equal(row_count, 0);
    refuses("dkim check example.org", EX_TEMPFAIL, "running server");
    assert_int_equal(row_count, 3);
}

static void keys_are_bounded(void **state)
{
    char line[100];

    (void)state;
    must("dkim make second.example algorithm=rsa selector=r");
    for (int i = 1; i < DKIM_ROWS_MAX; i++) {
        snprintf(line, sizeof line, "dkim make second.example algorithm=ed25519 selector=s%d", i);
        must(line);
    }
    refuses("dkim make second.example algorithm=ed25519", EX_DATAERR, "32 keys");
    must("dkim revoke second.example r"); /* though there is no room for its successor */
    assert_true(shown("k=rsa; p=\""));
    must("dkim list");
    assert_int_equal(row_count, DKIM_ROWS_MAX);
}

/* The strings of a zone line, put together again. */
static void join_strings(struct str line, struct buf *out)
{
    struct str piece;

    assert_true(str_next(&line, '"', &piece));
    while (str_next(&line, '"', &piece)) {
        assert_true(piece.n > 0 && piece.n <= 255);
        buf_add(out, piece);
        if (!str_next(&line, '"', &piece))
            break;
    }
}

static void zone_lines_hold_the_record(void **state)
{
    struct buf line, record, joined;

    (void)state;
    must("dkim make example.org");
    (void)key(DKIM_RSA_SHA256, DKIM_WAITING);
    for (size_t i = 0; i < keys.n; i++) {
        buf_init(&line, 4096);
        buf_init(&record, 4096);
        buf_init(&joined, 4096);
        dkim_write_zone_line(&line, STR("example.org"), &keys.rows[i]);
        dkim_write_record(&record, &keys.rows[i]);
        assert_true(str_starts(buf_str(&line), str_of(keys.rows[i].selector)));
        assert_true(str_ends(buf_str(&line), STR(" )\n")));
        join_strings(buf_str(&line), &joined);
        assert_true(str_eq(buf_str(&record), buf_str(&joined)));
        buf_clear(&line);
        buf_clear(&record);
        buf_clear(&joined);
    }
}

static void a_key_lives_and_ends(void **state)
{
    char first[64], line[200];

    (void)state;
    configure("hostname = \"mail.test\"\ndata = \"/nowhere\"\ndkim { publish_wait = \"0s\" retire_keep = \"0s\" }\n");
    must("dkim make example.org algorithm=rsa");
    must("dkim confirm example.org");
    assert_true(row_count == 1 && shown("active") && shown("keep its record"));
    snprintf(first, sizeof first, "%s", key(DKIM_RSA_SHA256, DKIM_ACTIVE)->selector);
    must("dkim rotate example.org algorithm=rsa");
    assert_int_equal(row_count, 2);
    assert_string_equal(key(DKIM_RSA_SHA256, DKIM_ACTIVE)->selector, first); /* until the other is published */
    snprintf(line, sizeof line, "dkim confirm example.org %s", key(DKIM_RSA_SHA256, DKIM_WAITING)->selector);
    must(line);
    assert_string_not_equal(key(DKIM_RSA_SHA256, DKIM_ACTIVE)->selector, first);
    assert_true(private_bytes(first) > 1000);
    must("dkim confirm example.org"); /* time goes by: retire_keep is none */
    assert_non_null(key(DKIM_RSA_SHA256, DKIM_EXPIRED));
    assert_int_equal(private_bytes(first), 0);
    must("dkim show example.org");
    assert_int_equal(row_count, 1);
    snprintf(line, sizeof line, "dkim confirm example.org %s", first);
    refuses(line, EX_DATAERR, "not be used");
    snprintf(line, sizeof line, "dkim revoke example.org %s", first);
    refuses(line, EX_DATAERR, "already");
    configure("hostname = \"mail.test\"\ndata = \"/nowhere\"\n");
}

static void a_revoked_key_is_wiped(void **state)
{
    char first[64], line[200];

    (void)state;
    must("dkim make example.org algorithm=rsa");
    must("dkim confirm example.org");
    snprintf(first, sizeof first, "%s", key(DKIM_RSA_SHA256, DKIM_ACTIVE)->selector);
    snprintf(line, sizeof line, "dkim revoke example.org %s", first);
    must(line);
    assert_true(shown("k=rsa; p=\""));
    assert_int_equal(private_bytes(first), 0);
    assert_non_null(key(DKIM_RSA_SHA256, DKIM_WAITING)); /* its successor */
    assert_null(key(DKIM_RSA_SHA256, DKIM_ACTIVE));
}

static void a_domain_takes_its_keys_along(void **state)
{
    (void)state;
    must("domain add gone.example");
    must("dkim make gone.example algorithm=ed25519 selector=s");
    must("domain remove gone.example");
    must("dkim list");
    assert_int_equal(row_count, 0);
    must("domain add gone.example");
    refuses("dkim show gone.example", EX_NOUSER, "no keys");
}

/* ---- signatures ---- */

static bool signs(struct dkim_signer *s, const struct dkim_row *row, enum dkim_algorithm algorithm, struct buf *out)
{
    static const char hash[DKIM_HASH] = "0123456789abcdef0123456789abcde";
    struct err err = {0};
    bool done = dkim_signer_sign(s, STR("example.org"), str_of(row->selector), algorithm, str_from(hash, sizeof hash), out, &err);

    assert_true(done || err.kind == ERR_PERMANENT);
    return done;
}

static void only_keys_in_use_sign(void **state)
{
    struct dkim_row *row;
    struct dkim_signer s;
    struct err err = {0};
    struct str selector;
    struct buf out;

    (void)state;
    buf_init(&out, 2 * DKIM_SIGNATURE_BYTES);
    must("dkim make example.org");
    dkim_signer_init(&s, &store, NULL);
    assert_true(dkim_signer_selector(&s, STR("example.org"), DKIM_RSA_SHA256, &selector, &err) && selector.n == 0);
    assert_false(signs(&s, key(DKIM_RSA_SHA256, DKIM_WAITING), DKIM_RSA_SHA256, &out));
    must("dkim confirm example.org");
    dkim_signer_clear(&s);
    row = key(DKIM_RSA_SHA256, DKIM_ACTIVE);
    assert_true(dkim_signer_selector(&s, STR("example.org"), DKIM_RSA_SHA256, &selector, &err) && str_eq(selector, str_of(row->selector)));
    assert_false(signs(&s, row, DKIM_ED25519_SHA256, &out));
    assert_int_equal(out.n, 0);
    assert_true(signs(&s, row, DKIM_RSA_SHA256, &out));
    assert_int_equal(out.n, 256);
    assert_false(dkim_signer_sign(&s, STR("example.org"), selector, DKIM_RSA_SHA256, STR("short"), &out, &err));
    assert_true(dkim_signer_selector(&s, STR("no.example"), DKIM_RSA_SHA256, &selector, &err) && selector.n == 0);
    dkim_signer_clear(&s);
    buf_clear(&out);
}

static bool record_fits(struct dkim_signer *s, const struct dkim_row *row, const char *record)
{
    struct err err = {0};
    bool fits;

    assert_true(dkim_signer_try(s, STR("example.org"), row, str_of(record), &fits, &err));
    return fits;
}

static void records_are_tried(void **state)
{
    char record[1200], other[1200];
    struct dkim_signer s;

    (void)state;
    must("dkim make example.org");
    dkim_signer_init(&s, &store, NULL);
    (void)key(DKIM_RSA_SHA256, DKIM_WAITING);
    for (size_t i = 0; i < keys.n; i++) {
        const char *kind = keys.rows[i].algorithm == DKIM_RSA_SHA256 ? "rsa" : "ed25519";

        snprintf(record, sizeof record, "v=DKIM1; k=%s; p=%s", kind, keys.rows[i].public);
        snprintf(other, sizeof other, " k=%s ; h=sha256; s=email; t=y; n=ours; p=%.20s  %s", kind, keys.rows[i].public, keys.rows[i].public + 20);
        assert_true(record_fits(&s, &keys.rows[i], record) && record_fits(&s, &keys.rows[i], other));
        assert_false(record_fits(&s, &keys.rows[1 - i], record));
        record[strlen(record) - 5] ^= 1;
        assert_false(record_fits(&s, &keys.rows[i], record));
        assert_false(record_fits(&s, &keys.rows[i], "v=DKIM1; p=") || record_fits(&s, &keys.rows[i], "") || record_fits(&s, &keys.rows[i], "v=spf1 -all"));
    }
    dkim_signer_clear(&s);
}

/* More domains than are kept: the oldest goes, and comes back when it is asked for. */
static void remembered_keys_are_bounded(void **state)
{
    struct dkim_signer s;
    struct err err = {0};
    struct str selector;
    char name[40];

    (void)state;
    must("dkim make example.org algorithm=ed25519 selector=mine");
    must("dkim confirm example.org");
    dkim_signer_init(&s, &store, NULL);
    for (int i = 0; i < 3 * DKIM_SIGNER_DOMAINS; i++) {
        snprintf(name, sizeof name, "d%d.example", i);
        assert_true(dkim_signer_selector(&s, str_of(name), DKIM_RSA_SHA256, &selector, &err));
        assert_true(s.domains.count <= DKIM_SIGNER_DOMAINS);
    }
    assert_true(dkim_signer_selector(&s, STR("example.org"), DKIM_ED25519_SHA256, &selector, &err) && str_eq(selector, STR("mine")));
    dkim_signer_clear(&s);
}

/* ---- a disk that fails ---- */

/* A key that is over has no private part, every other has one that can be read. */
static void check_whole(void)
{
    struct err err = {0};

    if (!db_check_integrity(store.db, &err) || !dkim_rows_get(&store, STR("example.org"), &keys, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < keys.n; i++)
        assert_int_equal(private_bytes(keys.rows[i].selector) == 0, keys.rows[i].state >= DKIM_EXPIRED);
}

static void every_write_fails_in_turn(void **state)
{
    static const char *const lines[] = {"dkim make example.org algorithm=ed25519 selector=one", "dkim confirm example.org one",
        "dkim make example.org algorithm=ed25519 selector=two", "dkim confirm example.org two", "dkim revoke example.org two"};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        int code = EX_TEMPFAIL;

        for (int n = 1; code == EX_TEMPFAIL; n++) {
            fault_at(n, n % 2 == 0);
            code = say(lines[i]);
            fault_at(0, false);
            if (code != 0 && code != EX_TEMPFAIL && code != EX_CANTCREAT && code != EX_DATAERR) /* the commit had come about */
                fail_msg("%s: %d %s", lines[i], code, said);
            assert_false(db_in_transaction(store.db));
            reopen();
            check_whole();
        }
    }
    assert_non_null(key(DKIM_ED25519_SHA256, DKIM_REVOKED));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, directory_begin, directory_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(command_errors),
        TEST(a_domain_gets_both_keys),
        TEST(keys_are_bounded),
        TEST(zone_lines_hold_the_record),
        TEST(a_key_lives_and_ends),
        TEST(a_revoked_key_is_wiped),
        TEST(a_domain_takes_its_keys_along),
        TEST(only_keys_in_use_sign),
        TEST(records_are_tried),
        TEST(remembered_keys_are_bounded),
        TEST(every_write_fails_in_turn),
    };

    return cmocka_run_group_tests_name("dkim_command", tests, directory_open, directory_close);
}
