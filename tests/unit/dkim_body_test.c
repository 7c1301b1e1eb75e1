/* Hashes of a body: of every length that can be asked for, in both forms, however the body is cut, the same as of the
 * beginning of the canonical form made at once. */
#include "mailauth/dkim_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum { ROUNDS = 300, TEXT = 60 };

static void on_bytes(void *owner, struct str bytes)
{
    buf_add(owner, bytes);
}

static void make_canonical(enum dkim_canon form, struct str text, struct buf *out)
{
    struct dkim_canon_body b;

    buf_init(out, 10 * TEXT);
    dkim_canon_begin(&b, form, on_bytes, out);
    dkim_canon_add(&b, text);
    dkim_canon_end(&b);
}

static void check(const struct dkim_body *body, size_t number, struct str canonical, uint64_t length)
{
    struct str part = str_sub(canonical, 0, length < canonical.n ? (size_t)length : canonical.n);
    unsigned char wanted[DKIM_HASH];

    assert_int_equal(EVP_Digest(part.p, part.n, wanted, NULL, EVP_sha256(), NULL), 1);
    assert_memory_equal(dkim_body_hash(body, number), wanted, DKIM_HASH);
    assert_int_equal(dkim_body_length(body, number), canonical.n);
}

static struct str random_text(char *room)
{
    static const char letters[] = "ab \t\r\n";
    size_t n = (size_t)rand() % TEXT;

    for (size_t i = 0; i < n; i++)
        room[i] = letters[(size_t)rand() % (sizeof letters - 1)];
    return str_from(room, n);
}

static void feed(struct dkim_body *body, struct str text)
{
    while (text.n > 0) {
        size_t n = 1 + (size_t)rand() % text.n;

        dkim_body_add(body, str_sub(text, 0, n));
        text = str_skip(text, n);
    }
    dkim_body_end(body);
}

static void each_length_has_its_hash(void **state)
{
    (void)state;
    srand(1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct dkim_body *body = dkim_body_new();
        uint64_t lengths[DKIM_BODIES_MAX];
        size_t numbers[DKIM_BODIES_MAX];
        struct buf canonical[2];
        char room[TEXT];
        struct str text = random_text(room);

        for (size_t i = 0; i < DKIM_BODIES_MAX; i++) {
            lengths[i] = rand() % 10 == 0 ? UINT64_MAX : (uint64_t)rand() % (TEXT + 5);
            assert_true(dkim_body_want(body, (enum dkim_canon)(i % 2), lengths[i], &numbers[i]));
        }
        feed(body, text);
        make_canonical(DKIM_SIMPLE, text, &canonical[DKIM_SIMPLE]);
        make_canonical(DKIM_RELAXED, text, &canonical[DKIM_RELAXED]);
        for (size_t i = 0; i < DKIM_BODIES_MAX; i++)
            check(body, numbers[i], buf_str(&canonical[i % 2]), lengths[i]);
        buf_clear(&canonical[DKIM_SIMPLE]);
        buf_clear(&canonical[DKIM_RELAXED]);
        dkim_body_free(body);
    }
}

static void there_is_a_limit(void **state)
{
    struct dkim_body *body = dkim_body_new();
    size_t number;

    (void)state;
    for (size_t i = 0; i < DKIM_BODIES_MAX; i++)
        assert_true(dkim_body_want(body, DKIM_SIMPLE, i, &number));
    assert_false(dkim_body_want(body, DKIM_SIMPLE, UINT64_MAX, &number));
    assert_true(dkim_body_want(body, DKIM_SIMPLE, 7, &number));
    assert_int_equal(number, 7);
    dkim_body_end(body);
    dkim_body_free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_length_has_its_hash), cmocka_unit_test(there_is_a_limit)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
