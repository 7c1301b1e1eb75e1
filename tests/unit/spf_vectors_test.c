/* The suite of RFC 7208 (tests/vectors/spf): 203 checks, each with a zone of its own. */
#include "dns/records.h"
#include "mailauth/spf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS = 200, LINE = 2000, WORDS = 12 };

struct record {
    char name[300], kind[10];
    unsigned preference;
    size_t n;                /* strings of a TXT; 1 for others */
    char data[4][600];
    size_t length[4];
};

static struct record zone[RECORDS];
static size_t zone_n;
static char asked_name[600];
static unsigned asked_type, asked;
static bool over;

static void on_ask(void *owner, struct str name, unsigned type)
{
    (void)owner;
    snprintf(asked_name, sizeof asked_name, "%.*s", STR_ARG(name));
    asked_type = type;
    asked++;
}

static void on_done(void *owner)
{
    (void)owner;
    assert_false(over);
    over = true;
}

static const struct spf_world world = {.ask = on_ask, .done = on_done};

/* ---- the zone ---- */

static const char *kind_of(unsigned type)
{
    return type == DNS_A ? "A" : type == DNS_AAAA ? "AAAA" : type == DNS_MX ? "MX" : type == DNS_PTR ? "PTR" : "TXT";
}

static void pack(const struct record *r, struct buf *out)
{
    struct buf rdata;
    struct ip ip;

    buf_init(&rdata, 70000);
    if (strcmp(r->kind, "A") == 0 || strcmp(r->kind, "AAAA") == 0) {
        assert_true(ip_parse(str_of(r->data[0]), &ip));
        buf_add(&rdata, str_from((const char *)ip.bytes, ip.family == 6 ? 16 : 4));
    } else if (strcmp(r->kind, "TXT") == 0) {
        for (size_t i = 0; i < r->n; i++)
            for (size_t at = 0, n; at < r->length[i] || at == 0; at += n) {
                n = r->length[i] - at > 255 ? 255 : r->length[i] - at;
                buf_add_char(&rdata, (char)n);
                buf_add(&rdata, str_from(r->data[i] + at, n));
                if (n == 0)
                    break;
            }
    } else {
        if (strcmp(r->kind, "MX") == 0)
            buf_add(&rdata, str_from((const char[]){(char)(r->preference >> 8), (char)r->preference}, 2));
        if (!dns_write_name(&rdata, str_of(r->data[0])))
            buf_add_char(&rdata, '\0');
    }
    dns_add_record(out, buf_str(&rdata));
    buf_clear(&rdata);
}

static enum dns_status look_up(const char *name, unsigned type, struct buf *out)
{
    enum dns_status status = DNS_NXDOMAIN;
    bool silent = false; /* for what is not listed */

    for (size_t i = 0; i < zone_n; i++) {
        const struct record *r = &zone[i];

        if (!str_ieq(str_of(r->name), str_of(name)))
            continue;
        silent |= strcmp(r->kind, "TIMEOUT") == 0;
        if (status == DNS_NXDOMAIN)
            status = DNS_NODATA;
        if (strcmp(r->kind, "CNAME") == 0)
            return look_up(r->data[0], type, out);
        if (strcmp(r->kind, kind_of(type)) != 0)
            continue;
        if (r->n > 0 && strcmp(r->data[0], "TIMEOUT") == 0)
            return DNS_TIMEOUT;
        pack(r, out);
        status = DNS_OK;
    }
    return silent && status != DNS_OK ? DNS_TIMEOUT : status;
}

/* ---- the file ---- */

static char *unquote(char *word, size_t *n)
{
    char *from = word, *to = word;

    if (*from == '"')
        from++;
    for (; *from != '\0' && *from != '"'; from++)
        if (from[0] == '\\' && from[1] == 'x') {
            char hex[3] = {from[2], from[3], '\0'};

            *to++ = (char)strtoul(hex, NULL, 16);
            from += 3;
        } else {
            *to++ = *from;
        }
    *to = '\0';
    *n = (size_t)(to - word);
    return word;
}

static size_t split(char *line, char *words[WORDS])
{
    size_t n = 0;

    line[strcspn(line, "\n")] = '\0';
    for (char *next = line; n < WORDS && next != NULL && *next != '\0'; n++) {
        words[n] = next;
        next = strchr(next, ' ');
        if (next != NULL)
            *next++ = '\0';
    }
    return n;
}

static void take_record(char *words[WORDS], size_t n)
{
    struct record *r = &zone[zone_n++];
    size_t first = 3, ignored;

    assert_true(zone_n <= RECORDS);
    memset(r, 0, sizeof *r);
    snprintf(r->name, sizeof r->name, "%s", unquote(words[1], &ignored));
    snprintf(r->kind, sizeof r->kind, "%s", words[2]);
    if (strcmp(r->kind, "MX") == 0)
        r->preference = (unsigned)strtoul(words[first++], NULL, 10);
    for (size_t i = first; i < n; i++, r->n++) {
        const char *data = unquote(words[i], &r->length[r->n]);

        assert_true(r->length[r->n] < sizeof r->data[0] && r->n < 4);
        memcpy(r->data[r->n], data, r->length[r->n] + 1);
    }
}

/* Answers until the check is over. */
static void answer_all(struct spf *spf)
{
    struct buf records;

    asked = 0;
    over = false;
    spf_start(spf);
    while (!over) {
        enum dns_status status;

        assert_in_range(asked, 1, 300);
        buf_init(&records, 1 << 20);
        status = look_up(asked_name, asked_type, &records);
        spf_answer(spf, status, buf_str(&records));
        buf_clear(&records);
    }
}

static bool run_case(char *words[WORDS])
{
    size_t n[WORDS];
    struct spf_subject subject = {.receiver = STR("receiver.example"), .now = 1290000000000000};
    const char *found, *explanation;
    struct spf *spf;
    bool ok;

    for (size_t i = 1; i < 7; i++)
        words[i] = unquote(words[i], &n[i]);
    assert_true(ip_parse(str_of(words[2]), &subject.ip));
    subject.helo = str_of(words[3]);
    subject.sender = str_of(words[4]);
    spf = spf_new(&world, NULL, &subject);
    answer_all(spf);
    found = spf_result_name(spf_result_of(spf));
    ok = strstr(words[5], found) != NULL && spf_reason_of(spf).n > 0;
    explanation = strcmp(words[6], "DEFAULT") == 0 ? "" : words[6];
    if (words[6][0] != '\0' && ok)
        ok = str_eq(spf_explanation_of(spf), str_of(explanation));
    if (!ok)
        print_error("%s: %s (%.*s; \"%.*s\") instead of %s \"%s\"\n", words[1], found, STR_ARG(spf_reason_of(spf)),
            STR_ARG(spf_explanation_of(spf)), words[5], explanation);
    spf_free(spf);
    return ok;
}

static void the_suite_of_rfc_7208(void **state)
{
    char line[LINE], *words[WORDS];
    unsigned cases = 0, wrong = 0;
    FILE *f = fopen(VECTORS_FOLDER "/spf/cases", "r");

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        size_t n = split(line, words);

        if (n > 1 && strcmp(words[0], "scenario") == 0)
            zone_n = 0;
        else if (n > 2 && strcmp(words[0], "zone") == 0)
            take_record(words, n);
        else if (n == 7 && strcmp(words[0], "test") == 0)
            cases++, wrong += !run_case(words);
        else
            assert_true(line[0] == '#');
    }
    fclose(f);
    assert_int_equal(cases, 203);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_suite_of_rfc_7208)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
