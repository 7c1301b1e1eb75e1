/* Reading of DNS responses (RFC 1035 4.1). Names are compared and copied in wire form. */
#include "dns/packet.h"

#include <string.h>

enum { HEADER = 12, CNAMES_MAX = 16, POINTERS_MAX = 64, RECORDS_MAX = 2000 };

struct reader {
    struct str packet;
    size_t at;
};
struct name {
    unsigned char wire[DNS_NAME_WIRE];
    size_t n;
};
struct record {
    struct name owner;
    unsigned type;
    uint32_t ttl;
    size_t rdata, length; /* place in the packet */
};

static bool read_u16(struct reader *r, unsigned *value)
{
    const char *p = r->packet.p + r->at;

    if (r->packet.n - r->at < 2)
        return false;
    *value = (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
    r->at += 2;
    return true;
}

static bool read_u32(struct reader *r, uint32_t *value)
{
    unsigned high, low;

    if (!read_u16(r, &high) || !read_u16(r, &low))
        return false;
    *value = (uint32_t)high << 16 | low;
    return true;
}

static bool add_label(struct name *name, const char *p, size_t n)
{
    if (name->n + 1 + n > sizeof name->wire)
        return false;
    name->wire[name->n++] = (unsigned char)n;
    for (size_t i = 0; i < n; i++)
        name->wire[name->n++] = (unsigned char)ascii_lower(p[i]);
    return true;
}

/* Reads a name, following pointers; r->at ends after its first part. */
static bool read_name(struct reader *r, struct name *name)
{
    struct str packet = r->packet;
    size_t at = r->at, pointers = 0;

    name->n = 0;
    while (at < packet.n) {
        unsigned n = (unsigned char)packet.p[at++];

        if (n >= 0xc0) {
            size_t target;

            if (at >= packet.n || ++pointers > POINTERS_MAX)
                return false;
            target = (size_t)(n & 0x3f) << 8 | (unsigned char)packet.p[at];
            if (target >= at - 1)
                return false;
            if (pointers == 1)
                r->at = at + 1;
            at = target;
            continue;
        }
        if (n > 63 || n > packet.n - at || !add_label(name, packet.p + at, n))
            return false;
        at += n;
        if (n == 0) {
            if (pointers == 0)
                r->at = at;
            return true;
        }
    }
    return false;
}

static bool read_record(struct reader *r, struct record *record)
{
    unsigned class, length;

    if (!read_name(r, &record->owner) || !read_u16(r, &record->type) || !read_u16(r, &class) ||
        !read_u32(r, &record->ttl) || !read_u16(r, &length) || length > r->packet.n - r->at)
        return false;
    record->rdata = r->at;
    record->length = length;
    r->at += length;
    return true;
}

static bool same_name(const struct name *a, const struct name *b)
{
    return a->n == b->n && memcmp(a->wire, b->wire, a->n) == 0;
}

/* Bytes before the (single, last) name of the types whose rdata ends with a name. */
static bool name_offset(unsigned type, size_t *before)
{
    *before = type == DNS_MX ? 2 : 0;
    return type == DNS_MX || type == DNS_CNAME || type == DNS_NS || type == DNS_PTR;
}

static bool add_record(const struct reader *r, const struct record *record, struct buf *out)
{
    struct reader at = {r->packet, record->rdata};
    char flat[2 + DNS_NAME_WIRE];
    struct name name;
    size_t before;

    if (!name_offset(record->type, &before)) {
        dns_add_record(out, str_from(r->packet.p + record->rdata, record->length));
        return !out->failed;
    }
    if (record->length <= before)
        return false;
    at.at += before;
    if (!read_name(&at, &name) || at.at != record->rdata + record->length)
        return false;
    memcpy(flat, r->packet.p + record->rdata, before);
    memcpy(flat + before, name.wire, name.n);
    dns_add_record(out, (struct str){flat, before + name.n});
    return !out->failed;
}

static bool read_cname(const struct reader *r, const struct record *record, struct name *name)
{
    struct reader at = {r->packet, record->rdata};

    return read_name(&at, name) && at.at == record->rdata + record->length;
}

/* The answer section once: takes what belongs to `name`; sets *moved when a CNAME led elsewhere. */
static bool scan_answer(struct reader r, unsigned answers, unsigned type, struct name *name,
    struct buf *records, struct dns_packet *out, bool *moved)
{
    struct record record;

    *moved = false;
    for (unsigned i = 0; i < answers; i++) {
        if (!read_record(&r, &record))
            return false;
        if (!same_name(&record.owner, name))
            continue;
        if (record.type == type || (record.type == DNS_CNAME && !*moved))
            out->ttl = record.ttl < out->ttl ? record.ttl : out->ttl;
        if (record.type == type) {
            if (!add_record(&r, &record, records))
                return false;
            out->count++;
        } else if (record.type == DNS_CNAME) {
            *moved = true;
            return read_cname(&r, &record, name);
        }
    }
    return true;
}

/* The authority section's SOA bounds how long "nothing there" holds (RFC 2308 5). */
static void scan_authority(struct reader r, unsigned answers, unsigned authority, struct dns_packet *out)
{
    struct record record;

    for (unsigned i = 0; i < answers + authority; i++) {
        if (!read_record(&r, &record))
            return;
        if (i >= answers && record.type == DNS_SOA && record.ttl < out->ttl)
            out->ttl = record.ttl;
    }
}

bool dns_read_packet(struct str packet, unsigned type, struct buf *records, struct dns_packet *out)
{
    struct reader r = {packet, 2};
    unsigned flags, questions, answers, authority, extra, kind, class;
    bool moved = true;
    struct name name;
    struct str wire;

    *out = (struct dns_packet){.ttl = UINT32_MAX};
    if (packet.n < HEADER || !read_u16(&r, &flags) || !read_u16(&r, &questions) || !read_u16(&r, &answers) ||
        !read_u16(&r, &authority) || !read_u16(&r, &extra) || questions != 1 ||
        answers > RECORDS_MAX || authority > RECORDS_MAX)
        return false;
    out->rcode = flags & 0xf;
    if (!read_name(&r, &name) || !read_u16(&r, &kind) || !read_u16(&r, &class))
        return false;
    for (int i = 0; moved && i < CNAMES_MAX && out->count == 0; i++)
        if (!scan_answer(r, answers, type, &name, records, out, &moved))
            return false;
    if (out->count == 0)
        scan_authority(r, answers, authority, out);
    if (out->ttl == UINT32_MAX)
        out->ttl = 0;
    wire = (struct str){(const char *)name.wire, name.n};
    (void)dns_read_name(&wire, out->canonical);
    return true;
}
