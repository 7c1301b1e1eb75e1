/* A whole message, cut in two ways, with any key record as the answer to every question: both ways come to the same result,
 * with no more questions than there are signatures. Then it is sealed, and the set made is one the chain takes. Input: two
 * octets (lengths of pieces), a key record, NUL, the message; a bare LF ends a line of its header too. */
#include "dns/records.h"
#include "mailauth/arc_seal.h"
#include "mime/header.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct arc_verify *v;
    struct arc_seal *seal;
    struct dkim_header *sealed; /* the header with the set made here */
    unsigned questions;
    bool asked, done;
};

static void on_ask(void *owner, struct str name, unsigned type)
{
    struct run *run = owner;

    assert(!run->asked && !run->done && type == DNS_TXT && dns_name_can_be_asked(name));
    run->asked = true;
    assert(++run->questions <= 2 * ARC_SETS_MAX);
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

    arc_verify_field(run->v, field->raw);
    arc_seal_field(run->seal, field->raw);
    dkim_header_add(run->sealed, field->raw);
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
        arc_verify_answer(run->v, DNS_OK, buf_str(&records));
    }
    buf_clear(&rdata);
    buf_clear(&records);
}

/* A made field, cut off the front of *text. */
static struct str next_field(struct str *text)
{
    struct str field = *text, line;

    do
        assert(str_next(text, '\n', &line));
    while (text->n > 0 && text->p[0] == '\t');
    return str_sub(field, 0, field.n - text->n);
}

static void check_set(struct run *run, struct str text)
{
    struct arc_chain before, after;

    arc_chain_read(run->sealed, &before);
    for (size_t i = 0; i < ARC_FIELDS; i++)
        dkim_header_add(run->sealed, next_field(&text));
    arc_chain_read(run->sealed, &after);
    if (dkim_header_is_too_large(run->sealed))
        return;
    assert(after.n == before.n + 1 && after.broken == (before.reason != NULL));
    assert(before.reason != NULL || after.reason == NULL);
}

static void seal(struct run *run)
{
    static const char results[] = "Authentication-Results: mx.example;\r\n\tspf=none\r\n";
    enum arc_result chain = arc_verify_outcome(run->v)->result;
    struct arc_chain found;
    struct buf out;

    arc_chain_read(run->sealed, &found);
    if (chain == ARC_FAIL && found.reason == NULL)
        chain = ARC_PASS; /* as another verifier might have found: only the structure matters here */
    assert(arc_seal_begin(run->seal, chain, STR(results)));
    for (size_t i = 0; i < 2; i++) {
        assert(arc_seal_hash(run->seal) != NULL);
        arc_seal_sign(run->seal, STR("signature"));
    }
    buf_init(&out, 1 << 20);
    arc_seal_write(run->seal, &out);
    assert(!out.failed && arc_seal_hash(run->seal) == NULL);
    check_set(run, buf_str(&out));
    buf_clear(&out);
}

static void verify(struct run *run, struct str record, struct str message, size_t cut)
{
    static const struct arc_verify_world world = {.ask = on_ask, .done = on_done};
    struct header_scan scan;
    size_t used = 0;
    bool sealing;

    *run = (struct run){.v = arc_verify_new(&world, run, 1700000000), .sealed = dkim_header_new(),
        .seal = arc_seal_new(STR("example.org"), STR("s"), DKIM_RSA_SHA256, 1700000000)};
    header_scan_init(&scan, 1 << 20, on_field, run);
    if (header_scan(&scan, message, &used) == HEADER_MORE)
        (void)header_scan_finish(&scan);
    arc_verify_header_end(run->v);
    sealing = arc_seal_header_end(run->seal);
    header_scan_clear(&scan);
    for (message = str_skip(message, used); message.n > 0; message = str_skip(message, cut < message.n ? cut : message.n)) {
        arc_verify_body(run->v, str_sub(message, 0, cut));
        arc_seal_body(run->seal, str_sub(message, 0, cut));
    }
    if (cut % 2 == 0)
        answer(run, record);
    arc_verify_end(run->v);
    arc_seal_end(run->seal);
    answer(run, record);
    assert(run->done);
    if (sealing)
        seal(run);
}

static void clear(struct run *run)
{
    arc_verify_free(run->v);
    arc_seal_free(run->seal);
    dkim_header_free(run->sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct arc_outcome *a, *b;
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
    a = arc_verify_outcome(runs[0].v);
    b = arc_verify_outcome(runs[1].v);
    assert(a->result == b->result && a->reason == b->reason && a->instance == b->instance && a->oldest_pass == b->oldest_pass);
    for (unsigned i = 1; a->result == ARC_PASS && i <= a->sets; i++)
        assert(arc_verify_set(runs[0].v, i).domain.n > 0);
    clear(&runs[0]);
    clear(&runs[1]);
    return 0;
}
