/* Any bytes as an Authentication-Results field, which is read to its end; and as values of one that is written, which reads back
 * as what was meant: no value leaves its place. */
#include "mailauth/auth_results.h"
#include "mailauth/auth_results_read.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NAME = 23, RESULTS = 3 };

static void read_any(struct str value)
{
    struct auth_statement result;
    struct auth_property property;
    struct buf text;
    struct str rest;
    unsigned version;

    auth_results_claim_of(value, STR("mx.example.org"));
    buf_init(&text, value.n + 1);
    if (auth_results_read_head(value, &text, &version, &rest)) {
        assert(rest.n < value.n + 1 && rest.p[0] == ';');
        while (auth_results_next(&rest, &result) == AUTH_RESULTS_NEXT)
            while (auth_results_next_property(&result.rest, &property, &text) == AUTH_RESULTS_NEXT)
                assert(property.property.n > 0 && !text.failed);
    }
    buf_clear(&text);
}

/* Lines within RFC 5322 2.1.1, of which all but the first are folded; nothing a terminal or another field could be made of. */
static void check_text(struct str field, bool utf8)
{
    struct str line;

    assert(str_starts(field, STR("Authentication-Results: ")) || str_starts(field, STR("Authentication-Results:\r\n\t")));
    assert(str_ends(field, STR("\r\n")) && (utf8 ? str_is_utf8(field) : str_is_ascii(field)));
    for (bool first = true; str_next(&field, '\n', &line) && field.p != NULL; first = false) {
        assert(line.n > 1 && line.n <= 999 && line.p[line.n - 1] == '\r');
        assert(first || line.p[0] == '\t');
        line = str_sub(line, !first, line.n - 1);
        assert(!str_has_control(line));
    }
}

static void check_read_back(struct str field, struct str id_meant)
{
    struct auth_statement result;
    struct auth_property property;
    struct buf text;
    struct str rest;
    unsigned version, n = 0;

    buf_init(&text, 5000);
    assert(auth_results_read_head(str_skip(field, NAME), &text, &version, &rest) && version == 1);
    if (str_is_printable(id_meant) && id_meant.n <= AUTH_RESULTS_VALUE_MAX)
        assert(str_eq(buf_str(&text), id_meant));
    for (; auth_results_next(&rest, &result) == AUTH_RESULTS_NEXT; n++) {
        unsigned properties = 0;

        assert(str_eq(result.method, STR("spf")) && str_eq(result.result, STR("pass")));
        for (; auth_results_next_property(&result.rest, &property, &text) == AUTH_RESULTS_NEXT; properties++)
            assert(str_eq(property.property, properties == 0 ? STR("reason") : STR("mailfrom")));
        assert(properties == 2);
    }
    assert(n == RESULTS);
    buf_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size}, half, field;
    struct auth_results r;
    bool utf8;

    read_any(input);
    if (size < 3)
        return 0;
    utf8 = data[0] & 1;
    half = str_skip(input, size / 2);
    auth_results_begin(&r, half, utf8);
    for (unsigned i = 0; i < RESULTS; i++)
        auth_results_spf(&r, SPF_PASS, false, i % 2 ? input : half, i % 2 ? half : input);
    field = auth_results_end(&r);
    check_text(field, utf8);
    check_read_back(field, half);
    auth_results_clear(&r);
    return 0;
}
