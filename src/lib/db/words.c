/* The words of db.h for which every driver has its own text. */
#include "db/driver.h"

#include <string.h>

static bool starts_word(const char *at, const char *word)
{
    size_t n = strlen(word);

    return strncmp(at, word, n) == 0 && !ascii_is_alnum(at[n]) && at[n] != '_';
}

char *driver_translate(const char *text, const struct driver_words *words)
{
    const struct {
        const char *word, *text;
    } table[] = {{"@id", words->id}, {"@blob", words->blob}, {"@clustered", words->clustered}, {"@like", words->like}};
    const size_t count = sizeof table / sizeof *table;
    struct buf sql;

    buf_init(&sql, 1024 * 1024);
    while (*text) {
        size_t w = 0;

        while (w < count && !starts_word(text, table[w].word))
            w++;
        if (w == count) {
            buf_add_char(&sql, *text++);
        } else {
            buf_add(&sql, str_of(table[w].text));
            text += strlen(table[w].word);
        }
    }
    buf_add_char(&sql, 0);
    if (sql.failed)
        fatal("SQL text too long");
    return sql.p;
}
