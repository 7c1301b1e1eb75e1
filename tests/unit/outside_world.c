#include "outside_world.h"
#include "base/ip.h"
#include "dns/text.h"

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
