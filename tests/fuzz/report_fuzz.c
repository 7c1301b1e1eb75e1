/* Any attachment as a report: opened (gzip, zip, as it is) and read; what comes out is bounded and of checked characters. */
#include "mailauth/aggregate_read.h"
#include "mime/unpack.h"

#include <assert.h>

enum { OUT_MAX = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct aggregate_reader *r)
{
    struct aggregate_head head;
    struct aggregate_line line;
    const void *at = NULL;
    size_t n = 0;

    aggregate_reader_head(r, &head);
    assert(str_is_printable(head.reporter) && str_is_printable(head.contact) && str_is_printable(head.report_id) &&
           str_is_printable(head.domain) && str_is_printable(head.policy));
    assert(head.begins >= 0 && head.begins <= head.ends);
    while (aggregate_reader_next(r, &at, &line)) {
        assert(str_is_printable(line.source) && str_is_printable(line.name) && str_is_printable(line.result));
        assert(++n <= AGGREGATE_LINES_MAX);
    }
    assert(n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct aggregate_reader *r = aggregate_reader_new();
    enum unpack_result result;
    struct unpack u;
    size_t got, all = 0;
    bool ok = true;
    char room[1000];

    unpack_begin(&u, str_from((const char *)data, size), OUT_MAX);
    do {
        result = unpack_next(&u, room, sizeof room, &got);
        assert(got <= sizeof room);
        all += got;
        assert(all <= OUT_MAX + sizeof room);
        ok = ok && aggregate_reader_add(r, str_from(room, got));
    } while (result == UNPACK_MORE);
    if (ok && result == UNPACK_END && aggregate_reader_end(r))
        look(r);
    else
        assert(!ok || result != UNPACK_END || aggregate_reader_why(r)[0] != 0);
    aggregate_reader_free(r);
    unpack_clear(&u);
    return 0;
}
