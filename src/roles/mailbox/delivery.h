/* Final delivery: deliver_local from queue, the body in it or pulled piece by piece, into the account's
 * database, exactly once a message and account.
 *
 * States of a delivery: asks directory for the account's quota; writes (a large body: a piece is asked,
 * written into the open transaction, the next one asked); waits in the batch for the sync; answered
 * (rcpt_done, deliver_done) and forgotten. When the queue's channel ends it is forgotten too; if its
 * message was committed, the repeated delivery finds it and is answered without storing anything. */
#pragma once
#include "accounts.h"
#include "boxes.h"

struct deliveries;

struct deliveries *deliveries_new(struct role *role, struct boxes *boxes, struct accounts *accounts);
void deliveries_free(struct deliveries *all);
void deliveries_local(struct deliveries *all, struct channel *from, const struct msg_deliver_local *m);
void deliveries_chunk(struct deliveries *all, struct channel *from, const struct msg_body_chunk *m);
void deliveries_peer_gone(struct deliveries *all, struct channel *queue);
void deliveries_verify(const struct deliveries *all, struct verification *v);
size_t deliveries_open(const struct deliveries *all);
