/* Keys, certificate requests and files of `staffetta certificate renew`. The private key of the certificate stays the same from renewal to
 * renewal, so that TLSA records stay right, and only one file changes, as a whole: a crash leaves the old chain or the new one. */
#include "base/clock.h"
#include "cli/acme/jws.h"
#include "cli/certificate.h"
#include "cli/setup.h"
#include "net/remote_key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 64 * 1024 };

bool renewal_read_file(struct renewal *r, const char *path, struct str *text, struct err *err)
{
    FILE *f = fopen(path, "re");
    struct buf b;
    char *room;
    size_t n;
    bool ok;

    if (f == NULL)
        return err_set(err, errno == ENOENT ? ERR_PERMANENT : ERR_TEMPORARY, "%s: %s", path, strerror(errno));
    buf_init(&b, 16 * FILE_MAX);
    while ((room = buf_reserve(&b, FILE_MAX)) != NULL && (n = fread(room, 1, FILE_MAX, f)) > 0)
        b.n += n;
    ok = !b.failed && !ferror(f);
    fclose(f);
    *text = arena_str(&r->arena, buf_str(&b));
    if (b.p != NULL)
        explicit_bzero(b.p, b.n);
    buf_clear(&b);
    return (ok && text->p != NULL) || err_set(err, ERR_PERMANENT, "%s: too long, or not readable", path);
}

/* Of a key that is kept: made when the file is not there, and only then. */
static bool make_key(const char *path, struct err *err)
{
    EVP_PKEY *key;
    struct buf pem;
    bool ok;

    if (access(path, F_OK) == 0)
        return true;
    key = acme_key_make();
    buf_init(&pem, FILE_MAX);
    ok = (key != NULL && acme_key_write(key, &pem)) || err_set(err, ERR_TEMPORARY, "%s: a key could not be made", path);
    ok = ok && setup_write_file(path, buf_str(&pem), 0600, err);
    if (pem.p != NULL)
        explicit_bzero(pem.p, pem.n);
    buf_clear(&pem);
    EVP_PKEY_free(key);
    return ok;
}

bool renewal_key(struct renewal *r, struct err *err)
{
    return make_key(r->key_path, err) && renewal_read_file(r, r->key_path, &r->key, err);
}

bool renewal_account(struct renewal *r, struct str *pem, struct err *err)
{
    char path[4200];

    snprintf(path, sizeof path, "%s/account.key", r->folder);
    return make_key(path, err) && renewal_read_file(r, path, pem, err);
}

/* ---- the request ---- */

static bool add_names(X509_REQ *request, const struct renewal *r)
{
    struct buf list;
    STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    X509_EXTENSION *names;
    bool ok;

    buf_init(&list, 64 * 1024);
    for (size_t i = 0; i < r->name_count; i++)
        buf_addf(&list, "%sDNS:%.*s", i ? "," : "", STR_ARG(r->names[i]));
    buf_add_char(&list, '\0');
    names = list.failed ? NULL : X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, list.p);
    ok = names != NULL && extensions != NULL && sk_X509_EXTENSION_push(extensions, names) > 0;
    if (!ok)
        X509_EXTENSION_free(names);
    ok = ok && X509_REQ_add_extensions(request, extensions) == 1;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    buf_clear(&list);
    return ok;
}

static EVP_PKEY *read_key(struct str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t)"");

    BIO_free(bio);
    return key;
}

bool renewal_request(const struct renewal *r, struct buf *der, struct err *err)
{
    EVP_PKEY *key = read_key(r->key);
    X509_REQ *request = X509_REQ_new();
    unsigned char *octets = NULL;
    int n = -1;

    if (key == NULL)
        err_set(err, ERR_PERMANENT, "%s: no private key without a pass phrase", r->key_path);
    else if (request != NULL && X509_REQ_set_version(request, 0) == 1 && X509_REQ_set_pubkey(request, key) == 1 && add_names(request, r) &&
             X509_REQ_sign(request, key, EVP_sha256()) > 0)
        n = i2d_X509_REQ(request, &octets);
    if (n > 0)
        buf_add(der, str_from((const char *)octets, (size_t)n));
    else if (key != NULL)
        err_set(err, ERR_PERMANENT, "%s: a certificate request could not be made with it", r->key_path);
    OPENSSL_free(octets);
    X509_REQ_free(request);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return n > 0;
}

/* ---- what came ---- */

bool renewal_install(struct renewal *r, struct str chain, struct err *err)
{
    struct outside_certificate *c = xcalloc(1, sizeof *c);
    bool ok = outside_certificate_read(chain, c, err) && key_pair_check(chain, r->key, err);

    if (ok && c->not_after <= clock_now())
        ok = err_set(err, ERR_PERMANENT, "it is over already");
    for (size_t i = 0; ok && i < r->name_count; i++)
        if (!outside_certificate_covers(c, r->names[i]))
            ok = err_set(err, ERR_PERMANENT, "it is not for %.*s", STR_ARG(r->names[i]));
    if (!ok)
        err_prefix(err, "what the certificate authority gave cannot be used");
    ok = ok && setup_write_file(r->chain_path, chain, 0644, err);
    if (ok)
        r->now = *c;
    free(c);
    return ok;
}

/* The supervisor holds a lock on the data folder (roles/supervisor/files.c), which says who it is. */
bool renewal_reload(const struct renewal *r, struct err *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[4200];
    bool asked;
    int fd;

    snprintf(path, sizeof path, "%.*s/lock", STR_ARG(r->config->data));
    fd = open(path, O_RDWR | O_CLOEXEC);
    asked = fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0;
    if (fd >= 0)
        close(fd);
    if (!asked || lock.l_type == F_UNLCK || lock.l_pid <= 0)
        return err_set(err, ERR_TEMPORARY, "%s: no running server to tell about the new certificate", path);
    return kill(lock.l_pid, SIGHUP) == 0 || err_set(err, ERR_TEMPORARY, "the server cannot be told about the new certificate: %s", strerror(errno));
}
