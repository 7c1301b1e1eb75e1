/* Names and keywords as the server takes them. See words.h. */
#include "cli/migrate/words.h"
#include "imap/write.h"

bool migrate_name(struct buf *out, struct str name)
{
    const char *why;

    while (name.n > 0) {
        size_t bad = imap_name_bad_character(name);

        buf_add_char(out, bad > 0 ? '_' : name.p[0]);
        name = str_skip(name, bad > 0 ? bad : 1);
    }
    return !out->failed && imap_name_is_valid(buf_str(out), &why);
}

void migrate_keyword(struct buf *words, struct str keyword)
{
    if (keyword.n == 0 || keyword.n > 200)
        return;
    if (words->n > 0)
        buf_add_char(words, ' ');
    for (size_t i = 0; i < keyword.n; i++) {
        char c = keyword.p[i];
        bool atom = c > ' ' && c < 0x7f && str_find(STR("(){%*\"\\]"), c) < 0;

        buf_add_char(words, atom ? c : '_');
    }
}

