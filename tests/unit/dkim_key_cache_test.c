/* Keys kept from message to message: found by their text and kind only, bounded, the longest unused goes first; a changed record
 * is a new key. */
#include "dkim_signer.h"
#include "dkim_world.h"
#include "mailauth/dkim_key_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

static bool finds(struct dkim_key_cache *cache, enum dkim_algorithm algorithm, const char *text, EVP_PKEY *wanted)
{
    unsigned bits = 0;
    EVP_PKEY *found = dkim_key_cache_find(cache, algorithm, str_of(text), &bits);

    assert_true(found == NULL || (found == wanted && bits == 7));
    EVP_PKEY_free(found);
    return found != NULL;
}

static void kept_and_found(void **state)
{
    struct dkim_key_cache *cache = dkim_key_cache_new();
    struct dkim_test_key key;

    (void)state;
    dkim_make_ed25519(&key);
    assert_false(finds(cache, DKIM_RSA_SHA256, "a", NULL));
    dkim_key_cache_add(cache, DKIM_RSA_SHA256, STR("a"), key.pkey, 7);
    dkim_key_cache_add(cache, DKIM_RSA_SHA256, STR("a"), key.pkey, 7);
    assert_true(finds(cache, DKIM_RSA_SHA256, "a", key.pkey));
    assert_false(finds(cache, DKIM_ED25519_SHA256, "a", NULL));
    assert_false(finds(cache, DKIM_RSA_SHA256, "A", NULL));
    assert_false(finds(cache, DKIM_RSA_SHA256, "", NULL));
    assert_false(finds(NULL, DKIM_RSA_SHA256, "a", NULL));
    dkim_key_cache_add(NULL, DKIM_RSA_SHA256, STR("a"), key.pkey, 7);
    dkim_key_cache_free(cache);
    dkim_key_cache_free(NULL);
    dkim_clear_key(&key);
}

static void the_longest_unused_goes(void **state)
{
    struct dkim_key_cache *cache = dkim_key_cache_new();
    struct dkim_test_key key;
    char text[20];

    (void)state;
    dkim_make_ed25519(&key);
    for (unsigned i = 0; i < DKIM_KEY_CACHE_MAX + 10; i++) {
        snprintf(text, sizeof text, "%u", i);
        dkim_key_cache_add(cache, DKIM_RSA_SHA256, str_of(text), key.pkey, 7);
        assert_true(finds(cache, DKIM_RSA_SHA256, "0", key.pkey)); /* used all the time */
    }
    for (unsigned i = 1; i < DKIM_KEY_CACHE_MAX + 10; i++) {
        snprintf(text, sizeof text, "%u", i);
        assert_int_equal(finds(cache, DKIM_RSA_SHA256, text, key.pkey), i > 10);
    }
    dkim_key_cache_free(cache);
    dkim_clear_key(&key);
}

/* The owner changes the record: what was signed with the old key no longer passes. */
static void a_changed_record(void **state)
{
    static struct dkim_zone zone;
    struct dkim_test_key old, new;
    struct buf out;

    (void)state;
    zone.keys_kept = dkim_key_cache_new();
    dkim_make_rsa(&old, 1024);
    dkim_make_rsa(&new, 1024);
    assert_true(dkim_sign_message(&old, 1, "example.org", 1700000000, STR("From: a@example.org\r\n\r\nx\r\n"), &out));
    for (unsigned i = 0; i < 4; i++) {
        struct dkim_verify *v;

        zone.n = 0;
        dkim_zone_add(&zone, "s0._domainkey.example.org", i < 2 ? old.record : i == 2 ? new.record : "v=DKIM1; p=");
        v = dkim_verify_message(&zone, buf_str(&out), 1700000000, (struct dkim_way){100, false});
        assert_int_equal(dkim_verify_outcome(v, 0)->result, i < 2 ? DKIM_PASS : i == 2 ? DKIM_FAIL : DKIM_PERMERROR);
        assert_int_equal(dkim_verify_outcome(v, 0)->key_bits, i < 3 ? 1024 : 0);
        dkim_verify_free(v);
    }
    dkim_key_cache_free(zone.keys_kept);
    buf_clear(&out);
    dkim_clear_key(&old);
    dkim_clear_key(&new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_and_found),
        cmocka_unit_test(the_longest_unused_goes),
        cmocka_unit_test(a_changed_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
