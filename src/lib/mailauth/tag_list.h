/* Tag lists, "name=value; name=value" (RFC 6376 3.2): DKIM signatures and keys, DMARC records, ARC fields.
 * Values may hold UTF-8 (RFC 8616). Pure views into the text; at most TAGS_MAX tags. */
#pragma once
#include "base/buf.h"
#include "base/str.h"

enum { TAGS_MAX = 64 };

struct tag {
    struct str name, value; /* blanks and folding around both cut off; inside the value they stay */
};
struct tag_list {
    struct tag tags[TAGS_MAX];
    size_t n;
};

/* False where the grammar is not followed, a name comes twice, or there are too many tags. The empty text
 * is an empty list; a last ';' is allowed. */
bool tag_list_read(struct str text, struct tag_list *list);
/* Names are case-sensitive. NULL: not there. */
const struct tag *tag_list_find(const struct tag_list *list, const char *name);
/* The same, "" where it is not there. */
struct str tag_list_value(const struct tag_list *list, const char *name);

/* Cuts the next item up to sep off *rest, blanks and folding around it cut off; false at the end. */
bool tag_next_item(struct str *rest, char sep, struct str *item);
/* Is `word` an item of a list separated by ':'? ASCII case does not matter. */
bool tag_has_item(struct str value, const char *word);
/* Base64 with folding inside; the padding may be missing (RFC 6376 2.10). False for anything else, for
 * nothing, and over the ceiling of `out`. */
bool tag_read_base64(struct str value, struct buf *out);
/* Only blanks, tabs, CR and LF. */
bool tag_is_blank(char c);
