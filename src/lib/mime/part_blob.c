/* The format: the byte VERSION, then the parts in preorder. Numbers are 7 bits a byte, lowest first, the top bit says that
 * more follow. A string is a number: 0 none, 1..COMMON a common string, else its length + COMMON + 1 and its
 * bytes. A part is its strings in the order of `strings`, two parameter lists, its offsets (each from the one
 * before), its line counts, 1 and the envelope or 0, the number of its children, and these. A list is
 * items, each after a byte 1, and a byte 0. */
#include "mime/part_blob.h"

#include <stddef.h>
#include <string.h>

enum { VERSION = 1 };

/* Part of the format: a change here is a new version. */
static const struct str common[] = {{"text", 4}, {"plain", 5}, {"html", 4}, {"multipart", 9}, {"mixed", 5}, {"alternative", 11},
    {"related", 7}, {"signed", 6}, {"report", 6}, {"application", 11}, {"octet-stream", 12}, {"pdf", 3}, {"image", 5}, {"png", 3},
    {"jpeg", 4}, {"gif", 3}, {"message", 7}, {"rfc822", 6}, {"charset", 7}, {"utf-8", 5}, {"UTF-8", 5}, {"us-ascii", 8},
    {"iso-8859-1", 10}, {"boundary", 8}, {"name", 4}, {"filename", 8}, {"format", 6}, {"flowed", 6}, {"attachment", 10},
    {"inline", 6}, {"7BIT", 4}, {"7bit", 4}, {"8bit", 4}, {"base64", 6}, {"quoted-printable", 16}, {"", 0}};
enum { COMMON = sizeof common / sizeof *common };

static const size_t strings[] = {offsetof(struct mime_part, type), offsetof(struct mime_part, subtype), offsetof(struct mime_part, id),
    offsetof(struct mime_part, description), offsetof(struct mime_part, encoding), offsetof(struct mime_part, disposition),
    offsetof(struct mime_part, languages), offsetof(struct mime_part, location), offsetof(struct mime_part, md5)};
static const size_t envelope_strings[] = {offsetof(struct mime_envelope, date), offsetof(struct mime_envelope, subject),
    offsetof(struct mime_envelope, in_reply_to), offsetof(struct mime_envelope, message_id), offsetof(struct mime_envelope, references)};
static const size_t envelope_lists[] = {offsetof(struct mime_envelope, from), offsetof(struct mime_envelope, sender),
    offsetof(struct mime_envelope, reply_to), offsetof(struct mime_envelope, to), offsetof(struct mime_envelope, cc),
    offsetof(struct mime_envelope, bcc)};
static const size_t address_strings[] = {offsetof(struct mime_address, name), offsetof(struct mime_address, route),
    offsetof(struct mime_address, mailbox), offsetof(struct mime_address, host)};
#define COUNT(table) (sizeof(table) / sizeof *(table))

/* ---- packing ---- */

static void put_number(struct buf *out, uint64_t n)
{
    char bytes[10];
    size_t used = 0;

    for (; n >= 0x80; n >>= 7)
        bytes[used++] = (char)(n | 0x80);
    bytes[used++] = (char)n;
    buf_add(out, (struct str){bytes, used});
}

static void put_string(struct buf *out, struct str s)
{
    if (s.p == NULL) {
        buf_add_char(out, 0);
        return;
    }
    for (size_t i = 0; i < COMMON && s.n <= 16; i++)
        if (str_eq(s, common[i])) {
            put_number(out, i + 1);
            return;
        }
    put_number(out, s.n + COMMON + 1);
    buf_add(out, s);
}

static const struct str *string_at(const void *of, size_t offset)
{
    return (const struct str *)(const void *)((const char *)of + offset);
}

static void put_strings(struct buf *out, const void *of, const size_t *offsets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put_string(out, *string_at(of, offsets[i]));
}

/* The written value is mostly the decoded one, and then not told twice. */
static void put_parameters(struct buf *out, const struct mime_parameter *list)
{
    for (const struct mime_parameter *p = list; p != NULL; p = p->next) {
        bool same = str_eq(p->value, p->written);

        buf_add_char(out, 1);
        put_string(out, p->name);
        put_string(out, p->value);
        put_number(out, (p->extended ? 1u : 0u) | (same ? 0u : 2u));
        if (!same)
            put_string(out, p->written);
    }
    buf_add_char(out, 0);
}

static void put_envelope(struct buf *out, const struct mime_envelope *e)
{
    buf_add_char(out, e != NULL);
    if (e == NULL)
        return;
    put_strings(out, e, envelope_strings, COUNT(envelope_strings));
    for (size_t i = 0; i < COUNT(envelope_lists); i++) {
        struct mime_address *const *list = (struct mime_address *const *)(const void *)((const char *)e + envelope_lists[i]);

        for (const struct mime_address *a = *list; a != NULL; a = a->next) {
            buf_add_char(out, 1);
            put_strings(out, a, address_strings, COUNT(address_strings));
        }
        buf_add_char(out, 0);
    }
}

static void put_part(struct buf *out, const struct mime_part *p, uint64_t from)
{
    uint64_t children = 0;

    put_strings(out, p, strings, COUNT(strings));
    put_parameters(out, p->parameters);
    put_parameters(out, p->disposition_parameters);
    put_number(out, p->header - from);
    put_number(out, p->body - p->header);
    put_number(out, p->end - p->body);
    put_number(out, p->header_lines);
    put_number(out, p->lines);
    put_envelope(out, p->envelope);
    for (const struct mime_part *c = p->first; c != NULL; c = c->next)
        children++;
    put_number(out, children);
    from = p->body;
    for (const struct mime_part *c = p->first; c != NULL; from = c->end, c = c->next)
        put_part(out, c, from);
}

bool mime_tree_pack(const struct mime_part *root, struct buf *out)
{
    buf_add_char(out, VERSION);
    put_part(out, root, 0);
    return !out->failed;
}

/* ---- unpacking ---- */

struct unpacking {
    struct str rest;
    struct arena *arena;
    unsigned parts, depth;
    bool failed;
};

static uint64_t fail(struct unpacking *u)
{
    u->failed = true;
    u->rest.n = 0;
    return 0;
}

static uint64_t get_number(struct unpacking *u)
{
    uint64_t n = 0;

    for (unsigned shift = 0; shift < 63; shift += 7) {
        unsigned char c;

        if (u->rest.n == 0)
            return fail(u);
        c = (unsigned char)*u->rest.p++;
        u->rest.n--;
        n |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return n;
    }
    return fail(u);
}

/* Strings are views of the copy of the blob. */
static struct str get_string(struct unpacking *u)
{
    uint64_t n = get_number(u);
    struct str s;

    if (n == 0)
        return (struct str){0};
    if (n <= COMMON)
        return common[n - 1];
    n -= COMMON + 1;
    if (n > u->rest.n) {
        fail(u);
        return (struct str){0};
    }
    s = (struct str){u->rest.p, n};
    u->rest.p += n;
    u->rest.n -= n;
    return s;
}

static void *get_room(struct unpacking *u, size_t n)
{
    void *room = u->failed ? NULL : arena_alloc(u->arena, n);

    if (room == NULL)
        fail(u);
    return room;
}

static void get_strings(struct unpacking *u, void *to, const size_t *offsets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        *(struct str *)(void *)((char *)to + offsets[i]) = get_string(u);
}

static void get_parameters(struct unpacking *u, struct mime_parameter **end)
{
    while (get_number(u) == 1) {
        struct mime_parameter *p = get_room(u, sizeof *p);
        uint64_t bits;

        if (p == NULL)
            return;
        p->name = get_string(u);
        p->written = p->value = get_string(u);
        bits = get_number(u);
        p->extended = bits & 1;
        if (bits & 2)
            p->written = get_string(u);
        if (p->name.p == NULL || p->value.p == NULL || p->written.p == NULL)
            fail(u);
        *end = p;
        end = &p->next;
    }
}

static void get_addresses(struct unpacking *u, struct mime_address **end)
{
    while (get_number(u) == 1) {
        struct mime_address *a = get_room(u, sizeof *a);

        if (a == NULL)
            return;
        get_strings(u, a, address_strings, COUNT(address_strings));
        *end = a;
        end = &a->next;
    }
}

static struct mime_envelope *get_envelope(struct unpacking *u)
{
    struct mime_envelope *e = get_number(u) == 1 ? get_room(u, sizeof *e) : NULL;

    if (e == NULL)
        return NULL;
    get_strings(u, e, envelope_strings, COUNT(envelope_strings));
    for (size_t i = 0; i < COUNT(envelope_lists); i++)
        get_addresses(u, (struct mime_address **)(void *)((char *)e + envelope_lists[i]));
    return e;
}

/* An offset so far behind `from`, and not behind `limit`. */
static uint64_t get_offset(struct unpacking *u, uint64_t from, uint64_t limit)
{
    uint64_t n = get_number(u);

    if (from > limit || n > limit - from)
        return fail(u) + limit;
    return from + n;
}

static struct mime_part *get_part(struct unpacking *u, struct mime_part *parent, uint64_t from, uint64_t limit);

static void get_children(struct unpacking *u, struct mime_part *p)
{
    uint64_t from = p->body, children = get_number(u);
    struct mime_part **end = &p->first;

    if (mime_part_is(p, "multipart", NULL) ? children == 0 : children != mime_part_is_message(p))
        fail(u);
    for (uint64_t i = 0; i < children && !u->failed; i++) {
        *end = get_part(u, p, from, p->end);
        if (*end == NULL)
            break;
        from = (*end)->end;
        end = &(*end)->next;
    }
}

static struct mime_part *get_part(struct unpacking *u, struct mime_part *parent, uint64_t from, uint64_t limit)
{
    struct mime_part *p = get_room(u, sizeof *p);

    if (p == NULL || ++u->parts > MIME_PARTS_MAX || u->depth == MIME_DEPTH_MAX) {
        fail(u);
        return NULL;
    }
    p->parent = parent;
    get_strings(u, p, strings, COUNT(strings));
    get_parameters(u, &p->parameters);
    get_parameters(u, &p->disposition_parameters);
    p->header = get_offset(u, from, limit);
    p->body = get_offset(u, p->header, limit);
    p->end = get_offset(u, p->body, limit);
    p->header_lines = get_number(u);
    p->lines = get_number(u);
    p->envelope = get_envelope(u);
    if (p->type.p == NULL || p->subtype.p == NULL || p->encoding.p == NULL)
        fail(u);
    u->depth++;
    if (!u->failed)
        get_children(u, p);
    u->depth--;
    return p;
}

struct mime_part *mime_tree_unpack(struct str blob, struct arena *arena)
{
    struct unpacking u = {.rest = arena_str(arena, blob), .arena = arena};
    struct mime_part *root;

    if (u.rest.p == NULL || get_number(&u) != VERSION)
        return NULL;
    root = get_part(&u, NULL, 0, INT64_MAX);
    return u.failed || u.rest.n || root->envelope == NULL ? NULL : root;
}
