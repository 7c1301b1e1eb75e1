/* Character entities by name (inside lib/mime). */
#pragma once
#include "base/str.h"

/* The code point of "eacute"; 0 when there is none of the name. */
unsigned html_entity(struct str name);
