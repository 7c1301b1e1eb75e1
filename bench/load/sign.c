/*
 * bench-sign: how fast mail can be signed, on one core: bench-sign FOLDER SECONDS BYTES
 *
 * Three loops, the keys being those directory makes, out of a database in FOLDER: an RSA-2048 signature by OpenSSL alone (what
 * `openssl speed rsa2048` measures); what directory does for a message (a signature by RSA and one by Ed25519, through its cache of keys); and
 * the whole of a message of so many BYTES, hashed as filter does and both fields written. Prints one line of JSON: how often a second of
 * CPU time.
 */
#include "base/clock.h"
#include "mailauth/dkim_sign.h"
#include "roles/directory/dkim_make.h"
#include "roles/directory/dkim_schedule.h"
#include "roles/directory/dkim_signer.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char header[] = "From: <ann@bench.example>\r\nTo: <bob@far.example>\r\nSubject: a message of the bench\r\n"
                             "Date: Sun, 22 Nov 2026 03:30:00 +0000\r\nMessage-ID: <1@bench.example>\r\n";

static struct store store;
static struct dkim_signer signer;
static struct dkim_rows keys;
static EVP_PKEY *rsa;
static struct buf body;

static void must(bool done, const struct err *err)
{
    if (done)
        return;
    fprintf(stderr, "bench-sign: %s\n", err->text);
    exit(1);
}

static void open_keys(const char *folder)
{
    struct err err = {0};
    struct buf path;

    buf_init(&path, 4096);
    buf_addf(&path, "%s/directory.db%c", folder, 0);
    must(store_open(&store, path.p, &err), &err);
    buf_clear(&path);
    name_set(&keys.domain, STR("bench.example"));
    for (unsigned a = 0; a < DKIM_ALGORITHMS; a++) {
        must(dkim_make(&store, &keys, (enum dkim_algorithm)a, STR(""), clock_now(), &err), &err);
        dkim_schedule_confirm(&keys.rows[a], clock_now());
    }
    dkim_schedule_advance(&keys, &(struct dkim_schedule){0}, clock_now());
    must(dkim_rows_put(&store, &keys, &err), &err);
    dkim_signer_init(&signer, &store, NULL);
}

static void read_rsa(void)
{
    struct err err = {0};
    const unsigned char *at;
    struct buf der;

    buf_init(&der, 8192);
    must(dkim_rows_private(&store, name_str(&keys.domain), str_of(keys.rows[0].selector), &der, &err), &err);
    at = (const unsigned char *)der.p;
    rsa = d2i_AutoPrivateKey(NULL, &at, (long)der.n);
    buf_clear(&der);
}

/* ---- what is measured ---- */

static void by_openssl(void)
{
    static EVP_PKEY_CTX *ctx;
    unsigned char out[256], hash[32] = {1};
    size_t n = sizeof out;

    if (ctx == NULL && ((ctx = EVP_PKEY_CTX_new_from_pkey(NULL, rsa, NULL)) == NULL || EVP_PKEY_sign_init(ctx) != 1 ||
                           EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) != 1 || EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) != 1))
        abort();
    if (EVP_PKEY_sign(ctx, out, &n, hash, sizeof hash) != 1)
        abort();
}

static void sign_hash(size_t key, const unsigned char *hash, struct buf *out)
{
    struct err err = {0};
    struct str selector;

    must(dkim_signer_selector(&signer, name_str(&keys.domain), keys.rows[key].algorithm, &selector, &err), &err);
    must(dkim_signer_sign(&signer, name_str(&keys.domain), selector, keys.rows[key].algorithm, str_from((const char *)hash, DKIM_HASH), out, &err),
        &err);
}

static void by_directory(void)
{
    static const unsigned char hash[DKIM_HASH] = {2};
    struct buf out;

    for (size_t i = 0; i < keys.n; i++) {
        buf_init(&out, DKIM_SIGNATURE_BYTES);
        sign_hash(i, hash, &out);
        buf_clear(&out);
    }
}

static void hash_message(struct dkim_sign *s)
{
    struct str rest = STR(header), line;

    while (rest.n > 0 && str_next(&rest, '\n', &line))
        dkim_sign_field(s, str_from(line.p, line.n + 1));
    if (!dkim_sign_header_end(s))
        abort();
    dkim_sign_body(s, buf_str(&body));
    dkim_sign_end(s);
}

static void whole_message(void)
{
    struct dkim_sign_key wanted[DKIM_ALGORITHMS];
    struct buf signature, fields;
    struct dkim_sign *s;

    for (size_t i = 0; i < keys.n; i++)
        wanted[i] = (struct dkim_sign_key){keys.rows[i].algorithm, str_of(keys.rows[i].selector)};
    s = dkim_sign_new(name_str(&keys.domain), wanted, keys.n, 1795318200, 0);
    if (s == NULL)
        abort();
    hash_message(s);
    buf_init(&fields, 1 << 16);
    for (size_t i = 0; i < keys.n; i++) {
        buf_init(&signature, DKIM_SIGNATURE_BYTES);
        sign_hash(i, dkim_sign_hash(s, i), &signature);
        dkim_sign_write(s, i, buf_str(&signature), &fields);
        buf_clear(&signature);
    }
    buf_clear(&fields);
    dkim_sign_free(s);
}

/* Of this process alone, as `openssl speed` counts. */
static int64_t cpu_time(void)
{
    struct timespec t;

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
        abort();
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec / 1000;
}

static double rate(void (*work)(void), int64_t time)
{
    int64_t start = cpu_time(), now;
    unsigned n = 0;

    do {
        work();
        n++;
        now = cpu_time();
    } while (now - start < time);
    return (double)n * (double)SECOND / (double)(now - start);
}

int main(int argc, char **argv)
{
    int64_t time;
    uint64_t seconds, bytes;

    if (argc != 4 || !str_to_u64(str_of(argv[2]), 600, &seconds) || !str_to_u64(str_of(argv[3]), 1 << 26, &bytes)) {
        fprintf(stderr, "usage: bench-sign FOLDER SECONDS BYTES\n");
        return 64;
    }
    open_keys(argv[1]);
    read_rsa();
    buf_init(&body, bytes + 100);
    while (body.n < bytes)
        buf_add(&body, STR("A line of the body, as long as lines of mail are when people break them\r\n"));
    time = (int64_t)seconds * SECOND;
    printf("{\"openssl\": %.0f, ", rate(by_openssl, time));
    printf("\"directory\": %.0f, ", rate(by_directory, time));
    printf("\"message\": %.0f}\n", rate(whole_message, time));
    buf_clear(&body);
    dkim_signer_clear(&signer);
    EVP_PKEY_free(rsa);
    store_close(&store);
    return 0;
}
