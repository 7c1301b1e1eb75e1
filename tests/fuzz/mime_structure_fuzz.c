/* Any bytes as a message: the tree is sound, does not depend on the cut, survives packing, and is written as IMAP; any bytes
 * as a packed tree, or as the packed flags of messages. */
#include "imap/body.h"
#include "mime/part_blob.h"
#include "roles/mailbox/flag_block.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 22 };

static void check(const struct mime_part *p, uint64_t from, uint64_t limit, unsigned depth)
{
    unsigned children = 0;

    assert(depth < MIME_DEPTH_MAX);
    assert(from <= p->header && p->header <= p->body && p->body <= p->end && p->end <= limit);
    assert(p->type.p != NULL && p->subtype.p != NULL && p->encoding.p != NULL);
    from = p->body;
    for (const struct mime_part *c = p->first; c != NULL; from = c->end, c = c->next) {
        assert(c->parent == p);
        check(c, from, p->end, depth + 1);
        children++;
    }
    assert(mime_part_is(p, "multipart", NULL) ? children > 0 : children == (mime_part_is_message(p) ? 1u : 0u));
}

static struct mime_part *parse(struct str bytes, size_t piece, size_t ceiling, struct arena *arena)
{
    struct mime_parser *p;

    arena_init(arena, ceiling);
    p = mime_parser_new(arena);
    for (size_t at = 0; at < bytes.n; at += piece)
        mime_parser_add(p, str_sub(bytes, at, at + piece));
    return mime_parser_end(p);
}

static void pack(struct str bytes, size_t piece, struct buf *out, struct arena *arena)
{
    struct mime_part *root = parse(bytes, piece, ROOM, arena);

    buf_init(out, ROOM);
    assert(root != NULL && root->end == bytes.n);
    check(root, 0, bytes.n, 0);
    assert(mime_tree_pack(root, out));
}

static void as_message(struct str bytes, size_t piece)
{
    struct arena whole, cut;
    struct buf one, two, text;
    struct mime_part *root;

    pack(bytes, bytes.n ? bytes.n : 1, &one, &whole);
    pack(bytes, piece, &two, &cut);
    assert(str_eq(buf_str(&one), buf_str(&two)));
    arena_clear(&whole);
    root = mime_tree_unpack(buf_str(&one), &whole);
    assert(root != NULL);
    buf_reset(&two);
    assert(mime_tree_pack(root, &two) && str_eq(buf_str(&one), buf_str(&two)));
    buf_init(&text, ROOM);
    imap_write_envelope(&text, root->envelope, false);
    imap_write_body(&text, root, true, bytes.n & 1);
    buf_clear(&text);
    buf_clear(&one);
    buf_clear(&two);
    arena_clear(&whole);
    arena_clear(&cut);
}

static void with_little_room(struct str bytes, size_t ceiling)
{
    struct arena arena;
    struct mime_part *root = parse(bytes, bytes.n ? bytes.n : 1, ceiling, &arena);

    if (root != NULL) {
        check(root, 0, bytes.n, 0);
        assert(root->header == 0 && root->end == bytes.n);
    }
    arena_clear(&arena);
}

static void as_tree(struct str bytes)
{
    struct arena arena;
    struct mime_part *root;
    struct buf text;

    arena_init(&arena, ROOM);
    buf_init(&text, ROOM);
    root = mime_tree_unpack(bytes, &arena);
    if (root != NULL) {
        check(root, 0, INT64_MAX, 0);
        imap_write_body(&text, root, true, true);
    }
    buf_clear(&text);
    arena_clear(&arena);
}

/* What is taken packs to the same bytes. */
static void as_flags(struct str bytes)
{
    struct flag_block block;
    struct buf again;

    buf_init(&again, FLAG_BLOCK_MAX);
    if (flag_block_unpack(&block, bytes)) {
        flag_block_pack(&block, &again);
        assert(str_eq(buf_str(&again), bytes));
    }
    buf_clear(&again);
}

/* The first byte: how it is cut, and how much room there is; its value 0: a packed tree. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data + 1, size - 1};

    if (size == 0)
        return 0;
    if (data[0] == 0) {
        as_tree(bytes);
        as_flags(bytes);
    } else {
        as_message(bytes, data[0]);
        with_little_room(bytes, 1024u * data[0]);
    }
    return 0;
}
