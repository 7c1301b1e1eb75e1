/* Throw-away certificates and a loop that runs until a condition holds, for tests of connections. */
#pragma once
#include "base/str.h"

#include <event2/event.h>
#include <stdbool.h>

struct test_pem {
    char chain[8192], key[8192];
};

enum test_key { TEST_EC, TEST_RSA };

/* names: "DNS:a.example,DNS:*.b.example"; NULL for a certificate with only the common name. */
void test_certificate(struct test_pem *pem, enum test_key type, const char *common_name, const char *names);
/* Runs the loop until *flag or a second has passed; returns *flag. */
bool test_loop_until(struct event_base *base, const bool *flag);
/* Runs what is ready, for a few turns. */
void test_loop_idle(struct event_base *base);
/* A connected pair over loopback. */
void test_tcp_pair(int pair[2]);
