/* Structures another parser found, in tests/vectors/mime: every leaf lies where it says. */
#include "mime/part.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 22 };

static void read_file(const char *name, struct buf *out)
{
    char path[1000], bytes[4096];
    size_t n;
    FILE *f;

    snprintf(path, sizeof path, "%s/mime/%s", VECTORS_FOLDER, name);
    f = fopen(path, "rb");
    assert_non_null(f);
    buf_init(out, ROOM);
    while ((n = fread(bytes, 1, sizeof bytes, f)) > 0)
        buf_add(out, str_from(bytes, n));
    fclose(f);
}

static void make_crlf(struct buf *message)
{
    struct buf out;

    buf_init(&out, ROOM);
    for (size_t i = 0; i < message->n; i++) {
        if (message->p[i] == '\n' && (i == 0 || message->p[i - 1] != '\r'))
            buf_add_char(&out, '\r');
        buf_add_char(&out, message->p[i]);
    }
    buf_clear(message);
    *message = out;
}

static void add_leaves(struct buf *out, const struct mime_part *p, const char *name, const char *form)
{
    if (p->first == NULL)
        buf_addf(out, "%s %s %d %d %d\n", name, form, (int)p->header, (int)p->body, (int)p->end);
    for (const struct mime_part *c = p->first; c != NULL; c = c->next)
        add_leaves(out, c, name, form);
}

/* The leaves of one message, as the file tells them. */
static void find_leaves(const char *name, const char *form, struct buf *out)
{
    struct buf message;
    struct arena arena;
    struct mime_parser *p;

    read_file(name, &message);
    if (strcmp(form, "crlf") == 0)
        make_crlf(&message);
    arena_init(&arena, ROOM);
    p = mime_parser_new(&arena);
    mime_parser_add(p, buf_str(&message));
    add_leaves(out, mime_parser_end(p), name, form);
    arena_clear(&arena);
    buf_clear(&message);
}

static void parts_lie_where_another_parser_found_them(void **state)
{
    struct buf leaves, found;
    struct str rest, line;
    char last[200] = "", name[100], form[10], both[200];

    (void)state;
    read_file("leaves", &leaves);
    buf_init(&found, ROOM);
    rest = buf_str(&leaves);
    while (str_next(&rest, '\n', &line) && line.n) {
        char text[200];

        snprintf(text, sizeof text, "%.*s", STR_ARG(line));
        assert_int_equal(sscanf(text, "%99s %9s", name, form), 2);
        snprintf(both, sizeof both, "%s %s", name, form);
        if (strcmp(both, last) != 0)
            find_leaves(name, form, &found);
        memcpy(last, both, sizeof last);
    }
    buf_add_char(&leaves, 0);
    buf_add_char(&found, 0);
    assert_string_equal(found.p, leaves.p);
    buf_clear(&leaves);
    buf_clear(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parts_lie_where_another_parser_found_them)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
