/* Inside of config/: single values as they are written in the file. */
#pragma once
#include "base/buf.h"
#include "config/table.h"

bool value_number(struct str text, int64_t *value);
bool value_switch(struct str text, bool *value); /* true, yes, on; false, no, off */
bool value_span(struct str text, int64_t *microseconds); /* "30s" "5m" "4h" "5d" "0" */
bool value_size(struct str text, int64_t *bytes);         /* "100" "256K" "50M" "1G" "1T" */
bool value_dns_server(struct str text, struct ip *ip, uint16_t *port);

/* Whether one value (a member of a list) fits; otherwise says in `expected` what would. */
bool value_fits(enum config_kind kind, const struct config_rule *rule, struct str text, struct buf *expected);

bool value_is_printable(struct str text);
bool value_is_hostname(struct str text);
bool value_is_hostname_or_empty(struct str text);
bool value_is_mail_address(struct str text);
bool value_is_mail_address_or_empty(struct str text);
bool value_is_path(struct str text);
bool value_is_short_path(struct str text);
bool value_is_path_or_empty(struct str text);
bool value_is_user(struct str text);
bool value_is_log_level(struct str text);
bool value_is_log_format(struct str text);
bool value_is_network(struct str text);
bool value_is_ip(struct str text);
bool value_is_dns_server(struct str text);
bool value_is_separator(struct str text);
bool value_is_sandbox(struct str text);
bool value_is_sharing(struct str text);
bool value_is_service(struct str text);
bool value_is_tls(struct str text);
bool value_is_dmarc_mode(struct str text);
bool value_is_https_url(struct str text);
bool value_is_acme_challenge(struct str text);
bool value_is_sts_mode(struct str text);
bool value_is_mx_pattern(struct str text); /* a host, or "*." and a domain */
bool value_is_exempt(struct str text); /* a domain or a network */

enum service value_service(struct str text); /* SERVICE_NONE for an unknown one */
bool value_tls(struct str text, enum listen_tls *tls);
enum sharing value_sharing(struct str text); /* which is one */
