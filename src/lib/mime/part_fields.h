/* Header fields into the tree of parts (inside lib/mime). */
#pragma once
#include "mime/part.h"

/* Takes one field (all of it, folding inside). Fields of an envelope only when the part has one. *full is set when the
 * arena has no more room. */
void mime_part_field(struct mime_part *part, struct str raw, struct arena *arena, bool *full);
/* The header is over: what it did not say gets its default. */
void mime_part_defaults(struct mime_part *part, bool in_digest);
/* Makes it what nobody looks into. */
void mime_part_make(struct mime_part *part, struct str type, struct str subtype);
