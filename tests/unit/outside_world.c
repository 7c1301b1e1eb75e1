#include "outside_world.h"
#include "base/clock.h"
#include "base/ip.h"
#include "dns/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void add_u16(struct buf *out, struct str word)
{
    uint64_t n = 0;

    (void)str_to_u64(word, 65535, &n);
    buf_add_char(out, (char)(n >> 8));
    buf_add_char(out, (char)(n & 0xff));
}

static struct str word_of(struct str *rest)
{
    struct str word = {0};

    (void)str_next_word(rest, &word);
    return word;
}

static void add_quoted(struct str data, struct buf *out, bool with_length)
{
    struct buf one;

    buf_init(&one, 1000);
    while (data.n > 0 && data.p[0] == '"') {
        size_t i = 1;

        buf_reset(&one);
        for (; i < data.n && data.p[i] != '"'; i++) {
            if (data.p[i] == '\\')
                i++;
            buf_add_char(&one, data.p[i]);
        }
        if (with_length)
            buf_add_char(out, (char)one.n);
        buf_add(out, buf_str(&one));
        data = str_trim(str_skip(data, i + 1));
    }
    buf_clear(&one);
}

static void add_address(struct str data, struct buf *out)
{
    struct ip ip;

    if (ip_parse(data, &ip))
        buf_add(out, str_from((const char *)ip.bytes, ip.family == 4 ? 4 : 16));
}

static void add_hex(struct str hex, struct buf *out)
{
    for (size_t i = 0; i + 1 < hex.n; i += 2) {
        char pair[3] = {hex.p[i], hex.p[i + 1], 0};

        buf_add_char(out, (char)strtoul(pair, NULL, 16));
    }
}

static void add_rdata(unsigned type, struct str data, struct buf *out)
{
    switch (type) {
    case DNS_A:
    case DNS_AAAA:
        add_address(data, out);
        break;
    case DNS_TXT:
        add_quoted(data, out, true);
        break;
    case DNS_SRV:
        for (int i = 0; i < 3; i++)
            add_u16(out, word_of(&data));
        (void)dns_write_name(out, word_of(&data));
        break;
    case DNS_MX:
        add_u16(out, word_of(&data));
        (void)dns_write_name(out, word_of(&data));
        break;
    case DNS_TLSA:
        for (int i = 0; i < 3; i++)
            buf_add_char(out, (char)(word_of(&data).p[0] - '0'));
        add_hex(word_of(&data), out);
        break;
    case DNS_CAA: {
        struct str flags = word_of(&data), tag = word_of(&data);

        buf_add_char(out, (char)(flags.p[0] - '0'));
        buf_add_char(out, (char)tag.n);
        buf_add(out, tag);
        add_quoted(str_trim(data), out, false);
        break;
    }
    default:
        (void)dns_write_name(out, data);
    }
}

/* "name. 3600 IN TYPE data" */
static bool read_line(struct str line, struct str *name, unsigned *type, struct str *data)
{
    *name = word_of(&line);
    (void)word_of(&line);
    (void)word_of(&line);
    if (!dns_type_read(word_of(&line), type))
        return false;
    *data = str_trim(line);
    if (str_ends(*name, STR(".")))
        name->n--;
    return true;
}

enum dns_status outside_zone_look(const char *zone, struct str name, unsigned type, struct buf *records)
{
    struct str rest = str_of(zone), line, owner, data, target = {0};
    enum dns_status status = DNS_NXDOMAIN;
    struct buf rdata;
    unsigned kind;

    buf_init(&rdata, 4096);
    while (str_next(&rest, '\n', &line)) {
        if (!read_line(line, &owner, &kind, &data) || !str_ieq(owner, name))
            continue;
        if (status == DNS_NXDOMAIN)
            status = DNS_NODATA;
        if (kind == DNS_CNAME && type != DNS_CNAME)
            target = str_sub(data, 0, data.n - 1);
        if (kind != type)
            continue;
        buf_reset(&rdata);
        add_rdata(type, data, &rdata);
        dns_add_record(records, buf_str(&rdata));
        status = DNS_OK;
    }
    buf_clear(&rdata);
    return target.n > 0 ? outside_zone_look(zone, target, type, records) : status;
}

/* ---- the world of a check ---- */

const char world_configuration[] = "hostname = \"mail.example.org\"\n"
                                    "listen \"mx\" { service = \"mx\" tls = \"none\" }\n"
                                    "relay_networks = {}\n"
                                    "check { addresses = {\"192.0.2.1\", \"2001:db8::1\"} outbound = {\"far.example\"} dnsbl = {\"bl.example\"} }\n";

/* Of others. */
#define OTHERS "far.example. 1 IN MX 10 mx.far.example.\nmx.far.example. 1 IN A 198.51.100.1\n"

struct world *world_new(const char *text)
{
    struct world *w = xcalloc(1, sizeof *w);
    struct err err = {0};

    assert_true(config_parse(&w->config, STR("test"), str_of(text), &err));
    outside_gather_begin(&w->gather, w->config, STR("example.org"));
    outside_gather_key(&w->gather, STR("{\"state\":\"active\",\"name\":\"s1._domainkey.example.org\",\"record\":\"v=DKIM1; k=ed25519; p=AAECAw==\"}"));
    assert_true(outside_records_make(&w->records, &w->gather.facts));
    w->clock = (struct outside_clock){true, true, 1000};
    w->probe = (struct outside_probe){.tried = true, .connected = true, .greeting = 220, .rcpt_code = 550, .text = STR("220 hello")};
    return w;
}

void world_free(struct world *w)
{
    outside_check_free(w->check);
    outside_records_clear(&w->records);
    outside_gather_end(&w->gather);
    config_free(w->config);
    free(w->zone);
    free(w);
}

/* Everything that should be published, but for record `without` (none: SIZE_MAX); `more` behind it. */
void world_publish(struct world *w, size_t without, const char *more)
{
    struct buf text;

    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < w->records.n; i++) {
        if (i == without)
            continue;
        outside_record_write(&w->records.items[i], &text);
        buf_add_char(&text, '\n');
    }
    buf_addf(&text, "%s%s%c", OTHERS, more, 0);
    free(w->zone);
    w->zone = xstrndup(text.p, text.n);
    buf_clear(&text);
}

static void answer(struct world *w, struct outside_question *q)
{
    struct buf records;
    enum dns_status status;

    w->asked++;
    if (w->never_answers)
        return;
    buf_init(&records, 1 << 20);
    status = outside_zone_look(w->zone, q->name, q->type, &records);
    if (w->silent.n > 0 && str_ends(q->name, w->silent))
        outside_check_answer(w->check, q, DNS_SERVFAIL, false, STR(""));
    else
        outside_check_answer(w->check, q, status, false, buf_str(&records));
    buf_clear(&records);
}

void world_run(struct world *w)
{
    struct outside_question *q;
    struct outside_probe *p;

    outside_check_free(w->check);
    w->asked = w->rounds = 0;
    w->check = outside_check_new(&w->gather.facts, &w->clock, OUTSIDE_SERVER | OUTSIDE_DOMAIN, 1000 * DAY);
    while (!outside_check_run(w->check)) {
        assert_true(++w->rounds < 30);
        while ((q = outside_check_next_question(w->check)) != NULL)
            answer(w, q);
        while ((p = outside_check_next_probe(w->check)) != NULL)
            if (!w->never_answers)
                outside_check_probed(w->check, p, &w->probe);
        if (w->never_answers && w->rounds == 2)
            outside_check_give_up(w->check);
    }
}

const struct outside_result *world_find(struct world *w, const char *check, enum outside_level level)
{
    for (size_t i = 0; i < outside_check_count(w->check); i++) {
        const struct outside_result *r = outside_check_result(w->check, i);

        if (strcmp(r->check, check) == 0 && r->level == level)
            return r;
    }
    return NULL;
}

void world_expect(struct world *w, const char *check, enum outside_level level, const char *words)
{
    const struct outside_result *r = world_find(w, check, level);

    if (r == NULL || str_ifind(r->text, str_of(words)) < 0)
        fail_msg("%s: no %s \"%s\", but %.*s", check, outside_level_words[level], words, r ? (int)r->text.n : 7, r ? r->text.p : "nothing");
}
