/* A whole message, cut in two ways, with any key record as the answer to every question. Both ways come to the same results,
 * and no more questions are asked than signatures are looked at. Input: two octets (lengths of pieces), a key record, NUL,
 * the message; a bare LF ends a line of its header too. */
#include "dns/records.h"
#include "mailauth/dkim_verify.h"
#include "mime/header.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct dkim_verify *v;
    unsigned questions;
    bool asked, done;
};

static void on_ask(void *owner, struct str name, unsigned type)
{
    struct run *run = owner;

    assert(!run->asked && !run->done && type == DNS_TXT && dns_name_can_be_asked(name));
    run->asked = true;
    assert(++run->questions <= DKIM_SIGNATURES_MAX);
}

static void on_done(void *owner)
{
    struct run *run = owner;

    assert(!run->done);
    run->done = true;
}

static void on_field(void *owner, const struct header_field *field)
{
    struct run *run = owner;

    dkim_verify_field(run->v, field->raw);
}

static void answer(struct run *run, struct str text)
{
    struct buf rdata, records;

    buf_init(&rdata, 1 << 20);
    buf_init(&records, 1 << 20);
    for (size_t at = 0; at < text.n; at += 255) {
        struct str piece = str_sub(text, at, at + 255);

        buf_add_char(&rdata, (char)piece.n);
        buf_add(&rdata, piece);
    }
    if (rdata.n < 65536)
        dns_add_record(&records, buf_str(&rdata));
    while (run->asked) {
        run->asked = false;
        dkim_verify_answer(run->v, DNS_OK, buf_str(&records));
    }
    buf_clear(&rdata);
    buf_clear(&records);
}

static void verify(struct run *run, struct str record, struct str message, size_t cut)
{
    static const struct dkim_verify_world world = {.ask = on_ask, .done = on_done};
    struct header_scan scan;
    size_t used = 0;

    *run = (struct run){.v = dkim_verify_new(&world, run, 1700000000)};
    header_scan_init(&scan, 1 << 20, on_field, run);
    if (header_scan(&scan, message, &used) == HEADER_MORE)
        (void)header_scan_finish(&scan);
    dkim_verify_header_end(run->v);
    header_scan_clear(&scan);
    for (message = str_skip(message, used); message.n > 0; message = str_skip(message, cut < message.n ? cut : message.n))
        dkim_verify_body(run->v, str_sub(message, 0, cut));
    if (cut % 2 == 0)
        answer(run, record);
    dkim_verify_end(run->v);
    answer(run, record);
    assert(run->done);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str message, record;
    struct run runs[2];
    ptrdiff_t end;

    if (size < 2)
        return 0;
    message = (struct str){(const char *)data + 2, size - 2};
    end = str_find(message, '\0');
    record = str_sub(message, 0, end < 0 ? 0 : (size_t)end);
    message = str_skip(message, (size_t)(end + 1));
    verify(&runs[0], record, message, data[0] + 1u);
    verify(&runs[1], record, message, data[1] * 16u + 1);
    assert(dkim_verify_count(runs[0].v) == dkim_verify_count(runs[1].v));
    for (size_t i = 0; i < dkim_verify_count(runs[0].v); i++) {
        const struct dkim_outcome *a = dkim_verify_outcome(runs[0].v, i), *b = dkim_verify_outcome(runs[1].v, i);

        assert(a->result == b->result && a->reason == b->reason && a->result != DKIM_NONE);
    }
    dkim_verify_free(runs[0].v);
    dkim_verify_free(runs[1].v);
    return 0;
}
