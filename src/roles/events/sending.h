/* The daily reports about mail of others, made and handed to filter as messages of ours (docs/reports.md says what a crash leaves).
 *
 *   a closed day ---> its domains are planned (destinations verified) ---> due ---> handed over ---> sent, or given up
 *
 * One report at a time, in turns of a few milliseconds. Nothing is done without `auth.report_from`. */
#pragma once
#include "batch.h"
#include "dns/dns_client.h"
#include "due.h"
#include "letter.h"
#include "mailauth/report_destination.h"

enum { SENDING_URIS_MAX = 10 }; /* of one record */

enum sending_state { SENDING_IDLE, SENDING_PLANS, SENDING_COMPOSES, SENDING_GIVES, SENDING_WAITS };

struct sending {
    struct role *role;
    struct batch *batch;
    struct dns_client dns;
    struct dns_query query;
    struct event *timer;
    enum sending_state state;
    int64_t woke, forgot; /* monotonic */
    /* what is planned */
    struct due_domain domain;
    struct buf rua;              /* of its record */
    struct str rest;             /* of that, not looked at yet */
    struct report_destination destination;
    bool unknown;                /* DNS failed for one of them */
    uint64_t limits[SENDING_URIS_MAX], limit;
    struct buf addresses;        /* each ended by NUL */
    size_t count;
    /* what is sent */
    struct due_item item;
    struct letter letter;
    char mark[AGGREGATE_MARK];
    struct buf piece, message;
    size_t given;
    struct channel *filter;
    uint64_t txn;
};

void sending_init(struct sending *s, struct role *role, struct batch *batch);
void sending_on_txn_done(struct sending *s, struct channel *from, const struct msg_txn_done *m);
void sending_on_dns_reply(struct sending *s, const struct msg_dns_reply *m);
void sending_peer_up(struct sending *s, const struct channel *peer);
void sending_peer_gone(struct sending *s, const struct channel *peer);
