/* Conversations with a machine before login (login.h). The world writes down what it was asked: "<begin PLAIN data>",
 * "<step data>", "<cancel>", "<tls>", "<open tag flags>" (no tag: "<open flags>"), "<close>". NUL is written as a bar. */
#pragma once
#include "roles/access/login.h"

/* A turn: the client's bytes, or a word of the world beginning with '<': "<challenge x>", "<ok x>", "<send-only>",
 * "<result N>", "<secured>"; then all that was said and asked. say NULL: nothing, the greeting. */
struct turn {
    const char *say, *expect;
};

/* What the world was asked and told since it was last reset; a test that feeds a machine by hand inits and clears it. */
extern struct buf said;
extern const struct login_world login_said;

/* The turns, up to one that expects NULL, once for each place where what the client says can be cut in two. */
void converse_with(const struct login_protocol *p, const char *hostname, unsigned flags, const struct turn *turns);
