/* A session with a made-up world around it, and conversations as tables.
 *
 * Directory knows by name: unknown@, disabled@, limited@, slow@ (tempfail), silent@ (no answer), anything
 * @remote.example (not ours) and @backup.example; everybody else is local. Account 7 may send as
 * user@mine.example only; "slow@" as sender cannot be checked. A login succeeds with the password "good";
 * "disabled", "wait", "odd", "broken" and "readonly" name what goes wrong, anything else is bad. */
#pragma once
#include "base/buf.h"
#include "roles/smtp/session.h"

struct bench {
    struct smtp_settings set;
    struct smtp_client client;
    struct smtp_session *s;
    struct buf out;     /* replies since the last look */
    struct buf content; /* of the present or last message */
    /* what happened */
    bool closed, tls_asked;
    int begun, ended, aborted, cancelled, asked_rcpt, charged, bounces;
    int64_t delayed;
    struct buf trace, envelope; /* of the last txn_begin, in words */
    struct smtp_txn txn;        /* numbers of it */
    int notes[SMTP_NOTE_CUT + 1];
    unsigned note_code; /* of the last one */
    unsigned failures;
    /* what shall happen */
    int64_t now;
    bool no_filter, silent_filter, queue_full, over_messages, over_recipients, ban, wait_for_resume;
    unsigned verdict;
    const char *verdict_text;
    char password[64];
};

/* A session that was greeted: service MX for a stranger at 192.0.2.1 unless the fields are changed before. */
void bench_init(struct bench *b, enum service service);
void bench_start(struct bench *b);
void bench_clear(struct bench *b);

/* Feeds all bytes, as far as the session takes them; returns how many it took. */
size_t bench_feed(struct bench *b, struct str bytes);

/* say: one line without CRLF; expect: how the reply starts, NULL for none. The reply must be one reply. */
struct turn {
    const char *say, *expect;
};
void converse_at(struct bench *b, const struct turn *turns, const char *file, int line);
#define converse(b, ...) converse_at(b, (const struct turn[]){__VA_ARGS__, {0}}, __FILE__, __LINE__)
/* Bytes in one go (a literal), and all replies to them. */
void exchange_at(struct bench *b, struct str bytes, const char *replies, const char *file, int line);
#define exchange(b, bytes, replies) exchange_at(b, STR(bytes), replies, __FILE__, __LINE__)

/* EHLO under TLS, and logged in. */
void bench_secure(struct bench *b);
void bench_login(struct bench *b);

/* Does the text hold these words, in any case? */
bool holds(const struct buf *text, const char *part);

/* How a test of cmocka begins: with a session that is not started yet, or with one that was greeted. */
#define WITH(service)                                                                              \
    struct bench b;                                                                                \
    (void)state;                                                                                   \
    bench_init(&b, service)
#define GREETED(service)                                                                           \
    WITH(service);                                                                                 \
    bench_start(&b)
