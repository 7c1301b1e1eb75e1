/* Time limits of a connection, checked lazily: input only notes the time, and the timer, when it fires,
 * looks whether it fired too early. Ten thousand connections cost ten thousand timers once in five
 * minutes, not at every line. */
#include "net/conn_private.h"

#include "base/clock.h"

static void arm_timer(struct conn *c, int64_t now)
{
    int64_t at = c->idle > 0 ? c->active + c->idle : 0, left;
    struct timeval tv;

    if (c->until > 0 && (at == 0 || c->until < at))
        at = c->until;
    if (c->ended || at == c->timer_at || (at > 0 && c->timer_at > 0 && c->timer_at < at))
        return;
    c->timer_at = at;
    if (at == 0) {
        event_del(&c->timer);
        return;
    }
    left = at > now ? at - now : 0;
    tv.tv_sec = (time_t)(left / SECOND);
    tv.tv_usec = (suseconds_t)(left % SECOND);
    event_add(&c->timer, &tv);
}

/* Waiting for ourselves (paused, nothing left to write) is not the peer's idleness. */
static bool waits_for_us(const struct conn *c)
{
    return !c->reading && conn_output_waiting(c) == 0;
}

void conn_on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    int64_t now = clock_monotonic();

    (void)fd;
    (void)what;
    conn_enter(c);
    c->timer_at = 0;
    if (c->until > 0 && now >= c->until) {
        conn_end(c, true, c->connecting ? "no answer to the connection attempt in time" : "connected for too long");
    } else {
        if (c->idle > 0 && waits_for_us(c))
            c->active = now;
        if (c->idle > 0 && now >= c->active + c->idle)
            conn_end(c, true, c->phase == CONN_HANDSHAKE ? "TLS handshake not finished in time" : "idle for too long");
        else
            arm_timer(c, now);
    }
    conn_leave(c);
}

void conn_idle_limit(struct conn *c, int64_t within)
{
    int64_t now = clock_monotonic();

    c->active = now;
    c->idle = within;
    arm_timer(c, now);
}

void conn_total_limit(struct conn *c, int64_t within)
{
    int64_t now = clock_monotonic();

    c->until = within > 0 ? now + within : 0;
    arm_timer(c, now);
}
