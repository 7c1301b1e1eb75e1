#include "mime/part_fields.h"

#include "mime/address_words.h"

#include <stddef.h>
#include <string.h>

enum { JOINED_MAX = 2000 }; /* addresses to which a further field adds */

struct target {
    struct mime_part *part;
    struct arena *arena;
    bool *full;
};

/* Where a field goes: an offset into the part or its envelope, and how. */
typedef void field_fn(struct target *t, void *to, struct str value);

static struct str copy_unfolded(struct target *t, struct str value)
{
    char *start, *p;

    value = str_trim(value);
    start = p = arena_alloc(t->arena, value.n + 1);
    *t->full = *t->full || start == NULL;
    if (start == NULL)
        return (struct str){0};
    if (memchr(value.p, '\n', value.n) == NULL && memchr(value.p, '\r', value.n) == NULL && memchr(value.p, 0, value.n) == NULL) {
        memcpy(start, value.p, value.n);
        return (struct str){start, value.n};
    }
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] != '\r' && value.p[i] != '\n' && value.p[i] != 0)
            *p++ = value.p[i];
    return (struct str){start, (size_t)(p - start)};
}

/* One that is there but empty is told so, unless a later one is better. */
static void take_text(struct target *t, void *to, struct str value)
{
    struct str *text = to;

    if (text->n == 0)
        *text = copy_unfolded(t, value);
}

static void take_filled(struct target *t, void *to, struct str value)
{
    struct str *text = to;

    if (text->p == NULL && str_trim(value).n)
        *text = copy_unfolded(t, value);
}

/* The lists of several fields of a name are one, as if they had been one field. */
static void take_addresses(struct target *t, void *to, struct str value)
{
    struct mime_address **end = to;
    unsigned count = 0;

    while (*end != NULL && count++ < JOINED_MAX)
        end = &(*end)->next;
    if (*end == NULL)
        *end = mime_address_list(value, t->arena, t->full);
}

static struct str skip_blanks(struct str text)
{
    size_t n;

    while ((n = address_blank_length(text)) > 0)
        text = str_skip(text, n);
    return text;
}

/* Cuts a token off *rest, and the blanks behind it. */
static struct str cut_token(struct str *rest)
{
    size_t n = 0;
    struct str token;

    *rest = skip_blanks(*rest);
    while (n < rest->n && strchr(" \t\r\n()<>@,;:\\\"/[]?=", rest->p[n]) == NULL)
        n++;
    token = str_sub(*rest, 0, n);
    *rest = skip_blanks(str_skip(*rest, n));
    return token;
}

static void take_type(struct target *t, void *to, struct str value)
{
    struct mime_part *part = to;
    struct str type = cut_token(&value), subtype = {0};

    if (part->type.p != NULL || type.n == 0)
        return;
    if (value.n && value.p[0] == '/') {
        value = str_skip(value, 1);
        subtype = cut_token(&value);
    }
    if (subtype.n == 0 && !str_ieq(type, STR("text")))
        return; /* nothing to be understood: as if it were not there */
    part->type = copy_unfolded(t, type);
    part->subtype = subtype.n ? copy_unfolded(t, subtype) : STR("plain");
    part->parameters = mime_parameter_list(value, t->arena, t->full);
}

static void take_disposition(struct target *t, void *to, struct str value)
{
    struct mime_part *part = to;
    struct str all = value, kind = cut_token(&value);

    if (part->disposition.p != NULL)
        return;
    if (kind.n == 0 || (value.n && value.p[0] == '=')) { /* only parameters: they speak of a file */
        if (str_find(all, '=') < 0)
            return;
        kind = STR("attachment");
        value = all;
    }
    part->disposition = copy_unfolded(t, kind);
    part->disposition_parameters = mime_parameter_list(value, t->arena, t->full);
}

static void take_token(struct target *t, void *to, struct str value)
{
    struct str *text = to, token = cut_token(&value);

    if (text->p == NULL && token.n)
        *text = copy_unfolded(t, token);
}

#define PART(name) false, offsetof(struct mime_part, name)
#define ENVELOPE(name) true, offsetof(struct mime_envelope, name)
static const struct {
    struct str name;
    field_fn *take;
    bool in_envelope;
    size_t offset;
} fields[] = {
    {{"to", 2}, take_addresses, ENVELOPE(to)},
    {{"cc", 2}, take_addresses, ENVELOPE(cc)},
    {{"bcc", 3}, take_addresses, ENVELOPE(bcc)},
    {{"from", 4}, take_addresses, ENVELOPE(from)},
    {{"date", 4}, take_text, ENVELOPE(date)},
    {{"sender", 6}, take_addresses, ENVELOPE(sender)},
    {{"subject", 7}, take_text, ENVELOPE(subject)},
    {{"reply-to", 8}, take_addresses, ENVELOPE(reply_to)},
    {{"message-id", 10}, take_text, ENVELOPE(message_id)},
    {{"references", 10}, take_text, ENVELOPE(references)},
    {{"content-id", 10}, take_filled, PART(id)},
    {{"in-reply-to", 11}, take_text, ENVELOPE(in_reply_to)},
    {{"content-md5", 11}, take_filled, PART(md5)},
    {{"content-type", 12}, take_type, false, 0},
    {{"content-language", 16}, take_filled, PART(languages)},
    {{"content-location", 16}, take_filled, PART(location)},
    {{"content-description", 19}, take_filled, PART(description)},
    {{"content-disposition", 19}, take_disposition, false, 0},
    {{"content-transfer-encoding", 25}, take_token, PART(encoding)},
};

void mime_part_field(struct mime_part *part, struct str raw, struct arena *arena, bool *full)
{
    struct target t = {part, arena, full};
    const char *colon = memchr(raw.p, ':', raw.n);
    struct str name;
    char *to;

    if (colon == NULL)
        return;
    name = str_from(raw.p, (size_t)(colon - raw.p));
    while (name.n && (name.p[name.n - 1] == ' ' || name.p[name.n - 1] == '\t'))
        name.n--;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i].name.n != name.n || !str_ieq(fields[i].name, name))
            continue;
        to = fields[i].in_envelope ? (char *)part->envelope : (char *)part;
        if (to != NULL)
            fields[i].take(&t, to + fields[i].offset, str_skip(raw, (size_t)(colon - raw.p) + 1));
        return;
    }
}

void mime_part_make(struct mime_part *part, struct str type, struct str subtype)
{
    part->type = type;
    part->subtype = subtype;
    part->parameters = NULL;
}

void mime_part_defaults(struct mime_part *part, bool in_digest)
{
    if (part->type.p == NULL && in_digest)
        mime_part_make(part, STR("message"), STR("rfc822"));
    else if (part->type.p == NULL)
        mime_part_make(part, STR("text"), STR("plain"));
    if (part->encoding.p == NULL)
        part->encoding = STR("7BIT");
}
