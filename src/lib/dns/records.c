/* Parsing of packed records; see records.h for the format and the promises. */
#include "dns/records.h"

#include <string.h>

enum { LABEL_MAX = 63 };

static unsigned read_u16(const char *p)
{
    return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

bool dns_next_record(struct str *rest, struct str *rdata)
{
    size_t n;

    if (rest->n < 2)
        return false;
    n = read_u16(rest->p);
    if (n > rest->n - 2)
        return false;
    *rdata = str_sub(*rest, 2, 2 + n);
    *rest = str_skip(*rest, 2 + n);
    return true;
}

void dns_add_record(struct buf *out, struct str rdata)
{
    if (rdata.n > UINT16_MAX) {
        out->failed = true;
        return;
    }
    buf_add_char(out, (char)(rdata.n >> 8));
    buf_add_char(out, (char)(rdata.n & 0xff));
    buf_add(out, rdata);
}

static bool is_host_char(char c)
{
    return ascii_is_alnum(c) || c == '-' || c == '_';
}

static bool is_label_char(char c)
{
    return c > 0x20 && c < 0x7f && c != '.' && c != '\\';
}

/* Appends one label and a dot. */
static bool add_label(char *out, size_t *used, struct str label, bool (*allowed)(char))
{
    if (*used + label.n + 1 >= DNS_NAME_TEXT)
        return false;
    for (size_t i = 0; i < label.n; i++) {
        if (!allowed(label.p[i]))
            return false;
        out[(*used)++] = ascii_lower(label.p[i]);
    }
    out[(*used)++] = '.';
    return true;
}

static bool read_name(struct str *wire, char out[DNS_NAME_TEXT], bool (*allowed)(char))
{
    struct str w = *wire;
    size_t used = 0;

    out[0] = '\0';
    while (w.n > 0) {
        size_t n = (unsigned char)w.p[0];

        if (n == 0) {
            out[used > 0 ? used - 1 : 0] = '\0';
            *wire = str_skip(w, 1);
            return true;
        }
        if (n > LABEL_MAX || n > w.n - 1 || !add_label(out, &used, str_sub(w, 1, 1 + n), allowed))
            break;
        w = str_skip(w, 1 + n);
    }
    out[0] = '\0';
    return false;
}

bool dns_read_name(struct str *wire, char out[DNS_NAME_TEXT])
{
    return read_name(wire, out, is_host_char);
}

bool dns_read_printable(struct str rdata, char out[DNS_NAME_TEXT])
{
    return read_name(&rdata, out, is_label_char) && rdata.n == 0;
}

bool dns_write_name(struct buf *out, struct str text)
{
    size_t total = 1;
    struct str label;

    if (text.n > 0 && text.p[text.n - 1] == '.')
        text.n--;
    while (text.n > 0) {
        ptrdiff_t dot = str_find(text, '.');

        label = dot < 0 ? text : str_sub(text, 0, (size_t)dot);
        text = dot < 0 ? (struct str){0} : str_skip(text, (size_t)dot + 1);
        total += label.n + 1;
        if (label.n == 0 || label.n > LABEL_MAX || total > DNS_NAME_WIRE || (dot >= 0 && text.n == 0))
            return false;
        buf_add_char(out, (char)label.n);
        buf_add(out, label);
    }
    buf_add_char(out, '\0');
    return !out->failed;
}

bool dns_read_target(struct str rdata, char out[DNS_NAME_TEXT])
{
    return dns_read_name(&rdata, out) && rdata.n == 0;
}

static bool read_one_mx(struct str rdata, struct dns_mx *mx)
{
    if (rdata.n < 3)
        return false;
    mx->preference = (uint16_t)read_u16(rdata.p);
    return dns_read_target(str_skip(rdata, 2), mx->host);
}

size_t dns_read_mx(struct str records, struct dns_mx *out, size_t room)
{
    struct str rdata;
    size_t n = 0;

    while (n < room && dns_next_record(&records, &rdata))
        if (read_one_mx(rdata, &out[n]))
            n++;
    return n;
}

size_t dns_read_addresses(struct str records, enum dns_type type, struct ip *out, size_t room)
{
    size_t size = type == DNS_A ? 4 : 16;
    struct str rdata;
    size_t n = 0;

    while (n < room && dns_next_record(&records, &rdata)) {
        if (rdata.n != size)
            continue;
        out[n] = (struct ip){.family = type == DNS_A ? 4 : 6};
        memcpy(out[n++].bytes, rdata.p, size);
    }
    return n;
}

size_t dns_read_tlsa(struct str records, struct dns_tlsa *out, size_t room)
{
    struct str rdata;
    size_t n = 0;

    while (n < room && dns_next_record(&records, &rdata)) {
        if (rdata.n < 4)
            continue;
        out[n++] = (struct dns_tlsa){.usage = (uint8_t)rdata.p[0],
            .selector = (uint8_t)rdata.p[1],
            .matching = (uint8_t)rdata.p[2],
            .data = str_skip(rdata, 3)};
    }
    return n;
}

bool dns_read_txt(struct str rdata, struct buf *out)
{
    if (rdata.n == 0)
        return false;
    while (rdata.n > 0) {
        size_t n = (unsigned char)rdata.p[0];

        if (n > rdata.n - 1)
            return false;
        buf_add(out, str_sub(rdata, 1, 1 + n));
        rdata = str_skip(rdata, 1 + n);
    }
    return !out->failed;
}

bool dns_name_can_be_asked(struct str name)
{
    struct buf wire;
    bool ok;

    buf_init(&wire, DNS_NAME_WIRE);
    ok = name.n > 0 && name.n < DNS_NAME_TEXT && str_is_printable(name) && dns_write_name(&wire, name);
    buf_clear(&wire);
    return ok;
}
