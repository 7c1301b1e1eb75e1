/* The value of a DKIM-Signature field, NUL, a key record: both read. What the field gives is inside its limits, and a key
 * that is taken is one that costs little to use. */
#include "mailauth/dkim_key.h"
#include "mailauth/tag_list.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct str part, struct str all)
{
    return part.n == 0 || (part.p >= all.p && part.p + part.n <= all.p + all.n);
}

static void read_key(struct str record, struct dkim_signature *s)
{
    static const unsigned char hash[DKIM_HASH];
    struct dkim_verdict verdict;

    for (int i = DKIM_RSA_SHA256; i <= DKIM_ED25519_SHA256; i++) {
        struct dkim_key *key;

        s->algorithm = (enum dkim_algorithm)i;
        key = dkim_key_read(NULL, record, s, &verdict);
        assert((key != NULL) == (verdict.reason == NULL));
        if (key == NULL)
            continue;
        assert(i == DKIM_ED25519_SHA256 || (dkim_key_bits(key) >= DKIM_RSA_MIN && dkim_key_bits(key) <= DKIM_RSA_MAX));
        (void)dkim_key_verify(key, hash, str_from((const char *)s->bytes, s->bytes_n));
        dkim_key_free(key);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = {(const char *)data, size}, value = all, record = STR("");
    ptrdiff_t end = str_find(all, '\0');
    char name[DNS_NAME_TEXT];
    struct dkim_verdict verdict;
    struct dkim_signature s;

    if (end >= 0) {
        value = str_sub(all, 0, (size_t)end);
        record = str_skip(all, (size_t)end + 1);
    }
    for (size_t i = 0; i < 2; i++) {
        verdict = dkim_signature_read(i == 0 ? ARC_MESSAGE_SIGNATURE : ARC_SEAL, value, &s);
        assert(inside(s.domain, value) && inside(s.selector, value) && inside(s.chain_status, value));
        assert(verdict.reason != NULL || (s.bytes_n > 0 && s.instance > 0 && s.instance <= ARC_SETS_MAX));
    }
    verdict = dkim_signature_read(DKIM_SIGNATURE, value, &s);
    assert(inside(s.domain, value) && inside(s.selector, value) && inside(s.names, value) && inside(s.identity, value));
    assert(s.bytes_n <= DKIM_SIGNATURE_BYTES);
    if (verdict.reason == NULL) {
        assert(s.bytes_n > 0 && tag_has_item(s.names, "from") && dkim_is_domain(s.domain));
        (void)dkim_signature_key_name(s.selector, s.domain, name);
        (void)dkim_signature_check_time(&s, 1700000000);
    }
    read_key(record, &s);
    return 0;
}
