/* The checks of what others see, with DNS answers of strangers: each question takes the next piece of the input, "status, length (2),
 * records"; then a day later the same again, compared with the day before. */
#include "outside/gather.h"
#include "outside/watch.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char configuration[] = "hostname = \"mail.example.org\"\n"
                                    "listen \"mx\" { service = \"mx\" tls = \"none\" }\n"
                                    "check { outbound = {\"far.example\"} dnsbl = {\"bl.example\"} }\n";

static void answer(struct outside_check *c, struct outside_question *q, struct str *input)
{
    unsigned status = input->n > 0 ? (unsigned char)input->p[0] % 6 : DNS_NXDOMAIN;
    size_t length = input->n > 2 ? (size_t)(unsigned char)input->p[1] << 8 | (unsigned char)input->p[2] : 0;
    struct str records = str_sub(*input, 3, 3 + length);

    *input = str_skip(*input, 3 + length);
    outside_check_answer(c, q, (enum dns_status)status, status & 1, records);
}

/* Every check ends, whatever is answered. */
static void run(const struct outside_facts *facts, struct str input, struct buf *state)
{
    struct outside_clock clock = {0};
    struct outside_check *c = outside_check_new(facts, &clock, OUTSIDE_SERVER | OUTSIDE_DOMAIN, 0);
    struct outside_question *q;
    struct outside_probe *p;
    struct buf now, letter, row;
    int rounds = 0;

    while (!outside_check_run(c)) {
        assert(++rounds < 500);
        while ((q = outside_check_next_question(c)) != NULL)
            answer(c, q, &input);
        while ((p = outside_check_next_probe(c)) != NULL)
            outside_check_probed(c, p, &(struct outside_probe){.tried = true, .text = str_sub(input, 0, 100)});
    }
    buf_init(&now, OUTSIDE_STATE_MAX);
    buf_init(&letter, OUTSIDE_LETTER_MAX);
    buf_init(&row, 1 << 20);
    outside_watch_compare(c, buf_str(state), &now, &letter);
    assert(!now.failed && !letter.failed && (now.n == 0 || now.p[now.n - 1] == '\n'));
    for (size_t i = 0; i < outside_check_count(c); i++)
        outside_result_write(outside_check_result(c, i), facts->domain, &row);
    buf_reset(state);
    buf_add(state, buf_str(&now));
    buf_clear(&now);
    buf_clear(&letter);
    buf_clear(&row);
    outside_check_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};
    static struct config *config;
    struct outside_gather g;
    struct err err = {0};
    struct buf state;

    if (config == NULL && !config_parse(&config, STR("fuzz"), str_of(configuration), &err))
        fatal("%s", err.text);
    outside_gather_begin(&g, config, STR("example.org"));
    outside_gather_key(&g, STR("{\"state\":\"active\",\"name\":\"s1._domainkey.example.org\",\"record\":\"v=DKIM1; k=ed25519; p=AAECAw==\"}"));
    buf_init(&state, OUTSIDE_STATE_MAX);
    buf_add(&state, str_sub(input, 0, 2000));
    run(&g.facts, input, &state);
    run(&g.facts, str_skip(input, size / 2), &state);
    buf_clear(&state);
    outside_gather_end(&g);
    return 0;
}
