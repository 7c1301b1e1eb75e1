/* Hostile words in every place of a report: it stays a well-formed message of three parts, no line of
 * which is theirs. */
#include "smtp/dsn.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str take(struct str *rest)
{
    struct str piece = {0};

    str_next(rest, '|', &piece);
    return piece;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data + 1, size - 1}, line;
    struct dsn_rcpt rcpts[2] = {{0}};
    struct dsn_report r = {.report_id = STR("ID-1"), .rcpts = rcpts, .n = 2, .now = 1};
    unsigned boundaries = 0;
    struct buf out;

    if (size < 2)
        return 0;
    r.full = data[0] & 1;
    r.original_utf8 = data[0] & 2;
    r.original_8bit = data[0] & 4;
    r.hostname = take(&rest);
    r.to = take(&rest);
    r.envid = take(&rest);
    r.subject = take(&rest);
    r.message_id = take(&rest);
    r.queue_id = take(&rest);
    for (unsigned i = 0; i < 2; i++)
        rcpts[i] = (struct dsn_rcpt){.action = (enum dsn_action)((data[0] >> 3) % 5), .address = take(&rest),
            .orcpt = take(&rest), .text = take(&rest), .host = take(&rest), .code = data[0], .remote = i};
    buf_init(&out, 1 << 24);
    dsn_write_head(&out, &r);
    dsn_write_tail(&out, &r);
    assert(!out.failed);
    rest = buf_str(&out);
    assert(dsn_needs_utf8(&r) ? true : str_is_ascii(rest));
    while (rest.n && str_next(&rest, '\n', &line)) {
        assert(line.n == 0 || line.p[line.n - 1] == '\r');
        assert(str_find(str_sub(line, 0, line.n ? line.n - 1 : 0), '\r') < 0);
        boundaries += str_starts(line, STR("--report-ID-1"));
    }
    assert(boundaries == 4);
    buf_clear(&out);
    return 0;
}
