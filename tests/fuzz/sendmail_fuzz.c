/* Any bytes as the message a program hands to sendmail: the wire never sees a bare line end or a lone
 * dot, and the header gives recipients or a reason. The first byte chooses options and piece size. */
#include "cli/envelope.h"
#include "cli/mailtext.h"
#include "mime/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_wire(struct str wire)
{
    for (size_t i = 0; i < wire.n; i++) {
        if (wire.p[i] == '\r' && (i + 1 == wire.n || wire.p[i + 1] != '\n'))
            __builtin_trap();
        if (wire.p[i] == '\n' && (i == 0 || wire.p[i - 1] != '\r'))
            __builtin_trap();
        if (wire.p[i] == '.' && (i == 0 || wire.p[i - 1] == '\n') && i + 1 < wire.n && wire.p[i + 1] == '\r')
            __builtin_trap();
    }
}

static void read_header(struct str text)
{
    struct err err = {0};
    struct header_facts facts;
    struct header_scan scan;
    struct envelope e;
    size_t used;

    envelope_init(&e, STR("h.example"), &err);
    header_facts_init(&facts, &e);
    header_scan_init(&scan, 4096, header_facts_field, &facts);
    if (header_scan(&scan, text, &used) == HEADER_MORE)
        header_scan_finish(&scan);
    if (!header_facts_end(&facts) && err.kind == ERR_NONE)
        __builtin_trap();
    header_scan_clear(&scan);
    header_facts_clear(&facts);
    envelope_clear(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    size_t step = size ? 1 + (size_t)(data[0] >> 1) : 1;
    struct mailtext t;
    struct buf text, wire;
    bool start = true;

    mailtext_init(&t, size && (data[0] & 1));
    buf_init(&text, 1 << 22);
    buf_init(&wire, 1 << 22);
    for (rest = str_skip(rest, 1); rest.n; rest = str_skip(rest, step))
        mailtext_take(&t, str_sub(rest, 0, step), &text);
    mailtext_finish(&t, &text);
    mailtext_stuff(buf_str(&text), &start, &wire);
    check_wire(buf_str(&wire));
    if (!start)
        __builtin_trap();
    read_header(buf_str(&text));
    buf_clear(&text);
    buf_clear(&wire);
    mailtext_clear(&t);
    return 0;
}
