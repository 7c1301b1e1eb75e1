/* What FETCH, SORT and THREAD need of a message (store_message.h: content_info), gathered while its bytes pass: on delivery, in
 * APPEND, and for contents that came before there was such a thing. */
#pragma once
#include "store_message.h"

struct summary;

struct summary *summary_new(void);
void summary_add(struct summary *s, struct str bytes);
/* No more bytes. The views in `info` live until summary_free. */
void summary_end(struct summary *s, struct content_info *info);
size_t summary_memory(const struct summary *s); /* bytes it has now */
size_t summary_memory(const struct summary *s); /* bytes it has now */
void summary_free(struct summary *s); /* NULL is fine */
