#include "base/encode.h"

#include <sodium.h>

void base64_encode(struct buf *out, struct str bytes)
{
    size_t n = sodium_base64_encoded_len(bytes.n, sodium_base64_VARIANT_ORIGINAL);
    char *room = buf_reserve(out, n);

    if (room == NULL)
        return;
    sodium_bin2base64(room, n, (const unsigned char *)(bytes.n ? bytes.p : ""), bytes.n,
        sodium_base64_VARIANT_ORIGINAL);
    out->n += n - 1;
}

bool base64_decode(struct buf *out, struct str text)
{
    size_t room_n = text.n / 4 * 3 + 3, n;
    char *room;

    if (text.n == 0)
        return true;
    if (text.n % 4 != 0 || (room = buf_reserve(out, room_n)) == NULL)
        return false;
    if (sodium_base642bin((unsigned char *)room, room_n, text.p, text.n, NULL, &n, NULL,
            sodium_base64_VARIANT_ORIGINAL) != 0)
        return false;
    out->n += n;
    return true;
}

void hex_encode(struct buf *out, struct str bytes)
{
    for (size_t i = 0; i < bytes.n; i++)
        buf_addf(out, "%02x", (unsigned char)bytes.p[i]);
}
