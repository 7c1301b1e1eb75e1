/* DNS answers: a packet from the wire, then whatever it packed, read as every type. The first byte is
 * the record type asked for; the rest is the packet, and also tried as packed records. */
#include "dns/packet.h"
#include "dns/text.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of every type, as it stands in a zone file: something, and nothing but printable ASCII. */
static void as_text(struct str rdata, struct buf *text)
{
    static const unsigned types[] = {DNS_A, DNS_AAAA, DNS_MX, DNS_TXT, DNS_CNAME, DNS_SRV, DNS_TLSA, DNS_CAA, DNS_SOA, 65400};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        buf_reset(text);
        dns_data_write(types[i], rdata, text);
        assert(text->failed || (rdata.n == 0) || (text->n > 0 && str_is_printable(buf_str(text))));
    }
}

static void read_all(struct str records)
{
    char name[DNS_NAME_TEXT];
    struct dns_tlsa tlsa[8];
    struct dns_mx mx[8];
    struct ip ips[8];
    struct str rdata, rest = records;
    struct buf text;

    for (size_t i = 0, n = dns_read_mx(records, mx, 8); i < n; i++)
        assert(strlen(mx[i].host) < 255 && str_is_printable(str_of(mx[i].host)));
    (void)dns_read_addresses(records, DNS_A, ips, 8);
    (void)dns_read_addresses(records, DNS_AAAA, ips, 8);
    for (size_t i = 0, n = dns_read_tlsa(records, tlsa, 8); i < n; i++)
        assert(tlsa[i].data.p + tlsa[i].data.n <= records.p + records.n);
    buf_init(&text, 1 << 16);
    while (dns_next_record(&rest, &rdata)) {
        buf_reset(&text);
        (void)dns_read_txt(rdata, &text);
        as_text(rdata, &text);
        if (dns_read_target(rdata, name)) {
            buf_reset(&text);
            assert(dns_write_name(&text, str_of(name)) && text.n == rdata.n);
        }
    }
    buf_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_packet packet;
    struct buf records;
    struct str bytes;

    if (size == 0)
        return 0;
    bytes = (struct str){(const char *)data + 1, size - 1};
    buf_init(&records, 100000);
    if (dns_read_packet(bytes, data[0], &records, &packet))
        assert(strlen(packet.canonical) < DNS_NAME_TEXT);
    read_all(buf_str(&records));
    read_all(bytes);
    buf_clear(&records);
    return 0;
}
