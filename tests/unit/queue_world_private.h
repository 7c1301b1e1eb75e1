/* What the parts of the queue's world know of each other: queue_world.c plays the framework and most peers,
 * queue_faults.c time and failures, queue_shipments.c mailbox and relay. */
#pragma once
#include "queue_world.h"

struct channel {
    enum role_id role;
    uint64_t serial;
    bool up;
    struct buf out;
};

extern struct channel channels[ROLE_COUNT];
extern struct role *const no_role; /* never looked into */

/* No failure is to come, and no time has passed. */
void faults_begin(void);
void faults_add_time(int64_t span);

/* What mailbox and relay do when they hear something. */
extern const struct handlers shipment_handlers;
void shipments_begin(void);
/* Those who had them are dead. */
void shipments_forget(void);
