/* Every message that may cross between two processes, in one place. Structs, encoders, decoders,
 * names and the who-may-say-what table all come from the lists below (see ipc.h, codec.c).
 *
 * A message is MESSAGE(name, senders, receivers); its fields are FIELDS_name. Field kinds:
 *   U(name)            uint64_t, at most 2^63-1 where it goes into a database
 *   I(name)            int64_t (times are microseconds, see base/clock.h)
 *   S(name, longest)   struct str, a view that lives as long as the handler runs; sending a longer one
 *                      is a bug and ends the sender
 *   T(name, longest)   the same for words meant for people: what is too long is cut when sent
 *
 * Identifiers: `id` names a request of the sender of the first message; the answer repeats it, and an
 * answer nobody waits for is dropped. `message` is a queue id (base/msgid.h). `account` is the number
 * of an account in the directory. */
#pragma once
#include "base/msgid.h"
#include "base/str.h"

enum role_id {
    ROLE_SUPERVISOR,
    ROLE_RESOLVER,
    ROLE_DIRECTORY,
    ROLE_SMTP,
    ROLE_FILTER,
    ROLE_QUEUE,
    ROLE_RELAY,
    ROLE_ACCESS,
    ROLE_MAILBOX,
    ROLE_EVENTS,
    ROLE_WEB,
    ROLE_COUNT,
};

enum {
    IPC_ADDRESS = 1024, /* longest mail address, with room for UTF-8 and quoting */
    IPC_CHUNK = 65536,  /* longest piece of a body */
    IPC_TEXT = 4096,    /* longest reply or reason */
    IPC_NAME = 512,     /* host names, logins, ids */
    IPC_LIST = 100000,  /* longest packed list */
};

/* ---- supervisor to every role, on the control socket ---- */
#define FIELDS_boot_hello(U, I, S, T) U(build) U(role) U(copy) U(copies) S(libexec, IPC_TEXT)
#define FIELDS_boot_config(U, I, S, T) S(path, IPC_TEXT) S(text, IPC_LIST)
/* A certificate chain and its key, PEM; first one is the default. Only directory gets the keys; smtp,
 * access and web get the chains alone. */
#define FIELDS_boot_certificate(U, I, S, T) S(name, IPC_NAME) S(chain, IPC_CHUNK) S(key, IPC_CHUNK)
/* With one descriptor: a listening socket. index: place of its section in the configuration;
 * service as in config.h (enum service). */
#define FIELDS_boot_listener(U, I, S, T) U(index) U(service) S(address, IPC_NAME)
/* With one descriptor: the channel to one copy of a peer. Sent again when that peer was restarted. */
#define FIELDS_boot_peer(U, I, S, T) U(role) U(copy) U(copies)
/* With one descriptor: the signing line between a front and the holder of the keys (key_sign_ask). */
#define FIELDS_boot_signer(U, I, S, T) U(role) U(copy)
/* All of the above is there (first time: start working; later: a reload is complete). */
#define FIELDS_boot_run(U, I, S, T) U(reload)
/* Finish what is open within the time, take nothing new, then exit. */
#define FIELDS_drain(U, I, S, T) I(within)
/* Role to supervisor. */
#define FIELDS_ready(U, I, S, T) U(reload)
/* Supervisor to web: what /metrics and `staffetta status` say about processes. */
#define FIELDS_process_state(U, I, S, T) U(role) U(copy) U(pid) U(restarts) I(started)

/* ---- smtp, filter, access, mailbox, queue, relay to directory ---- */
enum rcpt_result {
    RCPT_LOCAL,   /* a mailbox, an alias or a catch-all of ours */
    RCPT_REMOTE,  /* not our domain: only those who may relay */
    RCPT_BACKUP,  /* a domain this server is backup MX for */
    RCPT_UNKNOWN, /* our domain, no such user: 550 5.1.1 */
    RCPT_DISABLED, /* the account or domain is switched off: 550 5.2.1 */
    RCPT_LIMITED, /* the sending account or address is over its hourly limit: 450 4.7.1 */
    RCPT_TEMPFAIL, /* directory cannot answer now: 451 4.3.0 */
};
/* account: the authenticated sender, 0 for none; charged for one recipient (and, with `first`, for one message).
 * bounce: a stranger's, with the null sender. */
#define FIELDS_rcpt_ask(U, I, S, T) U(id) U(account) U(first) U(bounce) S(address, IPC_ADDRESS)
/* forwards: it leads to another server, for which filter seals the message. junk: a bounce of mail that was not sent here. */
#define FIELDS_rcpt_reply(U, I, S, T) U(id) U(result) U(forwards) U(junk) T(text, IPC_TEXT)
/* May this account use this address in MAIL FROM or From? */
#define FIELDS_sender_ask(U, I, S, T) U(id) U(account) S(address, IPC_ADDRESS)
#define FIELDS_sender_reply(U, I, S, T) U(id) U(allowed) U(temporary)
/* SASL. service: "smtp", "imap" or "pop". PLAIN and LOGIN and the PASS command of POP3 go the same way;
 * mechanism "USERPASS" carries "\0user\0password" for protocols without SASL. All SASL data is raw
 * here (the front does base64). Bindings are raw channel-binding bytes, empty without TLS. */
enum auth_result { AUTH_OK, AUTH_BAD_CREDENTIALS, AUTH_DISABLED, AUTH_SLOW_DOWN, AUTH_BAD_REQUEST, AUTH_TEMPFAIL };
enum auth_rights { AUTH_MAY_SEND = 1, AUTH_MAY_READ = 2 };
#define FIELDS_auth_begin(U, I, S, T)                                                                 \
    U(id) S(service, 16) S(mechanism, 32) U(has_initial) S(initial, 16384) S(client, 64)           \
    S(tls_unique, 1024) S(tls_exporter, 1024)
#define FIELDS_auth_step(U, I, S, T) U(id) S(data, 16384)
#define FIELDS_auth_cancel(U, I, S, T) U(id)
#define FIELDS_auth_challenge(U, I, S, T) U(id) S(data, 16384)
/* data: SASL data that goes along with success (the last SCRAM message), may be empty. */
#define FIELDS_auth_done(U, I, S, T)                                                                  \
    U(id) U(result) U(account) U(rights) S(login, IPC_ADDRESS) S(data, 16384) T(text, IPC_TEXT)
/* Where does this recipient go? Asked by queue at the first attempt and again at each retry. */
enum resolve_result {
    RESOLVE_LOCAL,    /* into the mailbox of `account`; `address` is what Delivered-To says */
    RESOLVE_REMOTE,   /* to relay, by the route fields */
    RESOLVE_EXPAND,   /* an alias: `targets` replace it */
    RESOLVE_DISCARD,  /* a route says so: counts as delivered */
    RESOLVE_FAIL,     /* permanent; `text` is "5.1.1 no such user" */
    RESOLVE_TEMPFAIL, /* try again later; `text` as above with 4.x.x */
};
enum route_kind {
    ROUTE_MX,   /* by MX records of the recipient's domain */
    ROUTE_SMTP, /* to hosts, a list "host:port host:port"; MX is not looked up */
    ROUTE_LMTP, /* the same, speaking LMTP; "unix:/path" is not possible (relay has no files) */
};
enum route_tls {
    TLS_OPPORTUNISTIC, /* STARTTLS when offered, no check, plain when it fails */
    TLS_NONE,
    TLS_REQUIRED,  /* any certificate */
    TLS_VERIFIED,  /* name and chain checked */
    TLS_IMPLICIT,  /* TLS from the first byte, name and chain checked */
};
/* class: 0 transactional, 1 bulk. submitted: by somebody who may send through us. original: the recipient that came in. */
#define FIELDS_resolve_ask(U, I, S, T)                                                                \
    U(id) U(class) U(expanded) U(submitted) S(address, IPC_ADDRESS) S(sender, IPC_ADDRESS)         \
    S(original, IPC_ADDRESS)
/* targets: addresses, each ended by NUL. hosts: as in route_kind, empty for MX. credential: number of
 * a stored login for the smart host (asked with secret_ask), 0 for none. pool: name of the source
 * address pool, empty for the default. sender: what the next server is told instead of the sender (a
 * signed or rewritten return path), empty for the same. */
#define FIELDS_resolve_reply(U, I, S, T)                                                              \
    U(id) U(result) U(account) S(address, IPC_ADDRESS) S(targets, IPC_LIST) U(route) U(tls)        \
    S(hosts, IPC_TEXT) U(credential) S(pool, 64) S(sender, IPC_ADDRESS) T(text, IPC_TEXT)
/* smtp, access and web hold no private keys: what a TLS handshake needs signed is asked on a line of its own,
 * and the front waits for it. operation: enum key_operation of net/remote_key.h; key: SHA-256 of the
 * public key. */
#define FIELDS_key_sign_ask(U, I, S, T) U(id) U(operation) S(key, 32) S(input, 1024)
#define FIELDS_key_sign_reply(U, I, S, T) U(id) U(done) S(output, 1024)
/* filter asks which DKIM keys sign for a domain: their selectors, empty for none. failed: directory cannot say now. */
#define FIELDS_dkim_keys_ask(U, I, S, T) U(id) S(domain, IPC_NAME)
#define FIELDS_dkim_keys_reply(U, I, S, T) U(id) U(failed) S(rsa, 64) S(ed25519, 64)
/* The signatures of these keys for these hashes (SHA-256; empty where there is no such key). failed: not all can be had. */
#define FIELDS_dkim_sign_ask(U, I, S, T)                                                              \
    U(id) S(domain, IPC_NAME) S(rsa, 64) S(rsa_hash, 32) S(ed25519, 64) S(ed25519_hash, 32)
#define FIELDS_dkim_sign_reply(U, I, S, T) U(id) U(failed) S(rsa_signature, 512) S(ed25519_signature, 64)
/* web asks whether a domain is one of ours that takes mail here. domain: its canonical form; empty when it is not ours. */
#define FIELDS_domain_ask(U, I, S, T) U(id) S(domain, IPC_NAME)
#define FIELDS_domain_reply(U, I, S, T) U(id) U(failed) S(domain, IPC_NAME)
/* relay asks for the login of a smart host. */
#define FIELDS_secret_ask(U, I, S, T) U(id) U(credential)
#define FIELDS_secret_reply(U, I, S, T) U(id) U(found) S(user, IPC_NAME) S(secret, IPC_NAME)
/* relay asks for the source address pools; the answer comes again whenever they change. pools: lines
 * "pool address weight ehlo-name\n"; pool "default" may be missing. */
#define FIELDS_pools_ask(U, I, S, T) U(id)
#define FIELDS_pools_reply(U, I, S, T) U(id) S(pools, IPC_LIST)
/* mailbox asks what an account may hold. 0 is no limit. directory sends account_changed to every
 * mailbox copy when an account was changed or removed. */
#define FIELDS_account_ask(U, I, S, T) U(id) U(account)
#define FIELDS_account_reply(U, I, S, T)                                                           \
    U(id) U(account) U(found) U(quota_bytes) U(quota_messages) S(address, IPC_ADDRESS)
#define FIELDS_account_changed(U, I, S, T) U(account) U(removed)
/* mailbox asks, for the account `asker`, whose address that is: exactly an account's, not an alias. account 0: nobody's; failed: directory
 * cannot say now. address: as it is compared, nobody's too; empty: it is none. asker: the address of the other. */
#define FIELDS_name_ask(U, I, S, T) U(id) U(asker) S(address, IPC_ADDRESS)
#define FIELDS_name_reply(U, I, S, T) U(id) U(account) U(failed) S(address, IPC_ADDRESS) S(asker, IPC_ADDRESS)
/* mailbox notes that `owner` has granted `grantee` something (0: anyone), or nothing any more. A hint of where to look: what is
 * granted stands in the owner's database alone. */
#define FIELDS_share_note(U, I, S, T) U(owner) U(grantee) U(granted)
/* mailbox asks who may have granted this account something that has effect (`sharing` of the configuration). asker: its address;
 * owners: a line each, "NUMBER ADDRESS". */
#define FIELDS_shares_ask(U, I, S, T) U(id) U(account)
#define FIELDS_shares_reply(U, I, S, T) U(id) U(failed) S(asker, IPC_ADDRESS) S(owners, IPC_LIST)

/* ---- a message on its way in: smtp (or another source: events, with its reports) to filter to queue ---- */
enum txn_flags {
    TXN_SUBMISSION = 1 << 0,  /* from an account or a listed network: complete it, drop Bcc */
    TXN_SMTPUTF8 = 1 << 1,
    TXN_8BITMIME = 1 << 2,
    TXN_BINARYMIME = 1 << 3,
    TXN_REQUIRETLS = 1 << 4,
    TXN_RET_FULL = 1 << 5,
    TXN_RET_HDRS = 1 << 6,
    TXN_BULK = 1 << 7,        /* class bulk; filter may set it */
    TXN_BY_RETURN = 1 << 8,   /* DELIVERBY mode R (else N) */
    TXN_BY_TRACE = 1 << 9,
    TXN_LOCAL = 1 << 10,      /* came over the local socket (staffetta sendmail) */
    TXN_NO_SENDER_CHECK = 1 << 11, /* From is not checked against the account */
    TXN_LMTP = 1 << 12,       /* another mail server took it from its sender: who that was is not ours to judge */
    TXN_JUNK = 1 << 13,       /* set by filter: into the mailbox for junk */
    TXN_TLS_OPTIONAL = 1 << 14, /* set by filter: "TLS-Required: No" (RFC 8689 5), no TLS policy may hold it up */
};
enum notify_flags { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 }; /* 0: not given */
/* hold_until and deliver_by are wall times, 0 for none. trace is the complete Received field with its
 * CRLF. size is what SIZE= announced, 0 if nothing. priority is MT-PRIORITY, biased by +9 (0..18). */
#define FIELDS_txn_begin(U, I, S, T)                                                                  \
    U(id) U(message) U(flags) U(account) U(size) U(priority) I(hold_until) I(deliver_by)           \
    S(sender, IPC_ADDRESS) S(envid, IPC_NAME) S(login, IPC_ADDRESS) S(client, 64)                  \
    T(helo, IPC_NAME) T(protocol, 32) T(tls, 128) S(trace, IPC_TEXT)
/* forwards: as in rcpt_reply. */
#define FIELDS_txn_rcpt(U, I, S, T) U(id) U(notify) U(forwards) S(address, IPC_ADDRESS) S(orcpt, IPC_ADDRESS)
#define FIELDS_txn_chunk(U, I, S, T) U(id) S(data, IPC_CHUNK)
/* prepend: header fields that filter puts on top (Received from smtp included), with CRLFs. smtp
 * leaves it empty. flags: filter's last word (TXN_BULK, TXN_JUNK). message_id: for trace; judged: too, what was found
 * out about the sender, in words. */
#define FIELDS_txn_end(U, I, S, T) U(id) U(flags) S(prepend, IPC_CHUNK) T(message_id, IPC_NAME) T(judged, IPC_TEXT)
#define FIELDS_txn_abort(U, I, S, T) U(id)
/* Back to the source: text is the reply with its enhanced code, "2.0.0 queued as ...". Final: the
 * transaction is over, also when it comes before txn_end (what still arrives is dropped). */
#define FIELDS_txn_done(U, I, S, T) U(id) U(code) T(text, IPC_TEXT)
/* Whether a queue shard takes messages now (disk, memory); passed on by filter to its sources. */
#define FIELDS_queue_state(U, I, S, T) U(shard) U(shards) U(accepting) T(reason, IPC_TEXT)

/* ---- a message on its way out: queue to mailbox and relay ---- */
/* A delivery is one message for one account, or for recipients that share one destination. `n` is a
 * recipient's number within its message. size is that of the whole content with its prepended
 * fields; body holds all of it when it is at most IPC_CHUNK, else it is empty and body_ask fetches. */
#define FIELDS_deliver_local(U, I, S, T)                                                              \
    U(id) U(message) U(account) U(n) U(size) U(flags) I(arrived) S(sender, IPC_ADDRESS)            \
    S(rcpt, IPC_ADDRESS) S(original, IPC_ADDRESS) S(body, IPC_CHUNK)
/* destination: what queue schedules by: the recipient domain, or the route's hosts. */
#define FIELDS_deliver_remote(U, I, S, T)                                                             \
    U(id) U(message) U(flags) U(size) U(priority) I(deliver_by) S(destination, IPC_TEXT)           \
    S(domain, IPC_NAME) U(route) U(tls) S(hosts, IPC_TEXT) U(credential) S(pool, 64)               \
    S(sender, IPC_ADDRESS) S(envid, IPC_NAME) S(body, IPC_CHUNK)
#define FIELDS_deliver_rcpt(U, I, S, T) U(id) U(n) U(notify) S(address, IPC_ADDRESS) S(orcpt, IPC_ADDRESS)
#define FIELDS_deliver_go(U, I, S, T) U(id)
/* mailbox or relay asks for the next piece; data is at most IPC_CHUNK and empty only at the end. */
#define FIELDS_body_ask(U, I, S, T) U(id) U(offset)
#define FIELDS_body_chunk(U, I, S, T) U(id) U(offset) S(data, IPC_CHUNK)
enum delivery_status {
    DELIVERY_DELIVERED, /* in the mailbox, synced */
    DELIVERY_RELAYED,   /* the next server took it */
    DELIVERY_DEFERRED,  /* try again */
    DELIVERY_FAILED,    /* never */
};
enum delivery_reason { /* why it did not go; REASON_LIST gives the names */
    REASON_NONE, REASON_NO_USER, REASON_MAILBOX_FULL, REASON_POLICY, REASON_RATE, REASON_CONTENT,
    REASON_NETWORK, REASON_DNS, REASON_TLS, REASON_PROTOCOL, REASON_LIMIT, REASON_EXPIRED, REASON_OTHER,
};
#define REASON_NAMES                                                                               \
    {"none", "no-user", "mailbox-full", "policy", "rate", "content", "network", "dns", "tls",      \
        "protocol", "limit", "expired", "other"}
/* code and text are the remote's (or ours, speaking for it): 550, "5.1.1 no such user here". dsn: the
 * remote took DSN parameters, so success reports are its business. policy: which TLS policy counted and why. retry_at: not before, 0 for the
 * queue's own schedule. */
#define FIELDS_rcpt_done(U, I, S, T)                                                                  \
    U(id) U(n) U(status) U(reason) U(code) U(dsn) I(retry_at) T(text, IPC_TEXT) T(host, IPC_NAME)  \
    T(ip, 64) T(tls, 128) T(policy, IPC_NAME) T(source, 64)
#define FIELDS_deliver_done(U, I, S, T) U(id)
/* relay keeps each final result until it is on disk: queue says so for all of a delivery. A process of queue
 * that was started anew is told, before it offers anything, what the one before did not store; each is
 * answered when it is on disk or no longer of interest. The other fields are those of rcpt_done. */
#define FIELDS_deliver_stored(U, I, S, T) U(id)
#define FIELDS_rcpt_told(U, I, S, T)                                                                  \
    U(id) U(message) U(n) S(address, IPC_ADDRESS) U(status) U(reason) U(code) U(dsn)               \
    T(text, IPC_TEXT) T(host, IPC_NAME) T(ip, 64) T(tls, 128) T(policy, IPC_NAME) T(source, 64)
#define FIELDS_told_stored(U, I, S, T) U(id)
/* That was all of them (n): now queue may offer mail to any relay. */
#define FIELDS_told_all(U, I, S, T) U(n)
/* relay to queue: how many deliveries of a destination may be under way at once. */
#define FIELDS_window(U, I, S, T) U(window) S(destination, IPC_TEXT)

/* ---- relay, filter, directory, events to resolver ---- */
enum dns_status { DNS_OK, DNS_NXDOMAIN, DNS_NODATA, DNS_SERVFAIL, DNS_TIMEOUT, DNS_BOGUS };
/* type: the number of the record type. records: each 2 bytes of length (big endian), then rdata with
 * uncompressed names. canonical: the name after CNAMEs. ttl in seconds. */
#define FIELDS_dns_ask(U, I, S, T) U(id) U(type) S(name, IPC_NAME)
#define FIELDS_dns_reply(U, I, S, T)                                                                  \
    U(id) U(status) U(secure) U(ttl) S(canonical, IPC_NAME) S(records, IPC_LIST) T(text, IPC_TEXT)

/* ---- relay to events: the MTA-STS policy of a domain (RFC 8461) ---- */
/* lookup: what DNS said of its record (enum sts_lookup), record: the id in it. The answer may take as long as fetching a policy. known: a policy
 * counts now, for ttl seconds; policy: its text. failure: why no (new) one could be fetched (enum tls_result), 0 for nothing. */
#define FIELDS_sts_ask(U, I, S, T) U(id) U(lookup) S(domain, IPC_NAME) S(record, 64)
#define FIELDS_sts_reply(U, I, S, T) U(id) U(known) U(failure) U(ttl) S(policy, IPC_CHUNK)

/* ---- access to mailbox: a session after login; web to mailbox: a session of the administrator ---- */
/* BACKUP and RESTORE, and the flag ADMIN, are for web alone. */
enum session_protocol { SESSION_POP3, SESSION_IMAP, SESSION_BACKUP, SESSION_RESTORE, SESSION_CHECK };
enum session_flags { SESSION_TLS = 1, SESSION_UTF8 = 2, SESSION_ADMIN = 4 };
/* Each side may have at most the bytes in flight that the other granted with session_more; both start
 * with SESSION_WINDOW, mailbox with SESSION_OUTPUT_WINDOW (POP3: SESSION_WINDOW). input: what the client had sent already. */
enum { SESSION_WINDOW = 65536, SESSION_OUTPUT_WINDOW = 131072 };
#define FIELDS_session_open(U, I, S, T)                                                               \
    U(id) U(protocol) U(flags) U(account) S(login, IPC_ADDRESS) S(client, 64) S(tag, 64) S(input, IPC_CHUNK)
#define FIELDS_session_data(U, I, S, T) U(id) S(data, IPC_CHUNK)
#define FIELDS_session_more(U, I, S, T) U(id) U(bytes)
#define FIELDS_session_close(U, I, S, T) U(id)
/* access shuts down: the session ends, with a word, as soon as its client is between two commands. */
#define FIELDS_session_finish(U, I, S, T) U(id)
/* UNAUTHENTICATE of IMAP: mailbox has said everything and wants to give the connection back (session_return); access sends no more
 * (session_stopped); what the client had sent behind that command comes back, and the session is over (session_back). */
#define FIELDS_session_return(U, I, S, T) U(id)
#define FIELDS_session_stopped(U, I, S, T) U(id)
#define FIELDS_session_back(U, I, S, T) U(id) S(left, IPC_CHUNK)

/* ---- queue (and others) to events ---- */
enum event_kind {
    EVENT_ACCEPTED, EVENT_EXPANDED, EVENT_DELIVERED, EVENT_RELAYED, EVENT_DEFERRED, EVENT_FAILED,
    EVENT_DELAY_NOTICE, EVENT_BOUNCED, EVENT_DISCARDED, EVENT_HELD, EVENT_RELEASED, EVENT_DELETED,
    EVENT_DONE, /* no recipient is left */
    EVENT_REJECTED, /* refused at the door */
    /* Not of a story: a result that is counted for reports. sender: the domain that asks for them; message_id: which process tells
     * (event numbers begin anew with each); details: the text of the policy record, a line feed, and the row (mailauth/aggregate.h). */
    EVENT_DMARC,
    /* The same of TLS with a server. sender: the domain of the recipients; details: tlspolicy/tls_outcome.h. */
    EVENT_TLS,
    /* A report of others that was read, or a part of it. sender: the domain it is about; rcpt: its report id; message_id: who made it;
     * details: a line "kind, begins, ends, contact, sender, policy, number of the first line" and lines "source, name, result, count", with
     * tabs between. */
    EVENT_REPORT,
};
#define EVENT_NAMES                                                                                \
    {"accepted", "expanded", "delivered", "relayed", "deferred", "failed", "delay-notice",         \
        "bounced", "discarded", "held", "released", "deleted", "done", "rejected"}
/* seq: 1, 2, 3 ... of this sender, acknowledged when on disk. details: a JSON object. */
#define FIELDS_event(U, I, S, T)                                                                      \
    U(seq) I(time) U(message) U(kind) S(sender, IPC_ADDRESS) S(rcpt, IPC_ADDRESS)                  \
    T(message_id, IPC_NAME) S(details, IPC_CHUNK)
#define FIELDS_event_ack(U, I, S, T) U(seq)

/* ---- web to every role: commands and metrics ---- */
/* A command of the command line or the HTTP API. args: each ended by NUL, "name=value" for options
 * and plain words before them. Answers: rows (one JSON object each), then control_done. A role sends
 * at most CONTROL_ROWS rows, then waits for control_more; control_cancel ends it early. */
enum { CONTROL_ROWS = 200 };
#define FIELDS_control_ask(U, I, S, T) U(id) U(uid) S(command, 64) S(args, IPC_LIST)
#define FIELDS_control_row(U, I, S, T) U(id) S(json, IPC_CHUNK)
#define FIELDS_control_more(U, I, S, T) U(id)
#define FIELDS_control_cancel(U, I, S, T) U(id)
/* Nothing to show yet, but work goes on: without this, or a row, web gives up a role after a minute. */
#define FIELDS_control_progress(U, I, S, T) U(id) T(text, IPC_TEXT)
/* code: exit code of sysexits.h, 0 is success; text: what went wrong and what to do. */
#define FIELDS_control_done(U, I, S, T) U(id) U(code) T(text, IPC_TEXT)
/* Metrics of the role as Prometheus text (see base/metric.h); answered by the framework. */
#define FIELDS_stats_ask(U, I, S, T) U(id)
#define FIELDS_stats_reply(U, I, S, T) U(id) S(text, IPC_LIST)

/* ---- any two roles, when web asks whether everything adds up (ipc/verify.h) ---- */
/* What the sender gave to this peer since their channel was made, by enum handover; the answer repeats
 * the id with what had arrived when it was read. */
#define FIELDS_count_mark(U, I, S, T)                                                              \
    U(id) U(accepted) U(delivered) U(relayed) U(deferred) U(failed) U(events) U(sessions)
#define FIELDS_count_seen(U, I, S, T)                                                              \
    U(id) U(accepted) U(delivered) U(relayed) U(deferred) U(failed) U(events) U(sessions)

#define ROLE_BIT(role) (1u << ROLE_##role)
#define ANY_ROLE ((1u << ROLE_COUNT) - 1)
#define ALL_BUT_SUPERVISOR (ANY_ROLE & ~ROLE_BIT(SUPERVISOR))

/* MESSAGE(name, who may send it, who may receive it) */
#define MESSAGES(M)                                                                                \
    M(boot_hello, ROLE_BIT(SUPERVISOR), ALL_BUT_SUPERVISOR)                                        \
    M(boot_config, ROLE_BIT(SUPERVISOR), ALL_BUT_SUPERVISOR)                                       \
    M(boot_certificate, ROLE_BIT(SUPERVISOR), ALL_BUT_SUPERVISOR)                                  \
    M(boot_listener, ROLE_BIT(SUPERVISOR), ROLE_BIT(SMTP) | ROLE_BIT(ACCESS) | ROLE_BIT(WEB))      \
    M(boot_peer, ROLE_BIT(SUPERVISOR), ALL_BUT_SUPERVISOR)                                         \
    M(boot_signer, ROLE_BIT(SUPERVISOR),                                                           \
        ROLE_BIT(SMTP) | ROLE_BIT(ACCESS) | ROLE_BIT(WEB) | ROLE_BIT(DIRECTORY))                   \
    M(boot_run, ROLE_BIT(SUPERVISOR), ALL_BUT_SUPERVISOR)                                          \
    M(drain, ROLE_BIT(SUPERVISOR), ALL_BUT_SUPERVISOR)                                             \
    M(ready, ALL_BUT_SUPERVISOR, ROLE_BIT(SUPERVISOR))                                             \
    M(process_state, ROLE_BIT(SUPERVISOR), ROLE_BIT(WEB))                                          \
    M(rcpt_ask, ROLE_BIT(SMTP) | ROLE_BIT(FILTER), ROLE_BIT(DIRECTORY))                                               \
    M(rcpt_reply, ROLE_BIT(DIRECTORY), ROLE_BIT(SMTP) | ROLE_BIT(FILTER))                                             \
    M(sender_ask, ROLE_BIT(SMTP) | ROLE_BIT(FILTER), ROLE_BIT(DIRECTORY))                          \
    M(sender_reply, ROLE_BIT(DIRECTORY), ROLE_BIT(SMTP) | ROLE_BIT(FILTER))                        \
    M(auth_begin, ROLE_BIT(SMTP) | ROLE_BIT(ACCESS), ROLE_BIT(DIRECTORY))                          \
    M(auth_step, ROLE_BIT(SMTP) | ROLE_BIT(ACCESS), ROLE_BIT(DIRECTORY))                           \
    M(auth_cancel, ROLE_BIT(SMTP) | ROLE_BIT(ACCESS), ROLE_BIT(DIRECTORY))                         \
    M(auth_challenge, ROLE_BIT(DIRECTORY), ROLE_BIT(SMTP) | ROLE_BIT(ACCESS))                      \
    M(auth_done, ROLE_BIT(DIRECTORY), ROLE_BIT(SMTP) | ROLE_BIT(ACCESS))                           \
    M(resolve_ask, ROLE_BIT(QUEUE), ROLE_BIT(DIRECTORY))                                           \
    M(resolve_reply, ROLE_BIT(DIRECTORY), ROLE_BIT(QUEUE))                                         \
    M(key_sign_ask, ROLE_BIT(SMTP) | ROLE_BIT(ACCESS) | ROLE_BIT(WEB), ROLE_BIT(DIRECTORY))        \
    M(key_sign_reply, ROLE_BIT(DIRECTORY), ROLE_BIT(SMTP) | ROLE_BIT(ACCESS) | ROLE_BIT(WEB))      \
    M(secret_ask, ROLE_BIT(RELAY), ROLE_BIT(DIRECTORY))                                            \
    M(secret_reply, ROLE_BIT(DIRECTORY), ROLE_BIT(RELAY))                                          \
    M(pools_ask, ROLE_BIT(RELAY), ROLE_BIT(DIRECTORY))                                             \
    M(pools_reply, ROLE_BIT(DIRECTORY), ROLE_BIT(RELAY))                                           \
    M(account_ask, ROLE_BIT(MAILBOX), ROLE_BIT(DIRECTORY))                                         \
    M(account_reply, ROLE_BIT(DIRECTORY), ROLE_BIT(MAILBOX))                                       \
    M(account_changed, ROLE_BIT(DIRECTORY), ROLE_BIT(MAILBOX))                                     \
    M(txn_begin, ROLE_BIT(SMTP) | ROLE_BIT(EVENTS) | ROLE_BIT(WEB) | ROLE_BIT(FILTER), ROLE_BIT(FILTER) | ROLE_BIT(QUEUE))\
    M(txn_rcpt, ROLE_BIT(SMTP) | ROLE_BIT(EVENTS) | ROLE_BIT(WEB) | ROLE_BIT(FILTER), ROLE_BIT(FILTER) | ROLE_BIT(QUEUE))\
    M(txn_chunk, ROLE_BIT(SMTP) | ROLE_BIT(EVENTS) | ROLE_BIT(WEB) | ROLE_BIT(FILTER), ROLE_BIT(FILTER) | ROLE_BIT(QUEUE))\
    M(txn_end, ROLE_BIT(SMTP) | ROLE_BIT(EVENTS) | ROLE_BIT(WEB) | ROLE_BIT(FILTER), ROLE_BIT(FILTER) | ROLE_BIT(QUEUE))\
    M(txn_abort, ROLE_BIT(SMTP) | ROLE_BIT(EVENTS) | ROLE_BIT(WEB) | ROLE_BIT(FILTER), ROLE_BIT(FILTER) | ROLE_BIT(QUEUE))\
    M(txn_done, ROLE_BIT(QUEUE) | ROLE_BIT(FILTER), ROLE_BIT(FILTER) | ROLE_BIT(SMTP) | ROLE_BIT(EVENTS) | ROLE_BIT(WEB)) \
    M(queue_state, ROLE_BIT(QUEUE) | ROLE_BIT(FILTER), ROLE_BIT(FILTER) | ROLE_BIT(SMTP))          \
    M(deliver_local, ROLE_BIT(QUEUE), ROLE_BIT(MAILBOX))                                           \
    M(deliver_remote, ROLE_BIT(QUEUE), ROLE_BIT(RELAY))                                            \
    M(deliver_rcpt, ROLE_BIT(QUEUE), ROLE_BIT(RELAY))                                              \
    M(deliver_go, ROLE_BIT(QUEUE), ROLE_BIT(RELAY))                                                \
    M(body_ask, ROLE_BIT(MAILBOX) | ROLE_BIT(RELAY), ROLE_BIT(QUEUE))                              \
    M(body_chunk, ROLE_BIT(QUEUE), ROLE_BIT(MAILBOX) | ROLE_BIT(RELAY))                            \
    M(rcpt_done, ROLE_BIT(MAILBOX) | ROLE_BIT(RELAY), ROLE_BIT(QUEUE))                             \
    M(deliver_done, ROLE_BIT(MAILBOX) | ROLE_BIT(RELAY), ROLE_BIT(QUEUE))                          \
    M(deliver_stored, ROLE_BIT(QUEUE), ROLE_BIT(RELAY))                                            \
    M(rcpt_told, ROLE_BIT(RELAY), ROLE_BIT(QUEUE))                                                 \
    M(told_stored, ROLE_BIT(QUEUE), ROLE_BIT(RELAY))                                               \
    M(window, ROLE_BIT(RELAY), ROLE_BIT(QUEUE))                                                    \
    M(dns_ask, ROLE_BIT(RELAY) | ROLE_BIT(FILTER) | ROLE_BIT(DIRECTORY) | ROLE_BIT(EVENTS), ROLE_BIT(RESOLVER)) \
    M(dns_reply, ROLE_BIT(RESOLVER), ROLE_BIT(RELAY) | ROLE_BIT(FILTER) | ROLE_BIT(DIRECTORY) | ROLE_BIT(EVENTS)) \
    M(session_open, ROLE_BIT(ACCESS) | ROLE_BIT(WEB), ROLE_BIT(MAILBOX))                           \
    M(session_data, ROLE_BIT(ACCESS) | ROLE_BIT(WEB) | ROLE_BIT(MAILBOX),                          \
        ROLE_BIT(ACCESS) | ROLE_BIT(WEB) | ROLE_BIT(MAILBOX))                                      \
    M(session_more, ROLE_BIT(ACCESS) | ROLE_BIT(WEB) | ROLE_BIT(MAILBOX),                          \
        ROLE_BIT(ACCESS) | ROLE_BIT(WEB) | ROLE_BIT(MAILBOX))                                      \
    M(session_close, ROLE_BIT(ACCESS) | ROLE_BIT(WEB) | ROLE_BIT(MAILBOX),                         \
        ROLE_BIT(ACCESS) | ROLE_BIT(WEB) | ROLE_BIT(MAILBOX))                                      \
    M(event, ROLE_BIT(QUEUE) | ROLE_BIT(SMTP) | ROLE_BIT(FILTER) | ROLE_BIT(RELAY), ROLE_BIT(EVENTS)) \
    M(event_ack, ROLE_BIT(EVENTS), ROLE_BIT(QUEUE) | ROLE_BIT(SMTP) | ROLE_BIT(FILTER) | ROLE_BIT(RELAY)) \
    M(control_ask, ROLE_BIT(WEB), ALL_BUT_SUPERVISOR)                                              \
    M(control_row, ALL_BUT_SUPERVISOR, ROLE_BIT(WEB))                                              \
    M(control_more, ROLE_BIT(WEB), ALL_BUT_SUPERVISOR)                                             \
    M(control_cancel, ROLE_BIT(WEB), ALL_BUT_SUPERVISOR)                                           \
    M(control_done, ALL_BUT_SUPERVISOR, ROLE_BIT(WEB))                                             \
    M(stats_ask, ROLE_BIT(WEB), ALL_BUT_SUPERVISOR)                                                \
    M(stats_reply, ALL_BUT_SUPERVISOR, ROLE_BIT(WEB))                                              \
    M(count_mark, ALL_BUT_SUPERVISOR, ALL_BUT_SUPERVISOR)                                          \
    M(count_seen, ALL_BUT_SUPERVISOR, ALL_BUT_SUPERVISOR)                                          \
    M(told_all, ROLE_BIT(RELAY), ROLE_BIT(QUEUE))                                                  \
    M(control_progress, ALL_BUT_SUPERVISOR, ROLE_BIT(WEB))                                         \
    M(session_finish, ROLE_BIT(ACCESS) | ROLE_BIT(WEB), ROLE_BIT(MAILBOX))                         \
    M(session_return, ROLE_BIT(MAILBOX), ROLE_BIT(ACCESS))                                         \
    M(session_stopped, ROLE_BIT(ACCESS), ROLE_BIT(MAILBOX))                                        \
    M(session_back, ROLE_BIT(MAILBOX), ROLE_BIT(ACCESS))                                           \
    M(name_ask, ROLE_BIT(MAILBOX), ROLE_BIT(DIRECTORY))                                            \
    M(name_reply, ROLE_BIT(DIRECTORY), ROLE_BIT(MAILBOX))                                          \
    M(share_note, ROLE_BIT(MAILBOX), ROLE_BIT(DIRECTORY))                                          \
    M(shares_ask, ROLE_BIT(MAILBOX), ROLE_BIT(DIRECTORY))                                          \
    M(shares_reply, ROLE_BIT(DIRECTORY), ROLE_BIT(MAILBOX))                                        \
    M(dkim_keys_ask, ROLE_BIT(FILTER), ROLE_BIT(DIRECTORY))                                        \
    M(dkim_keys_reply, ROLE_BIT(DIRECTORY), ROLE_BIT(FILTER))                                      \
    M(dkim_sign_ask, ROLE_BIT(FILTER), ROLE_BIT(DIRECTORY))                                        \
    M(dkim_sign_reply, ROLE_BIT(DIRECTORY), ROLE_BIT(FILTER))                                      \
    M(sts_ask, ROLE_BIT(RELAY), ROLE_BIT(EVENTS))                                                  \
    M(sts_reply, ROLE_BIT(EVENTS), ROLE_BIT(RELAY))                                                \
    M(domain_ask, ROLE_BIT(WEB), ROLE_BIT(DIRECTORY))                                              \
    M(domain_reply, ROLE_BIT(DIRECTORY), ROLE_BIT(WEB))
