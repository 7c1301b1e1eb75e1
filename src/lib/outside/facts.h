/* What is known here about the server and one domain of it: what the records to publish are made of, and what the checks
 * compare the world with. Views; whoever fills them keeps what they look at. */
#pragma once
#include "certificate.h"
#include "config/config.h"

enum { OUTSIDE_ADDRESSES = 16, OUTSIDE_SENDERS = 64, OUTSIDE_KEYS = 32, OUTSIDE_CHAIN = 8 };

/* An address mail leaves from, and the name it says HELO with there. */
struct outside_sender {
    struct ip ip;
    struct str helo;
};

/* A DKIM key as `staffetta dkim show` has it. */
struct outside_key {
    struct str name, record; /* "s1._domainkey.example.org", "v=DKIM1; ..." */
    struct str state;        /* "active" */
};

struct outside_facts {
    struct str hostname; /* of the server */
    struct str domain;   /* A-labels, lower case; empty: only what belongs to the server itself */
    struct ip addresses[OUTSIDE_ADDRESSES]; /* of the server; none: it is not known here, DNS is believed */
    size_t address_count;
    struct outside_sender senders[OUTSIDE_SENDERS]; /* further ones: of pools */
    size_t sender_count;
    struct outside_key keys[OUTSIDE_KEYS];
    size_t key_count;
    const struct config *config;
    struct outside_certificate certificate; /* the one of the host name; all zero: none */
    struct str chain[OUTSIDE_CHAIN];        /* it and those that signed it, DER */
    size_t chain_count;
    bool sts_covered;      /* some certificate is for mta-sts.DOMAIN */
    struct str report_to;  /* address for reports of DMARC and TLS */
    struct str sts_id;     /* of the MTA-STS policy this server hands out for the domain; empty: it has none */
    bool web;              /* it answers HTTPS for the domain: autoconfig */
};

/* Which services of mail programs there are, by their SRV names (RFC 6186, RFC 8314). */
struct outside_service {
    const char *label; /* "_imaps" */
    enum service service;
    enum listen_tls tls;
    unsigned priority;
};
/* The port of the first listener for it; 0: there is none. Ended by a row without a label. */
extern const struct outside_service outside_services[];
unsigned outside_port_of(const struct config *config, enum service service, enum listen_tls tls);
