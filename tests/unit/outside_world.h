/* A world for the checks: DNS as a zone in text, one record a line ("name TTL IN TYPE data"), and what connections come to. */
#pragma once
#include "outside/check.h"
#include "outside/gather.h"

/* Appends the records of that name and type, following CNAMEs, packed as they cross channels. */
enum dns_status outside_zone_look(const char *zone, struct str name, unsigned type, struct buf *records);

struct world {
    struct config *config;
    struct outside_gather gather;
    struct outside_records records;
    struct outside_clock clock;
    struct outside_check *check;
    char *zone;
    struct str silent;        /* names that end so get no answer */
    struct outside_probe probe; /* what every connection comes to */
    size_t asked, rounds;
    bool never_answers;
};

/* mail.example.org with example.org, two addresses, no certificate; far.example is somebody else. */
extern const char world_configuration[];
struct world *world_new(const char *text);
void world_free(struct world *w);
/* Everything that should be published, but for record `without` (none: SIZE_MAX); `more` behind it. */
void world_publish(struct world *w, size_t without, const char *more);
/* A new check, to its end. */
void world_run(struct world *w);
/* The first result of this check with this level, or NULL. */
const struct outside_result *world_find(struct world *w, const char *check, enum outside_level level);
/* It is there and has these words. */
void world_expect(struct world *w, const char *check, enum outside_level level, const char *words);
