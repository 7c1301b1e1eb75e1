/* See sts_own.h. */
#include "sts_own.h"
#include "base/clock.h"
#include "base/encode.h"

#include <openssl/evp.h>
#include <string.h>

enum { ID_OCTETS = 16, SHA256_OCTETS = 32 }; /* of the hash; in hexadecimal exactly STS_ID_MAX */

static enum sts_mode mode_of(struct str name)
{
    for (enum sts_mode m = STS_NONE; m <= STS_ENFORCE; m++)
        if (str_eq(name, str_of(sts_mode_name(m))))
            return m;
    fatal("an unchecked mode of MTA-STS");
}

static const struct config_mta_sts *section_of(const struct config *config, struct str domain)
{
    for (size_t i = 0; i < config->mta_sts_count; i++)
        if (str_ieq(config->mta_sts[i].name, domain))
            return &config->mta_sts[i];
    return &config->mta_sts_standard;
}

struct sts_own sts_own_of(const struct config *config, struct str domain)
{
    const struct config_mta_sts *s = section_of(config, domain);

    return (struct sts_own){
        .mode = mode_of(s->mode),
        .max_age = (uint32_t)(s->max_age / SECOND),
        .mx = s->mx.n > 0 ? s->mx.items : &config->hostname,
        .mx_n = s->mx.n > 0 ? s->mx.n : 1,
    };
}

void sts_own_write(const struct sts_own *own, struct buf *text)
{
    buf_addf(text, "version: STSv1\r\nmode: %s\r\n", sts_mode_name(own->mode));
    for (size_t i = 0; i < own->mx_n; i++)
        buf_addf(text, "mx: %.*s\r\n", STR_ARG(own->mx[i]));
    buf_addf(text, "max_age: %u\r\n", own->max_age);
}

void sts_own_id(struct str text, char id[STS_ID_MAX + 1])
{
    unsigned char hash[SHA256_OCTETS];
    struct buf hex;

    if (EVP_Digest(text.p, text.n, hash, NULL, EVP_sha256(), NULL) != 1)
        fatal("SHA-256 fails");
    buf_init(&hex, STS_ID_MAX);
    hex_encode(&hex, str_from((const char *)hash, ID_OCTETS));
    memcpy(id, hex.p, STS_ID_MAX);
    id[STS_ID_MAX] = '\0';
    buf_clear(&hex);
}
