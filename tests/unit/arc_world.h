/* A message and the DNS around it, for the tests of ARC: the zone and the ways of dkim_world.h. */
#pragma once
#include "dkim_world.h"
#include "mailauth/arc_verify.h"

/* Verifies; the caller frees what comes back. */
struct arc_verify *arc_verify_message(struct dkim_zone *zone, struct str message, uint64_t now, struct dkim_way way);
/* The same with the result only; `reason` (may be NULL) is what it must say. */
void arc_result_is(struct dkim_zone *zone, struct str message, uint64_t now, enum arc_result wanted, const char *reason);
