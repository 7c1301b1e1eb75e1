/* Text in any charset, read as UTF-8 (by iconv, streaming). What cannot be decoded gives U+FFFD and goes on, never an
 * end. US-ASCII, no charset and unknown ones are read as UTF-8 where they are well-formed, else as windows-1252;
 * ISO-8859-1 is read as windows-1252, as readers do. */
#pragma once
#include "base/buf.h"

struct charset_reader;

struct charset_reader *charset_reader_new(struct str charset);
void charset_reader_add(struct charset_reader *r, struct str bytes, struct buf *out);
void charset_reader_end(struct charset_reader *r, struct buf *out); /* frees it; out may be NULL */
/* One that charset_reader_new decodes as what it says. */
bool charset_is_known(struct str charset);
/* All at once. */
void charset_to_utf8(struct str charset, struct str bytes, struct buf *out);

/* Opens what mail uses and keeps it open for the life of the process: iconv loads each charset from a file, so a
 * role that gives up its files calls this first. Others then read as unknown. */
void charset_prepare(void);
