/* Names and keywords of others as the server takes them. */
#pragma once
#include "base/buf.h"

/* A name as the server takes it: what it does not allow is replaced. False: there is nothing left of it. */
bool migrate_name(struct buf *out, struct str name);
/* A keyword as the server takes it, added to words. */
void migrate_keyword(struct buf *words, struct str keyword);
