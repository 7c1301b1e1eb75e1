/* Any From fields, identifiers and records: the check ends, asks no more than its limits allow, asks only for names that can be
 * asked for, and has an outcome that holds together. Input: "From NUL From NUL spf NUL signers NUL" (signers are
 * separated by blanks, with '?' before one that could not be checked), then answers: a status, a byte of length, the text of a TXT record. */
#include "base/buf.h"
#include "dns/records.h"
#include "mailauth/dmarc.h"
#include "mailauth/dmarc_walk.h"

#include <assert.h>
#include <stdlib.h>

enum { QUESTIONS_MAX = DMARC_AUTHORS_MAX * (1 + DMARC_WALK_MAX * (2 + DMARC_SIGNERS_MAX)) };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned questions;
static bool over;

static void on_ask(void *owner, struct str name, unsigned type)
{
    (void)owner;
    assert(!over && dns_name_can_be_asked(name));
    assert(type == DNS_CNAME || str_starts(name, STR("_dmarc.")));
    questions++;
}

static void on_done(void *owner)
{
    (void)owner;
    assert(!over);
    over = true;
}

static const struct dmarc_world world = {.ask = on_ask, .done = on_done};

static struct str cut(struct str *input)
{
    ptrdiff_t end = str_find(*input, '\0');
    struct str text = str_sub(*input, 0, end < 0 ? input->n : (size_t)end);

    *input = str_skip(*input, text.n + 1);
    return text;
}

/* Flag 0x40: the bytes are the records as they cross the channel; 0x20: the text comes twice. */
static void answer(struct dmarc *d, unsigned how, struct str bytes)
{
    struct buf out, rdata;

    buf_init(&out, 1 << 12);
    buf_init(&rdata, 1 << 10);
    buf_add_char(&rdata, (char)bytes.n);
    buf_add(&rdata, bytes);
    dns_add_record(&out, buf_str(&rdata));
    if (how & 0x20)
        dns_add_record(&out, buf_str(&rdata));
    dmarc_answer(d, how % 16 < 8 ? DNS_OK : (enum dns_status)(how % 8 % 6), how & 0x40 ? bytes : buf_str(&out));
    buf_clear(&out);
    buf_clear(&rdata);
}

static void check_uris(struct str list)
{
    struct dmarc_uri uri;
    struct buf address;

    buf_init(&address, 5000);
    while (dmarc_next_uri(&list, &uri)) {
        assert(uri.uri.n > 0 && str_is_printable(uri.uri));
        buf_reset(&address);
        if (dmarc_uri_address(uri.uri, &address))
            assert(str_is_printable(buf_str(&address)) && str_find(buf_str(&address), '@') > 0);
    }
    buf_clear(&address);
}

static void check_outcome(const struct dmarc_outcome *o)
{
    assert(o->reason != NULL);
    assert(o->policy <= o->published && o->published <= DMARC_REJECT);
    if (o->result == DMARC_RESULT_FAIL)
        assert(!o->spf_aligned && !o->dkim_aligned && o->policy_domain.n > 0 && dmarc_is_usable(&o->record));
    else if (o->result == DMARC_RESULT_TEMPERROR && o->published != DMARC_NONE)
        assert(!o->spf_aligned && !o->dkim_aligned && o->policy_domain.n > 0 && dmarc_is_usable(&o->record));
    else
        assert(o->published == DMARC_NONE);
    if (o->result == DMARC_RESULT_PASS)
        assert((o->spf_aligned || o->dkim_aligned) && o->policy_domain.n > 0);
    assert(str_is_printable(o->author) && str_ends(o->author, o->policy_domain));
    check_uris(o->record.rua);
    check_uris(o->record.ruf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size}, field, signers, word;
    struct dmarc *d = dmarc_new(&world, NULL);

    questions = 0;
    over = false;
    for (unsigned i = 0; i < 2; i++)
        if ((field = cut(&input)).n > 0)
            dmarc_add_from(d, field);
    if ((field = cut(&input)).n > 0)
        dmarc_add_spf(d, field);
    signers = cut(&input);
    while (str_next_word(&signers, &word))
        if (word.p[0] == '?')
            dmarc_add_unsure(d, str_skip(word, 1), false);
        else
            dmarc_add_dkim(d, word);
    dmarc_start(d);
    while (!over && input.n > 1) {
        unsigned how = (uint8_t)input.p[0];
        struct str text = str_sub(input, 2, 2 + (size_t)(uint8_t)input.p[1]);

        input = str_skip(input, 2 + text.n);
        answer(d, how, text);
    }
    while (!over && size % 2 == 0)
        dmarc_answer(d, DNS_NXDOMAIN, STR(""));
    dmarc_give_up(d);
    assert(over && questions <= QUESTIONS_MAX);
    check_outcome(dmarc_outcome_of(d));
    dmarc_free(d);
    return 0;
}
