/* A hostile server: its bytes come in two pieces; both ways of cutting give the same replies. */
#include "smtp/reply.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct reply *r, struct buf *log)
{
    struct capabilities c;
    struct str words;
    size_t before;

    assert(r->code >= 200 && r->code <= 599 && r->lines >= 1 && r->lines <= REPLY_LINES_MAX);
    reply_capabilities(r, &c);
    buf_addf(log, "%u %u.%u.%u ", r->code, r->enhanced.class, r->enhanced.subject, r->enhanced.detail);
    before = log->n;
    reply_words(r, 200, log);
    words = str_skip(buf_str(log), before);
    assert(words.n <= 200 && str_is_utf8(words) && str_find(words, '\n') < 0 && str_find(words, '\r') < 0);
    for (int stage = STAGE_CONNECT; stage <= STAGE_END; stage++)
        assert((reply_classify(r->code, words, (enum smtp_stage)stage) == REASON_NONE) == (r->code < 400));
    buf_add_char(log, '\n');
}

static void run(struct str bytes, size_t cut, struct buf *log)
{
    struct str pieces[] = {str_sub(bytes, 0, cut), str_skip(bytes, cut)};
    enum reply_state state = REPLY_MORE;
    struct reply r;
    size_t used;

    reply_init(&r);
    for (int i = 0; i < 2 && state != REPLY_BAD; i++)
        while (pieces[i].n && state != REPLY_BAD) {
            state = reply_feed(&r, pieces[i], &used);
            assert(used > 0 || state == REPLY_BAD);
            pieces[i] = str_skip(pieces[i], used);
            if (state == REPLY_DONE)
                use(&r, log);
        }
    buf_add_char(log, state == REPLY_BAD ? 'B' : 'M');
    reply_clear(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, cut;
    struct str bytes = {(const char *)data + 1, size - 1};

    if (size < 2)
        return 0;
    buf_init(&whole, 1 << 24);
    buf_init(&cut, 1 << 24);
    run(bytes, bytes.n, &whole);
    run(bytes, data[0] % bytes.n, &cut);
    assert(str_eq(buf_str(&whole), buf_str(&cut)));
    buf_clear(&whole);
    buf_clear(&cut);
    return 0;
}
