/* staffetta.conf: what belongs to the node. Every directive stands once, in the tables below: the
 * struct, the parser, the defaults and the man page staffetta.conf(5) are made from them.
 *
 * D(name, KIND, default, documentation). KIND: TEXT struct str; NUMBER int64_t; SWITCH bool;
 * SPAN int64_t microseconds, written "30s", "5m", "4h", "5d"; SIZE int64_t bytes, written "50M";
 * LIST struct str_list; SPANS struct span_list. Defaults are written as in the file; a list's
 * default is one string with blanks between its members. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"

#define CONFIG_NODE(D)                                                                             \
    D(hostname, TEXT, "", "Fully qualified name of this server: greeting, HELO, Received, Message-ID. Default: the system's host name.") \
    D(postmaster, TEXT, "", "Where mail for <postmaster> without a domain goes. Default: postmaster@ the first local domain.") \
    D(data, TEXT, "/var/lib/staffetta", "Folder of all databases.")                                \
    D(run, TEXT, "/run/staffetta", "Folder of the local sockets (control.sock, smtp.sock).")       \
    D(user, TEXT, "staffetta", "When started as root: prefix of the users the roles run as (staffetta-smtp, staffetta-queue ...), or one user of that name. Empty: no change of user.") \
    D(log_level, TEXT, "info", "debug, info, warning or error.")                                   \
    D(log_format, TEXT, "human", "human (key=value) or json, one line an event on standard error.") \
    D(relay_networks, LIST, "127.0.0.0/8 ::1", "Networks whose hosts may relay without logging in: printers, application servers.") \
    D(dns, LIST, "", "DNS servers to ask, as address or address@port. Empty: those of /etc/resolv.conf, and without it the root servers.") \
    D(dnssec_anchor, TEXT, "/usr/share/dns/root.key", "File with the DNSSEC trust anchor; empty switches validation off.") \
    D(subaddress_separator, TEXT, "+", "Separates the user from the tag in user+tag@domain; empty for none.") \
    D(sharing, TEXT, "domain", "With whom IMAP users may share mailboxes (ACL): none; domain, accounts of their own domain; server, every account; anyone, the same and all of them at once, with the identifier anyone. What was granted before and goes beyond has no effect.") \
    D(sandbox, TEXT, "required", "required, or if-available for containers that forbid Landlock or seccomp.")

#define CONFIG_LIMITS(D)                                                                           \
    D(message_size, SIZE, "50M", "Largest message taken, in bytes.")                               \
    D(header_size, SIZE, "256K", "Largest header of a message.")                                   \
    D(recipients, NUMBER, "1000", "Recipients of one message.")                                    \
    D(received_fields, NUMBER, "50", "Received fields after which a message is taken for looping.") \
    D(errors, NUMBER, "20", "Errors of a client after which it is disconnected.")                  \
    D(unknown_commands, NUMBER, "10", "Unknown commands after which a client is disconnected.")    \
    D(connections, NUMBER, "10000", "Connections of one copy of smtp or access in all.")           \
    D(connections_per_address, NUMBER, "50", "Connections from one IPv4 address or IPv6 /64; loopback and relay_networks are exempt.") \
    D(connections_per_account, NUMBER, "200", "IMAP and POP3 connections of one account that have logged in.") \
    D(messages_per_address, NUMBER, "5000", "Messages an hour from one address; relay_networks are exempt.") \
    D(recipients_per_address, NUMBER, "20000", "Recipients an hour from one address; relay_networks are exempt.") \
    D(messages_per_account, NUMBER, "1000", "Messages an hour from one account, where the account has no limit of its own.") \
    D(recipients_per_account, NUMBER, "5000", "Recipients an hour from one account, where the account has no limit of its own.") \
    D(messages_per_connection, NUMBER, "1000", "Messages of one connection, announced with LIMITS (RFC 9422).") \
    D(login_failures, NUMBER, "10", "Failed logins from one address within ban_time after which it is banned; loopback and relay_networks are exempt. A login is refused after five times as many.") \
    D(ban_time, SPAN, "15m", "How long an address with too many failed logins is refused.")        \
    D(greeting_delay, SPAN, "0s", "Pause before the greeting on MX listeners; who talks in it is disconnected.") \
    D(idle_time, SPAN, "5m", "A client that sends nothing for this long is disconnected (RFC 5321 4.5.3.2).") \
    D(connection_time, SPAN, "2h", "Longest connection of an SMTP client in all.")                 \
    D(imap_idle_time, SPAN, "30m", "An IMAP client that has logged in and then sends nothing for this long is disconnected. At least 30m (RFC 9051, section 5.4).") \
    D(imap_message_limit, NUMBER, "0", "So many messages one IMAP command works on, announced as MESSAGELIMIT (RFC 9738), which wants 1000 at least; 0: any number.") \
    D(search_index_from, NUMBER, "1000", "An account with so many messages gets a full-text index for SEARCH when it is used over IMAP; 0: none does.") \
    D(pop3_idle_time, SPAN, "10m", "A POP3 client that has logged in and then sends nothing for this long is disconnected; nothing is deleted. At least 10m (RFC 1939, section 3).") \
    D(pop3_session_time, SPAN, "12h", "Longest POP3 session, from login on; nothing is deleted of one that is cut.")

#define CONFIG_QUEUE(D)                                                                            \
    D(lifetime, SPAN, "5d", "After this a message that cannot be delivered is returned.")          \
    D(bounce_lifetime, SPAN, "2d", "The same for reports with the null sender.")                   \
    D(hold_lifetime, SPAN, "30d", "After this a message that the administrator holds is returned too.") \
    D(delay_notice, SPAN, "4h", "After this the sender is told that a message is delayed; 0s for never.") \
    D(retry, SPANS, "1m 3m 10m 30m 1h 2h 4h", "Pauses between attempts; the last one repeats. Each is varied by up to a fifth.") \
    D(min_free_disk, SIZE, "200M", "Below this much free space no message is taken (452 4.3.1).")  \
    D(memory, SIZE, "64M", "Memory of one queue shard for bodies on their way.")                   \
    D(active, NUMBER, "10000", "Recipients one shard works on at once; the rest waits in the database.") \
    D(event_days, NUMBER, "30", "How many days the story of a message is kept for `staffetta trace`.")

#define CONFIG_RELAY(D)                                                                            \
    D(port, NUMBER, "25", "Port of remote servers found by MX.")                                   \
    D(connections, NUMBER, "1000", "Outgoing connections of one relay copy in all.")               \
    D(connections_per_destination, NUMBER, "20", "Connections to one destination; grows towards this with success.") \
    D(messages_per_connection, NUMBER, "100", "Messages sent over one connection.")                \
    D(messages_per_second, NUMBER, "0", "Messages a second to one destination; 0 for no limit.")   \
    D(recipients_per_transaction, NUMBER, "100", "Recipients of one transaction, where the remote announces no smaller limit.") \
    D(connect_time, SPAN, "30s", "Time limit of a connection attempt.")                            \
    D(command_time, SPAN, "5m", "Time limit of a reply (RFC 5321 4.5.3.2); after the final dot twice that.") \
    D(idle_time, SPAN, "5s", "How long an unused connection is kept for another message.")         \
    D(ipv6, SWITCH, "true", "Use IPv6 where the remote has it.")                                   \
    D(dane, SWITCH, "true", "Obey signed TLSA records of servers found by MX (DANE, RFC 7672); needs dnssec_anchor.") \
    D(mta_sts, SWITCH, "true", "Obey MTA-STS policies of the recipients' domains (RFC 8461).")     \
    D(mta_sts_port, NUMBER, "443", "Port of the servers that policies are fetched from.")          \
    D(ca_file, TEXT, "/etc/ssl/certs/ca-certificates.crt", "Certificates trusted where a route, REQUIRETLS or MTA-STS asks for a verified one.")

/* What is done about mail of strangers (docs/mailauth.md). */
#define CONFIG_AUTH(D)                                                                             \
    D(check, SWITCH, "true", "Judge mail from strangers by SPF, DKIM and DMARC, and write Authentication-Results into it.") \
    D(dmarc, TEXT, "enforce", "enforce: what fails DMARC is refused, or filed as junk, as the owner of its domain asks; report: it is only written into the message; off: DMARC is not looked at.") \
    D(refuse_spf_fail, SWITCH, "false", "Refuse mail whose sender's domain says by SPF that this address may not send for it. Hits forwarded mail.") \
    D(exempt, LIST, "", "Domains of authors (with those below them) and networks of clients whose mail is judged, but neither refused nor filed as junk for it.") \
    D(trusted_sealers, LIST, "", "Domains (with those below them) whose ARC seals are believed: mail they have forwarded, and say had passed DMARC when it came to them, is neither refused nor filed as junk by DMARC.") \
    D(time, SPAN, "25s", "How long a message waits at its end for answers of DNS; what is open then is temperror.") \
    D(report_from, TEXT, "", "Where the daily reports about mail of others come from: an address in a domain of this server that has DKIM keys. Empty: none are sent.") \
    D(report_organisation, TEXT, "", "Who sends these reports; empty: the domain of report_from.") \
    D(report_contact, TEXT, "", "The address for questions about them; empty: report_from.") \
    D(reports_to, LIST, "", "Addresses of our mailboxes that DMARC records of our domains name (rua): reports that come there are read for `staffetta report`, and delivered.")

#define CONFIG_DKIM(D)                                                                             \
    D(rotate, SPAN, "180d", "Age at which a DKIM key gets a successor, which is used once it is published; 0s for never.") \
    D(publish_wait, SPAN, "1d", "How long a new key is published before it takes the place of another one.") \
    D(retire_keep, SPAN, "7d", "How long the record of a key that is not used any more has to stay.")

/* Mail that goes on to another server (docs/forwarding.md). */
#define CONFIG_FORWARD(D)                                                                          \
    D(srs, SWITCH, "true", "Rewrite the sender of mail that an alias sends on to another server (SRS), so that SPF fits and bounces come back. Not done for senders of our own domains.") \
    D(seal, SWITCH, "true", "Seal mail of strangers that goes on to another server (ARC), with the DKIM key of the domain in whose name it goes on.") \
    D(domain, TEXT, "", "The domain in whose name mail goes on: its MX must lead here, and its SPF record allow this server. Empty: that of the address the mail came for.")

/* What others see of this server and its domains: the records of DNS and their checks (docs/setup.md). */
#define CONFIG_CHECK(D)                                                                            \
    D(addresses, LIST, "", "Public addresses of this server, for the records to publish and for the checks. Empty: those that DNS has for hostname.") \
    D(every, SPAN, "1d", "How often the server checks itself and its domains; what has changed is mailed to the postmaster. 0s for never.") \
    D(outbound, LIST, "gmail.com outlook.com", "Domains whose mail servers are connected to, to see whether port 25 is open on the way out; one that answers is enough. Empty: it is not tried.") \
    D(dnsbl, LIST, "zen.spamhaus.org bl.spamcop.net psbl.surriel.com", "Block lists of addresses in which this server should not be. Empty: none is asked.") \
    D(time, SPAN, "20s", "How long a check waits for answers in all.")                             \
    D(certificate_time, SPAN, "14d", "A certificate that ends sooner is warned about.")

/* Certificates by ACME (docs/certificates.md). */
#define CONFIG_ACME(D)                                                                             \
    D(agree, SWITCH, "false", "You agree to the terms of the certificate authority; without it none is asked.") \
    D(directory, TEXT, "https://acme-v02.api.letsencrypt.org/directory", "The certificate authority: URL of its directory.") \
    D(contact, TEXT, "", "Mail address it may write to; may be empty.")                            \
    D(certificate, TEXT, "", "Name of the section certificate whose chain is renewed; default: the first one. Its key stays.") \
    D(names, LIST, "", "Further names of the certificate, besides hostname.")                      \
    D(domains, SWITCH, "true", "Put mta-sts, autoconfig and autodiscover of our own domains into it, as far as these names have an address of this server.") \
    D(challenge, TEXT, "http-01", "How it is shown that the names are ours: http-01, answered by a listener http on port 80, or tls-alpn-01, by a listener https on port 443.") \
    D(ca_file, TEXT, "/etc/ssl/certs/ca-certificates.crt", "Certificates trusted when the certificate authority is asked.")

#define CONFIG_COPIES(D)                                                                           \
    D(directory, NUMBER, "2", "The first answers look-ups, the others check passwords.")           \
    D(smtp, NUMBER, "1", "Copies of the SMTP server.")                                             \
    D(filter, NUMBER, "1", "Copies of the filter.")                                                \
    D(queue, NUMBER, "1", "Queue shards. May be raised, never lowered while a shard holds mail.")  \
    D(relay, NUMBER, "1", "Copies of the SMTP client.")                                            \
    D(access, NUMBER, "1", "Copies of the IMAP and POP3 front.")                                            \
    D(mailbox, NUMBER, "1", "Copies of the mailbox server.")                                       \
    D(web, NUMBER, "1", "Always 1 for now.")

/* Of each `listen "name" { ... }` section. */
#define CONFIG_LISTEN(D)                                                                           \
    D(service, TEXT, "", "mx, submission, lmtp, imap, pop3, https, http or metrics.")                                 \
    D(address, LIST, "0.0.0.0 ::", "Addresses to listen on.")                                      \
    D(port, NUMBER, "0", "Port; the default is that of the service: 25, 587 (465 with implicit TLS), 24, 143 (993), 110 (995), 443, 80, 9225.") \
    D(tls, TEXT, "starttls", "none, starttls or implicit. That of http and metrics is none, that of https implicit.")                                        \
    D(proxy_from, LIST, "", "Networks of proxies that speak the PROXY protocol (v1 or v2) first.") \
    D(xclient_from, LIST, "", "Networks that may use XCLIENT.")                                    \
    D(systemd, TEXT, "", "Name of the socket that systemd passes (FileDescriptorName=) instead of address and port.")

/* Of each `certificate "name" { ... }` section. */
#define CONFIG_CERTIFICATE(D)                                                                      \
    D(chain, TEXT, "", "PEM file: the certificate, then those that signed it.")                    \
    D(key, TEXT, "", "PEM file with the private key; read by the supervisor only.")

/* Of each `mta_sts "DOMAIN" { ... }` section: the MTA-STS policy we publish for a domain of ours (tlspolicy/sts_own.h). */
#define CONFIG_MTA_STS(D)                                                                          \
    D(mode, TEXT, "testing", "testing: other servers report when they would not have delivered; enforce: they deliver only over TLS with a good certificate; none: there is no policy any more.") \
    D(max_age, SPAN, "7d", "How long other servers keep the policy.")                              \
    D(mx, LIST, "", "Names of the domain's mail servers, *.example.org for any host in a domain. Empty: the hostname.")

enum service {
    SERVICE_NONE,
    SERVICE_MX,
    SERVICE_SUBMISSION,
    SERVICE_LMTP,
    SERVICE_IMAP,
    SERVICE_POP3,
    SERVICE_HTTPS,
    SERVICE_HTTP,
    SERVICE_METRICS,
    SERVICE_LOCAL_SMTP, /* run/smtp.sock: staffetta sendmail */
    SERVICE_CONTROL,    /* run/control.sock: commands */
};
enum listen_tls { LISTEN_TLS_NONE, LISTEN_TLS_STARTTLS, LISTEN_TLS_IMPLICIT };

enum sharing { SHARING_NONE, SHARING_DOMAIN, SHARING_SERVER, SHARING_ANYONE }; /* each allows what the one before does */

struct str_list {
    struct str *items;
    size_t n;
};
struct span_list {
    int64_t *items;
    size_t n;
};
struct network_list {
    struct network *items;
    size_t n;
};

#define CONFIG_TYPE_TEXT struct str
#define CONFIG_TYPE_NUMBER int64_t
#define CONFIG_TYPE_SWITCH bool
#define CONFIG_TYPE_SPAN int64_t
#define CONFIG_TYPE_SIZE int64_t
#define CONFIG_TYPE_LIST struct str_list
#define CONFIG_TYPE_SPANS struct span_list
#define CONFIG_MEMBER(name, kind, value, doc) CONFIG_TYPE_##kind name;

struct config_listen {
    struct str name;
    CONFIG_LISTEN(CONFIG_MEMBER)
    /* derived */
    enum service service_id;
    enum listen_tls tls_mode;
    struct network_list proxies, xclients;
};
struct config_certificate {
    struct str name;
    CONFIG_CERTIFICATE(CONFIG_MEMBER)
};
struct config_mta_sts {
    struct str name;
    CONFIG_MTA_STS(CONFIG_MEMBER)
};
struct config {
    struct arena arena; /* owns everything */
    CONFIG_NODE(CONFIG_MEMBER)
    struct {
        CONFIG_LIMITS(CONFIG_MEMBER)
    } limits;
    struct {
        CONFIG_QUEUE(CONFIG_MEMBER)
    } queue;
    struct {
        CONFIG_RELAY(CONFIG_MEMBER)
    } relay;
    struct {
        CONFIG_AUTH(CONFIG_MEMBER)
    } auth;
    struct {
        CONFIG_DKIM(CONFIG_MEMBER)
    } dkim;
    struct {
        CONFIG_FORWARD(CONFIG_MEMBER)
    } forward;
    struct {
        CONFIG_CHECK(CONFIG_MEMBER)
    } check;
    struct {
        CONFIG_ACME(CONFIG_MEMBER)
    } acme;
    struct {
        CONFIG_COPIES(CONFIG_MEMBER)
    } copies;
    struct config_listen *listeners;
    size_t listener_count;
    struct config_certificate *certificates;
    size_t certificate_count;
    struct config_mta_sts *mta_sts;
    size_t mta_sts_count;
    struct config_mta_sts mta_sts_standard; /* of a domain that no section names */
    /* derived */
    struct network_list relay_nets, exempt_nets;
    struct str_list exempt_domains;
    enum sharing sharing_mode;
};

/* Parses the text of the file called `path` (for messages). On failure err says
 * "file:line: what, and what was expected". Touches no file, so it works inside a sandbox. */
MUST_CHECK bool config_parse(struct config **config, struct str path, struct str text, struct err *err);
void config_free(struct config *config);
/* Things that are no mistake but that the author should know, one sentence each. */
typedef void config_say(void *arg, const char *text);
void config_advise(const struct config *config, config_say *say, void *arg);
/* Loopback, or one of relay_networks: neighbours. They are exempt from what is counted by address, for
 * one such address may stand for many people (a webmail, a proxy); what is counted by login stays. */
bool config_exempts(const struct config *config, const struct ip *ip);
/* What one of these accounts grants the other in its mailboxes has effect. Addresses as directory compares them; of one that is not known
 * (empty) nothing has. */
bool config_lets_share(const struct config *config, struct str owner, struct str other);
bool network_list_holds(const struct network_list *list, const struct ip *ip);
/* The table as mdoc, for man/staffetta.conf.5 (used by the build). */
void config_write_manual(struct buf *out);
