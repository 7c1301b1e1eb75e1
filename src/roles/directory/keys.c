/* Private keys, and signing with them. The supervisor reads the key files and hands them to this
 * process; nobody else has them. After a reload the keys of the certificates before it are kept for
 * handshakes that are under way. */
#include "directory.h"

#include "base/log.h"
#include "base/metric.h"
#include "net/remote_key.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

static struct metric signed_total = METRIC_COUNTER("staffetta_directory_tls_signatures_total",
    "TLS handshakes signed for smtp, access and web.");
static struct metric refused_total = METRIC_COUNTER("staffetta_directory_tls_signatures_refused_total", "Signatures that could not be made.");

struct held_key {
    unsigned char id[KEY_ID_SIZE];
    EVP_PKEY *key;
};

struct key_store {
    struct held_key *now, *before;
    size_t now_n, before_n;
};

static void free_keys(struct held_key *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        EVP_PKEY_free(keys[i].key);
    free(keys);
}

static bool add_key(struct held_key *held, const struct role_certificate *c)
{
    struct err err = {0};

    if (!key_pair_read(&held->key, c->chain, c->key, &err)) {
        log_error("certificate", "name=%.*s reason=%s", STR_ARG(c->name), err.text);
        return false;
    }
    if (remote_key_id(held->key, held->id))
        return true;
    EVP_PKEY_free(held->key);
    return false;
}

void keys_load(struct directory *d)
{
    size_t n = role_certificate_count(d->role), good = 0;
    struct held_key *fresh = xcalloc(n, sizeof *fresh);

    if (d->keys == NULL)
        d->keys = xcalloc(1, sizeof *d->keys);
    for (size_t i = 0; role_copy(d->role) == 0 && i < n; i++)
        good += add_key(&fresh[good], role_certificate_at(d->role, i));
    free_keys(d->keys->before, d->keys->before_n);
    d->keys->before = d->keys->now;
    d->keys->before_n = d->keys->now_n;
    d->keys->now = fresh;
    d->keys->now_n = good;
    metric_show(&signed_total);
    metric_show(&refused_total);
}

static EVP_PKEY *find(const struct held_key *keys, size_t n, struct str id)
{
    for (size_t i = 0; i < n; i++)
        if (id.n == KEY_ID_SIZE && memcmp(keys[i].id, id.p, KEY_ID_SIZE) == 0)
            return keys[i].key;
    return NULL;
}

/* The operation must fit the key: no other use of it than a handshake's signature is offered. */
static bool sign(EVP_PKEY *key, uint64_t operation, struct str input, struct buf *out)
{
    bool rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
    EVP_PKEY_CTX *ctx = rsa == (operation != KEY_ECDSA) ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    size_t n = KEY_OUTPUT_MAX;
    char *room = buf_reserve(out, n);
    bool done = ctx != NULL && room != NULL && operation <= KEY_ECDSA && EVP_PKEY_sign_init(ctx) == 1;

    if (done && rsa)
        done = EVP_PKEY_CTX_set_rsa_padding(ctx, operation == KEY_RSA_RAW ? RSA_NO_PADDING : RSA_PKCS1_PADDING) == 1;
    done = done && EVP_PKEY_sign(ctx, (unsigned char *)room, &n, (const unsigned char *)input.p, input.n) == 1;
    if (done)
        out->n += n;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return done;
}

void on_key_sign_ask(struct role *role, struct channel *from, const struct msg_key_sign_ask *m)
{
    struct directory *d = role_state(role);
    const struct key_store *store = d->keys;
    EVP_PKEY *key = find(store->now, store->now_n, m->key);
    struct buf out;
    bool done;

    d->books[BOOK_SIGNATURE].came++;
    if (key == NULL)
        key = find(store->before, store->before_n, m->key);
    buf_init(&out, KEY_OUTPUT_MAX);
    done = key != NULL && sign(key, m->operation, m->input, &out);
    metric_add(done ? &signed_total : &refused_total, 1);
    d->books[BOOK_SIGNATURE].answered++;
    ipc_send_key_sign_reply(from, &(struct msg_key_sign_reply){m->id, done, buf_str(&out)});
    buf_clear(&out);
}
