/* Once an hour, and at the start: is it time for another key of signed addresses? What a crash leaves is the next hour's work. */
#include "directory.h"

#include "base/clock.h"
#include "base/log.h"

#include <event2/event.h>

enum { HOUR_SECONDS = 3600 };

static void rotate(struct directory *d)
{
    struct err err = {0};
    bool changed;

    if (!paths_rotate(&d->store, clock_now(), &changed, &err))
        answers_trouble(d, "keys of return paths", &err);
    else if (changed)
        log_info("path-keys", "reason=%s", "the keys of signed return paths were changed");
    if (changed)
        lookup_changed(&d->lookup);
}

static void on_hour(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    rotate(arg);
}

void path_rotation_open(struct directory *d)
{
    struct timeval hour = {HOUR_SECONDS, 0};

    if (role_copy(d->role) != 0)
        return;
    rotate(d);
    paths_show_metrics();
    d->path_hour = event_new(role_base(d->role), -1, EV_PERSIST, on_hour, d);
    if (d->path_hour == NULL || event_add(d->path_hour, &hour) != 0)
        fatal("return paths: no timer");
}
