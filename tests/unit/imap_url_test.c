/* IMAP URLs: what CATENATE takes, and what not. */
#include "imap/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* "mailbox absolute uidvalidity uid depth.part offset.length", or "bad". */
static void describe(const char *text, char *out, size_t size)
{
    struct arena arena;
    struct imap_url url;

    arena_init(&arena, 1 << 20);
    if (imap_url_parse(str_of(text), &arena, &url)) {
        int n = snprintf(out, size, "%.*s%s v%u u%u", STR_ARG(url.mailbox), url.absolute ? "" : " beside", url.uidvalidity, url.uid);

        for (size_t i = 0; i < url.section.depth; i++)
            n += snprintf(out + n, size - (size_t)n, " %u", url.section.path[i]);
        n += snprintf(out + n, size - (size_t)n, " p%d", url.section.part);
        for (size_t i = 0; i < url.section.field_count; i++)
            n += snprintf(out + n, size - (size_t)n, " %.*s", STR_ARG(url.section.fields[i]));
        if (url.partial)
            snprintf(out + n, size - (size_t)n, " %llu+%llu", (unsigned long long)url.offset, (unsigned long long)url.length);
    } else {
        snprintf(out, size, "bad");
    }
    arena_clear(&arena);
}

static void parse(void **state)
{
    static const struct {
        const char *text, *expected;
    } urls[] = {
        {"/INBOX/;UID=20", "INBOX v0 u20 p0"}, {"/inbox;UIDVALIDITY=785799047/;UID=113330", "INBOX v785799047 u113330 p0"},
        {"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.5.9", "Drafts v385759045 u20 1 5 9 p0"},
        {"/a/b%20c/;UID=1/;SECTION=HEADER", "a/b c v0 u1 p1"}, {"/a%3Bb/;UID=1/;SECTION=TEXT", "a;b v0 u1 p4"},
        {"/%C3%BC/;UID=1/;SECTION=2.MIME", "\xc3\xbc v0 u1 2 p5"}, {"/u%CC%88/;UID=1", "\xc3\xbc v0 u1 p0"},
        {"/INBOX/;UID=1/;SECTION=1.HEADER.FIELDS%20(From%20To)", "INBOX v0 u1 1 p2 From To"},
        {"/INBOX/;UID=1/;SECTION=HEADER.FIELDS.NOT%20(%22a/b%22)/;PARTIAL=7", "INBOX v0 u1 p3 a/b 7+9223372036854775807"},
        {"/INBOX/;uid=1/;partial=0.1024", "INBOX v0 u1 p0 0+1024"}, {"/INBOX/;UID=1/;SECTION=1/;PARTIAL=10.5", "INBOX v0 u1 1 p0 10+5"},
        {";UID=7/;SECTION=1.2", " beside v0 u7 1 2 p0"}, {"Sent/;UID=7", "Sent beside v0 u7 p0"}, {"/a&b/;UID=1", "a&b v0 u1 p0"},
        {"", "bad"}, {"/", "bad"}, {"/INBOX", "bad"}, {"/INBOX/", "bad"}, {"/INBOX/;UID=", "bad"}, {"/INBOX/;UID=0", "bad"}, {"/INBOX/;UID=4294967296", "bad"},
        {"/INBOX/;UID=1x", "bad"}, {"/INBOX/;UID=1/", "bad"}, {"/INBOX/;UID=1:3", "bad"}, {"/INBOX;UID=1", "bad"}, {"/;UID=1", "bad"}, {"//host/INBOX/;UID=1", "bad"},
        {"imap://host/INBOX/;UID=1", "bad"}, {"imap://u@host/INBOX;UIDVALIDITY=1/;UID=1", "bad"}, {"/INBOX;UIDVALIDITY=0/;UID=1", "bad"},
        {"/INBOX;UIDVALIDITY=1;UID=1", "bad"}, {"/IN%BOX/;UID=1", "bad"}, {"/IN%4/;UID=1", "bad"}, {"/INBOX%/;UID=1", "bad"}, {"/%FF/;UID=1", "bad"},
        {"/INBOX/;UID=1/;SECTION=", "bad"}, {"/INBOX/;UID=1/;SECTION=0", "bad"}, {"/INBOX/;UID=1/;SECTION=1.", "bad"}, {"/INBOX/;UID=1/;SECTION=1]x[", "bad"},
        {"/INBOX/;UID=1/;SECTION=MIME", "bad"}, {"/INBOX/;UID=1/;SECTION=HEADER.FIELDS", "bad"}, {"/INBOX/;UID=1/;PARTIAL=", "bad"}, {"/INBOX/;UID=1/;PARTIAL=1.0", "bad"},
        {"/INBOX/;UID=1/;PARTIAL=1.", "bad"}, {"/INBOX/;UID=1/;PARTIAL=1.2/;SECTION=1", "bad"}, {"/INBOX/;UID=1;URLAUTH=anonymous:INTERNAL:0123", "bad"},
        {"/INBOX?SUBJECT%20x", "bad"}, {"/INBOX/;UID=1/;SECTION=%00", "bad"},
    };
    char got[500];

    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        describe(urls[i].text, got, sizeof got);
        if (strcmp(got, urls[i].expected) != 0)
            fail_msg("%s: %s, not %s", urls[i].text, got, urls[i].expected);
    }
}

static void shown(void **state)
{
    static char much[3000];
    struct buf out;

    (void)state;
    buf_init(&out, 1 << 16);
    imap_url_write(&out, STR("/a]b\\\r\n\"\xc3\xbc/;UID=1"));
    assert_true(str_eq(buf_str(&out), STR("/a%5Db%5C%0D%0A\"%C3%BC/;UID=1")));
    buf_reset(&out);
    memset(much, 1, sizeof much);
    imap_url_write(&out, str_from(much, sizeof much));
    assert_int_equal(out.n, 3 * IMAP_URL_SHOWN);
    buf_clear(&out);
}

/* What does not fit into the arena is refused. */
static void no_room(void **state)
{
    struct arena arena;
    struct imap_url url;
    static char text[2000];
    size_t n = (size_t)snprintf(text, sizeof text, "/%01000d/;UID=1", 0);

    (void)state;
    for (size_t room = 0; room < 2500; room += 100) {
        arena_init(&arena, room);
        (void)imap_url_parse(str_from(text, n), &arena, &url);
        arena_clear(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parse), cmocka_unit_test(shown), cmocka_unit_test(no_room)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
