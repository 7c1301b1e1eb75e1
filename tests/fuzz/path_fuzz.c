/* An address, as sender and as recipient of a bounce: what is made of it here comes back the same, in any case of letters; what
 * was not made here never does. */
#include "mailauth/return_path.h"
#include "mailauth/srs.h"
#include "smtp/address.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int64_t now = 1700000000;
static const struct path_keys keys = {.keys = {{.octets = "a key", .number = 3}}, .n = 1};

static bool is_srs(struct str address)
{
    struct str domain;
    struct buf local;
    bool found;

    buf_init(&local, ADDRESS_TEXT_MAX);
    path_local(address, &local, &domain);
    found = str_istarts(buf_str(&local), STR("srs0")) || str_istarts(buf_str(&local), STR("srs1"));
    buf_clear(&local);
    return found;
}

static void fold(const struct buf *from, struct buf *to)
{
    for (size_t i = 0; i < from->n; i++)
        buf_add_char(to, ascii_lower(from->p[i]));
}

static void there_and_back(struct str address)
{
    struct buf made, folded, back;

    buf_init(&made, ADDRESS_TEXT_MAX);
    buf_init(&folded, ADDRESS_TEXT_MAX);
    buf_init(&back, ADDRESS_TEXT_MAX);
    if (srs_forward(&keys, address, STR("relay.example"), now, &made) && made.n > 0) {
        assert(srs_reverse(&keys, buf_str(&made), now, &back) == PATH_GOOD);
        assert(is_srs(address) || str_eq(buf_str(&back), address));
        fold(&made, &folded);
        buf_reset(&back);
        assert(srs_reverse(&keys, buf_str(&folded), now, &back) == PATH_GOOD);
        assert(is_srs(address) || str_ieq(buf_str(&back), address));
    }
    buf_reset(&made);
    buf_reset(&folded);
    buf_reset(&back);
    if (return_path_make(&keys, address, now, &made) && made.n > 0) {
        assert(return_path_check(&keys, buf_str(&made), now, &back) == PATH_GOOD && str_eq(buf_str(&back), address));
        fold(&made, &folded);
        buf_reset(&back);
        assert(return_path_check(&keys, buf_str(&folded), now, &back) == PATH_GOOD && str_ieq(buf_str(&back), address));
        buf_reset(&back);
        assert(return_path_unwrap(buf_str(&made), &back) && str_eq(buf_str(&back), address));
    }
    buf_clear(&made);
    buf_clear(&folded);
    buf_clear(&back);
}

/* The keys are not known to who writes the input: to find a MAC takes more tries than there will be. */
static void from_outside(struct str address)
{
    struct buf out;

    buf_init(&out, ADDRESS_TEXT_MAX);
    assert(srs_reverse(&keys, address, now, &out) != PATH_GOOD && out.n == 0);
    assert(return_path_check(&keys, address, now, &out) != PATH_GOOD && out.n == 0);
    (void)return_path_unwrap(address, &out);
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct buf address;
    const char *why;

    buf_init(&address, ADDRESS_TEXT_MAX);
    from_outside(text);
    if (address_canonical(text, ADDRESS_UTF8 | ADDRESS_NULL, &address, &why)) {
        from_outside(buf_str(&address));
        there_and_back(buf_str(&address));
    }
    buf_clear(&address);
    return 0;
}
