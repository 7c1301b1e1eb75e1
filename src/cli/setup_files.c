/* The files of `staffetta setup`. A file is written under another name, synced and renamed, so that each is whole or not there; the
 * configuration gets its name last of all, so an interrupted setup is run again from the start and finds what it made. */
#include "cli/setup.h"
#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { YEARS = 10, PEM_MAX = 64 * 1024 };

static bool put(char *out, size_t size, struct str folder, const char *name, struct err *err)
{
    int n = snprintf(out, size, "%.*s%s", STR_ARG(folder), name);

    return (n > 0 && (size_t)n < size) || err_set(err, ERR_PERMANENT, "a path is too long");
}

int setup_choose_paths(const struct cli *cli, const struct setup_answers *a, struct setup_paths *p)
{
    struct str config = str_of(cli->config_path), folder = str_sub(config, 0, (size_t)(str_rfind(config, '/') < 0 ? 0 : str_rfind(config, '/')));
    struct err err = {0};
    bool own = a->folder.n > 0;

    if (own)
        folder = a->folder;
    if (folder.n == 0 || folder.p[0] != '/')
        return cli_fail(EXIT_DATA, "%s: the configuration file has to be named by its absolute path", cli->config_path);
    if (!put(p->config, sizeof p->config, own ? folder : config, own ? "/staffetta.conf" : "", &err) ||
        !put(p->unfinished, sizeof p->unfinished, str_of(p->config), ".unfinished", &err) ||
        !put(p->chain, sizeof p->chain, folder, "/chain.pem", &err) || !put(p->key, sizeof p->key, folder, "/key.pem", &err) ||
        !put(p->data, sizeof p->data, own ? folder : STR("/var/lib/staffetta"), own ? "/data" : "", &err) ||
        !put(p->run, sizeof p->run, own ? folder : STR("/run/staffetta"), own ? "/run" : "", &err))
        return cli_fail(EXIT_DATA, "%s", err.text);
    return EXIT_OK;
}

static const struct {
    const char *name, *service, *tls;
    unsigned port;
} listeners[] = {{"mx", "mx", "starttls", 25}, {"submission", "submission", "starttls", 587}, {"submissions", "submission", "implicit", 465},
    {"imap", "imap", "starttls", 143}, {"imaps", "imap", "implicit", 993}, {"pop3s", "pop3", "implicit", 995}};

static void write_listeners(const struct setup_answers *a, struct buf *out)
{
    for (size_t i = 0; i < sizeof listeners / sizeof *listeners; i++) {
        buf_addf(out, "listen \"%s\" { service = \"%s\"", listeners[i].name, listeners[i].service);
        if (strcmp(listeners[i].tls, "starttls") != 0)
            buf_addf(out, " tls = \"%s\"", listeners[i].tls);
        if (a->listen.n > 0)
            buf_addf(out, " address = {\"%.*s\"}", STR_ARG(a->listen));
        if (a->port_offset > 0)
            buf_addf(out, " port = %u", listeners[i].port + a->port_offset);
        buf_add(out, STR(" }\n"));
    }
    buf_add(out, STR("listen \"metrics\" { service = \"metrics\" address = {\"127.0.0.1\"} tls = \"none\""));
    if (a->port_offset > 0)
        buf_addf(out, " port = %u", 9225 + a->port_offset);
    buf_add(out, STR(" }\n"));
}

void setup_write_config(const struct setup_answers *a, const struct setup_paths *p, struct buf *out)
{
    buf_add(out, STR("# Written by `staffetta setup`; see staffetta.conf(5). Domains, accounts, aliases and keys are not here: they are\n"
                     "# managed with commands.\n\n"));
    buf_addf(out, "hostname = \"%.*s\"\n", STR_ARG(a->hostname));
    if (a->folder.n > 0)
        buf_addf(out, "data = \"%s\"\nrun = \"%s\"\n", p->data, p->run);
    buf_addf(out, "\ncertificate \"main\" {\n    chain = \"%.*s\"\n    key = \"%.*s\"\n}\n\n", STR_ARG(a->chain.n ? a->chain : str_of(p->chain)),
        STR_ARG(a->key.n ? a->key : str_of(p->key)));
    write_listeners(a, out);
    buf_add(out, STR("\ncheck {\n    addresses = {"));
    for (size_t i = 0; i < a->address_count; i++)
        buf_addf(out, "%s\"%.*s\"", i ? ", " : "", STR_ARG(a->addresses[i]));
    buf_add(out, STR("}\n}\n"));
}

static bool write_all(int fd, struct str text)
{
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text = str_skip(text, (size_t)n);
    }
    return true;
}

bool setup_write_file(const char *path, struct str text, unsigned mode, struct err *err)
{
    char part[4200];
    bool ok;
    int fd;

    snprintf(part, sizeof part, "%s.part", path);
    (void)unlink(part); /* left by an interrupted setup */
    fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode);
    if (fd < 0)
        return err_set(err, ERR_PERMANENT, "%s: %s", part, strerror(errno));
    ok = fchmod(fd, (mode_t)mode) == 0 && write_all(fd, text) && fsync(fd) == 0;
    if (close(fd) != 0 || !ok || rename(part, path) != 0)
        return err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
    return folder_sync_parent(path, err);
}

/* ---- the certificate ---- */

static bool set_names(X509 *x, struct str hostname)
{
    X509_NAME *name = X509_get_subject_name(x);
    X509_EXTENSION *extension;
    char alt[300];
    bool ok;

    snprintf(alt, sizeof alt, "DNS:%.*s", STR_ARG(hostname));
    extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt);
    ok = extension != NULL && X509_add_ext(x, extension, -1) == 1 &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)hostname.p, (int)(hostname.n > 64 ? 64 : hostname.n), -1, 0) == 1 &&
         X509_set_issuer_name(x, name) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool make_certificate(struct str hostname, EVP_PKEY *key, BIO *chain)
{
    X509 *x = X509_new();
    uint64_t serial = 0;
    bool ok = x != NULL && RAND_bytes((unsigned char *)&serial, sizeof serial) == 1;

    ok = ok && X509_set_version(x, 2) == 1 && ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1) == 1 &&
         X509_gmtime_adj(X509_getm_notBefore(x), -3600) != NULL && X509_gmtime_adj(X509_getm_notAfter(x), 365L * YEARS * 86400) != NULL &&
         X509_set_pubkey(x, key) == 1 && set_names(x, hostname) && X509_sign(x, key, EVP_sha256()) > 0 && PEM_write_bio_X509(chain, x) == 1;
    X509_free(x);
    return ok;
}

static struct str text_of(BIO *bio)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);

    return str_from(p, n > 0 ? (size_t)n : 0);
}

/* The key first: a chain without its key would be taken for a finished pair. */
static bool write_pair(struct str hostname, const struct setup_paths *p, struct err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *chain = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_secmem());
    bool ok = key != NULL && chain != NULL && secret != NULL && PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1 &&
              make_certificate(hostname, key, chain);

    if (!ok)
        err_set(err, ERR_TEMPORARY, "a certificate could not be made");
    ok = ok && setup_write_file(p->key, text_of(secret), 0600, err) && setup_write_file(p->chain, text_of(chain), 0644, err);
    BIO_free(chain);
    BIO_free(secret);
    EVP_PKEY_free(key);
    return ok;
}

/* Is there a certificate, for this name? Of an earlier, interrupted setup, or put there by hand. */
static bool is_there(const struct setup_paths *p, struct str hostname, bool *there, struct err *err)
{
    struct outside_certificate *c = xcalloc(1, sizeof *c);
    char *pem = xmalloc(PEM_MAX);
    FILE *f = fopen(p->chain, "re");
    size_t n = f != NULL ? fread(pem, 1, PEM_MAX, f) : 0;
    bool ok = true;

    *there = f != NULL && access(p->key, F_OK) == 0;
    if (*there && !outside_certificate_read(str_from(pem, n), c, err))
        ok = err_prefix(err, "%s", p->chain);
    else if (*there && !outside_certificate_covers(c, hostname))
        ok = err_set(err, ERR_PERMANENT, "%s is there already and is not for %.*s; move it away, or name another with --certificate and --key", p->chain,
            STR_ARG(hostname));
    if (f != NULL)
        fclose(f);
    free(pem);
    free(c);
    return ok;
}

static bool certificate(const struct setup_answers *a, const struct setup_paths *p, bool *made, struct err *err)
{
    char path[4200];
    bool there;

    *made = false;
    if (a->chain.n > 0) {
        snprintf(path, sizeof path, "%.*s", STR_ARG(a->chain));
        if (access(path, R_OK) != 0)
            return err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
        snprintf(path, sizeof path, "%.*s", STR_ARG(a->key));
        return access(path, R_OK) == 0 || err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
    }
    if (!is_there(p, a->hostname, &there, err))
        return false;
    *made = !there;
    return there || write_pair(a->hostname, p, err);
}

/* All folders on the way to `path`, and `path`. */
static bool make_folders(const char *path, mode_t mode, struct err *err)
{
    char part[4200];
    bool ok = true;

    for (size_t i = 1; ok && path[i - 1]; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        snprintf(part, sizeof part, "%.*s", (int)i, path);
        ok = folder_make(part, path[i] == 0 ? mode : 0755, err);
    }
    return ok;
}

bool setup_make_files(const struct setup_answers *a, const struct setup_paths *p, bool *made, struct err *err)
{
    char folder[4096], directory[4200];
    mode_t before = umask(022);
    bool ok;

    snprintf(folder, sizeof folder, "%.*s", (int)str_rfind(str_of(p->config), '/'), p->config);
    snprintf(directory, sizeof directory, "%s/directory", p->data);
    ok = make_folders(folder, 0755, err) && make_folders(p->data, 0711, err) && make_folders(p->run, 0755, err) &&
         make_folders(directory, 0700, err) && certificate(a, p, made, err);
    umask(before);
    return ok;
}

bool setup_finish(const struct setup_paths *p, struct err *err)
{
    if (rename(p->unfinished, p->config) != 0)
        return err_set(err, ERR_PERMANENT, "%s: %s", p->config, strerror(errno));
    return folder_sync_parent(p->config, err);
}
