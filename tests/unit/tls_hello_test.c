/* Extensions of a ClientHello: the protocol of ACME's validators, and the name. */
#include "net/tls_hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void protocols(void **state)
{
    (void)state;
    assert_true(tls_hello_is_challenge(STR("\0\013\012acme-tls/1")));
    assert_false(tls_hello_is_challenge(STR("\0\016\012acme-tls/1\002h2"))); /* RFC 8737 3: alone */
    assert_false(tls_hello_is_challenge(STR("\0\003\002h2")));
    assert_false(tls_hello_is_challenge(STR("\0\014\012acme-tls/1")));
    assert_false(tls_hello_is_challenge(STR("\0\013\012acme-tls/1x")));
    assert_false(tls_hello_is_challenge(STR("\0\013\013acme-tls/1")));
    assert_false(tls_hello_is_challenge(STR("")));
    assert_false(tls_hello_is_challenge(STR("\0")));
}

static void names(void **state)
{
    struct str name;

    (void)state;
    assert_true(tls_hello_name(STR("\0\006\0\0\003a.b"), &name));
    assert_true(str_eq(name, STR("a.b")));
    assert_false(tls_hello_name(STR("\0\006\001\0\003a.b"), &name));
    assert_false(tls_hello_name(STR("\0\006\0\0\004a.b"), &name));
    assert_false(tls_hello_name(STR("\0\007\0\0\003a.b"), &name));
    assert_false(tls_hello_name(STR("\0\003\0\0\0"), &name));
    assert_false(tls_hello_name(STR("\0\0"), &name));
    assert_false(tls_hello_name(STR(""), &name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(protocols), cmocka_unit_test(names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
