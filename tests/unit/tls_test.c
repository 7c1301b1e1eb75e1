/* TLS over socket pairs: certificates chosen by SNI, resumption across a reload, channel bindings,
 * what is plain before STARTTLS, certificate checks, broken peers. */
#include "base/buf.h"
#include "base/clock.h"
#include "net/conn.h"
#include "net/tls.h"
#include "net_fixture.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct side {
    struct conn *c;
    struct buf got;
    bool secured, closed, line, start_tls;
    struct ssl_ctx_st *ctx;
    char reason[200];
};

struct world {
    struct event_base *base;
    struct test_pem ec, rsa, other;
    struct tls_server *server;
    struct ssl_ctx_st *client;
    struct side s, c;
};

static size_t on_input(void *owner, struct str bytes)
{
    struct side *side = owner;

    buf_add(&side->got, bytes);
    side->line = true;
    if (side->start_tls) {
        side->start_tls = false;
        conn_send(side->c, STR("go\n"));
        conn_start_tls_server(side->c, side->ctx);
    }
    return side->start_tls ? 0 : bytes.n;
}

static void on_secured(void *owner)
{
    ((struct side *)owner)->secured = true;
}

static void on_closed(void *owner, bool timed_out, const char *reason)
{
    struct side *side = owner;

    (void)timed_out;
    side->closed = true;
    snprintf(side->reason, sizeof side->reason, "%s", reason);
    conn_free(side->c);
    side->c = NULL;
}

static const struct conn_events events = {.input = on_input, .secured = on_secured, .closed = on_closed};

static struct tls_server *server_of(struct world *w, const struct tls_server *previous)
{
    struct tls_pem pems[3] = {{str_of(w->other.chain), str_of(w->other.key)}, {str_of(w->ec.chain), str_of(w->ec.key)},
        {str_of(w->rsa.chain), str_of(w->rsa.key)}};
    struct tls_server *server = NULL;
    struct err err = {0};

    assert_true(tls_server_new(&server, pems, 3, previous, &err));
    return server;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct err err = {0};

    w->base = event_base_new();
    test_certificate(&w->other, TEST_EC, "default.example", NULL);
    test_certificate(&w->ec, TEST_EC, "mail.example", "DNS:mail.example,DNS:*.wild.example");
    test_certificate(&w->rsa, TEST_RSA, "mail.example", "DNS:mail.example,DNS:*.wild.example");
    w->server = server_of(w, NULL);
    assert_true(tls_client_new(&w->client, str_of(w->ec.chain), &err));
    *state = w;
    return 0;
}

static void hang_up(struct world *w)
{
    conn_free(w->s.c);
    conn_free(w->c.c);
    buf_clear(&w->s.got);
    buf_clear(&w->c.got);
    memset(&w->s, 0, sizeof w->s);
    memset(&w->c, 0, sizeof w->c);
}

static int teardown(void **state)
{
    struct world *w = *state;

    hang_up(w);
    tls_server_free(w->server);
    tls_client_free(w->client);
    event_base_free(w->base);
    free(w);
    return 0;
}

static void link_up(struct world *w)
{
    int pair[2];

    hang_up(w);
    test_tcp_pair(pair);
    buf_init(&w->s.got, 1 << 20);
    buf_init(&w->c.got, 1 << 20);
    w->s.ctx = tls_server_context(w->server);
    w->s.c = conn_new(w->base, pair[0], &events, &w->s);
    w->c.c = conn_new(w->base, pair[1], &events, &w->c);
}

static void shake(struct world *w, const char *name, bool verify)
{
    link_up(w);
    conn_start_tls_server(w->s.c, tls_server_context(w->server));
    conn_start_tls_client(w->c.c, w->client, name, verify);
    assert_true(test_loop_until(w->base, &w->c.secured));
    assert_true(test_loop_until(w->base, &w->s.secured));
}

static void pass(struct world *w, struct side *from, struct side *to, const char *text)
{
    to->line = false;
    buf_reset(&to->got);
    conn_send(from->c, str_of(text));
    assert_true(test_loop_until(w->base, &to->line));
    assert_true(str_eq(buf_str(&to->got), str_of(text)));
}

static void carries_bytes_both_ways(void **state)
{
    struct world *w = *state;
    char text[100];

    shake(w, "mail.example", true);
    pass(w, &w->c, &w->s, "EHLO\r\n");
    pass(w, &w->s, &w->c, "250 hello\r\n");
    conn_tls_text(w->s.c, text, sizeof text);
    assert_true(str_starts(str_of(text), STR("TLSv1.3 TLS_")));
    conn_free(w->c.c);
    w->c.c = NULL;
    assert_true(test_loop_until(w->base, &w->s.closed));
    assert_string_equal(w->s.reason, "connection closed by the peer");
}

static void carries_megabytes_within_the_mark(void **state)
{
    struct world *w = *state;
    size_t n = 900 * 1024;
    char *big = malloc(n);

    for (size_t i = 0; i < n; i++)
        big[i] = (char)('a' + i % 23);
    shake(w, "mail.example", false);
    conn_send(w->c.c, str_from(big, n));
    for (int i = 0; i < 2000 && w->s.got.n < n; i++)
        event_base_loop(w->base, EVLOOP_ONCE);
    assert_int_equal(w->s.got.n, n);
    assert_memory_equal(w->s.got.p, big, n);
    free(big);
}

static bool subject_is(struct world *w, const char *name)
{
    X509 *cert = SSL_get1_peer_certificate(conn_ssl(w->c.c));
    char text[100] = "";

    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, text, sizeof text);
    X509_free(cert);
    return strcmp(text, name) == 0;
}

static void the_name_chooses_the_certificate(void **state)
{
    static const struct {
        const char *asked, *shown;
    } cases[] = {{"mail.example", "mail.example"}, {"MAIL.example", "mail.example"},
        {"a.wild.example", "mail.example"}, {"a.b.wild.example", "default.example"},
        {"wild.example", "default.example"}, {"unknown.example", "default.example"},
        {"default.example", "default.example"}, {"", "default.example"}};
    struct world *w = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        shake(w, cases[i].asked, false);
        assert_true(subject_is(w, cases[i].shown));
    }
}

static void one_name_may_have_two_kinds_of_key(void **state)
{
    struct world *w = *state;
    EVP_PKEY *key;

    SSL_CTX_set_max_proto_version(w->client, TLS1_2_VERSION);
    for (int i = 0; i < 2; i++) {
        SSL_CTX_set_cipher_list(w->client, i ? "ECDHE-RSA-AES128-GCM-SHA256" : "ECDHE-ECDSA-AES128-GCM-SHA256");
        shake(w, "mail.example", false);
        key = X509_get0_pubkey(SSL_get0_peer_certificate(conn_ssl(w->c.c)));
        assert_int_equal(EVP_PKEY_get_base_id(key), i ? EVP_PKEY_RSA : EVP_PKEY_EC);
    }
}

static void old_protocols_are_refused(void **state)
{
    struct world *w = *state;

    SSL_CTX_set_min_proto_version(w->client, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(w->client, TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(w->client, "ALL:@SECLEVEL=0");
    link_up(w);
    conn_start_tls_server(w->s.c, tls_server_context(w->server));
    conn_start_tls_client(w->c.c, w->client, "mail.example", false);
    assert_true(test_loop_until(w->base, &w->s.closed));
    assert_non_null(strstr(w->s.reason, "TLS handshake: "));
}

static void checks_the_certificate_when_asked(void **state)
{
    static const char *const names[] = {"default.example", "elsewhere.example"};
    struct world *w = *state;

    for (size_t i = 0; i < 2; i++) {
        link_up(w);
        conn_start_tls_server(w->s.c, tls_server_context(w->server));
        conn_start_tls_client(w->c.c, w->client, names[i], true);
        assert_true(test_loop_until(w->base, &w->c.closed));
        assert_false(w->c.secured);
        assert_true(str_starts(str_of(w->c.reason), STR("TLS handshake: ")));
        test_loop_until(w->base, &w->s.closed);
    }
}

static SSL_SESSION *session_of(struct world *w, int version)
{
    SSL_CTX_set_max_proto_version(w->client, version);
    shake(w, "mail.example", false);
    pass(w, &w->s, &w->c, "x\n"); /* TLS 1.3 tickets come after the handshake */
    return SSL_get1_session(conn_ssl(w->c.c));
}

static bool resumes(struct world *w, SSL_SESSION *session)
{
    bool reused;

    link_up(w);
    conn_start_tls_server(w->s.c, tls_server_context(w->server));
    conn_start_tls_client(w->c.c, w->client, "mail.example", false);
    SSL_set_session(conn_ssl(w->c.c), session);
    assert_true(test_loop_until(w->base, &w->c.secured));
    assert_true(test_loop_until(w->base, &w->s.secured));
    reused = SSL_session_reused(conn_ssl(w->c.c)) == 1;
    pass(w, &w->c, &w->s, "y\n");
    return reused;
}

static void sessions_resume_across_a_reload(void **state)
{
    static const int versions[] = {TLS1_3_VERSION, TLS1_2_VERSION};
    struct world *w = *state;

    for (int i = 0; i < 2; i++) {
        SSL_SESSION *session = session_of(w, versions[i]);
        struct tls_server *old = w->server;

        assert_true(resumes(w, session));
        SSL_SESSION_free(session);
        session = session_of(w, versions[i]);
        w->server = server_of(w, old);
        tls_server_free(old); /* a connection still uses it */
        pass(w, &w->s, &w->c, "still there\n");
        assert_true(resumes(w, session));
        SSL_SESSION_free(session);
    }
}

static void a_new_ring_does_not_know_old_tickets(void **state)
{
    struct world *w = *state;
    SSL_SESSION *session = session_of(w, TLS1_3_VERSION);

    tls_server_free(w->server);
    w->server = server_of(w, NULL);
    assert_false(resumes(w, session));
    SSL_SESSION_free(session);
}

static void both_ends_see_the_same_bindings(void **state)
{
    struct world *w = *state;
    char a[64], b[64], ea[32], eb[32];
    size_t na, nb;
    SSL_SESSION *session;

    shake(w, "mail.example", false);
    assert_false(conn_tls_unique(w->s.c, a, sizeof a, &na));
    assert_true(conn_tls_exporter(w->s.c, ea) && conn_tls_exporter(w->c.c, eb));
    assert_memory_equal(ea, eb, 32);
    session = session_of(w, TLS1_2_VERSION);
    for (int i = 0; i < 2; i++) {
        assert_true(conn_tls_unique(w->s.c, a, sizeof a, &na) && conn_tls_unique(w->c.c, b, sizeof b, &nb));
        assert_true(na > 0 && na == nb);
        assert_memory_equal(a, b, na);
        if (i == 0)
            assert_true(resumes(w, session));
    }
    SSL_SESSION_free(session);
}

static void plain_input_before_tls_is_dropped(void **state)
{
    struct world *w = *state;

    link_up(w);
    w->s.start_tls = true;
    conn_send(w->c.c, STR("STARTTLS\r\nMAIL FROM:<injected>\r\n"));
    assert_true(test_loop_until(w->base, &w->c.line)); /* the reply came in plain */
    assert_true(str_eq(buf_str(&w->c.got), STR("go\n")));
    buf_reset(&w->s.got);
    conn_start_tls_client(w->c.c, w->client, "mail.example", false);
    assert_true(test_loop_until(w->base, &w->c.secured));
    assert_true(test_loop_until(w->base, &w->s.secured));
    assert_int_equal(w->s.got.n, 0);
    pass(w, &w->c, &w->s, "EHLO again\r\n");
}

static void output_before_the_handshake_is_held_for_it(void **state)
{
    struct world *w = *state;

    link_up(w);
    conn_start_tls_server(w->s.c, tls_server_context(w->server));
    conn_send(w->s.c, STR("220 hello\r\n"));
    conn_start_tls_client(w->c.c, w->client, "mail.example", false);
    assert_true(test_loop_until(w->base, &w->c.line));
    assert_true(w->c.secured && str_eq(buf_str(&w->c.got), STR("220 hello\r\n")));
}

static void nonsense_instead_of_tls_closes(void **state)
{
    struct world *w = *state;

    link_up(w);
    conn_start_tls_server(w->s.c, tls_server_context(w->server));
    conn_send(w->c.c, STR("EHLO plain.example\r\n"));
    assert_true(test_loop_until(w->base, &w->s.closed));
    assert_true(str_starts(str_of(w->s.reason), STR("TLS handshake: ")));
}

static void a_hanging_handshake_times_out(void **state)
{
    struct world *w = *state;

    link_up(w);
    conn_idle_limit(w->s.c, 20000);
    conn_start_tls_server(w->s.c, tls_server_context(w->server));
    assert_true(test_loop_until(w->base, &w->s.closed));
    assert_string_equal(w->s.reason, "TLS handshake not finished in time");
}

static void bad_certificates_are_named(void **state)
{
    struct world *w = *state;
    const struct {
        struct tls_pem pem;
        const char *text;
    } cases[] = {
        {{STR("nonsense"), str_of(w->ec.key)}, "the certificate file holds no PEM certificate"},
        {{str_of(w->ec.chain), STR("nonsense")},
            "the key file holds no readable PEM private key without a pass phrase"},
        {{str_of(w->ec.chain), str_of(w->other.key)}, "the private key does not belong to the certificate"},
        {{str_of(w->ec.chain), str_of(w->rsa.key)}, "the private key does not belong to the certificate"},
    };
    struct tls_server *server;
    struct err err = {0};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_false(tls_server_new(&server, &cases[i].pem, 1, w->server, &err));
        assert_string_equal(err.text, cases[i].text);
    }
    assert_false(tls_server_new(&server, NULL, 0, NULL, &err));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(carries_bytes_both_ways),
        T(carries_megabytes_within_the_mark),
        T(the_name_chooses_the_certificate),
        T(one_name_may_have_two_kinds_of_key),
        T(old_protocols_are_refused),
        T(checks_the_certificate_when_asked),
        T(sessions_resume_across_a_reload),
        T(a_new_ring_does_not_know_old_tickets),
        T(both_ends_see_the_same_bindings),
        T(plain_input_before_tls_is_dropped),
        T(output_before_the_handshake_is_held_for_it),
        T(nonsense_instead_of_tls_closes),
        T(a_hanging_handshake_times_out),
        T(bad_certificates_are_named),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
