/* The words of structured header fields (RFC 5322, sections 3.2 and 4): what address lists and parameters are read with.
 * Lengths are of what stands at the start of a text. */
#pragma once
#include "base/str.h"

/* Of what runs from `open` to `close`, quoted pairs passed over; comments nest. Without an end, one more than
 * there is. */
size_t address_run_length(struct str text, char open, char close);
/* Of a word: a quoted string, a domain literal, an atom, or one special; never 0. `text` is not empty. */
size_t address_word_length(struct str text);
/* Of a comment or a blank; 0 when there is none. */
size_t address_blank_length(struct str text);
