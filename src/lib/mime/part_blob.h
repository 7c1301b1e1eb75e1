/* A tree of parts as compact bytes, to be kept in a database. The format is versioned: bytes of another version, or
 * damaged ones, unpack to NULL, and the message is parsed again. */
#pragma once
#include "mime/part.h"

/* False when `out` has no room. */
bool mime_tree_pack(const struct mime_part *root, struct buf *out);
/* The tree with its strings is in the arena; the blob is no longer needed. NULL when it is damaged or the arena has
 * no room. Whatever comes out is a sound tree: parts lie in order inside their parents, and within the limits. */
struct mime_part *mime_tree_unpack(struct str blob, struct arena *arena);
