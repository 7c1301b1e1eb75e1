/* Finding one's way in a tree of parts. */
#include "mime/part.h"

const struct mime_part *mime_part_next(const struct mime_part *part)
{
    if (part->first != NULL)
        return part->first;
    while (part != NULL && part->next == NULL)
        part = part->parent;
    return part ? part->next : NULL;
}

bool mime_part_is(const struct mime_part *p, const char *type, const char *subtype)
{
    return str_ieq(p->type, str_of(type)) && (subtype == NULL || str_ieq(p->subtype, str_of(subtype)));
}

bool mime_part_is_message(const struct mime_part *p)
{
    return mime_part_is(p, "message", "rfc822") || mime_part_is(p, "message", "global");
}

const struct mime_part *mime_part_find(const struct mime_part *root, const uint32_t *path, size_t depth)
{
    const struct mime_part *p = root;

    for (size_t i = 0; i < depth; i++) {
        bool entered = i == 0;

        if (i > 0 && p->first != NULL && mime_part_is_message(p)) {
            p = p->first;
            entered = true;
        }
        if (mime_part_is(p, "multipart", NULL)) {
            p = path[i] ? p->first : NULL;
            for (uint32_t n = 1; p != NULL && n < path[i]; n++)
                p = p->next;
        } else if (!entered || path[i] != 1) {
            p = NULL;
        }
        if (p == NULL)
            return NULL;
    }
    return p;
}
