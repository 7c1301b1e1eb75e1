#include "password.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/random.h"

#include <errno.h>
#include <gsasl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARGON_MEMORY = 19 * 1024 * 1024, /* OWASP's choice for Argon2id with two passes */
    ARGON_PASSES = 2,
    SALT_BYTES = 16,
    HASH_BYTES = 32,
};
static const int64_t remember_for = 5 * MINUTE;

void password_cache_init(struct password_cache *cache)
{
    memset(cache, 0, sizeof *cache);
    random_bytes(cache->key, sizeof cache->key);
}

void password_cache_wipe(struct password_cache *cache)
{
    sodium_memzero(cache->entries, sizeof cache->entries);
}

/* The form that is hashed: SASLprep, or the bytes as they are where that does not apply. `out` is
 * NUL-terminated and must be freed with free_secret. */
static char *prepare(struct str password, bool *clean)
{
    char *raw = xstrndup(password.p, password.n), *prepared = NULL;
    bool has_nul = memchr(password.p, 0, password.n) != NULL;

    *clean = !has_nul && gsasl_saslprep(raw, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) == GSASL_OK &&
             prepared != NULL && strlen(prepared) <= PASSWORD_MAX && prepared[0] != 0;
    if (!*clean) {
        if (prepared != NULL)
            gsasl_free(prepared);
        return raw;
    }
    sodium_memzero(raw, password.n);
    free(raw);
    raw = xstrndup(prepared, strlen(prepared));
    sodium_memzero(prepared, strlen(prepared));
    gsasl_free(prepared);
    return raw;
}

static void free_secret(char *secret)
{
    sodium_memzero(secret, strlen(secret));
    free(secret);
}

static void encode(char *out, size_t size, const void *bytes, size_t n)
{
    struct buf text;

    buf_init(&text, size - 1);
    base64_encode(&text, str_from(bytes, n));
    if (text.failed)
        fatal("password: a key does not fit");
    memcpy(out, text.p, text.n);
    out[text.n] = 0;
    buf_clear(&text);
}

static bool make_scram(const char *password, struct verifier *out)
{
    char salt[SALT_BYTES], salted[HASH_BYTES], client[HASH_BYTES], server[HASH_BYTES],
        stored[HASH_BYTES];
    int rc;

    random_bytes(salt, sizeof salt);
    rc = gsasl_scram_secrets_from_password(GSASL_HASH_SHA256, password, PASSWORD_ITERATIONS, salt,
        sizeof salt, salted, client, server, stored);
    encode(out->salt, sizeof out->salt, salt, sizeof salt);
    encode(out->server, sizeof out->server, server, sizeof server);
    encode(out->stored, sizeof out->stored, stored, sizeof stored);
    out->iterations = PASSWORD_ITERATIONS;
    sodium_memzero(salted, sizeof salted);
    sodium_memzero(client, sizeof client);
    return rc == GSASL_OK;
}

bool password_make(struct str password, struct verifier *out, struct err *err)
{
    char *secret;
    bool clean, made;

    memset(out, 0, sizeof *out);
    if (password.n == 0 || password.n > PASSWORD_MAX)
        return err_set(err, ERR_PERMANENT, "a password has 1 to %d octets", PASSWORD_MAX);
    secret = prepare(password, &clean);
    if (!clean) {
        free_secret(secret);
        return err_set(err, ERR_PERMANENT,
            "the password holds characters that cannot be typed everywhere (control "
            "characters or broken UTF-8): choose another one");
    }
    made = crypto_pwhash_str_alg(out->hash, secret, strlen(secret), ARGON_PASSES, ARGON_MEMORY,
               crypto_pwhash_ALG_ARGON2ID13) == 0 &&
           make_scram(secret, out);
    free_secret(secret);
    if (!made)
        fatal("password: not enough memory for hashing");
    return true;
}

static void tag_of(const struct password_cache *cache, const struct verifier *v, const char *secret,
    uint8_t tag[32])
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, cache->key, sizeof cache->key, 32);
    crypto_generichash_update(&state, (const unsigned char *)v->hash, strlen(v->hash) + 1);
    crypto_generichash_update(&state, (const unsigned char *)secret, strlen(secret));
    crypto_generichash_final(&state, tag, 32);
}

static struct remembered *place_of(struct password_cache *cache, const uint8_t tag[32])
{
    uint64_t index;

    memcpy(&index, tag, sizeof index);
    return &cache->entries[index % PASSWORD_REMEMBERED];
}

struct argon {
    unsigned long long passes;
    size_t memory;
    uint8_t salt[crypto_pwhash_SALTBYTES], wanted[HASH_BYTES];
};

/* False when it is not of the form that crypto_pwhash_str_alg makes. */
static bool take_apart(const char *hash, struct argon *a)
{
    unsigned memory, passes;
    char salt[24], wanted[44];
    size_t salt_n, wanted_n;

    if (sscanf(hash, "$argon2id$v=19$m=%9u,t=%9u,p=1$%23[^$]$%43s", &memory, &passes, salt, wanted) != 4)
        return false;
    a->memory = (size_t)memory * 1024;
    a->passes = passes;
    return sodium_base642bin(a->salt, sizeof a->salt, salt, strlen(salt), NULL, &salt_n, NULL,
               sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0 &&
           sodium_base642bin(a->wanted, sizeof a->wanted, wanted, strlen(wanted), NULL, &wanted_n, NULL,
               sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0 &&
           salt_n == sizeof a->salt && wanted_n == sizeof a->wanted;
}

/* crypto_pwhash_str_verify takes want of memory for a mismatch: who is right would hear that he is wrong, and be banned. */
static bool matches(const char *hash, const char *secret)
{
    uint8_t made[HASH_BYTES];
    struct argon a;
    bool right;

    if (!take_apart(hash, &a))
        return crypto_pwhash_str_verify(hash, secret, strlen(secret)) == 0;
    errno = 0;
    right = crypto_pwhash(made, sizeof made, secret, strlen(secret), a.salt, a.passes, a.memory,
                crypto_pwhash_ALG_ARGON2ID13) == 0;
    if (!right && errno == ENOMEM)
        fatal("password: not enough memory for hashing");
    right = right && sodium_memcmp(made, a.wanted, sizeof made) == 0;
    sodium_memzero(made, sizeof made);
    return right;
}

static bool verify(const struct verifier *v, const char *secret)
{
    /* Of nobody: the hash of random bytes with the cost of all others. */
    static char nobody[crypto_pwhash_STRBYTES];

    if (nobody[0] == 0) {
        char bytes[32];

        random_bytes(bytes, sizeof bytes);
        if (crypto_pwhash_str_alg(nobody, bytes, sizeof bytes, ARGON_PASSES, ARGON_MEMORY,
                crypto_pwhash_ALG_ARGON2ID13) != 0)
            fatal("password: not enough memory for hashing");
    }
    if (v->hash[0] == 0) {
        (void)matches(nobody, secret);
        return false;
    }
    return matches(v->hash, secret);
}

bool password_check(
    struct password_cache *cache, const struct verifier *v, struct str password, int64_t now)
{
    struct remembered *entry;
    uint8_t tag[32];
    char *secret;
    bool clean, right;

    if (password.n == 0 || password.n > PASSWORD_MAX || memchr(password.p, 0, password.n) != NULL)
        password = STR("?"); /* takes as long as any other wrong one */
    secret = prepare(password, &clean);
    tag_of(cache, v, secret, tag);
    entry = place_of(cache, tag);
    right =
        v->hash[0] != 0 && entry->until > now && sodium_memcmp(entry->tag, tag, sizeof tag) == 0;
    if (!right && (right = verify(v, secret))) {
        memcpy(entry->tag, tag, sizeof tag);
        entry->until = now + remember_for;
    }
    free_secret(secret);
    return right;
}

void password_invent(const uint8_t secret[32], struct str name, struct verifier *out)
{
    uint8_t bytes[SALT_BYTES + 2 * HASH_BYTES];
    crypto_generichash_state state;

    memset(out, 0, sizeof *out);
    for (uint8_t part = 0; part < 3; part++) {
        crypto_generichash_init(&state, secret, 32, 32);
        crypto_generichash_update(&state, &part, 1);
        crypto_generichash_update(&state, (const unsigned char *)name.p, name.n);
        crypto_generichash_final(&state,
            part == 0 ? bytes : bytes + SALT_BYTES + (part - 1) * HASH_BYTES,
            part == 0 ? SALT_BYTES : HASH_BYTES);
    }
    encode(out->salt, sizeof out->salt, bytes, SALT_BYTES);
    encode(out->stored, sizeof out->stored, bytes + SALT_BYTES, HASH_BYTES);
    encode(out->server, sizeof out->server, bytes + SALT_BYTES + HASH_BYTES, HASH_BYTES);
    out->iterations = PASSWORD_ITERATIONS;
}
