#include "net_fixture.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

static void take(BIO *bio, char *out, size_t size)
{
    char *p;
    long n = BIO_get_mem_data(bio, &p);

    assert(n > 0 && (size_t)n < size);
    memcpy(out, p, (size_t)n);
    out[n] = 0;
    BIO_free(bio);
}

void test_certificate(struct test_pem *pem, enum test_key type, const char *common_name, const char *names)
{
    EVP_PKEY *key = type == TEST_EC ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
    X509 *cert = X509_new();
    BIO *chain = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
    X509_EXTENSION *alt = names != NULL ? X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names) : NULL;

    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_set_version(cert, 2);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_NAME_add_entry_by_txt(
        X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    if (alt != NULL)
        X509_add_ext(cert, alt, -1);
    X509_EXTENSION_free(alt);
    X509_set_pubkey(cert, key);
    assert(X509_sign(cert, key, EVP_sha256()) > 0);
    PEM_write_bio_X509(chain, cert);
    PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL);
    take(chain, pem->chain, sizeof pem->chain);
    take(secret, pem->key, sizeof pem->key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    *(bool *)arg = true;
}

bool test_loop_until(struct event_base *base, const bool *flag)
{
    struct timeval limit = {2, 0};
    bool late = false;
    struct event *timer = event_new(base, -1, 0, on_late, &late);

    event_add(timer, &limit);
    while (!*flag && !late)
        event_base_loop(base, EVLOOP_ONCE);
    event_free(timer);
    return *flag;
}

void test_loop_idle(struct event_base *base)
{
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
}

void test_tcp_pair(int pair[2])
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof any;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert(bind(fd, (struct sockaddr *)&any, sizeof any) == 0 && listen(fd, 1) == 0);
    getsockname(fd, (struct sockaddr *)&any, &size);
    pair[1] = socket(AF_INET, SOCK_STREAM, 0);
    assert(connect(pair[1], (struct sockaddr *)&any, sizeof any) == 0);
    pair[0] = accept(fd, NULL, NULL);
    close(fd);
}
