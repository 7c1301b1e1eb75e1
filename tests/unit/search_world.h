/* Mail in many charsets and programs of SEARCH over it, for tests of the search index. */
#pragma once
#include "imap_world.h"

/* So many messages into INBOX, with words that can be searched for. */
void search_fill(unsigned n, unsigned seed);
/* One plain message. */
void search_deliver(const char *subject, const char *text);
/* A random program of SEARCH, ready to be sent with the tag "q". */
struct str search_program(void);
/* What client 0 is answered, with or without the index. */
struct str search_answer(struct str program, bool indexed);
/* So many random programs are answered alike with and without the index. */
void search_compare(unsigned programs);
/* A counter of this process. */
int64_t search_metric(const char *name);
/* A session in INBOX whose index knows everything. */
void search_enter(void);
