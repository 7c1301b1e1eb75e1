/* Whatever a certificate authority may say: pieces with two octets of length before each, one an answer; the first two octets of it are its
 * status, the next line its Location. And the extensions of a ClientHello. */
#include "cli/acme/issue.h"
#include "cli/acme/jws.h"
#include "net/tls_hello.h"

#include <openssl/evp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct ca {
    struct str rest;
    unsigned open;
};

static struct str next_piece(struct str *rest)
{
    struct str piece;
    size_t n;

    if (rest->n < 2)
        return STR("");
    n = (size_t)(unsigned char)rest->p[0] << 8 | (unsigned char)rest->p[1];
    piece = str_sub(*rest, 2, 2 + n);
    *rest = str_skip(*rest, 2 + piece.n);
    return piece;
}

static bool on_request(void *arg, const char *method, struct str url, struct str body, struct acme_answer *answer, struct err *err)
{
    struct ca *ca = arg;
    struct str piece = next_piece(&ca->rest), location;

    (void)body;
    if (!str_starts(url, STR("https://ca.example/")))
        __builtin_trap();
    if (piece.n < 2)
        return err_set(err, ERR_TEMPORARY, "over");
    answer->status = (unsigned)(unsigned char)piece.p[0] << 8 | (unsigned char)piece.p[1];
    piece = str_skip(piece, 2);
    (void)str_next(&piece, '\n', &location);
    buf_add(&answer->location, location);
    buf_add(&answer->nonce, method[0] == 'G' ? STR("") : STR("n"));
    buf_add(&answer->body, piece);
    return true;
}

static bool on_publish(void *arg, const struct acme_challenge *c, struct err *err)
{
    struct ca *ca = arg;

    (void)err;
    if (!str_ieq(c->name, STR("a.example")) && !str_ieq(c->name, STR("b.example")))
        __builtin_trap();
    ca->open++;
    return true;
}

static void on_withdraw(void *arg, struct str token)
{
    struct ca *ca = arg;

    (void)token;
    ca->open--;
}

static void on_pause(void *arg, unsigned seconds)
{
    (void)arg;
    (void)seconds;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct acme_world world = {on_request, on_publish, on_withdraw, on_pause};
    static const struct str names[] = {{"a.example", 9}, {"b.example", 9}};
    static EVP_PKEY *account;
    struct ca ca = {.rest = {(const char *)data, size}};
    struct acme_job job = {.directory = STR("https://ca.example/d"), .challenge = "http-01", .names = names, .n = 2, .csr = STR("x")};
    struct buf chain, culprit;
    struct err err = {0};
    struct str name;

    if (account == NULL)
        account = acme_key_make();
    job.account = account;
    buf_init(&chain, 1 << 20);
    buf_init(&culprit, 300);
    if (!acme_issue(&world, &ca, &job, &chain, &culprit, &err) && err.kind == ERR_NONE)
        __builtin_trap();
    if (ca.open != 0)
        __builtin_trap();
    (void)tls_hello_is_challenge((struct str){(const char *)data, size});
    if (tls_hello_name((struct str){(const char *)data, size}, &name) && name.n > size)
        __builtin_trap();
    buf_clear(&chain);
    buf_clear(&culprit);
    return 0;
}
