/* Messages that others have signed (tests/vectors/dkim), RFC 6376's and RFC 8463's examples among them: each comes whole
 * and in small pieces, with its keys early and late. A changed message must not pass. */
#include "dkim_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct dkim_zone zone;

static const struct dkim_way ways[] = {{1 << 20, false}, {1 << 20, true}, {1, false}, {7, true}, {100, false}};

static unsigned check(const char *file, uint64_t now, const char *wanted)
{
    unsigned wrong = 0;
    struct buf message;

    dkim_read_message(file, &message);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct dkim_verify *v = dkim_verify_message(&zone, buf_str(&message), now, ways[i]);
        const char *found = dkim_describe(v);

        if (strcmp(found, wanted) != 0) {
            print_error("%s: \"%s\" (%s) instead of \"%s\"\n", file, found,
                dkim_verify_count(v) > 0 ? dkim_verify_outcome(v, 0)->reason : "", wanted);
            wrong++;
        }
        dkim_verify_free(v);
    }
    buf_clear(&message);
    return wrong;
}

/* One line of `cases`; returns what was wrong. */
static unsigned run(char *line, unsigned *messages)
{
    char *word[4] = {line};

    line[strcspn(line, "\n")] = '\0';
    for (size_t i = 1; i < (line[0] == 'k' ? 3 : 4); i++) {
        word[i] = strchr(word[i - 1], ' ');
        assert_non_null(word[i]);
        *word[i]++ = '\0';
    }
    if (strcmp(word[0], "key") == 0) {
        dkim_zone_add(&zone, word[1], word[2]);
        return 0;
    }
    assert_string_equal(word[0], "message");
    ++*messages;
    return check(word[1], strtoull(word[2], NULL, 10), word[3]);
}

static void signatures_of_others(void **state)
{
    FILE *f = fopen(VECTORS_FOLDER "/dkim/cases", "r");
    unsigned messages = 0, wrong = 0;
    char line[5000];

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL)
        if (line[0] != '#')
            wrong += run(line, &messages);
    fclose(f);
    assert_int_equal(messages, 15);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(signatures_of_others)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
