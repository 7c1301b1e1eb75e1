#include "batch.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "dns/text.h"

#include <inttypes.h>

enum { VALUE = 128 * 1024, LONGEST_SECONDS = 60 };

void outside_batch_add_questions(struct outside_batch *b, struct outside_check *check, struct buf *args)
{
    struct outside_question *q;

    while (b->n < OUTSIDE_BATCH && (q = outside_check_next_question(check)) != NULL) {
        buf_addf(args, "%.*s/", STR_ARG(q->name));
        dns_type_write(q->type, args);
        buf_add_char(args, 0);
        b->items[b->n].check = check;
        b->items[b->n].probe = NULL;
        b->items[b->n++].question = q;
    }
}

void outside_batch_end_questions(struct buf *args, int64_t left)
{
    int64_t seconds = left / SECOND;

    buf_addf(args, "packed=yes%cwithin=%" PRId64 "%c", 0, seconds < 1 ? 1 : seconds > LONGEST_SECONDS ? LONGEST_SECONDS : seconds, 0);
}

void outside_batch_add_probes(struct outside_batch *b, struct outside_check *check, struct buf *args)
{
    struct outside_probe *p;
    char ip[IP_TEXT];

    while (b->n < OUTSIDE_BATCH && (p = outside_check_next_probe(check)) != NULL) {
        ip_format(&p->ip, ip);
        buf_addf(args, "%s,%u,%.*s%c", ip, p->port, STR_ARG(p->rcpt), 0);
        b->items[b->n].check = check;
        b->items[b->n].question = NULL;
        b->items[b->n++].probe = p;
    }
}

static struct str value_of(struct str json, const char *key, struct buf *out)
{
    buf_reset(out);
    (void)json_read(json, key, out);
    return buf_str(out);
}

static unsigned number_of(struct str json, const char *key, struct buf *scratch)
{
    uint64_t n = 0;

    return str_to_u64(value_of(json, key, scratch), 100000, &n) ? (unsigned)n : 0;
}

static enum dns_status status_of(struct str word)
{
    static const char *const words[] = {[DNS_OK] = "ok", [DNS_NXDOMAIN] = "nxdomain", [DNS_NODATA] = "nodata", [DNS_SERVFAIL] = "servfail",
        [DNS_TIMEOUT] = "timeout", [DNS_BOGUS] = "bogus"};

    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (str_eq(word, str_of(words[i])))
            return (enum dns_status)i;
    return DNS_SERVFAIL;
}

static void take_answer(struct outside_batch *b, struct str json, struct str name, struct buf *scratch)
{
    unsigned type = 0;
    enum dns_status status;
    struct buf records;
    bool secure, good;

    good = dns_type_read(value_of(json, "type", scratch), &type);
    status = status_of(value_of(json, "status", scratch));
    secure = str_eq(value_of(json, "secure", scratch), STR("true"));
    buf_init(&records, VALUE);
    good = good && base64_decode(&records, value_of(json, "packed", scratch));
    for (size_t i = 0; good && i < b->n; i++) {
        struct outside_question *q = b->items[i].question;

        if (q != NULL && !q->answered && q->type == type && str_ieq(q->name, name))
            outside_check_answer(b->items[i].check, q, status, secure, buf_str(&records));
    }
    buf_clear(&records);
}

static void take_probe(struct outside_batch *b, struct str json, const struct ip *ip, struct buf *scratch)
{
    struct outside_probe answer = {.tried = true, .greeting = number_of(json, "greeting", scratch),
        .rcpt_code = number_of(json, "recipient_code", scratch)};
    unsigned port = number_of(json, "port", scratch);
    struct buf rcpt;

    buf_init(&rcpt, VALUE);
    (void)value_of(json, "recipient", &rcpt);
    answer.connected = str_eq(value_of(json, "connected", scratch), STR("true"));
    answer.text = value_of(json, "text", scratch);
    for (size_t i = 0; i < b->n; i++) {
        struct outside_probe *p = b->items[i].probe;

        if (p != NULL && !p->answered && ip_equal(&p->ip, ip) && p->port == port && str_eq(p->rcpt, buf_str(&rcpt)))
            outside_check_probed(b->items[i].check, p, &answer);
    }
    buf_clear(&rcpt);
}

void outside_batch_take(struct outside_batch *b, struct str json)
{
    struct buf name, scratch;
    struct ip ip;

    buf_init(&name, VALUE);
    buf_init(&scratch, 2 * VALUE);
    if (value_of(json, "name", &name).n > 0)
        take_answer(b, json, buf_str(&name), &scratch);
    else if (ip_parse(value_of(json, "address", &name), &ip))
        take_probe(b, json, &ip, &scratch);
    buf_clear(&name);
    buf_clear(&scratch);
}

void outside_batch_give_up(struct outside_batch *b, struct str why)
{
    for (size_t i = 0; i < b->n; i++) {
        if (b->items[i].question != NULL && !b->items[i].question->answered)
            outside_check_answer(b->items[i].check, b->items[i].question, DNS_TIMEOUT, false, STR(""));
        if (b->items[i].probe != NULL && !b->items[i].probe->answered)
            outside_check_probed(b->items[i].check, b->items[i].probe, &(struct outside_probe){.text = why});
    }
    b->n = 0;
}
