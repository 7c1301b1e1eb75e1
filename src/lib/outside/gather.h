/* The facts put together: from the configuration, and from what directory and resolver answer to commands, a JSON row at a time. */
#pragma once
#include "base/arena.h"
#include "facts.h"

struct outside_gather {
    struct outside_facts facts;
    struct arena arena; /* what the views of facts look at */
    bool full;          /* something had no room: the facts are not whole */
};

/* domain: may be empty, for the server alone. The configuration must outlive it. */
void outside_gather_begin(struct outside_gather *g, const struct config *config, struct str domain);
void outside_gather_end(struct outside_gather *g);
/* Addresses of the server, when the configuration names none. */
void outside_gather_address(struct outside_gather *g, const struct ip *ip);
/* A row of `dkim show DOMAIN`; keys that are given up do not count. */
void outside_gather_key(struct outside_gather *g, struct str json);
/* A row of `pool list`. */
void outside_gather_pool(struct outside_gather *g, struct str json);
/* Each certificate of the server, PEM, the default one first: the first for the host name counts, without one the first of all. */
MUST_CHECK bool outside_gather_certificate(struct outside_gather *g, struct str pem, struct err *err);
