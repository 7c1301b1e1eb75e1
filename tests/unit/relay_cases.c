#include "relay_cases.h"

#include <stdio.h>
#include <string.h>

void open_world(const char *config)
{
    world_open(config);
    snprintf(world.zone, sizeof world.zone, "%s", ZONE);
}

void expect(uint64_t id, uint64_t n, enum delivery_status status, const char *text)
{
    const struct result *r = world_result(id, n);

    if (r->status != status || strstr(r->text, text) == NULL)
        fail_msg("status %d \"%s\" instead of %d \"%s\"", (int)r->status, r->text, (int)status, text);
}
