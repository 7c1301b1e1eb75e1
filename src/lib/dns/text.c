#include "text.h"
#include "base/encode.h"

#include <string.h>

static void write_address(struct str rdata, struct buf *out);
static void write_name(struct str rdata, struct buf *out);
static void write_mx(struct str rdata, struct buf *out);
static void write_txt(struct str rdata, struct buf *out);
static void write_srv(struct str rdata, struct buf *out);
static void write_tlsa(struct str rdata, struct buf *out);
static void write_caa(struct str rdata, struct buf *out);

/* Writers append nothing for data that is damaged. */
static const struct {
    unsigned type;
    const char *name;
    void (*write)(struct str rdata, struct buf *out);
} types[] = {
    {DNS_A, "A", write_address}, {DNS_NS, "NS", write_name}, {DNS_CNAME, "CNAME", write_name}, {DNS_SOA, "SOA", NULL},
    {DNS_PTR, "PTR", write_name}, {DNS_MX, "MX", write_mx}, {DNS_TXT, "TXT", write_txt}, {DNS_AAAA, "AAAA", write_address},
    {DNS_SRV, "SRV", write_srv}, {DNS_TLSA, "TLSA", write_tlsa}, {DNS_CAA, "CAA", write_caa},
};

void dns_type_write(unsigned type, struct buf *out)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].type == type) {
            buf_add(out, str_of(types[i].name));
            return;
        }
    }
    buf_addf(out, "TYPE%u", type);
}

bool dns_type_read(struct str word, unsigned *type)
{
    uint64_t number;

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (str_ieq(word, str_of(types[i].name))) {
            *type = types[i].type;
            return true;
        }
    }
    if (!str_istarts(word, STR("TYPE")) || !str_to_u64(str_skip(word, 4), UINT16_MAX, &number) || number == 0)
        return false;
    *type = (unsigned)number;
    return true;
}

static unsigned u16(struct str s, size_t at)
{
    return (unsigned)(unsigned char)s.p[at] << 8 | (unsigned char)s.p[at + 1];
}

void dns_quote(struct buf *out, struct str text)
{
    buf_add_char(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c < 0x20 || c > 0x7e)
            buf_addf(out, "\\%03u", c);
        else if (c == '"' || c == '\\')
            buf_addf(out, "\\%c", c);
        else
            buf_add_char(out, (char)c);
    }
    buf_add_char(out, '"');
}

static void write_address(struct str rdata, struct buf *out)
{
    struct ip ip = {.family = rdata.n == 4 ? 4 : 6};
    char text[IP_TEXT];

    if (rdata.n != 4 && rdata.n != 16)
        return;
    memcpy(ip.bytes, rdata.p, rdata.n);
    ip_format(&ip, text);
    buf_add(out, str_of(text));
}

static void write_name(struct str rdata, struct buf *out)
{
    char name[DNS_NAME_TEXT];

    if (dns_read_printable(rdata, name))
        buf_addf(out, "%s.", name);
}

static void write_mx(struct str rdata, struct buf *out)
{
    char name[DNS_NAME_TEXT];

    if (rdata.n > 2 && dns_read_printable(str_skip(rdata, 2), name))
        buf_addf(out, "%u %s.", u16(rdata, 0), name);
}

static void write_txt(struct str rdata, struct buf *out)
{
    struct str rest = rdata;

    while (rest.n > 0) { /* whole, or nothing is written */
        size_t n = (unsigned char)rest.p[0];

        if (n > rest.n - 1)
            return;
        rest = str_skip(rest, 1 + n);
    }
    for (rest = rdata; rest.n > 0;) {
        size_t n = (unsigned char)rest.p[0];

        if (rest.p != rdata.p)
            buf_add_char(out, ' ');
        dns_quote(out, str_sub(rest, 1, 1 + n));
        rest = str_skip(rest, 1 + n);
    }
}

bool dns_read_srv(struct str rdata, struct dns_srv *out)
{
    if (rdata.n < 7 || !dns_read_printable(str_skip(rdata, 6), out->target))
        return false;
    out->priority = (uint16_t)u16(rdata, 0);
    out->weight = (uint16_t)u16(rdata, 2);
    out->port = (uint16_t)u16(rdata, 4);
    return true;
}

static void write_srv(struct str rdata, struct buf *out)
{
    struct dns_srv srv;

    if (dns_read_srv(rdata, &srv))
        buf_addf(out, "%u %u %u %s.", srv.priority, srv.weight, srv.port, srv.target);
}

static void write_tlsa(struct str rdata, struct buf *out)
{
    if (rdata.n <= 3)
        return;
    buf_addf(out, "%u %u %u ", (unsigned char)rdata.p[0], (unsigned char)rdata.p[1], (unsigned char)rdata.p[2]);
    hex_encode(out, str_skip(rdata, 3));
}

bool dns_read_caa(struct str rdata, struct dns_caa *out)
{
    size_t n = rdata.n > 2 ? (unsigned char)rdata.p[1] : 0;

    if (n == 0 || n > rdata.n - 2)
        return false;
    *out = (struct dns_caa){(uint8_t)rdata.p[0], str_sub(rdata, 2, 2 + n), str_skip(rdata, 2 + n)};
    for (size_t i = 0; i < n; i++)
        if (!ascii_is_alnum(out->tag.p[i]))
            return false;
    return true;
}

static void write_caa(struct str rdata, struct buf *out)
{
    struct dns_caa caa;

    if (!dns_read_caa(rdata, &caa))
        return;
    buf_addf(out, "%u %.*s ", caa.flags, STR_ARG(caa.tag));
    dns_quote(out, caa.value);
}

void dns_data_write(unsigned type, struct str rdata, struct buf *out)
{
    size_t before = out->n;

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == type && types[i].write != NULL)
            types[i].write(rdata, out);
    if (out->n > before || out->failed)
        return;
    buf_addf(out, "\\# %zu ", rdata.n);
    hex_encode(out, rdata);
}
