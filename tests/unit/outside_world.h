/* A world of DNS for the checks: a zone as text, one record a line, "name TTL IN TYPE data". */
#pragma once
#include "base/buf.h"
#include "ipc/messages.h"

/* Appends the records of that name and type, following CNAMEs, packed as they cross channels. */
enum dns_status outside_zone_look(const char *zone, struct str name, unsigned type, struct buf *records);
