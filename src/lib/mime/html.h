/* HTML as its text, streaming, for search and previews: tags dropped, entities resolved, style, script and comments left
 * out, blanks collapsed, blocks on lines of their own. What is no HTML goes through as text. */
#pragma once
#include "base/buf.h"

struct html_reader;

struct html_reader *html_reader_new(void);
void html_reader_add(struct html_reader *r, struct str utf8, struct buf *out);
void html_reader_end(struct html_reader *r, struct buf *out); /* frees it; out may be NULL */
