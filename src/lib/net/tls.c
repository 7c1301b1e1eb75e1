/* TLS contexts. A server holds one SSL_CTX for each set of names; the first is where every
 * connection starts, and its SNI callback moves the connection to the one whose names match. RSA and
 * ECDSA certificates for the same names share a context: OpenSSL picks by what the client can do.
 *
 * Tickets are encrypted with keys that live in memory only, are replaced every 12 hours and are
 * still accepted for 12 more; a reload hands the ring on, so sessions can be resumed across it.
 *
 * Lifetime: the server belongs to its default SSL_CTX and goes with it; every SSL holds a reference
 * on that one (as its session context), so the last connection frees everything. */
#include "net/tls.h"
#include "net/remote_key.h"
#include "net/tls_hello.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char ciphers_12[] = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:"
                                 "ECDHE+SHA384:ECDHE+SHA256:!aNULL:!PSK";
#define TICKET_LIFE (12 * HOUR)
enum { NAMES_MAX = 1000 };

struct ticket_key {
    unsigned char name[16], aes[32], mac[32];
    int64_t made; /* monotonic; 0: none */
};

struct ticket_ring {
    unsigned users;
    struct ticket_key now, before;
};

struct names {
    struct str *items;
    size_t n;
};

struct site {
    SSL_CTX *ctx; /* the first one is not counted: it owns us */
    struct names names;
    int key_type;
};

struct tls_server {
    struct site *sites;
    size_t n;
    struct ticket_ring *ring;
    tls_challenge_fn *find_challenge; /* may be NULL */
    void *find_arg;
};

/* ---- errors ---- */

static bool fail(struct err *err, const char *what)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;

    ERR_clear_error();
    return err_set(err, ERR_PERMANENT, "%s%s%s", what, reason != NULL ? ": " : "", reason != NULL ? reason : "");
}

/* ---- tickets ---- */

static void renew_key(struct ticket_ring *ring, int64_t now)
{
    ring->before = ring->now;
    random_bytes(ring->now.name, sizeof ring->now.name);
    random_bytes(ring->now.aes, sizeof ring->now.aes);
    random_bytes(ring->now.mac, sizeof ring->now.mac);
    ring->now.made = now;
}

static struct ticket_ring *ring_new(void)
{
    struct ticket_ring *ring = xcalloc(1, sizeof *ring);

    ring->users = 1;
    renew_key(ring, clock_monotonic());
    return ring;
}

static void ring_release(struct ticket_ring *ring)
{
    if (--ring->users > 0)
        return;
    OPENSSL_cleanse(ring, sizeof *ring);
    free(ring);
}

static bool key_named(const struct ticket_key *key, const unsigned char *name, int64_t now)
{
    return key->made > 0 && now - key->made < 2 * TICKET_LIFE &&
           CRYPTO_memcmp(key->name, name, sizeof key->name) == 0;
}

static bool use_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[3];

    params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac);
    params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
    params[2] = OSSL_PARAM_construct_end();
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int seal_ticket(struct ticket_ring *ring, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int64_t now)
{
    if (now - ring->now.made >= TICKET_LIFE)
        renew_key(ring, now);
    memcpy(name, ring->now.name, sizeof ring->now.name);
    random_bytes(iv, 16);
    return EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, ring->now.aes, iv) == 1 &&
                   use_mac(mac, &ring->now)
               ? 1
               : -1;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int seal);

/* ---- names ---- */

static void names_add(struct names *names, const unsigned char *p, int n)
{
    if (n <= 0 || names->n >= NAMES_MAX || memchr(p, 0, (size_t)n) != NULL)
        return;
    names->items = xrealloc(names->items, (names->n + 1) * sizeof *names->items);
    names->items[names->n++] = str_dup(str_from((const char *)p, (size_t)n));
}

static void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        str_free(&names->items[i]);
    free(names->items);
    *names = (struct names){0};
}

static void names_from_subject(struct names *names, X509 *cert)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *text = NULL;
    int n;

    if (at < 0)
        return;
    n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (n > 0)
        names_add(names, text, n);
    OPENSSL_free(text);
}

/* DNS names of the certificate; the common name only where it has none (RFC 6125, 6.4.4). */
static void names_from_certificate(struct names *names, X509 *cert)
{
    GENERAL_NAMES *alt = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; alt != NULL && i < sk_GENERAL_NAME_num(alt); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(alt, i);

        if (name->type == GEN_DNS)
            names_add(names, ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName));
    }
    GENERAL_NAMES_free(alt);
    if (names->n == 0)
        names_from_subject(names, cert);
}

static bool name_matches(struct str pattern, struct str host)
{
    ptrdiff_t dot = str_find(host, '.');

    if (str_ieq(pattern, host))
        return true;
    return pattern.n > 2 && str_starts(pattern, STR("*.")) && dot > 0 &&
           str_ieq(str_skip(pattern, 1), str_skip(host, (size_t)dot));
}

static bool names_match(const struct names *names, struct str host)
{
    for (size_t i = 0; i < names->n; i++) {
        if (name_matches(names->items[i], host))
            return true;
    }
    return false;
}

static bool names_equal(const struct names *a, const struct names *b)
{
    if (a->n != b->n || a->n == 0)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (!str_ieq(a->items[i], b->items[i]))
            return false;
    }
    return true;
}

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    struct tls_server *server = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    struct str host = str_of(name);

    (void)alert;
    if (host.n > 0 && host.p[host.n - 1] == '.')
        host.n--;
    for (size_t i = 0; host.n > 0 && i < server->n; i++) {
        if (names_match(&server->sites[i].names, host)) {
            SSL_set_SSL_CTX(ssl, server->sites[i].ctx);
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_OK; /* unknown names get the default: mail clients rarely check, better than no TLS */
}

/* ---- contexts ---- */

static SSL_CTX *context_new(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (ctx == NULL)
        return NULL;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(
        ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(ctx, 1);
    return ctx;
}

static bool context_for_server(SSL_CTX **out, struct err *err)
{
    SSL_CTX *ctx = context_new(TLS_server_method());

    if (ctx == NULL)
        return fail(err, "TLS is not available");
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"staffetta", 9);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_dh_auto(ctx, 1);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
    *out = ctx;
    if (SSL_CTX_set_cipher_list(ctx, ciphers_12) != 1) {
        fail(err, "TLS cipher list");
        SSL_CTX_free(ctx);
        return false;
    }
    return true;
}

/* ---- one certificate ---- */

struct pair {
    X509 *cert;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
};

static void pair_clear(struct pair *pair)
{
    X509_free(pair->cert);
    sk_X509_pop_free(pair->chain, X509_free);
    EVP_PKEY_free(pair->key);
}

/* A key with a pass phrase cannot be read: there is nobody to ask. */
static int no_password(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return 0;
}

static bool read_pair(struct pair *pair, const struct tls_pem *pem, struct err *err)
{
    BIO *chain = BIO_new_mem_buf(pem->chain.p, (int)pem->chain.n);
    BIO *key = BIO_new_mem_buf(pem->key.p, (int)pem->key.n);
    X509 *next;

    *pair = (struct pair){.chain = sk_X509_new_null()};
    pair->cert = chain != NULL ? PEM_read_bio_X509(chain, NULL, no_password, NULL) : NULL;
    while (pair->cert != NULL && (next = PEM_read_bio_X509(chain, NULL, no_password, NULL)) != NULL)
        sk_X509_push(pair->chain, next);
    ERR_clear_error();
    if (pair->cert != NULL && pem->key.n == 0 && pem->signer != NULL) {
        BIO_free(chain);
        BIO_free(key);
        return remote_key_new(&pair->key, pair->cert, pem->signer, err);
    }
    pair->key = key != NULL ? PEM_read_bio_PrivateKey(key, NULL, no_password, NULL) : NULL;
    BIO_free(chain);
    BIO_free(key);
    if (pair->cert == NULL)
        return err_set(err, ERR_PERMANENT, "the certificate file holds no PEM certificate");
    if (pair->key == NULL)
        return err_set(err, ERR_PERMANENT, "the key file holds no readable PEM private key without a pass phrase");
    ERR_clear_error();
    if (X509_check_private_key(pair->cert, pair->key) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_PERMANENT, "the private key does not belong to the certificate");
    }
    return true;
}

static struct site *site_with(struct tls_server *server, const struct names *names, int key_type)
{
    for (size_t i = 0; i < server->n; i++) {
        if (server->sites[i].key_type != key_type && names_equal(&server->sites[i].names, names))
            return &server->sites[i];
    }
    return NULL;
}

static bool add_certificate(struct tls_server *server, const struct tls_pem *pem, struct err *err)
{
    struct names names = {0};
    struct pair pair;
    struct site *site = NULL;
    bool done = read_pair(&pair, pem, err);

    if (done) {
        names_from_certificate(&names, pair.cert);
        site = site_with(server, &names, EVP_PKEY_get_base_id(pair.key));
        if (site == NULL) {
            site = &server->sites[server->n];
            *site = (struct site){.key_type = EVP_PKEY_get_base_id(pair.key), .names = names};
            names = (struct names){0};
            done = context_for_server(&site->ctx, err);
            server->n += done;
            if (!done)
                names_clear(&site->names);
        }
    }
    if (done && SSL_CTX_use_cert_and_key(site->ctx, pair.cert, pair.key, pair.chain, 0) != 1)
        done = fail(err, "the certificate cannot be used");
    names_clear(&names);
    pair_clear(&pair);
    return done;
}

/* ---- the server ---- */

static void server_clear(struct tls_server *server, size_t first_context)
{
    for (size_t i = 0; i < server->n; i++) {
        if (i >= first_context)
            SSL_CTX_free(server->sites[i].ctx);
        names_clear(&server->sites[i].names);
    }
    ring_release(server->ring);
    free(server->sites);
    free(server);
}

static void on_context_free(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    (void)parent;
    (void)ad;
    (void)index;
    (void)argl;
    (void)argp;
    if (p != NULL)
        server_clear(p, 1);
}

/* OpenSSL's registry of extra data is per process; the slot is taken once. */
static int slot(void)
{
    static int index = -1;

    if (index < 0)
        index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_context_free);
    return index;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int seal)
{
    SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);
    struct ticket_ring *ring = SSL_CTX_get_app_data(ctx);
    int64_t now = clock_monotonic();
    struct ticket_key *key;

    if (ring == NULL)
        return seal ? -1 : 0;
    if (seal)
        return seal_ticket(ring, name, iv, cipher, mac, now);
    key = key_named(&ring->now, name, now) ? &ring->now : key_named(&ring->before, name, now) ? &ring->before : NULL;
    if (key == NULL)
        return 0; /* a full handshake */
    if (!use_mac(mac, key) || EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes, iv) != 1)
        return -1;
    return key == &ring->now && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2; /* 2: with a fresh ticket */
}

static void connect_sites(struct tls_server *server)
{
    for (size_t i = 0; i < server->n; i++) {
        SSL_CTX_set_app_data(server->sites[i].ctx, server->ring);
        SSL_CTX_set_tlsext_servername_callback(server->sites[i].ctx, on_server_name);
        SSL_CTX_set_tlsext_servername_arg(server->sites[i].ctx, server);
    }
    SSL_CTX_set_ex_data(server->sites[0].ctx, slot(), server);
}

bool tls_server_new(struct tls_server **out, const struct tls_pem *certificates, size_t n,
    const struct tls_server *previous, struct err *err)
{
    struct tls_server *server;

    *out = NULL;
    if (n == 0)
        return err_set(err, ERR_PERMANENT, "no certificate");
    server = xcalloc(1, sizeof *server);
    server->sites = xcalloc(n, sizeof *server->sites);
    server->ring = previous != NULL ? previous->ring : ring_new();
    server->ring->users += previous != NULL;
    for (size_t i = 0; i < n; i++) {
        if (!add_certificate(server, &certificates[i], err)) {
            server_clear(server, 0);
            return false;
        }
    }
    connect_sites(server);
    *out = server;
    return true;
}

void tls_server_free(struct tls_server *server)
{
    if (server != NULL)
        SSL_CTX_free(server->sites[0].ctx);
}

struct ssl_ctx_st *tls_server_context(struct tls_server *server)
{
    return server->sites[0].ctx;
}

/* ---- validators of ACME ---- */

static struct str extension_of(SSL *ssl, unsigned type)
{
    const unsigned char *p = NULL;
    size_t n = 0;

    return SSL_client_hello_get0_ext(ssl, type, &p, &n) == 1 ? str_from((const char *)p, n) : STR("");
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
    struct tls_server *server = arg;
    SSL_CTX *ctx = NULL;
    struct str name;

    (void)alert;
    if (tls_hello_is_challenge(extension_of(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation)) &&
        tls_hello_name(extension_of(ssl, TLSEXT_TYPE_server_name), &name))
        ctx = server->find_challenge(server->find_arg, name);
    if (ctx != NULL)
        SSL_set_SSL_CTX(ssl, ctx);
    return SSL_CLIENT_HELLO_SUCCESS;
}

void tls_server_on_challenge(struct tls_server *server, tls_challenge_fn *find, void *arg)
{
    server->find_challenge = find;
    server->find_arg = arg;
    SSL_CTX_set_client_hello_cb(server->sites[0].ctx, on_hello, server);
}

/* ---- clients ---- */

static bool trust(SSL_CTX *ctx, struct str ca, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(ca.p, (int)ca.n);
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    size_t count = 0;
    X509 *cert;

    while (bio != NULL && (cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
        count += X509_STORE_add_cert(store, cert) == 1;
        X509_free(cert);
    }
    BIO_free(bio);
    ERR_clear_error();
    return count > 0 || err_set(err, ERR_PERMANENT, "the file of trusted certificates holds no PEM certificate");
}

bool tls_client_new(struct ssl_ctx_st **out, struct str ca, struct err *err)
{
    SSL_CTX *ctx = context_new(TLS_client_method());

    *out = NULL;
    if (ctx == NULL)
        return fail(err, "TLS is not available");
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_set_cipher_list(ctx, ciphers_12) != 1) {
        fail(err, "TLS cipher list");
    } else if (ca.n == 0 || trust(ctx, ca, err)) {
        *out = ctx;
        return true;
    }
    SSL_CTX_free(ctx);
    return false;
}

void tls_client_free(struct ssl_ctx_st *ctx)
{
    SSL_CTX_free(ctx);
}
