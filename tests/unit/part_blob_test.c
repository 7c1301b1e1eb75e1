/* Trees of parts to bytes and back; damaged bytes give nothing, or a sound tree. */
#include "mime/part_blob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

enum { ROOM = 1 << 22 };

static const char *const messages[] = {
    "",
    "Subject: x\r\n\r\nbody\r\n",
    "From: A <a@b>\r\nTo: Team: c@d, \"E\" <@r:e@f>;\r\nDate: now\r\nSubject:\r\nReferences: <1@x> <2@x>\r\nMessage-ID: <3@x>\r\nIn-Reply-To: <2@x>\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\nContent-Language: en\r\n\r\n--b\r\n\r\none\r\n--b\r\n"
    "Content-Type: application/pdf; name*=iso-8859-1''%F6.pdf\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <i@x>\r\n"
    "Content-Disposition: attachment; filename=\"=?utf-8?Q?=C3=B6?=.pdf\"; size=3\r\nContent-Description: d\r\nContent-MD5: Q\r\nContent-Location: l\r\n\r\n"
    "YQ==\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: root\r\nCc: x y\r\n\r\nin\r\n--b--\r\nend\r\n",
};

static struct mime_part *parse(struct str message, struct arena *arena)
{
    struct mime_parser *p = mime_parser_new(arena);

    mime_parser_add(p, message);
    return mime_parser_end(p);
}

static void check_sound(const struct mime_part *p, uint64_t from, uint64_t limit)
{
    assert_true(from <= p->header && p->header <= p->body && p->body <= p->end && p->end <= limit);
    assert_true(p->type.p != NULL && p->subtype.p != NULL && p->encoding.p != NULL);
    from = p->body;
    for (const struct mime_part *c = p->first; c != NULL; from = c->end, c = c->next) {
        assert_ptr_equal(c->parent, p);
        check_sound(c, from, p->end);
    }
}

static void what_is_packed_comes_out_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        struct arena arena;
        struct mime_part *root, *again;
        struct buf first, second;

        arena_init(&arena, ROOM);
        buf_init(&first, ROOM);
        buf_init(&second, ROOM);
        root = parse(str_of(messages[i]), &arena);
        assert_true(mime_tree_pack(root, &first));
        again = mime_tree_unpack(buf_str(&first), &arena);
        assert_non_null(again);
        check_sound(again, 0, strlen(messages[i]));
        assert_int_equal(again->end, strlen(messages[i]));
        assert_true(mime_tree_pack(again, &second));
        assert_true(str_eq(buf_str(&first), buf_str(&second)));
        buf_clear(&first);
        buf_clear(&second);
        arena_clear(&arena);
    }
}

static void nothing_is_lost(void **state)
{
    struct arena arena;
    struct mime_part *root;
    const struct mime_part *pdf, *in;
    struct buf blob;

    (void)state;
    arena_init(&arena, ROOM);
    buf_init(&blob, ROOM);
    assert_true(mime_tree_pack(parse(str_of(messages[2]), &arena), &blob));
    arena_clear(&arena);
    root = mime_tree_unpack(buf_str(&blob), &arena);
    memset(blob.p, 0, blob.n); /* the tree does not point there */
    buf_clear(&blob);
    pdf = root->first->next;
    in = pdf->next->first;
    assert_true(str_eq(root->languages, STR("en")) && str_eq(root->envelope->references, STR("<1@x> <2@x>")));
    assert_true(root->envelope->subject.p != NULL && root->envelope->subject.n == 0 && root->envelope->cc == NULL);
    assert_true(str_eq(root->envelope->to->mailbox, STR("Team")) && root->envelope->to->host.p == NULL);
    assert_true(str_eq(root->envelope->to->next->next->route, STR("@r")) && root->envelope->to->next->next->next->mailbox.p == NULL);
    assert_true(pdf->parameters->extended && str_eq(pdf->parameters->value, STR("\xc3\xb6.pdf")) && str_eq(pdf->parameters->written, STR("\xf6.pdf")));
    assert_true(str_eq(mime_parameter_find(pdf->disposition_parameters, "filename"), STR("\xc3\xb6.pdf")));
    assert_true(str_eq(pdf->disposition_parameters->written, STR("=?utf-8?Q?=C3=B6?=.pdf")) && str_eq(pdf->md5, STR("Q")));
    assert_true(str_eq(pdf->id, STR("<i@x>")) && str_eq(pdf->description, STR("d")) && str_eq(pdf->location, STR("l")));
    assert_int_equal(pdf->end - pdf->body, 4);
    assert_int_equal(pdf->header_lines, 8);
    assert_true(in->envelope != NULL && in->envelope->from->host.n == 0 && in->envelope->from->host.p != NULL && pdf->envelope == NULL);
    assert_int_equal(in->lines, 0);
    arena_clear(&arena);
}

static void damaged_bytes_give_nothing_or_a_sound_tree(void **state)
{
    struct arena arena;
    struct buf blob;

    (void)state;
    arena_init(&arena, ROOM);
    buf_init(&blob, ROOM);
    assert_true(mime_tree_pack(parse(str_of(messages[2]), &arena), &blob));
    for (size_t n = 0; n < blob.n; n++) {
        assert_null(mime_tree_unpack(str_from(blob.p, n), &arena));
        arena_clear(&arena);
    }
    for (size_t i = 0; i < blob.n; i++)
        for (unsigned flip = 1; flip < 256; flip = flip * 2 + 1) {
            struct mime_part *root;

            blob.p[i] = (char)(blob.p[i] ^ (char)flip);
            root = mime_tree_unpack(buf_str(&blob), &arena);
            if (root != NULL)
                check_sound(root, 0, INT64_MAX);
            assert_true(i > 0 || root == NULL); /* another version */
            blob.p[i] = (char)(blob.p[i] ^ (char)flip);
            arena_clear(&arena);
        }
    buf_add_char(&blob, 0);
    assert_null(mime_tree_unpack(buf_str(&blob), &arena));
    buf_clear(&blob);
    arena_clear(&arena);
}

static void a_full_arena_gives_nothing(void **state)
{
    struct arena arena, small;
    struct buf blob;
    bool unpacked = false;

    (void)state;
    arena_init(&arena, ROOM);
    buf_init(&blob, ROOM);
    assert_true(mime_tree_pack(parse(str_of(messages[2]), &arena), &blob));
    arena_clear(&arena);
    for (size_t ceiling = 0; !unpacked; ceiling += 100) {
        arena_init(&small, ceiling);
        unpacked = mime_tree_unpack(buf_str(&blob), &small) != NULL;
        arena_clear(&small);
        assert_true(ceiling < ROOM);
    }
    buf_clear(&blob);
    buf_init(&blob, 10);
    assert_false(mime_tree_pack(parse(str_of(messages[2]), &arena), &blob));
    buf_clear(&blob);
    arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_comes_out_again),
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(damaged_bytes_give_nothing_or_a_sound_tree),
        cmocka_unit_test(a_full_arena_gives_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
