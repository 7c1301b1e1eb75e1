/* See dkim_world.h. */
#include "dkim_world.h"
#include "dns/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

struct open_check {
    char asked[DNS_NAME_TEXT];
    bool open, done;
};

static void on_ask(void *owner, struct str name, unsigned type)
{
    struct open_check *check = owner;

    assert_int_equal(type, DNS_TXT);
    assert_false(check->open);
    snprintf(check->asked, sizeof check->asked, "%.*s", STR_ARG(name));
    check->open = true;
}

static void on_done(void *owner)
{
    struct open_check *check = owner;

    assert_false(check->done);
    check->done = true;
}

static const struct dkim_verify_world world = {.ask = on_ask, .done = on_done};

/* ---- DNS ---- */

void dkim_zone_add(struct dkim_zone *zone, const char *name, const char *text)
{
    assert_true(zone->n < DKIM_KEYS && strlen(text) < DKIM_KEY_TEXT);
    snprintf(zone->keys[zone->n].name, sizeof zone->keys[0].name, "%s", name);
    snprintf(zone->keys[zone->n].text, sizeof zone->keys[0].text, "%s", text);
    zone->keys[zone->n++].status = DNS_OK;
}

void dkim_zone_fail(struct dkim_zone *zone, const char *name, enum dns_status status)
{
    dkim_zone_add(zone, name, "");
    zone->keys[zone->n - 1].status = status;
}

static void pack(struct str text, struct buf *out)
{
    struct buf rdata;

    buf_init(&rdata, 2 * DKIM_KEY_TEXT);
    while (text.n > 0) {
        size_t n = text.n > 255 ? 255 : text.n;

        buf_add_char(&rdata, (char)n);
        buf_add(&rdata, str_sub(text, 0, n));
        text = str_skip(text, n);
    }
    dns_add_record(out, buf_str(&rdata));
    buf_clear(&rdata);
}

enum dns_status dkim_zone_look_up(const struct dkim_zone *zone, const char *name, struct buf *out)
{
    enum dns_status status = DNS_NXDOMAIN;

    for (size_t i = 0; i < zone->n; i++)
        if (str_ieq(str_of(zone->keys[i].name), str_of(name))) {
            status = zone->keys[i].status;
            if (status == DNS_OK)
                pack(str_of(zone->keys[i].text), out);
        }
    return status;
}

static void answer_all(struct dkim_zone *zone, struct dkim_verify *v, struct open_check *check)
{
    while (check->open) {
        struct buf records;
        enum dns_status status;

        buf_init(&records, 1 << 16);
        status = dkim_zone_look_up(zone, check->asked, &records);
        check->open = false;
        zone->asked++;
        dkim_verify_answer(v, status, buf_str(&records));
        buf_clear(&records);
    }
}

/* ---- messages ---- */

void dkim_read_message(const char *file, struct buf *message)
{
    char path[500];
    FILE *f;
    int c, last = 0;

    snprintf(path, sizeof path, "%s/dkim/%s", VECTORS_FOLDER, file);
    f = fopen(path, "rb");
    assert_non_null(f);
    buf_init(message, 1 << 20);
    for (; (c = getc(f)) != EOF; last = c) {
        if (c == '\n' && last != '\r')
            buf_add_char(message, '\r');
        buf_add_char(message, (char)c);
    }
    fclose(f);
}

struct str dkim_walk_header(struct str message, void (*on_field)(void *owner, struct str field), void *owner)
{
    while (message.n > 0) {
        size_t n = 0;

        if (str_starts(message, STR("\r\n")))
            return str_skip(message, 2);
        do {
            ptrdiff_t end = str_find(str_skip(message, n), '\n');

            n = end < 0 ? message.n : n + (size_t)end + 1;
        } while (n < message.n && (message.p[n] == ' ' || message.p[n] == '\t'));
        on_field(owner, str_sub(message, 0, n));
        message = str_skip(message, n);
    }
    return message;
}

static void feed_field(void *owner, struct str field)
{
    dkim_verify_field(owner, field);
}

struct dkim_verify *dkim_verify_message(struct dkim_zone *zone, struct str message, uint64_t now, struct dkim_way way)
{
    struct open_check check = {.open = false};
    struct dkim_verify *v = dkim_verify_new(&world, &check, now);
    struct str body;

    dkim_verify_use_keys(v, zone->keys_kept);
    body = dkim_walk_header(message, feed_field, v);
    dkim_verify_header_end(v);
    if (!way.late)
        answer_all(zone, v, &check);
    for (size_t at = 0; at < body.n; at += way.cut)
        dkim_verify_body(v, str_sub(body, at, at + way.cut));
    assert_false(check.done);
    dkim_verify_end(v);
    answer_all(zone, v, &check);
    assert_true(check.done);
    return v;
}

const char *dkim_describe(const struct dkim_verify *v)
{
    static char text[8000];
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < dkim_verify_count(v); i++) {
        const struct dkim_outcome *o = dkim_verify_outcome(v, i);

        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s/%.*s/%.*s", i > 0 ? " " : "", dkim_result_name(o->result),
            STR_ARG(o->domain), STR_ARG(o->algorithm));
        assert_true(n < sizeof text);
        if ((o->result == DKIM_PASS) != (o->reason[0] == '\0'))
            fail_msg("%s with the reason \"%s\"", text, o->reason);
    }
    return text;
}
