/* What the search index knows of a text: which runs of three characters ("grams") are in it, each as one of a million
 * numbers. A text that holds a word holds all grams of the word, so whatever lacks one can be passed over. Pure.
 *
 * Texts are folded already (mime_casefold). A byte that is no part of a whole UTF-8 character counts as a character of its
 * own; characters of three bytes' worth of ASCII or of any other script are the same to us. Since a whole character is
 * always read as one wherever it stands, the grams of a word are found in every text around it. */
#pragma once
#include "base/buf.h"

enum {
    GRAMS_MOST = 50000,      /* of one message; one with more is found by every word */
    GRAMS_OF_WORD = 16,      /* that are asked for, at most */
    GRAMS_SHORTEST = 3,      /* characters of a word that has any */
};

struct grams;

struct grams *grams_new(void);
void grams_free(struct grams *g);
void grams_reset(struct grams *g);
/* A text of its own: no gram reaches from one into the next. */
void grams_add(struct grams *g, struct str folded);
/* There are too many: they would not be worth their room. */
bool grams_overflow(const struct grams *g);
/* All of them as words for the index, blanks between. */
void grams_write(const struct grams *g, struct buf *out);

/* What to ask the index for: an expression of FTS5 that holds for every message that has the word. False: nothing can
 * be asked (the word is too short, or no UTF-8). */
bool grams_query(struct str folded, struct buf *out);
/* The word of a message whose grams are not known; grams_query asks for it too. */
extern const char grams_any[];
