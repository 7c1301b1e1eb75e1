/* The filter between its peers: role and channels are played by this world; what the filter sends is decoded again from the
 * channels' output. */
#pragma once
#include "roles/filter/filter.h"

struct channel {
    enum role_id peer;
    unsigned copy;
    uint64_t serial;
    struct buf out;
    size_t backlog;
    bool reading, up;
    void (*drained)(struct role *, struct channel *);
};

struct role {
    struct filter filter;
    struct config config;
    struct channel smtp[2], queue[2], directory, resolver, events;
    uint64_t next_id;
    struct buf log; /* what was sent since the last look, decoded */
};

/* Everything that was sent to c since the last look must read as wanted. */
void sent(struct role *role, struct channel *c, const char *wanted);
void bring_up(struct role *role, struct channel *c, enum role_id peer, unsigned copy);
int setup(void **state);
int teardown(void **state);
/* From one smtp, and from one queue. */
void begin(struct role *role, unsigned smtp, uint64_t id, uint64_t message, uint64_t account);
void chunk(struct role *role, unsigned smtp, uint64_t id, struct str data);
void end(struct role *role, unsigned smtp, uint64_t id);
void done(struct role *role, unsigned shard, uint64_t id, uint64_t code);
