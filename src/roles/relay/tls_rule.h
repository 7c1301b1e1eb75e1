/* What TLS a delivery needs at one server, and why. DANE (RFC 7672) goes before MTA-STS (RFC 8461), and both are added to what the
 * route asks for; REQUIRETLS (RFC 8689) asks for a server that is proven to be the right one, and "TLS-Required: No" for mail that
 * no policy of the recipient's domain holds up. A route that says `none` means it. Pure. */
#pragma once
#include "plan.h"

enum tls_basis { BASIS_NONE, BASIS_ROUTE, BASIS_DANE, BASIS_STS, BASIS_STS_TESTING, BASIS_REQUIRETLS, BASIS_WAIVED };
enum tls_need {
    NEED_ANY,  /* TLS where it works */
    NEED_TLS,  /* with any certificate */
    NEED_DANE, /* with one that the TLSA records name */
    NEED_PKI,  /* with one of a trusted authority for the server's name */
};
/* What a session has shown. */
enum tls_proof { PROOF_TLS = 1, PROOF_DANE = 2, PROOF_PKI = 4 };

enum { TLS_RULE_WHY = 400, TLS_RULE_TEXT = 500 };

struct tls_rule {
    enum tls_basis basis;
    enum tls_need need;
    bool look;    /* the certificate is checked for the report, and decides nothing */
    bool skip;    /* this server must not be tried; `result` says what is wrong in the words of TLSRPT */
    bool lasting; /* and waiting does not mend it */
    enum tls_result result;
    enum tlsrpt_policy_type published; /* the policy of the domain that a report is about */
    char why[TLS_RULE_WHY];
};

/* flags: enum txn_flags. */
void tls_rule_of(const struct plan *plan, size_t target, enum route_tls route, uint64_t flags, struct tls_rule *rule);
/* proof: bits of enum tls_proof. */
bool tls_rule_is_met(const struct tls_rule *rule, unsigned proof);
/* "dane: signed TLSA records of mx.example.org": for the log and for trace. */
void tls_rule_text(const struct tls_rule *rule, char out[TLS_RULE_TEXT]);
