/* A small internet for the tests of relay. */
#pragma once
#include "relay_world.h"

#define ZONE "x.test MX 10 mx1.test\nx.test MX 20 mx2.test\nmx1.test A 192.0.2.1\nmx2.test A 192.0.2.2\n" \
    "y.test MX 10 mx2.test\ny.test MX 20 mx1.test\nz.test MX 10 mx3.test\nmx3.test AAAA 2001:db8::3\nmx3.test A 192.0.2.3\n" \
    "two.test MX 10 mx4.test\nmx4.test A 192.0.2.4\nmx4.test A 192.0.2.5\n"
#define OFFERS "PIPELINING|STARTTLS"

void open_world(const char *config);
/* The result of recipient n is this one, its text holds these words. */
void expect(uint64_t id, uint64_t n, enum delivery_status status, const char *text);
