/* The structure of messages, fed at every cut; and what limits it. */
#include "mime/part.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { ROOM = 1 << 22 };

static void escape(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == '\r' || text.p[i] == '\n')
            buf_add(out, text.p[i] == '\r' ? STR("\\r") : STR("\\n"));
        else
            buf_add_char(out, text.p[i]);
}

/* "type/subtype(child child)", or "type/subtype<header|body|lines>" of a leaf; a message in a message is "{...}". */
static void describe(struct buf *out, const struct mime_part *p, struct str message)
{
    assert_true(p->header <= p->body && p->body <= p->end && p->end <= message.n);
    buf_addf(out, "%.*s/%.*s", STR_ARG(p->type), STR_ARG(p->subtype));
    if (p->first == NULL) {
        buf_add_char(out, '<');
        escape(out, str_sub(message, p->header, p->body));
        buf_add_char(out, '|');
        escape(out, str_sub(message, p->body, p->end));
        buf_addf(out, "|%d>", (int)p->lines);
        return;
    }
    buf_addf(out, "%d%c", (int)p->lines, mime_part_is_message(p) ? '{' : '(');
    for (const struct mime_part *c = p->first; c != NULL; c = c->next) {
        assert_ptr_equal(c->parent, p);
        assert_true(c->header >= p->body && c->end <= p->end);
        describe(out, c, message);
        if (c->next != NULL)
            buf_add_char(out, ' ');
    }
    buf_add_char(out, mime_part_is_message(p) ? '}' : ')');
}

static struct mime_part *parse(struct str message, size_t cut, struct arena *arena)
{
    struct mime_parser *p = mime_parser_new(arena);

    mime_parser_add(p, str_sub(message, 0, cut));
    mime_parser_add(p, str_skip(message, cut));
    return mime_parser_end(p);
}

#define MIXED(b) "Content-Type: multipart/mixed; boundary=" b "\r\n\r\n"
static const struct {
    const char *message, *tree;
} messages[] = {
    {"", "text/plain<||0>"},
    {"Subject: x\r\n\r\nbody\r\n", "text/plain<Subject: x\\r\\n\\r\\n|body\\r\\n|1>"},
    {"Subject: x\n\nbody\nmore", "text/plain<Subject: x\\n\\n|body\\nmore|1>"},
    {"no header\r\n", "text/plain<|no header\\r\\n|1>"},
    {"A: 1\r\nno field\r\n", "text/plain<A: 1\\r\\n|no field\\r\\n|1>"},
    {"A: 1", "text/plain<A: 1||0>"},
    {"From x Sun\r\nA: 1\r\n\r\nb", "text/plain<From x Sun\\r\\nA: 1\\r\\n\\r\\n|b|0>"},
    {"\r\n\r\n", "text/plain<\\r\\n|\\r\\n|1>"},
    {"Content-Type: text/html; charset=x\r\n\r\n", "text/html<Content-Type: text/html; charset=x\\r\\n\\r\\n||0>"},
    {"Content-Type: text\r\n\r\n", "text/plain<Content-Type: text\\r\\n\\r\\n||0>"},
    {"Content-Type: nothing\r\n\r\n", "text/plain<Content-Type: nothing\\r\\n\\r\\n||0>"},
    {"Content-Type: (c) image (d) / (e)\r\n png(f)\r\nContent-Type: a/b\r\n\r\n",
        "image/png<Content-Type: (c) image (d) / (e)\\r\\n png(f)\\r\\nContent-Type: a/b\\r\\n\\r\\n||0>"},
    /* multiparts */
    {MIXED("b") "pre\r\n--b\r\n\r\none\r\n--b\r\nA: 1\r\n\r\ntwo\r\n\r\n--b--\r\nepilogue\r\n",
        "multipart/mixed11(text/plain<\\r\\n|one|0> text/plain<A: 1\\r\\n\\r\\n|two\\r\\n|1>)"},
    {"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n\n--b--\n", "multipart/mixed5(text/plain<\\n|one\\n|1>)"},
    {MIXED("b") "--b \t\r\n\r\none\r\n--b--  \r\n", "multipart/mixed4(text/plain<\\r\\n|one|0>)"},
    {MIXED("\"b c \"") "--b c\r\n\r\none\r\n--b c--", "multipart/mixed3(text/plain<\\r\\n|one|0>)"},
    {MIXED("b") "--b\r\n\r\n--b\r\n\r\n\r\n--b--", "multipart/mixed5(text/plain<\\r\\n||0> text/plain<\\r\\n||0>)"},
    {MIXED("b") "--b\r\nA: 1\r\n--b\r\n--b--\r\n", "multipart/mixed4(text/plain<A: 1\\r\\n||0> text/plain<||0>)"},
    {MIXED("b") "--b\r\n\r\none\r\n", "multipart/mixed3(text/plain<\\r\\n|one\\r\\n|1>)"},
    {MIXED("b") "--b", "multipart/mixed0(text/plain<||0>)"},
    {MIXED("b") "--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\ntwo", "multipart/mixed6(text/plain<\\r\\n|one|0>)"},
    {MIXED("b") "--b\r\n\r\n-- \r\n--\r\n-b\r\n- -b\r\n --b\r\nx--b\r\n--b--",
        "multipart/mixed8(text/plain<\\r\\n|-- \\r\\n--\\r\\n-b\\r\\n- -b\\r\\n --b\\r\\nx--b|5>)"},
    /* boundaries that begin alike: all of the line first, then the longest */
    {MIXED("b") "--b\r\n" MIXED("bc") "--bc\r\n\r\none\r\n--bc--\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
        "multipart/mixed11(multipart/mixed3(text/plain<\\r\\n|one|0>) text/plain<\\r\\n|two|0>)"},
    {MIXED("b") "--b more\r\n\r\none\r\n--bdef\r\n\r\ntwo\r\n--b--tail\r\n",
        "multipart/mixed7(text/plain<\\r\\n|one|0> text/plain<\\r\\n|two|0>)"},
    {MIXED("bc") "--bc\r\n" MIXED("b") "--b\r\n\r\none\r\n--bc\r\n\r\ntwo\r\n--bc--",
        "multipart/mixed9(multipart/mixed2(text/plain<\\r\\n|one|0>) text/plain<\\r\\n|two|0>)"},
    /* a boundary ends all that is inside its multipart */
    {MIXED("a") "--a\r\n" MIXED("b") "--b\r\n\r\none\r\n--a\r\n\r\ntwo\r\n--a--\r\n",
        "multipart/mixed10(multipart/mixed2(text/plain<\\r\\n|one|0>) text/plain<\\r\\n|two|0>)"},
    {MIXED("a") "--a\r\n" MIXED("a") "--a\r\n\r\none\r\n--a--\r\n", "multipart/mixed7(multipart/mixed4(text/plain<\\r\\n|one|0>))"},
    {MIXED("a") "--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n--a\r\n\r\ntwo\r\n--a--",
        "multipart/mixed7(message/rfc8221{text/plain<Subject: x\\r\\n||0>} text/plain<\\r\\n|two|0>)"},
    /* no boundary, and one that never comes */
    {"Content-Type: multipart/mixed\r\n\r\n--b\r\n", "text/plain<Content-Type: multipart/mixed\\r\\n\\r\\n|--b\\r\\n|1>"},
    {"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n",
        "text/plain<Content-Type: multipart/mixed; boundary=\"\"\\r\\n\\r\\n|--\\r\\n|1>"},
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\nx\r\n", "text/plain<Content-Type: multipart/mixed; boundary=b\\r\\n\\r\\n|x\\r\\n|1>"},
    {"Content-Type: multipart/mixed; boundary*0=\"a b\"; boundary*1=c\r\n\r\n--a bc\r\n\r\nx", "multipart/mixed2(text/plain<\\r\\n|x|0>)"},
    {MIXED("\"=?utf-8?Q?b?=\"") "--=?utf-8?Q?b?=\r\n\r\nx", "multipart/mixed2(text/plain<\\r\\n|x|0>)"},
    {MIXED("\xf6") "--\xf6\r\n\r\nx", "multipart/mixed2(text/plain<\\r\\n|x|0>)"},
    /* digests and messages */
    {"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: 1\r\n\r\none\r\n--b\r\nContent-Type: text/plain\r\n\r\ntwo\r\n--b--",
        "multipart/digest9(message/rfc8222{text/plain<Subject: 1\\r\\n\\r\\n|one|0>} text/plain<Content-Type: text/plain\\r\\n\\r\\n|two|0>)"},
    {"Content-Type: message/rfc822\r\n\r\nContent-Type: MESSAGE/Global\r\n\r\nA: 1\r\n\r\nx\r\n",
        "message/rfc8225{MESSAGE/Global3{text/plain<A: 1\\r\\n\\r\\n|x\\r\\n|1>}}"},
    {"Content-Type: message/rfc822\r\n\r\nno field\r\n", "message/rfc8221{text/plain<|no field\\r\\n|1>}"},
    {"Content-Type: message/rfc822\r\n", "message/rfc8220{text/plain<||0>}"},
    {"Content-Type: message/partial\r\n\r\nA: 1\r\n", "message/partial<Content-Type: message/partial\\r\\n\\r\\n|A: 1\\r\\n|1>"},
    {MIXED("b") "--b\r\nContent-Type: message/rfc822\r\n\r\nA: 1\r\n\r\n--b--\r\n",
        "multipart/mixed6(message/rfc8222{text/plain<A: 1\\r\\n\\r\\n||0>})"},
    /* line ends and bytes of every kind */
    {MIXED("b") "--b\n\none\n--b\r\n\r\ntwo\r\r\n--b--\n", "multipart/mixed7(text/plain<\\n|one|0> text/plain<\\r\\n|two\\r|0>)"},
    {MIXED("b") "--b\r\n\r\none\r--b\r\n--b--", "multipart/mixed3(text/plain<\\r\\n|one\\r--b|0>)"},
    {"Content-Type : text/html\r\nX\xc3\xb6: 1\r\n\r\n", "text/html<Content-Type : text/html\\r\\n|X\xc3\xb6: 1\\r\\n\\r\\n|2>"},
};

static void every_cut_gives_the_same_tree(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        struct str message = str_of(messages[i].message);

        for (size_t cut = 0; cut <= message.n; cut++) {
            struct arena arena;
            struct buf tree;

            arena_init(&arena, ROOM);
            buf_init(&tree, 10000);
            describe(&tree, parse(message, cut, &arena), message);
            buf_add_char(&tree, 0);
            assert_string_equal(tree.p, messages[i].tree);
            buf_clear(&tree);
            arena_clear(&arena);
        }
    }
}

static void byte_by_byte_gives_the_same_tree(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        struct str message = str_of(messages[i].message);
        struct arena arena;
        struct mime_parser *p;
        struct buf tree;

        arena_init(&arena, ROOM);
        buf_init(&tree, 10000);
        p = mime_parser_new(&arena);
        for (size_t at = 0; at < message.n; at++)
            mime_parser_add(p, str_sub(message, at, at + 1));
        describe(&tree, mime_parser_end(p), message);
        buf_add_char(&tree, 0);
        assert_string_equal(tree.p, messages[i].tree);
        buf_clear(&tree);
        arena_clear(&arena);
    }
}

static const char two_levels[] = "Subject: whole\r\n" MIXED("a") "--a\r\n\r\none\r\n--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n"
    MIXED("b") "--b\r\n\r\ntwo\r\n--b\r\n\r\nthree\r\n--b--\r\n--a\r\nContent-Type: message/rfc822\r\n\r\n\r\nfour\r\n--a--\r\n";

static void paths_name_parts(void **state)
{
    static const struct {
        uint32_t path[3];
        size_t depth;
        const char *body;
    } paths[] = {{{0}, 0, NULL}, {{1}, 1, "one"}, {{2, 1}, 2, "two"}, {{2, 2}, 2, "three"}, {{3}, 1, "\r\nfour"}, {{3, 1}, 2, "four"},
        {{0}, 1, ""}, {{4}, 1, ""}, {{1, 1}, 2, ""}, {{2, 3}, 2, ""}, {{2, 0}, 2, ""}, {{3, 2}, 2, ""}, {{3, 1, 1}, 3, ""}};
    struct str message = str_of(two_levels);
    struct arena arena;
    struct mime_part *root;

    (void)state;
    arena_init(&arena, ROOM);
    root = parse(message, 0, &arena);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const struct mime_part *p = mime_part_find(root, paths[i].path, paths[i].depth);

        if (paths[i].body == NULL)
            assert_ptr_equal(p, root);
        else if (paths[i].body[0] == 0)
            assert_null(p);
        else
            assert_true(p != NULL && str_eq(str_sub(message, p->body, p->end), str_of(paths[i].body)));
    }
    assert_true(str_eq(root->envelope->subject, STR("whole")));
    assert_true(str_eq(root->first->next->first->envelope->subject, STR("in")));
    assert_null(root->first->envelope);
    assert_null(root->first->next->envelope);
    arena_clear(&arena);
}

static void a_message_of_one_part_is_part_one(void **state)
{
    struct arena arena;
    struct mime_part *root;

    (void)state;
    arena_init(&arena, ROOM);
    root = parse(STR("A: 1\r\n\r\nx"), 0, &arena);
    assert_ptr_equal(mime_part_find(root, (uint32_t[]){1}, 1), root);
    assert_null(mime_part_find(root, (uint32_t[]){2}, 1));
    assert_null(mime_part_find(root, (uint32_t[]){1, 1}, 2));
    root = parse(STR("Content-Type: message/rfc822\r\n\r\nA: 1\r\n\r\nx"), 0, &arena);
    assert_ptr_equal(mime_part_find(root, (uint32_t[]){1}, 1), root);
    assert_ptr_equal(mime_part_find(root, (uint32_t[]){1, 1}, 2), root->first);
    arena_clear(&arena);
}

static void all_fields_of_a_part_are_kept(void **state)
{
    struct arena arena;
    struct mime_part *p;

    (void)state;
    arena_init(&arena, ROOM);
    p = parse(STR("Content-Type: image/png; name=\"a b.png\"\r\nContent-ID: <1@x>\r\nContent-Description: a\r\n picture\r\n"
                  "Content-Transfer-Encoding: (c) base64 (d)\r\nContent-Disposition: attachment; filename=x.png\r\n"
                  "Content-Language: en, de\r\nContent-Location: http://x/\r\nContent-MD5: Q2hl\r\nContent-ID: <2@x>\r\n\r\n"),
        20, &arena);
    assert_true(str_eq(p->id, STR("<1@x>")) && str_eq(p->description, STR("a picture")) && str_eq(p->encoding, STR("base64")));
    assert_true(str_eq(p->disposition, STR("attachment")) && str_eq(mime_parameter_find(p->disposition_parameters, "filename"), STR("x.png")));
    assert_true(str_eq(p->languages, STR("en, de")) && str_eq(p->location, STR("http://x/")) && str_eq(p->md5, STR("Q2hl")));
    assert_true(str_eq(mime_parameter_find(p->parameters, "name"), STR("a b.png")));
    assert_null(mime_parameter_find(p->parameters, "charset").p);
    assert_int_equal(p->header_lines, 11);
    p = parse(STR("Content-Disposition: filename=\"x\"\r\n\r\n"), 3, &arena);
    assert_true(str_eq(p->disposition, STR("attachment")) && str_eq(mime_parameter_find(p->disposition_parameters, "filename"), STR("x")));
    assert_true(str_eq(p->encoding, STR("7BIT")));
    p = parse(STR("Content-Disposition:\r\nContent-Transfer-Encoding: \r\nContent-Type:\r\nContent-ID: \r\n\r\n"), 3, &arena);
    assert_true(p->disposition.p == NULL && p->id.p == NULL && str_eq(p->encoding, STR("7BIT")) && mime_part_is(p, "text", "plain"));
    arena_clear(&arena);
}

static size_t count_parts(const struct mime_part *p)
{
    size_t n = 1;

    for (const struct mime_part *c = p->first; c != NULL; c = c->next)
        n += count_parts(c);
    return n;
}

/* A message of `count` times `part` after `head`. */
static struct mime_part *parse_many(const char *head, const char *part, size_t count, struct arena *arena, struct buf *message)
{
    buf_init(message, 1 << 24);
    buf_add(message, str_of(head));
    for (size_t i = 0; i < count; i++)
        buf_add(message, str_of(part));
    return parse(buf_str(message), message->n / 2, arena);
}

static void parts_have_a_limit(void **state)
{
    const struct mime_part *root, *last;
    struct arena arena;
    struct buf message;

    (void)state;
    arena_init(&arena, ROOM * 4);
    root = parse_many(MIXED("b"), "--b\r\n\r\nx\r\n", MIME_PARTS_MAX - 1, &arena, &message);
    assert_int_equal(count_parts(root), MIME_PARTS_MAX);
    buf_clear(&message);
    root = parse_many(MIXED("b"), "--b\r\n\r\nx\r\n", 2 * MIME_PARTS_MAX, &arena, &message);
    assert_int_equal(count_parts(root), MIME_PARTS_MAX);
    for (last = root->first; last->next != NULL;)
        last = last->next;
    assert_true(mime_part_is(last, "application", "octet-stream") && last->end == message.n);
    assert_true(str_starts(str_skip(buf_str(&message), last->body), STR("\r\nx\r\n--b\r\n")));
    buf_clear(&message);
    arena_clear(&arena);
}

static void levels_have_a_limit(void **state)
{
    static const char *const nests[] = {"Content-Type: message/rfc822\r\n\r\n", MIXED("b") "--b\r\n"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct mime_part *p;
        struct arena arena;
        struct buf message;
        size_t depth = 1;

        arena_init(&arena, ROOM);
        p = parse_many("", nests[i], 10 * MIME_DEPTH_MAX, &arena, &message);
        if (i == 0) {
            for (; p->first != NULL; depth++)
                p = p->first;
            assert_int_equal(depth, MIME_DEPTH_MAX);
            assert_true(mime_part_is(p, "application", "octet-stream") && p->end == message.n);
        } else { /* the same boundary again and again: one multipart */
            assert_int_equal(count_parts(p), 10 * MIME_DEPTH_MAX + 1);
        }
        buf_clear(&message);
        arena_clear(&arena);
    }
}

static void a_full_arena_gives_an_opaque_part(void **state)
{
    struct str message = str_of(two_levels);
    bool opaque = true;

    (void)state;
    for (size_t ceiling = 0; opaque; ceiling += 128) {
        struct mime_part *root;
        struct arena arena;

        arena_init(&arena, ceiling);
        root = parse(message, message.n / 2, &arena);
        opaque = root == NULL || root->first == NULL;
        if (root != NULL) {
            assert_int_equal(root->end, message.n);
            assert_true(str_starts(str_skip(message, root->body), STR("--a\r\n\r\none")));
            assert_true(mime_part_is(root, opaque ? "application" : "multipart", NULL));
        }
        arena_clear(&arena);
        assert_true(ceiling < ROOM);
    }
}

/* Wherever the room ends, also between a boundary and the part behind it, in a header or in a line not yet whole. */
static void an_opaque_part_is_the_whole_message(void **state)
{
    static const char digest[] = "Content-Type: multipart/digest; boundary=1\n\n--1\n\nFrom: a <a@b>\n\nx\n--1\n\nFrom: c <c@d>\n\ny\n"
                                 "--1\nContent-Type: text/plain\n--1\n--1 \nA: b\n\nz\n--1--\nend\n";
    size_t opaque = 0;

    (void)state;
    for (size_t room = 64; room < 16384; room += 8) {
        for (size_t cut = 0; cut < sizeof digest; cut += 7) {
            struct arena arena;
            struct mime_part *root;

            arena_init(&arena, room);
            root = parse(STR(digest), cut, &arena);
            if (root != NULL) {
                assert_int_equal(root->header, 0);
                assert_int_equal(root->end, sizeof digest - 1);
                opaque += root->first == NULL;
            }
            arena_clear(&arena);
        }
    }
    assert_true(opaque > 0);
}

static void huge_fields_and_lines_pass(void **state)
{
    static char big[MIME_HEADER_MAX * 3];
    struct arena arena;

    (void)state;
    arena_init(&arena, ROOM);
    for (size_t i = 0; i < 4; i++) {
        static const char *const starts[] = {"Subject: ", "", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--", "From "};
        struct mime_part *root[2];
        struct str bytes = {big, sizeof big};
        size_t n = strlen(starts[i]);

        memset(big, 'x', sizeof big);
        memcpy(big, starts[i], n);
        for (size_t k = 0; k < 2; k++) {
            struct mime_parser *p = mime_parser_new(&arena);

            for (size_t at = 0, piece = k ? 1000 : sizeof big; at < bytes.n; at += piece)
                mime_parser_add(p, str_sub(bytes, at, at + piece));
            root[k] = mime_parser_end(p);
        }
        assert_int_equal(root[0]->body, root[1]->body);
        assert_int_equal(root[0]->end, sizeof big);
        assert_int_equal(root[1]->end, sizeof big);
        assert_int_equal(root[0]->envelope->subject.n, i == 0 ? MIME_HEADER_MAX - 9 : 0);
        assert_int_equal(root[1]->envelope->subject.n, root[0]->envelope->subject.n);
        assert_int_equal(root[0]->body, i == 0 ? sizeof big : i == 2 ? n - 9 : 0);
    }
    arena_clear(&arena);
}

static void nul_bytes_are_bytes(void **state)
{
    struct arena arena;
    struct mime_part *root;

    (void)state;
    arena_init(&arena, ROOM);
    root = parse(STR("Subject: a\0b\r\nContent-Type: text/html\r\n\r\n\0\0\r\n"), 5, &arena);
    assert_true(str_eq(root->envelope->subject, STR("ab")) && mime_part_is(root, "TEXT", "HTML"));
    assert_int_equal(root->end - root->body, 4);
    assert_int_equal(root->lines, 1);
    arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_gives_the_same_tree),
        cmocka_unit_test(byte_by_byte_gives_the_same_tree),
        cmocka_unit_test(paths_name_parts),
        cmocka_unit_test(a_message_of_one_part_is_part_one),
        cmocka_unit_test(all_fields_of_a_part_are_kept),
        cmocka_unit_test(parts_have_a_limit),
        cmocka_unit_test(levels_have_a_limit),
        cmocka_unit_test(a_full_arena_gives_an_opaque_part),
        cmocka_unit_test(an_opaque_part_is_the_whole_message),
        cmocka_unit_test(huge_fields_and_lines_pass),
        cmocka_unit_test(nul_bytes_are_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
