/* bench-mailauth: how many messages a second one core verifies, with DNS answered from memory at once.
 *
 *   bench-mailauth [SECONDS]
 *
 * 64 messages of 5 KB from 4 domains, in turns, each with two DKIM signatures (RSA-2048 and Ed25519) below one ARC set
 * (RSA-2048) of a forwarder: SPF (a record and its include), both signatures, the chain, DMARC, and the
 * Authentication-Results field. First each part alone, then all of it. Counted in processor time of this process, so that other
 * work on the machine matters little. Every result is looked at: a message that does not pass ends the run. */
#include "../../tests/unit/arc_sealer.h"
#include "mailauth/auth_results.h"
#include "mailauth/spf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DOMAINS = 4, MESSAGES = 64, OCTETS = 5000, CHUNK = 4096, NAMES = 8 * DOMAINS };
enum { SPF_PART = 1, DKIM_PART = 2, ARC_PART = 4, DMARC_PART = 8, ALL_PARTS = 15 };

static const int64_t now = 1700000000;

/* ---- the world ---- */

struct name {
    char name[DNS_NAME_TEXT];
    struct buf records;
};
static struct name names[NAMES];
static size_t name_count;
static struct buf messages[MESSAGES];
static struct dkim_key_cache *keys;

static void publish(const char *name, const char *text)
{
    struct name *n = &names[name_count++];
    struct str rest = str_of(text);
    struct buf rdata;

    snprintf(n->name, sizeof n->name, "%s", name);
    buf_init(&n->records, 1 << 16);
    buf_init(&rdata, 1 << 16);
    while (rest.n > 0) {
        size_t piece = rest.n > 255 ? 255 : rest.n;

        buf_add_char(&rdata, (char)piece);
        buf_add(&rdata, str_sub(rest, 0, piece));
        rest = str_skip(rest, piece);
    }
    dns_add_record(&n->records, buf_str(&rdata));
    buf_clear(&rdata);
}

static void write_letter(unsigned number, struct buf *out)
{
    unsigned d = number % DOMAINS;

    buf_init(out, 1 << 16);
    buf_addf(out,
        "Received: from mail.d%u.example (mail.d%u.example [192.0.2.7])\r\n\tby mx.forwarder.example with ESMTPS id 0123456789\r\n"
        "\tfor <reader@forwarder.example>; Tue, 14 Nov 2023 22:13:20 +0000\r\nMIME-Version: 1.0\r\nFrom: Somebody <writer@d%u.example>\r\n"
        "To: Reader <reader@forwarder.example>\r\nCc: Another <another@d%u.example>\r\nSubject: Report number %u of this week, and more of it\r\n"
        "Date: Tue, 14 Nov 2023 22:13:19 +0000\r\nMessage-ID: <%u.1700000000@d%u.example>\r\nReferences: <1@d%u.example> <2@d%u.example>\r\n"
        "In-Reply-To: <2@d%u.example>\r\nReply-To: writer@d%u.example\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 8bit\r\nUser-Agent: Some client 1.0\r\nX-Mailer-Number: %u\r\n\r\n",
        d, d, d, d, number, number, d, d, d, d, d, number);
    for (unsigned line = 0; out->n < OCTETS - 1500; line++) /* the three signatures take the rest */
        buf_addf(out, "Line %03u of letter %02u, with some words in it that fill it up to the margin.\r\n", line, number);
}

static void make_message(unsigned number, const struct dkim_test_key pair[2], const struct dkim_test_key *forwarder)
{
    char domain[40];
    struct buf letter, signed_once;

    snprintf(domain, sizeof domain, "d%u.example", number % DOMAINS);
    write_letter(number, &letter);
    if (!dkim_sign_message(pair, 2, domain, (uint64_t)now, buf_str(&letter), &signed_once) ||
        !arc_seal_message(forwarder, "forwarder.example", "s", (uint64_t)now, ARC_NONE, buf_str(&signed_once), &messages[number]))
        exit(1);
    buf_clear(&letter);
    buf_clear(&signed_once);
}

static void make_world(void)
{
    struct dkim_test_key forwarder;

    dkim_make_rsa(&forwarder, 2048);
    publish("s._domainkey.forwarder.example", forwarder.record);
    for (unsigned d = 0; d < DOMAINS; d++) {
        struct dkim_test_key pair[2];
        char name[DNS_NAME_TEXT], text[200];

        dkim_make_rsa(&pair[0], 2048);
        dkim_make_ed25519(&pair[1]);
        for (unsigned k = 0; k < 2; k++) {
            snprintf(name, sizeof name, "s%u._domainkey.d%u.example", k, d);
            publish(name, pair[k].record);
        }
        snprintf(name, sizeof name, "d%u.example", d);
        snprintf(text, sizeof text, "v=spf1 include:_spf.d%u.example -all", d);
        publish(name, text);
        snprintf(name, sizeof name, "_spf.d%u.example", d);
        publish(name, "v=spf1 ip4:198.51.100.0/24 ip6:2001:db8::/32 ip4:192.0.2.0/24 ~all");
        snprintf(name, sizeof name, "_dmarc.d%u.example", d);
        publish(name, "v=DMARC1; p=reject; rua=mailto:dmarc@example.net");
        for (unsigned number = d; number < MESSAGES; number += DOMAINS)
            make_message(number, pair, &forwarder);
        dkim_clear_key(&pair[0]);
        dkim_clear_key(&pair[1]);
    }
    dkim_clear_key(&forwarder);
}

/* ---- one check at a time, its question open until it is answered ---- */

struct open {
    char name[DNS_NAME_TEXT];
    unsigned type;
    bool asked;
};

static void on_ask(void *owner, struct str name, unsigned type)
{
    struct open *open = owner;

    memcpy(open->name, name.p, name.n < DNS_NAME_TEXT ? name.n : DNS_NAME_TEXT - 1);
    open->name[name.n < DNS_NAME_TEXT ? name.n : DNS_NAME_TEXT - 1] = '\0';
    open->type = type;
    open->asked = true;
}

static void on_done(void *owner)
{
    ((struct open *)owner)->asked = false;
}

/* Takes the question; false: none is open. */
static bool take_question(struct open *open, enum dns_status *status, struct str *records)
{
    if (!open->asked)
        return false;
    open->asked = false;
    *status = DNS_NXDOMAIN;
    *records = STR("");
    for (size_t i = 0; i < name_count; i++)
        if (str_ieq(str_of(names[i].name), str_of(open->name))) {
            *status = open->type == DNS_TXT ? DNS_OK : DNS_NODATA;
            *records = open->type == DNS_TXT ? buf_str(&names[i].records) : STR("");
        }
    return true;
}

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "bench-mailauth: %s does not pass\n", what);
    exit(1);
}

/* ---- a message ---- */

struct verdicts {
    struct spf *spf;
    struct dkim_verify *dkim;
    struct arc_verify *arc;
    struct open spf_open, dkim_open, arc_open;
    struct str from;
};

static void on_field(void *owner, struct str field)
{
    struct verdicts *v = owner;

    if (v->dkim != NULL)
        dkim_verify_field(v->dkim, field);
    if (v->arc != NULL)
        arc_verify_field(v->arc, field);
    if (str_istarts(field, STR("From:")))
        v->from = str_skip(field, 5);
}

static void answer_all(struct verdicts *v)
{
    enum dns_status status;
    struct str records;

    while (v->spf != NULL && take_question(&v->spf_open, &status, &records))
        spf_answer(v->spf, status, records);
    while (v->dkim != NULL && take_question(&v->dkim_open, &status, &records))
        dkim_verify_answer(v->dkim, status, records);
    while (v->arc != NULL && take_question(&v->arc_open, &status, &records))
        arc_verify_answer(v->arc, status, records);
}

static void begin(struct verdicts *v, unsigned parts, unsigned number)
{
    static const struct spf_world spf_world = {.ask = on_ask, .done = on_done};
    static const struct dkim_verify_world dkim_world = {.ask = on_ask, .done = on_done};
    static const struct arc_verify_world arc_world = {.ask = on_ask, .done = on_done};
    struct spf_subject subject = {.receiver = STR("mx.reader.example"), .now = now};
    char sender[40], helo[40];

    *v = (struct verdicts){.from = STR("")};
    snprintf(sender, sizeof sender, "writer@d%u.example", number % DOMAINS);
    snprintf(helo, sizeof helo, "mail.d%u.example", number % DOMAINS);
    subject.sender = str_of(sender);
    subject.helo = str_of(helo);
    (void)ip_parse(STR("192.0.2.7"), &subject.ip);
    if (parts & SPF_PART) {
        v->spf = spf_new(&spf_world, &v->spf_open, &subject);
        spf_start(v->spf);
    }
    if (parts & DKIM_PART) {
        v->dkim = dkim_verify_new(&dkim_world, &v->dkim_open, (uint64_t)now);
        dkim_verify_use_keys(v->dkim, keys);
    }
    if (parts & ARC_PART) {
        v->arc = arc_verify_new(&arc_world, &v->arc_open, (uint64_t)now);
        arc_verify_use_keys(v->arc, keys);
    }
}

static void stream(struct verdicts *v, struct str message)
{
    struct str body = dkim_walk_header(message, on_field, v);

    if (v->dkim != NULL)
        dkim_verify_header_end(v->dkim);
    if (v->arc != NULL)
        arc_verify_header_end(v->arc);
    answer_all(v);
    for (; body.n > 0; body = str_skip(body, body.n < CHUNK ? body.n : CHUNK)) {
        if (v->dkim != NULL)
            dkim_verify_body(v->dkim, str_sub(body, 0, CHUNK));
        if (v->arc != NULL)
            arc_verify_body(v->arc, str_sub(body, 0, CHUNK));
    }
    if (v->dkim != NULL)
        dkim_verify_end(v->dkim);
    if (v->arc != NULL)
        arc_verify_end(v->arc);
    answer_all(v);
}

static void judge(const struct verdicts *v, struct auth_results *results)
{
    static const struct dmarc_world world = {.ask = on_ask, .done = on_done};
    struct open open = {.asked = false};
    struct dmarc *dmarc = dmarc_new(&world, &open);
    enum dns_status status;
    struct str records;

    dmarc_add_from(dmarc, v->from);
    if (v->spf != NULL && spf_result_of(v->spf) == SPF_PASS)
        dmarc_add_spf(dmarc, spf_domain_of(v->spf));
    for (size_t i = 0; v->dkim != NULL && i < dkim_verify_count(v->dkim); i++)
        if (dkim_verify_outcome(v->dkim, i)->result == DKIM_PASS)
            dmarc_add_dkim(dmarc, dkim_verify_outcome(v->dkim, i)->domain);
    dmarc_start(dmarc);
    while (take_question(&open, &status, &records))
        dmarc_answer(dmarc, status, records);
    must(dmarc_outcome_of(dmarc)->result == ((v->spf != NULL || v->dkim != NULL) ? DMARC_RESULT_PASS : DMARC_RESULT_FAIL), "DMARC");
    auth_results_dmarc(results, dmarc_outcome_of(dmarc));
    dmarc_free(dmarc);
}

static void tell(const struct verdicts *v, struct auth_results *results)
{
    struct ip client;

    if (v->spf != NULL) {
        must(spf_result_of(v->spf) == SPF_PASS, "SPF");
        auth_results_spf(results, spf_result_of(v->spf), false, spf_domain_of(v->spf), spf_reason_of(v->spf));
    }
    for (size_t i = 0; v->dkim != NULL && i < 2; i++) {
        const struct dkim_outcome *o = dkim_verify_outcome(v->dkim, i);

        must(dkim_verify_count(v->dkim) == 2 && o->result == DKIM_PASS, "DKIM");
        auth_results_dkim(results, &(struct auth_results_dkim){dkim_result_name(o->result), str_of(o->reason), o->domain, o->identity,
            o->selector, o->algorithm, o->text});
    }
    if (v->arc != NULL) {
        must(arc_verify_outcome(v->arc)->result == ARC_PASS, "ARC");
        (void)ip_parse(STR("192.0.2.7"), &client);
        auth_results_arc(results, "pass", STR(""), &client, (int)arc_verify_outcome(v->arc)->oldest_pass);
    }
}

static void verify(unsigned number, unsigned parts)
{
    struct auth_results results;
    struct verdicts v;

    begin(&v, parts, number);
    stream(&v, buf_str(&messages[number]));
    auth_results_begin(&results, STR("mx.reader.example"), false);
    tell(&v, &results);
    if (parts & DMARC_PART)
        judge(&v, &results);
    must(auth_results_end(&results).n > 0, "Authentication-Results");
    auth_results_clear(&results);
    spf_free(v.spf);
    dkim_verify_free(v.dkim);
    arc_verify_free(v.arc);
}

/* ---- the clock ---- */

static double used(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void measure(const char *what, unsigned parts, double seconds)
{
    double begun, spent;
    unsigned long n = 0;

    for (unsigned i = 0; i < MESSAGES; i++)
        verify(i, parts);
    begun = used();
    do
        for (unsigned i = 0; i < MESSAGES; i++, n++)
            verify(i, parts);
    while ((spent = used() - begun) < seconds);
    printf("%-34s %8.0f messages/s a core %8.1f us each\n", what, (double)n / spent, spent / (double)n * 1e6);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 3;
    size_t octets = 0;

    make_world();
    for (unsigned i = 0; i < MESSAGES; i++)
        octets += messages[i].n;
    printf("%u messages of %zu octets\n", MESSAGES, octets / MESSAGES);
    measure("header and body split only", 0, seconds);
    measure("SPF", SPF_PART, seconds);
    measure("two DKIM signatures", DKIM_PART, seconds);
    measure("ARC, one set", ARC_PART, seconds);
    measure("DMARC", DMARC_PART, seconds);
    measure("all, each key made anew", ALL_PARTS, seconds);
    keys = dkim_key_cache_new();
    measure("all", ALL_PARTS, seconds);
    dkim_key_cache_free(keys);
    return 0;
}
