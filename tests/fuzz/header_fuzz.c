/* Any bytes as a message: fields and the rest are the message again, wherever it is cut; and the values
 * as addresses, dates and ids. */
#include "mime/date.h"
#include "mime/header.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 4096 };

static void on_field(void *owner, const struct header_field *f)
{
    struct str rest = f->value;
    struct buf text;
    bool bad = false;
    int64_t time;

    buf_add(owner, f->raw);
    assert(f->name.n + f->value.n <= f->raw.n);
    buf_init(&text, 300);
    while (header_next_address(&rest, &text, &bad)) {
        assert(text.n >= 3 && str_find(buf_str(&text), '@') > 0);
        assert(str_find(buf_str(&text), '\r') < 0 && str_find(buf_str(&text), '\n') < 0);
    }
    buf_reset(&text);
    header_unfold(&text, f->value);
    assert(str_find(buf_str(&text), '\n') < 0);
    if (date_parse(f->value, &time)) {
        char date[DATE_TEXT];

        date_format(time, date);
    }
    header_message_id(f->value);
    buf_clear(&text);
}

/* Returns what was read: fields, then the blank line, then '!' and the body. */
static enum header_state run(struct str bytes, size_t cut, struct buf *out)
{
    struct str pieces[] = {str_sub(bytes, 0, cut), str_skip(bytes, cut)};
    struct header_scan s;
    enum header_state state;

    header_scan_init(&s, LIMIT, on_field, out);
    for (int i = 0; i < 2; i++) {
        size_t used = 0;
        bool more = s.state == HEADER_MORE;

        header_scan(&s, pieces[i], &used);
        assert(used <= pieces[i].n);
        if (more && s.state == HEADER_END) {
            buf_addf(out, "%d!", s.blank);
            buf_add(out, header_scan_rest(&s));
        }
        if (s.state == HEADER_END)
            buf_add(out, more ? str_skip(pieces[i], used) : pieces[i]);
    }
    if (s.state == HEADER_MORE) {
        header_scan_finish(&s);
        buf_addf(out, "%d!", s.blank);
        buf_add(out, header_scan_rest(&s));
    }
    assert(s.size <= LIMIT);
    state = s.state;
    header_scan_clear(&s);
    return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data + 1, size - 1};
    struct buf whole, cut;
    enum header_state one, two;

    if (size < 2)
        return 0;
    buf_init(&whole, 1 << 24);
    buf_init(&cut, 1 << 24);
    one = run(bytes, bytes.n, &whole);
    two = run(bytes, data[0] % bytes.n, &cut);
    if (one == HEADER_END && two == HEADER_END)
        assert(str_eq(buf_str(&whole), buf_str(&cut)));
    buf_clear(&whole);
    buf_clear(&cut);
    return 0;
}
