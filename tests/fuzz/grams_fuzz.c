/* The search index never misses: whatever stands in a folded text, as a run of three characters or more, is asked for with grams
 * that the text has. The input: how (HTML, or as it stands), where the word begins, how long it is, and the text. */
#include "mime/fold.h"
#include "mime/html.h"
#include "roles/mailbox/grams.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 20 };

static void to_text(struct str bytes, bool html, struct buf *out)
{
    struct html_reader *reader;

    if (!html) {
        buf_add(out, bytes);
        return;
    }
    reader = html_reader_new();
    for (size_t at = 0; at < bytes.n; at += 17) /* however it is cut */
        html_reader_add(reader, str_sub(bytes, at, at + 17), out);
    html_reader_end(reader, out);
}

static bool has(struct str text, struct str word)
{
    return word.n == 0 || (word.n <= text.n && memmem(text.p, text.n, word.p, word.n) != NULL);
}

/* "(aaaa AND bbbb) OR zzzzz" against "aaaa cccc bbbb ". */
static void check_query(struct str query, struct str known)
{
    struct str word;
    bool any = false;

    if (query.n == 0 || query.p[0] != '(' || !str_ends(query, str_of(grams_any)))
        abort();
    query = str_sub(str_skip(query, 1), 0, (size_t)str_find(query, ')') - 1);
    while (str_next_word(&query, &word)) {
        if (str_eq(word, STR("AND")))
            continue;
        any = true;
        if (word.n != 4 || !has(known, word))
            abort();
    }
    if (!any)
        abort();
}

static void look_for(struct grams *g, struct str folded, struct str word)
{
    struct buf query, known;

    buf_init(&query, ROOM);
    buf_init(&known, ROOM);
    if (has(folded, word) && grams_query(word, &query)) {
        grams_write(g, &known);
        if (!grams_overflow(g) && !known.failed)
            check_query(buf_str(&query), buf_str(&known));
    }
    buf_clear(&query);
    buf_clear(&known);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct grams *g;
    struct buf text, folded, word;
    size_t from, length;

    if (size < 3 || size > 64 * 1024)
        return 0;
    if (g == NULL)
        g = grams_new();
    buf_init(&text, ROOM);
    buf_init(&folded, ROOM);
    buf_init(&word, ROOM);
    to_text(str_from((const char *)data + 3, size - 3), data[0] & 1, &text);
    mime_casefold(buf_str(&text), &folded);
    grams_reset(g);
    grams_add(g, buf_str(&folded));
    from = text.n > 0 ? data[1] * text.n / 256 : 0;
    length = data[2];
    mime_casefold(str_sub(buf_str(&text), from, from + length), &word);
    look_for(g, buf_str(&folded), buf_str(&word));
    look_for(g, buf_str(&folded), str_sub(buf_str(&folded), from, from + length));
    buf_clear(&text);
    buf_clear(&folded);
    buf_clear(&word);
    return 0;
}
