/* DNS: packed records, packets from the wire, and the questions of a role. */
#include "dns/dns_client.h"
#include "dns/packet.h"
#include "dns/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define BYTES(literal) ((struct str){(literal), sizeof(literal) - 1})

static void names(void **state)
{
    static const struct {
        struct str wire;
        const char *text; /* NULL: refused */
    } cases[] = {
        {BYTES("\3Mx1\4test\0"), "mx1.test"},
        {BYTES("\0"), ""},
        {BYTES("\4a_-9\0"), "a_-9"},
        {BYTES("\3a.b\0"), NULL},
        {BYTES("\3a b\0"), NULL},
        {BYTES("\2\xc3\xa4\0"), NULL},
        {BYTES("\3ab"), NULL},
        {BYTES("\3abc"), NULL},
        {BYTES("\xc0\0"), NULL},
        {BYTES(""), NULL},
    };
    char text[DNS_NAME_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str wire = cases[i].wire;

        assert_int_equal(dns_read_name(&wire, text), cases[i].text != NULL);
        assert_string_equal(text, cases[i].text != NULL ? cases[i].text : "");
        if (cases[i].text != NULL)
            assert_int_equal(wire.n, 0);
    }
}

static void longest_names(void **state)
{
    char text[DNS_NAME_TEXT], label[64];
    struct str rest;
    struct buf wire, name;

    (void)state;
    memset(label, 'a', sizeof label);
    buf_init(&name, 1000);
    buf_init(&wire, 1000);
    for (int i = 0; i < 3; i++) {
        buf_add(&name, (struct str){label, 63});
        buf_add_char(&name, '.');
    }
    buf_add(&name, (struct str){label, 61});
    assert_true(dns_write_name(&wire, buf_str(&name)));
    assert_int_equal(wire.n, 255);
    rest = buf_str(&wire);
    assert_true(dns_read_name(&rest, text));
    assert_int_equal(strlen(text), 253);
    buf_add_char(&name, 'a');
    buf_reset(&wire);
    assert_false(dns_write_name(&wire, buf_str(&name)));
    assert_false(dns_write_name(&wire, STR("a..b")));
    assert_false(dns_write_name(&wire, STR(".a")));
    assert_true(dns_write_name(&wire, STR("a.b.")));
    buf_clear(&wire);
    buf_clear(&name);
}

static void records(void **state)
{
    struct dns_mx mx[4];
    struct ip ips[2];
    struct buf out;
    struct dns_tlsa tlsa[2];

    (void)state;
    assert_int_equal(dns_read_mx(BYTES("\0\10\0\12\2mx\1x\0\0\3\0\5\0\0\5\0\1\3abc"), mx, 4), 2);
    assert_int_equal(mx[0].preference, 10);
    assert_string_equal(mx[0].host, "mx.x");
    assert_int_equal(mx[1].preference, 5);
    assert_string_equal(mx[1].host, "");
    assert_int_equal(dns_read_mx(BYTES("\0\11\0\12\2mx\1x\0\1"), mx, 4), 0); /* bytes after the name */
    assert_int_equal(dns_read_addresses(BYTES("\0\4\1\2\3\4\0\3\1\2\3\0\4\5\6\7\10\0\4\1\1\1\1"), DNS_A, ips, 2), 2);
    assert_int_equal(ips[1].bytes[0], 5);
    assert_int_equal(dns_read_addresses(BYTES("\0\4\1\2\3\4"), DNS_AAAA, ips, 2), 0);
    assert_int_equal(dns_read_tlsa(BYTES("\0\5\3\1\1ab\0\3\3\1\1"), tlsa, 2), 1);
    assert_int_equal(tlsa[0].usage, 3);
    assert_int_equal(tlsa[0].data.n, 2);
    buf_init(&out, 100);
    assert_true(dns_read_txt(BYTES("\3abc\0\2de"), &out));
    assert_true(str_eq(buf_str(&out), STR("abcde")));
    assert_false(dns_read_txt(BYTES("\3ab"), &out));
    assert_false(dns_read_txt(BYTES(""), &out));
    buf_clear(&out);
}

/* alias.test CNAME mx.test (ttl 60), mx.test MX 10 a.mx.test (ttl 30), with compression. */
#define HEAD "\0\1\201\200\0\1\0\2\0\0\0\0"
#define QUESTION "\5alias\4test\0\0\17\0\1"
#define CNAME "\300\14\0\5\0\1\0\0\0\74\0\5\2mx\300\22"
#define MX "\300\50\0\17\0\1\0\0\0\36\0\6\0\12\1a\300\50"

static void packets(void **state)
{
    struct dns_packet packet;
    struct dns_mx mx[2];
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    assert_true(dns_read_packet(BYTES(HEAD QUESTION CNAME MX), DNS_MX, &out, &packet));
    assert_int_equal(packet.rcode, 0);
    assert_int_equal(packet.count, 1);
    assert_int_equal(packet.ttl, 30);
    assert_string_equal(packet.canonical, "mx.test");
    assert_int_equal(dns_read_mx(buf_str(&out), mx, 2), 1);
    assert_string_equal(mx[0].host, "a.mx.test");
    buf_clear(&out);
}

static void damaged_packets(void **state)
{
    static const char whole[] = HEAD QUESTION CNAME MX;
    struct dns_packet packet;
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    for (size_t n = 0; n + 1 < sizeof whole; n++) {
        buf_reset(&out);
        assert_false(dns_read_packet((struct str){whole, n}, DNS_MX, &out, &packet));
    }
    /* a name that points to itself, and CNAMEs in a circle */
    assert_false(dns_read_packet(BYTES("\0\1\201\200\0\1\0\0\0\0\0\0\300\14\0\17\0\1"), DNS_MX, &out, &packet));
    buf_reset(&out);
    assert_true(dns_read_packet(
        BYTES("\0\1\201\200\0\1\0\1\0\0\0\0\1a\0\0\17\0\1\300\14\0\5\0\1\0\0\0\1\0\2\300\14"), DNS_MX, &out, &packet));
    assert_int_equal(packet.count, 0);
    buf_clear(&out);
}

static void negative_ttl(void **state)
{
    struct dns_packet packet;
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    assert_true(dns_read_packet(BYTES("\0\1\201\203\0\1\0\0\0\1\0\0\1a\0\0\17\0\1\0\0\6\0\1\0\0\0\7\0\1\0"), DNS_MX, &out,
        &packet));
    assert_int_equal(packet.rcode, DNS_RCODE_NXDOMAIN);
    assert_int_equal(packet.ttl, 7);
    buf_clear(&out);
}

struct asked {
    uint64_t ids[8];
    size_t n, answers;
    uint64_t status;
};

static void note_ask(void *world, const struct msg_dns_ask *ask)
{
    struct asked *asked = world;

    asked->ids[asked->n++] = ask->id;
}

static void note_answer(struct dns_query *query, const struct msg_dns_reply *reply)
{
    struct asked *asked = query->owner;

    asked->answers++;
    asked->status = reply->status;
}

static void questions(void **state)
{
    struct dns_query a = {0}, b = {0};
    struct asked asked = {0};
    struct dns_client client;

    (void)state;
    dns_client_init(&client, note_ask, &asked);
    assert_false(dns_client_ask(&client, &a, STR(""), DNS_MX, note_answer, &asked));
    assert_false(dns_client_ask(&client, &a, STR("a..b"), DNS_MX, note_answer, &asked));
    assert_true(dns_client_ask(&client, &a, STR("a.test"), DNS_MX, note_answer, &asked));
    assert_true(dns_client_ask(&client, &b, STR("b.test"), DNS_A, note_answer, &asked));
    dns_client_resend(&client);
    assert_int_equal(asked.n, 4);
    dns_client_reply(&client, &(struct msg_dns_reply){.id = 999, .status = DNS_OK});
    assert_int_equal(asked.answers, 0);
    dns_client_reply(&client, &(struct msg_dns_reply){.id = asked.ids[0], .status = DNS_TIMEOUT});
    dns_client_reply(&client, &(struct msg_dns_reply){.id = asked.ids[0], .status = DNS_OK});
    assert_int_equal(asked.answers, 1);
    assert_int_equal(asked.status, DNS_TIMEOUT);
    dns_client_cancel(&client, &b);
    dns_client_reply(&client, &(struct msg_dns_reply){.id = asked.ids[1], .status = DNS_OK});
    assert_int_equal(asked.answers, 1);
    dns_client_clear(&client);
}

/* As in a zone file; what is damaged, or of a type without a name here, as RFC 3597 writes it. */
static void texts_of_records(void **state)
{
    static const struct {
        unsigned type;
        struct str rdata;
        const char *text;
    } cases[] = {
        {DNS_A, BYTES("\300\0\2\1"), "192.0.2.1"},
        {DNS_A, BYTES("\300\0\2"), "\\# 3 c00002"},
        {DNS_AAAA, BYTES("\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1"), "2001:db8::1"},
        {DNS_MX, BYTES("\0\12\4mail\1x\0"), "10 mail.x."},
        {DNS_MX, BYTES("\0\0\0"), "0 ."},
        {DNS_MX, BYTES("\0\12\4ma"), "\\# 5 000a046d61"},
        {DNS_TXT, BYTES("\3a\"b\2\\\1"), "\"a\\\"b\" \"\\\\\\001\""},
        {DNS_TXT, BYTES("\5ab"), "\\# 3 056162"},
        {DNS_SRV, BYTES("\0\1\0\2\0\31\1a\1b\0"), "1 2 25 a.b."},
        {DNS_TLSA, BYTES("\3\1\1\xab\xcd"), "3 1 1 abcd"},
        {DNS_CAA, BYTES("\0\5issueca.example"), "0 issue \"ca.example\""},
        {DNS_CAA, BYTES("\0\7issue"), "\\# 7 00076973737565"},
        {DNS_PTR, BYTES("\1a\0"), "a."},
        {65400, BYTES("x"), "\\# 1 78"},
    };
    struct buf out;
    unsigned type;

    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buf_reset(&out);
        dns_data_write(cases[i].type, cases[i].rdata, &out);
        buf_add_char(&out, 0);
        assert_string_equal(out.p, cases[i].text);
        buf_reset(&out);
        dns_type_write(cases[i].type, &out);
        assert_true(dns_type_read(buf_str(&out), &type) && type == cases[i].type);
    }
    assert_true(dns_type_read(STR("mx"), &type) && type == DNS_MX);
    assert_false(dns_type_read(STR("TYPE0"), &type) || dns_type_read(STR("TYPE65536"), &type) || dns_type_read(STR(""), &type));
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(texts_of_records),
        cmocka_unit_test(longest_names),
        cmocka_unit_test(records),
        cmocka_unit_test(packets),
        cmocka_unit_test(damaged_packets),
        cmocka_unit_test(negative_ttl),
        cmocka_unit_test(questions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
