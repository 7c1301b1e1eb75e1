/* ACME: the protocol against a certificate authority of this test, which answers by a table; what is signed is checked. */
#include "base/json.h"
#include "cli/acme/issue.h"
#include "cli/acme/jws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <string.h>

#define CA "https://ca.example"
#define DIRECTORY "{\"newNonce\":\"" CA "/nonce\",\"newAccount\":\"" CA "/account\",\"newOrder\":\"" CA "/order\"}"
#define ORDER(status) "{\"status\":\"" status "\",\"authorizations\":[\"" CA "/authz\"],\"finalize\":\"" CA "/finalize\",\"certificate\":\"" CA "/cert\"}"
#define AUTHZ(status)                                                                                                       \
    "{\"status\":\"" status "\",\"identifier\":{\"type\":\"dns\",\"value\":\"mail.example.org\"},\"challenges\":["              \
    "{\"type\":\"dns-01\",\"url\":\"" CA "/no\",\"token\":\"no\"},{\"type\":\"http-01\",\"url\":\"" CA "/challenge\",\"token\":\"tok-1\"," \
    "\"error\":{\"type\":\"urn:ietf:params:acme:error:connection\",\"detail\":\"nobody\\nthere\"}}]}"
#define PROBLEM(type) "{\"type\":\"urn:ietf:params:acme:error:" type "\",\"detail\":\"so it is\"}"

struct line {
    const char *method, *url;
    unsigned status;
    const char *body, *location;
};

struct ca {
    const struct line *lines;
    size_t at, published, withdrawn, paused;
    bool fails_to_publish;
    char authorization[300];
};

static bool on_request(void *arg, const char *method, struct str url, struct str body, struct acme_answer *answer, struct err *err)
{
    struct ca *ca = arg;
    const struct line *l = &ca->lines[ca->at++];

    if (l->url == NULL || strcmp(l->method, method) != 0 || !str_eq(url, str_of(l->url)))
        fail_msg("%s %.*s", method, STR_ARG(url));
    if (strcmp(method, "POST") == 0) {
        json_t *jws = json_loadb(body.p, body.n, 0, NULL);

        assert_true(json_is_string(json_object_get(jws, "protected")) && json_is_string(json_object_get(jws, "signature")));
        assert_int_equal(json_string_length(json_object_get(jws, "signature")), 86);
        json_decref(jws);
    }
    if (l->status == 0)
        return err_set(err, ERR_TEMPORARY, "nobody there");
    answer->status = l->status;
    buf_add(&answer->nonce, strcmp(method, "GET") == 0 ? STR("") : STR("nonce"));
    buf_add(&answer->location, str_of(l->location));
    buf_add(&answer->body, str_of(l->body));
    return true;
}

static bool on_publish(void *arg, const struct acme_challenge *c, struct err *err)
{
    struct ca *ca = arg;

    assert_true(str_eq(c->name, STR("mail.example.org")) && str_eq(c->token, STR("tok-1")));
    snprintf(ca->authorization, sizeof ca->authorization, "%.*s", STR_ARG(c->authorization));
    ca->published++;
    return !ca->fails_to_publish || err_set(err, ERR_TEMPORARY, "not published");
}

static void on_withdraw(void *arg, struct str token)
{
    struct ca *ca = arg;

    assert_true(str_eq(token, STR("tok-1")));
    ca->withdrawn++;
}

static void on_pause(void *arg, unsigned seconds)
{
    struct ca *ca = arg;

    assert_true(seconds > 0 && seconds <= ACME_PAUSE_MAX);
    ca->paused++;
}

static const struct acme_world world = {on_request, on_publish, on_withdraw, on_pause};

static bool play(struct ca *ca, const struct line *lines, char text[600], char culprit_text[300])
{
    static const struct str names[] = {{"mail.example.org", 16}};
    struct acme_job job = {.directory = STR(CA "/directory"), .contact = STR("admin@example.org"), .challenge = "http-01", .names = names, .n = 1,
        .csr = STR("csr"), .account = acme_key_make()};
    struct buf chain, culprit, thumbprint;
    struct err err = {0};
    bool ok;

    ca->lines = lines;
    buf_init(&chain, 10000);
    buf_init(&culprit, 300);
    buf_init(&thumbprint, 100);
    acme_thumbprint(job.account, &thumbprint);
    ok = acme_issue(&world, ca, &job, &chain, &culprit, &err);
    snprintf(text, 600, "%.*s", ok ? (int)chain.n : (int)strlen(err.text), ok ? chain.p : err.text);
    snprintf(culprit_text, 300, "%.*s", STR_ARG(buf_str(&culprit)));
    assert_int_equal(ca->published, ca->withdrawn);
    if (ca->published > 0 && !ca->fails_to_publish)
        assert_true(str_ends(str_of(ca->authorization), buf_str(&thumbprint)) && str_starts(str_of(ca->authorization), STR("tok-1.")));
    buf_clear(&chain);
    buf_clear(&culprit);
    buf_clear(&thumbprint);
    EVP_PKEY_free(job.account);
    return ok;
}

#define BEGIN {"GET", CA "/directory", 200, DIRECTORY, ""}, {"HEAD", CA "/nonce", 200, "", ""}, {"POST", CA "/account", 201, "{}", CA "/me"}
#define ORDERED {"POST", CA "/order", 201, ORDER("pending"), CA "/order/1"}

static void issued(void **state)
{
    static const struct line lines[] = {BEGIN, ORDERED, {"POST", CA "/authz", 200, AUTHZ("pending"), ""}, {"POST", CA "/challenge", 200, "{}", ""},
        {"POST", CA "/authz", 200, AUTHZ("pending"), ""}, {"POST", CA "/authz", 200, AUTHZ("valid"), ""},
        {"POST", CA "/finalize", 200, ORDER("processing"), ""}, {"POST", CA "/order/1", 200, ORDER("processing"), ""},
        {"POST", CA "/order/1", 200, ORDER("valid"), ""}, {"POST", CA "/cert", 200, "PEM", ""}, {0}};
    struct ca ca = {0};
    char text[600], culprit[300];

    (void)state;
    assert_true(play(&ca, lines, text, culprit));
    assert_string_equal(text, "PEM");
    assert_int_equal(ca.published, 1);
    assert_int_equal(ca.paused, 3);
}

/* What has been shown once is not asked for again; a nonce that was too old is no failure. */
static void known(void **state)
{
    static const struct line lines[] = {BEGIN, {"POST", CA "/order", 400, PROBLEM("badNonce"), ""}, ORDERED, {"POST", CA "/authz", 200, AUTHZ("valid"), ""},
        {"POST", CA "/finalize", 200, ORDER("valid"), ""}, {"POST", CA "/cert", 200, "PEM", ""}, {0}};
    struct ca ca = {0};
    char text[600], culprit[300];

    (void)state;
    assert_true(play(&ca, lines, text, culprit));
    assert_int_equal(ca.published, 0);
}

static void faults(void **state)
{
    static const struct line away[] = {{"GET", CA "/directory", 0, "", ""}},
        no_directory[] = {{"GET", CA "/directory", 200, "<html>", ""}},
        elsewhere[] = {{"GET", CA "/directory", 200, "{\"newNonce\":\"https://ca.example.evil/nonce\"}", ""}},
        limited[] = {BEGIN, {"POST", CA "/order", 429, PROBLEM("rateLimited"), ""}},
        refusing[] = {BEGIN, {"POST", CA "/order", 403, PROBLEM("rejectedIdentifier"), ""}},
        wrong[] = {BEGIN, ORDERED, {"POST", CA "/authz", 200, AUTHZ("pending"), ""}, {"POST", CA "/challenge", 200, "{}", ""}, {"POST", CA "/authz", 200, AUTHZ("invalid"), ""}},
        other_name[] = {BEGIN, ORDERED, {"POST", CA "/authz", 200, "{\"identifier\":{\"value\":\"x.example\"},\"challenges\":[{\"type\":\"http-01\",\"token\":\"tok-1\"}]}", ""}},
        bad_token[] = {BEGIN, ORDERED, {"POST", CA "/authz", 200, "{\"identifier\":{\"value\":\"mail.example.org\"},\"challenges\":[{\"type\":\"http-01\",\"token\":\"../x\"}]}", ""}},
        many[] = {BEGIN, {"POST", CA "/order", 201, "{\"authorizations\":[\"a\",\"b\"],\"finalize\":\"" CA "/finalize\"}", CA "/order/1"}},
        not_finished[] = {BEGIN, ORDERED, {"POST", CA "/authz", 200, AUTHZ("valid"), ""}, {"POST", CA "/finalize", 200, "{\"status\":\"invalid\",\"error\":" PROBLEM("badCSR") "}", ""}},
        empty[] = {BEGIN, ORDERED, {"POST", CA "/authz", 200, AUTHZ("valid"), ""}, {"POST", CA "/finalize", 200, ORDER("valid"), ""}, {"POST", CA "/cert", 200, "", ""}};
    static const struct {
        const struct line *lines;
        const char *says, *culprit;
    } all[] = {
        {away, "nobody there", ""},
        {no_directory, CA "/directory: no directory of ACME (200)", ""},
        {elsewhere, "the certificate authority gave an address that is not its own: \"https://ca.example.evil/nonce\"", ""},
        {limited, "order: the certificate authority says 429 rateLimited: so it is", ""},
        {refusing, "order: the certificate authority says 403 rejectedIdentifier: so it is", ""},
        {wrong, "mail.example.org: the certificate authority says 200 connection: nobody there", "mail.example.org"},
        {other_name, "the certificate authority offers no challenge http-01 for a name we asked for", ""},
        {bad_token, "the certificate authority offers no challenge http-01 for a name we asked for", ""},
        {many, "the certificate authority asks for other authorizations than one for each name", ""},
        {not_finished, "finalize: the certificate authority says 200 badCSR: so it is", ""},
        {empty, "the certificate is empty or too long", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char text[600], culprit[300];
        struct ca ca = {0};

        assert_false(play(&ca, all[i].lines, text, culprit));
        assert_string_equal(text, all[i].says);
        assert_string_equal(culprit, all[i].culprit);
    }
}

static void keys(void **state)
{
    struct buf pem, out;
    EVP_PKEY *key = acme_key_make(), *again;

    (void)state;
    buf_init(&pem, 10000);
    buf_init(&out, 1000);
    assert_true(acme_key_write(key, &pem));
    again = acme_key_read(buf_str(&pem));
    assert_int_equal(EVP_PKEY_eq(key, again), 1);
    assert_null(acme_key_read(STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")));
    base64url_encode(&out, STR("\xfb\xff\xfe"));
    assert_true(str_eq(buf_str(&out), STR("-__-")));
    buf_reset(&out);
    base64url_encode(&out, STR("a"));
    assert_true(str_eq(buf_str(&out), STR("YQ")));
    EVP_PKEY_free(key);
    EVP_PKEY_free(again);
    buf_clear(&pem);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issued),
        cmocka_unit_test(known),
        cmocka_unit_test(faults),
        cmocka_unit_test(keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
