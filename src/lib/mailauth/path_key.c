/* See path_key.h. */
#include "path_key.h"
#include "base/err.h"
#include "smtp/address.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static const char *const result_names[] = {
    [PATH_PLAIN] = "plain", [PATH_GOOD] = "good", [PATH_FORGED] = "forged", [PATH_EXPIRED] = "expired",
};

const char *path_result_name(enum path_result result)
{
    return result_names[result];
}

void path_keys_clear(struct path_keys *keys)
{
    OPENSSL_cleanse(keys, sizeof *keys);
}

void path_mac(const struct path_key *key, const struct str *texts, size_t n, unsigned char mac[PATH_MAC_OCTETS])
{
    struct buf all;
    unsigned length = 0;

    buf_init(&all, 8192);
    for (size_t i = 0; i < n; i++) {
        buf_add_number(&all, texts[i].n);
        buf_add_char(&all, ':');
        for (size_t k = 0; k < texts[i].n; k++)
            buf_add_char(&all, ascii_lower(texts[i].p[k]));
    }
    if (all.failed || HMAC(EVP_sha256(), key->octets, sizeof key->octets, (const unsigned char *)all.p, all.n, mac, &length) == NULL ||
        length != PATH_MAC_OCTETS)
        fatal("HMAC of an address failed");
    buf_clear(&all);
}

bool path_same(struct str made, struct str given)
{
    unsigned different = 0;

    if (made.n != given.n)
        return false;
    for (size_t i = 0; i < made.n; i++)
        different |= (unsigned)(unsigned char)ascii_lower(made.p[i]) ^ (unsigned)(unsigned char)ascii_lower(given.p[i]);
    return different == 0;
}

bool path_write(struct str local, struct str domain, struct buf *out)
{
    struct buf text;
    const char *why;
    bool ok;

    buf_init(&text, 2 * ADDRESS_TEXT_MAX);
    local_quote(&text, local);
    buf_add_char(&text, '@');
    buf_add(&text, domain);
    ok = !text.failed && address_canonical(buf_str(&text), ADDRESS_UTF8, out, &why);
    buf_clear(&text);
    return ok;
}

void path_local(struct str address, struct buf *out, struct str *domain)
{
    struct str local;

    address_split(address, &local, domain);
    local_unquote(out, local);
}
