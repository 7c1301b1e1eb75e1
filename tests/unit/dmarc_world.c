/* See dmarc_world.h. */
#include "dmarc_world.h"

static void on_ask(void *owner, struct str name, unsigned type)
{
    struct lookups *l = owner;

    assert_true(l->n < QUESTIONS_MAX && !l->over);
    assert_true(dns_name_can_be_asked(name));
    snprintf(l->names[l->n], sizeof l->names[0], "%.*s", STR_ARG(name));
    l->types[l->n++] = type;
}

static void on_done(void *owner)
{
    struct lookups *l = owner;

    assert_false(l->over);
    l->over = true;
}

const struct dmarc_world dmarc_test_world = {.ask = on_ask, .done = on_done};

void dmarc_test_pack(struct str text, struct buf *out)
{
    struct buf rdata;
    size_t n;

    buf_init(&rdata, 70000);
    for (; text.n > 0; text = str_skip(text, n)) {
        n = text.n > 200 ? 200 : text.n;
        buf_add_char(&rdata, (char)n);
        buf_add(&rdata, str_sub(text, 0, n));
    }
    dns_add_record(out, buf_str(&rdata));
    buf_clear(&rdata);
}
