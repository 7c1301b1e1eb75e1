/* Any bytes as an address: what is taken has a canonical text, which is taken again and stays the same;
 * it holds nothing that could break a line. */
#include "smtp/address.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_canonical(struct str text)
{
    struct buf again;
    const char *why;

    buf_init(&again, ADDRESS_TEXT_MAX);
    assert(text.n <= ADDRESS_TEXT_MAX && str_is_utf8(text));
    for (size_t i = 0; i < text.n; i++)
        assert((unsigned char)text.p[i] >= 0x20 && text.p[i] != 0x7f);
    assert(address_canonical(text, ADDRESS_UTF8 | ADDRESS_LOCAL_ONLY | ADDRESS_NULL, &again, &why));
    assert(str_eq(buf_str(&again), text));
    buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data + 1, size - 1}, rest;
    struct address a;
    const char *why;
    struct buf out;

    if (size < 2)
        return 0;
    buf_init(&out, ADDRESS_TEXT_MAX);
    rest = text;
    if (address_parse_path(&rest, data[0] & 7u, &a, &why)) {
        assert(rest.n < text.n);
        if (address_write(&a, &out, &why))
            check_canonical(buf_str(&out));
    }
    buf_reset(&out);
    if (address_canonical(text, data[0] & 7u, &out, &why))
        check_canonical(buf_str(&out));
    buf_reset(&out);
    domain_write_unicode(text, &out);
    buf_clear(&out);
    return 0;
}
