/* Any records as the answers of a check: it ends, asks no more than its limits allow, asks only for names that can be asked
 * for, and says why. Input: flags, "sender NUL helo NUL", then answers: a status, two bytes of length, that many bytes. */
#include "base/buf.h"
#include "dns/records.h"
#include "mailauth/spf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { QUESTIONS_MAX = 2 + (SPF_TERMS_MAX + 1) * (1 + SPF_NAMES_MAX) + SPF_NAMES_MAX };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned questions, type;
static bool over;

static void on_ask(void *owner, struct str name, unsigned asked)
{
    (void)owner;
    assert(!over && dns_name_can_be_asked(name));
    questions++;
    type = asked;
}

static void on_done(void *owner)
{
    (void)owner;
    assert(!over);
    over = true;
}

static struct str cut(struct str *input)
{
    ptrdiff_t end = str_find(*input, '\0');
    struct str text = str_sub(*input, 0, end < 0 ? input->n : (size_t)end);

    *input = str_skip(*input, text.n + 1);
    return text;
}

/* A TXT answer is text, cut into strings, so that the fuzzer need not learn lengths; other records are as they come. */
static void answer(struct spf *spf, unsigned how, struct str bytes)
{
    struct buf out, rdata;

    buf_init(&out, 1 << 20);
    buf_init(&rdata, 1 << 17);
    if (type == DNS_TXT && how < 128) {
        for (size_t at = 0; at < bytes.n; at += 255) {
            struct str part = str_sub(bytes, at, at + 255);

            buf_add_char(&rdata, (char)part.n);
            buf_add(&rdata, part);
        }
        dns_add_record(&out, buf_str(&rdata));
        bytes = buf_str(&out);
    }
    spf_answer(spf, how % 16 < 8 ? DNS_OK : (enum dns_status)(how % 8 % 6), bytes);
    buf_clear(&out);
    buf_clear(&rdata);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct spf_world world = {.ask = on_ask, .done = on_done};
    struct spf_subject subject = {.receiver = STR("mx.example")};
    struct str input = {(const char *)data + 1, size - 1};
    struct str explanation;
    struct spf *spf;

    if (size < 1)
        return 0;
    ip_parse(data[0] & 1 ? STR("192.0.2.1") : STR("2001:db8::1"), &subject.ip);
    subject.sender = cut(&input);
    subject.helo = cut(&input);
    questions = 0;
    over = false;
    spf = spf_new(&world, NULL, &subject);
    spf_start(spf);
    while (!over && input.n >= 3) {
        size_t n = (size_t)(unsigned char)input.p[1] | (size_t)(unsigned char)input.p[2] << 8;
        unsigned how = (unsigned char)input.p[0];

        input = str_skip(input, 3);
        answer(spf, how, str_sub(input, 0, n));
        input = str_skip(input, n);
        assert(questions <= QUESTIONS_MAX);
    }
    if (!over)
        spf_give_up(spf);
    assert(over && spf_reason_of(spf).n > 0);
    explanation = spf_explanation_of(spf);
    for (size_t i = 0; i < explanation.n; i++)
        assert(explanation.p[i] >= 0x20 && explanation.p[i] <= 0x7e);
    spf_free(spf);
    return 0;
}
