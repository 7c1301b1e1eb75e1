#include "judge.h"
#include "base/json.h"
#include "dns/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MEMORY = 8 << 20, TEXT = 16384 };

const char *const outside_level_words[] = {"ok", "warning", "error"};

/* All checks there are, in the order in which they are told. */
static const struct outside_row rows[] = {
    {"address", OUTSIDE_SERVER, judge_address, "Other servers connect to the addresses behind the server's name."},
    {"ptr", OUTSIDE_SERVER, judge_ptr, "Gmail, Outlook and many others refuse mail from an address whose name does not lead back to it."},
    {"helo", OUTSIDE_SERVER, judge_helo, "A server that says HELO with a name that is not its own is taken for a spammer's."},
    {"helo-spf", OUTSIDE_SERVER, judge_helo_spf, "Bounces have no sender: they are judged by the name the server says HELO with."},
    {"certificate", OUTSIDE_SERVER, judge_certificate, "Mail programs refuse, or ask their user, when the certificate is not right."},
    {"tlsa", OUTSIDE_SERVER, judge_tlsa, "Servers that know DANE take this key and no other; a wrong record makes them refuse to deliver."},
    {"port-out", OUTSIDE_SERVER, judge_port_out, "Without connections to port 25 of others no mail leaves; many providers open it only when asked."},
    {"port-in", OUTSIDE_SERVER, judge_port_in, "Others deliver to this port."},
    {"open-relay", OUTSIDE_SERVER, judge_open_relay, "A server that passes on mail of anybody to anybody is abused and listed within hours."},
    {"dnsbl", OUTSIDE_SERVER, judge_dnsbl, "Mail from an address on a block list is refused by everybody who asks that list."},
    {"clock", OUTSIDE_SERVER, judge_clock, "Signatures, certificates and dates of mail are wrong where the clock is."},
    {"mx", OUTSIDE_DOMAIN, judge_mx, "Mail for the domain goes to the servers named here."},
    {"spf", OUTSIDE_DOMAIN, judge_spf, "It says which servers may send for the domain; Gmail and Yahoo refuse mail without it."},
    {"dkim", OUTSIDE_DOMAIN, judge_dkim, "Others check the signatures in your mail with these keys; a key that is not published signs nothing, or in vain."},
    {"dmarc", OUTSIDE_DOMAIN, judge_dmarc, "It tells others what to do with mail that is not yours; Gmail and Yahoo want one."},
    {"mta-sts", OUTSIDE_DOMAIN, judge_sts, "Other servers then deliver to you over verified TLS only."},
    {"tlsrpt", OUTSIDE_DOMAIN, judge_tlsrpt, "Others report there when TLS to your server fails; you would not know otherwise."},
    {"srv", OUTSIDE_DOMAIN, judge_srv, "Mail programs find the servers for reading and sending by it."},
    {"autoconfig", OUTSIDE_DOMAIN, judge_autoconfig, "Thunderbird and Outlook fetch their settings from there."},
    {"caa", OUTSIDE_DOMAIN, judge_caa, "It keeps other authorities from signing certificates for the domain."},
};
enum { ROWS = sizeof rows / sizeof *rows };

struct outside_check *outside_check_new(const struct outside_facts *facts, const struct outside_clock *clock, unsigned scope, int64_t now)
{
    struct outside_check *c = xcalloc(1, sizeof *c);

    c->facts = facts;
    c->clock = clock;
    c->scope = scope;
    c->now = now;
    arena_init(&c->arena, MEMORY);
    (void)outside_records_make(&c->records, facts); /* those that do not fit are not looked for */
    return c;
}

void outside_check_free(struct outside_check *c)
{
    if (c == NULL)
        return;
    outside_records_clear(&c->records);
    arena_clear(&c->arena);
    free(c);
}

bool outside_check_run(struct outside_check *c)
{
    bool all = true;

    for (size_t i = 0; i < ROWS; i++) {
        size_t results = c->result_count;

        if ((c->done & 1u << i) || !(rows[i].scope & c->scope))
            continue;
        c->row = &rows[i];
        c->waits = false;
        rows[i].judge(c);
        if (c->waits && !c->gave_up) {
            c->result_count = results;
            all = false;
        } else {
            c->done |= 1u << i;
        }
    }
    return all;
}

struct outside_question *outside_check_next_question(struct outside_check *c)
{
    for (size_t i = 0; i < c->question_count; i++) {
        if (!c->questions[i].asked) {
            c->questions[i].asked = true;
            return &c->questions[i];
        }
    }
    return NULL;
}

struct outside_probe *outside_check_next_probe(struct outside_check *c)
{
    for (size_t i = 0; i < c->probe_count; i++) {
        if (!c->probes[i].asked) {
            c->probes[i].asked = true;
            return &c->probes[i];
        }
    }
    return NULL;
}

bool outside_check_waits(const struct outside_check *c)
{
    for (size_t i = 0; i < c->question_count; i++)
        if (c->questions[i].asked && !c->questions[i].answered)
            return true;
    for (size_t i = 0; i < c->probe_count; i++)
        if (c->probes[i].asked && !c->probes[i].answered)
            return true;
    return false;
}

static struct str keep(struct outside_check *c, struct str text, bool *failed)
{
    struct str copy = arena_str(&c->arena, text);

    *failed = *failed || copy.p == NULL;
    return copy.p == NULL ? STR("") : copy;
}

void outside_check_answer(struct outside_check *c, struct outside_question *q, enum dns_status status, bool secure, struct str records)
{
    bool failed = false;

    q->answered = true;
    q->secure = secure;
    q->records = keep(c, records, &failed);
    q->status = failed ? DNS_SERVFAIL : status;
}

void outside_check_probed(struct outside_check *c, struct outside_probe *p, const struct outside_probe *answer)
{
    bool failed = false;

    p->answered = true;
    p->tried = answer->tried;
    p->connected = answer->connected;
    p->greeting = answer->greeting;
    p->rcpt_code = answer->rcpt_code;
    p->text = keep(c, answer->text, &failed);
}

void outside_check_give_up(struct outside_check *c)
{
    c->gave_up = true;
    for (size_t i = 0; i < c->question_count; i++)
        if (!c->questions[i].answered)
            outside_check_answer(c, &c->questions[i], DNS_TIMEOUT, false, STR(""));
    for (size_t i = 0; i < c->probe_count; i++)
        if (!c->probes[i].answered)
            outside_check_probed(c, &c->probes[i], &(struct outside_probe){.text = STR("there was no time left")});
}

size_t outside_check_count(const struct outside_check *c)
{
    return c->result_count;
}

const struct outside_result *outside_check_result(const struct outside_check *c, size_t i)
{
    return &c->results[i];
}

enum outside_level outside_check_worst(const struct outside_check *c)
{
    enum outside_level worst = OUTSIDE_OK;

    for (size_t i = 0; i < c->result_count; i++)
        if (c->results[i].level > worst)
            worst = c->results[i].level;
    return worst;
}

void outside_result_write(const struct outside_result *r, struct str subject, struct buf *out)
{
    json_open(out);
    json_str(out, "level", str_of(outside_level_words[r->level]));
    json_str(out, "subject", subject);
    json_str(out, "check", str_of(r->check));
    json_str(out, "item", r->item);
    json_str(out, "text", r->text);
    if (r->publish.n > 0)
        json_str(out, "publish", r->publish);
    if (r->level != OUTSIDE_OK)
        json_str(out, "why", str_of(r->why));
    json_bool(out, "unknown", r->unknown);
    json_close(out);
}

/* ---- for the judgements ---- */

/* What stands for an answer that there is no room to ask for, or no time. */
static const struct outside_question no_answer = {.asked = true, .answered = true, .status = DNS_TIMEOUT};
static const struct outside_question no_name = {.asked = true, .answered = true, .status = DNS_NXDOMAIN};
static const struct outside_probe no_probe = {.asked = true, .answered = true, .text = {"there was no time left", 22}};

const struct outside_question *judge_look(struct outside_check *c, struct str name, unsigned type)
{
    struct outside_question *q;
    bool failed = false;

    if (!dns_name_can_be_asked(name))
        return &no_name;
    for (size_t i = 0; i < c->question_count; i++) {
        q = &c->questions[i];
        if (q->type != type || !str_ieq(q->name, name))
            continue;
        c->waits = c->waits || !q->answered;
        return q->answered ? q : NULL;
    }
    if (c->question_count == OUTSIDE_QUESTIONS || c->gave_up)
        return &no_answer;
    q = &c->questions[c->question_count];
    *q = (struct outside_question){.name = keep(c, name, &failed), .type = type};
    if (failed)
        return &no_answer;
    c->question_count++;
    c->waits = true;
    return NULL;
}

const struct outside_probe *judge_probe(struct outside_check *c, const struct ip *ip, unsigned port, struct str rcpt)
{
    bool failed = false;

    for (size_t i = 0; i < c->probe_count; i++) {
        struct outside_probe *p = &c->probes[i];

        if (!ip_equal(&p->ip, ip) || p->port != port || !str_eq(p->rcpt, rcpt))
            continue;
        c->waits = c->waits || !p->answered;
        return p->answered ? p : NULL;
    }
    if (c->probe_count == OUTSIDE_PROBES || c->gave_up)
        return &no_probe;
    c->probes[c->probe_count] = (struct outside_probe){.ip = *ip, .port = port, .rcpt = keep(c, rcpt, &failed)};
    if (failed)
        return &no_probe;
    c->probe_count++;
    c->waits = true;
    return NULL;
}

bool judge_is_silent(const struct outside_question *q)
{
    return q->status == DNS_SERVFAIL || q->status == DNS_TIMEOUT || q->status == DNS_BOGUS;
}

__attribute__((format(printf, 2, 0))) static struct str format_text(struct outside_check *c, const char *format, va_list args)
{
    char text[TEXT];
    bool failed = false;
    int n = vsnprintf(text, sizeof text, format, args);

    return keep(c, str_from(text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1), &failed);
}

struct str judge_text(struct outside_check *c, const char *format, ...)
{
    struct str text;
    va_list args;

    va_start(args, format);
    text = format_text(c, format, args);
    va_end(args);
    return text;
}

static struct outside_result *add_result(struct outside_check *c, struct str item)
{
    struct outside_result *r;
    bool failed = false;

    if (c->result_count == OUTSIDE_RESULTS)
        return NULL;
    r = &c->results[c->result_count++];
    *r = (struct outside_result){.check = c->row->name, .item = keep(c, item, &failed), .why = c->row->why, .text = STR(""), .publish = STR("")};
    return r;
}

void judge_note(struct outside_check *c, struct str item, enum outside_level level, const struct outside_record *publish, const char *format, ...)
{
    struct outside_result *r = c->waits ? NULL : add_result(c, item);
    bool failed = false;
    struct buf line;
    va_list args;

    if (r == NULL)
        return;
    r->level = level;
    va_start(args, format);
    r->text = format_text(c, format, args);
    va_end(args);
    if (publish == NULL)
        return;
    buf_init(&line, TEXT);
    outside_record_write(publish, &line);
    r->publish = keep(c, buf_str(&line), &failed);
    buf_clear(&line);
}

void judge_note_unknown(struct outside_check *c, struct str item, const char *format, ...)
{
    struct outside_result *r = c->waits ? NULL : add_result(c, item);
    va_list args;

    if (r == NULL)
        return;
    r->level = OUTSIDE_WARNING;
    r->unknown = true;
    va_start(args, format);
    r->text = format_text(c, format, args);
    va_end(args);
}

const struct outside_record *judge_expected(const struct outside_check *c, enum outside_kind kind, struct str name)
{
    for (size_t i = 0; i < c->records.n; i++)
        if (c->records.items[i].kind == kind && (name.n == 0 || str_ieq(c->records.items[i].name, name)))
            return &c->records.items[i];
    return NULL;
}

bool judge_holds(const struct outside_question *q, struct str data)
{
    struct str rest = q->records, rdata;
    bool holds = false;
    struct buf text;

    buf_init(&text, TEXT);
    while (!holds && dns_next_record(&rest, &rdata)) {
        buf_reset(&text);
        dns_data_write(q->type, rdata, &text);
        holds = str_ieq(buf_str(&text), data);
    }
    buf_clear(&text);
    return holds;
}

struct str judge_found(struct outside_check *c, const struct outside_question *q)
{
    struct str rest = q->records, rdata, found;
    struct buf text;
    bool failed = false;

    if (q->status == DNS_BOGUS)
        return STR("DNSSEC validation fails");
    if (judge_is_silent(q))
        return STR("DNS does not answer");
    if (q->status != DNS_OK)
        return STR("there is no such record");
    buf_init(&text, TEXT);
    for (int n = 0; n < 5 && dns_next_record(&rest, &rdata); n++) {
        buf_add(&text, n ? STR(", ") : STR(""));
        dns_data_write(q->type, rdata, &text);
    }
    found = keep(c, buf_str(&text), &failed);
    buf_clear(&text);
    return found;
}
