/* See arc_world.h. */
#include "arc_world.h"
#include "dns/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

struct open_check {
    char asked[DNS_NAME_TEXT];
    bool open, done;
};

static void on_ask(void *owner, struct str name, unsigned type)
{
    struct open_check *check = owner;

    assert_int_equal(type, DNS_TXT);
    assert_false(check->open || check->done);
    snprintf(check->asked, sizeof check->asked, "%.*s", STR_ARG(name));
    check->open = true;
}

static void on_done(void *owner)
{
    struct open_check *check = owner;

    assert_false(check->done);
    check->done = true;
}

static const struct arc_verify_world world = {.ask = on_ask, .done = on_done};

static void answer_all(struct dkim_zone *zone, struct arc_verify *v, struct open_check *check)
{
    while (check->open) {
        struct buf records;
        enum dns_status status;

        buf_init(&records, 1 << 16);
        status = dkim_zone_look_up(zone, check->asked, &records);
        check->open = false;
        zone->asked++;
        arc_verify_answer(v, status, buf_str(&records));
        buf_clear(&records);
    }
}

static void feed_field(void *owner, struct str field)
{
    arc_verify_field(owner, field);
}

struct arc_verify *arc_verify_message(struct dkim_zone *zone, struct str message, uint64_t now, struct dkim_way way)
{
    struct open_check check = {.open = false};
    struct arc_verify *v = arc_verify_new(&world, &check, now);
    struct str body;

    arc_verify_use_keys(v, zone->keys_kept);
    body = dkim_walk_header(message, feed_field, v);
    arc_verify_header_end(v);
    if (!way.late)
        answer_all(zone, v, &check);
    for (size_t at = 0; at < body.n; at += way.cut)
        arc_verify_body(v, str_sub(body, at, at + way.cut));
    assert_false(check.done);
    arc_verify_end(v);
    answer_all(zone, v, &check);
    assert_true(check.done);
    return v;
}

void arc_result_is(struct dkim_zone *zone, struct str message, uint64_t now, enum arc_result wanted, const char *reason)
{
    struct arc_verify *v = arc_verify_message(zone, message, now, (struct dkim_way){997, false});

    assert_string_equal(arc_result_name(arc_verify_outcome(v)->result), arc_result_name(wanted));
    if (reason != NULL)
        assert_string_equal(arc_verify_outcome(v)->reason, reason);
    arc_verify_free(v);
}
