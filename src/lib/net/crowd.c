#include "crowd.h"

#include "base/clock.h"
#include "base/log.h"

enum {
    GRACE = 10,       /* seconds in which a new client, or one after good news, need not bring anything */
    SANE_PACE = 1024, /* octets a second */
    PART = 16,        /* this part of the limit is sent away at a time */
};

void crowd_useful(struct crowd_member *m)
{
    m->useful = clock_monotonic();
    m->received = 0;
}

static bool is_slow(const struct crowd_member *m, int64_t now)
{
    uint64_t seconds = (uint64_t)((now - m->useful) / SECOND);

    return seconds >= GRACE && m->received < seconds * SANE_PACE;
}

static void make_room(struct crowd *crowd)
{
    uint64_t most = crowd->most / PART + 1, n = 0;
    int64_t now = clock_monotonic();

    crowd->made_room = now;
    LIST_EACH(&crowd->members, it) {
        struct crowd_member *m = CONTAINER(it, struct crowd_member, link);

        if (n >= most)
            break;
        if (!is_slow(m, now) || !crowd->rules->may_go(m))
            continue;
        crowd->rules->send_away(m);
        n++;
    }
    if (n > 0)
        crowd->rules->made_room(crowd->owner, n);
}

static void look(struct crowd *crowd)
{
    static const struct timeval second = {1, 0}, at_once = {0, 0};
    bool full = crowd->count >= crowd->most;

    if (crowd->ended || full == crowd->full)
        return;
    crowd->full = full;
    if (full && !event_pending(&crowd->timer, EV_TIMEOUT, NULL)) {
        log_warning("too-many-connections", "count=%llu", (unsigned long long)crowd->count);
        event_add(&crowd->timer, clock_monotonic() - crowd->made_room < SECOND ? &second : &at_once);
    }
    crowd->rules->open_doors(crowd->owner, !full);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval second = {1, 0};
    struct crowd *crowd = arg;

    (void)fd;
    (void)what;
    if (!crowd->full || crowd->ended)
        return;
    make_room(crowd);
    event_add(&crowd->timer, &second);
}

void crowd_init(struct crowd *crowd, struct event_base *base, const struct crowd_rules *rules, void *owner)
{
    *crowd = (struct crowd){.rules = rules, .owner = owner, .most = UINT64_MAX};
    list_init(&crowd->members);
    event_assign(&crowd->timer, base, -1, 0, on_timer, crowd);
}

void crowd_limit(struct crowd *crowd, uint64_t most)
{
    crowd->most = most;
    look(crowd);
}

void crowd_join(struct crowd *crowd, struct crowd_member *m)
{
    crowd_useful(m);
    list_add_last(&crowd->members, &m->link);
    crowd->count++;
    look(crowd);
}

void crowd_leave(struct crowd *crowd, struct crowd_member *m)
{
    list_remove(&m->link);
    crowd->count--;
    look(crowd);
}

void crowd_end(struct crowd *crowd)
{
    crowd->ended = true;
    event_del(&crowd->timer);
}
