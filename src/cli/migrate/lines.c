/* Line ends. See lines.h. */
#include "cli/migrate/lines.h"

void lines_to_crlf(struct buf *out, struct str bytes, char *last)
{
    while (bytes.n > 0) {
        ptrdiff_t end = str_find(bytes, '\n');
        size_t n = end < 0 ? bytes.n : (size_t)end;

        buf_add(out, str_sub(bytes, 0, n));
        if (n > 0)
            *last = bytes.p[n - 1];
        if (end < 0)
            return;
        buf_add(out, *last == '\r' ? STR("\n") : STR("\r\n"));
        *last = '\n';
        bytes = str_skip(bytes, n + 1);
    }
}

uint64_t lines_missing(struct str bytes, char *last)
{
    uint64_t missing = 0;

    while (bytes.n > 0) {
        ptrdiff_t end = str_find(bytes, '\n');
        size_t n = end < 0 ? bytes.n : (size_t)end;

        if (n > 0)
            *last = bytes.p[n - 1];
        if (end < 0)
            return missing;
        missing += *last != '\r';
        *last = '\n';
        bytes = str_skip(bytes, n + 1);
    }
    return missing;
}

void lines_to_lf(struct buf *out, struct str bytes, bool *cr, bool *lost)
{
    for (size_t i = 0; i < bytes.n; i++) {
        char c = bytes.p[i];

        if (c == '\n' && !*cr)
            *lost = true;
        if (*cr && c != '\n') {
            buf_add_char(out, '\r');
            *lost |= c == '\r';
        }
        *cr = c == '\r';
        if (c != '\r')
            buf_add_char(out, c);
    }
}
