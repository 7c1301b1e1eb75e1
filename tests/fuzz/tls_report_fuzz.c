/* Any JSON as a TLS report: what is taken is bounded, and of checked characters. */
#include "tlspolicy/tlsrpt_read.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tlsrpt_read r;
    struct arena arena;
    const char *why;

    arena_init(&arena, 4 << 20);
    if (tlsrpt_read(str_from((const char *)data, size), &arena, &r, &why)) {
        assert(r.n > 0 && r.n <= TLSRPT_LINES_MAX && r.begins <= r.ends);
        assert(str_is_printable(r.reporter) && str_is_printable(r.report_id) && str_is_printable(r.domain) && str_is_printable(r.policy));
        for (size_t i = 0; i < r.n; i++)
            assert(str_is_printable(r.lines[i].name) && str_is_printable(r.lines[i].result) && r.lines[i].sessions > 0);
    } else {
        assert(why != NULL);
    }
    arena_clear(&arena);
    return 0;
}
