/* The public suite of ARC (tests/vectors/arc): 171 messages, each whole and in small pieces, with its keys early and late. */
#include "arc_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct dkim_way ways[] = {{1 << 20, false}, {1 << 20, true}, {1, false}, {7, true}};

struct suite {
    struct dkim_zone zone;
    char name[100], wanted[10]; /* of the test whose message is being read */
    struct buf message;
    struct dkim_key_cache *kept; /* for every second way */
    unsigned tests, wrong;
};

static void run(struct suite *s)
{
    for (size_t i = 0; s->name[0] != '\0' && i < sizeof ways / sizeof ways[0]; i++) {
        const struct arc_outcome *o;
        struct arc_verify *v;

        s->zone.keys_kept = i % 2 == 1 ? s->kept : NULL;
        v = arc_verify_message(&s->zone, buf_str(&s->message), 1500000000, ways[i]);
        o = arc_verify_outcome(v);

        if (strcmp(arc_result_name(o->result), s->wanted) != 0) {
            print_error("%s: %s (%s) instead of %s\n", s->name, arc_result_name(o->result), o->reason, s->wanted);
            s->wrong++;
        }
        assert_true((o->result == ARC_FAIL) == (o->reason[0] != '\0'));
        arc_verify_free(v);
    }
    s->name[0] = '\0';
    buf_reset(&s->message);
}

static void take_line(struct suite *s, const char *line)
{
    char name[300];
    int at = 0;

    if (line[0] == '|') {
        buf_add(&s->message, str_of(line + 1));
        buf_add(&s->message, STR("\r\n"));
        return;
    }
    run(s);
    if (strncmp(line, "scenario ", 9) == 0) {
        s->zone.n = 0;
    } else if (sscanf(line, "key %299s %n", name, &at) == 1) {
        dkim_zone_add(&s->zone, name, line + at);
    } else if (sscanf(line, "test %99s %9s", s->name, s->wanted) == 2) {
        s->tests++;
    } else {
        assert_int_equal(line[0], '#');
    }
}

static void public_suite(void **state)
{
    FILE *f = fopen(VECTORS_FOLDER "/arc/cases", "r");
    struct suite *s = calloc(1, sizeof *s);
    char line[5000];

    (void)state;
    assert_non_null(f);
    assert_non_null(s);
    buf_init(&s->message, 1 << 20);
    s->kept = dkim_key_cache_new();
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        take_line(s, line);
    }
    run(s);
    fclose(f);
    assert_int_equal(s->tests, 171);
    assert_int_equal(s->wrong, 0);
    buf_clear(&s->message);
    dkim_key_cache_free(s->kept);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(public_suite)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
