/* Any bytes as a client's: cut in two places they give the same commands; whatever parses can be described; what is
 * written of it can be read again. */
#include "../unit/imap_describe.h"
#include "imap/input.h"
#include "imap/url.h"
#include "imap/write.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void name_again(struct str name)
{
    struct buf wire, back;

    if (!str_is_utf8(name))
        return;
    buf_init(&wire, 1 << 20);
    buf_init(&back, 1 << 20);
    imap_mutf7_encode(&wire, name);
    assert(imap_mutf7_decode(&back, buf_str(&wire)));
    assert(str_eq(buf_str(&back), name));
    buf_clear(&wire);
    buf_clear(&back);
}

static void on_url(struct str text, struct buf *out)
{
    struct imap_url url;
    struct arena arena;

    arena_init(&arena, 1 << 20);
    if (imap_url_parse(text, &arena, &url)) {
        assert(url.uid > 0 && str_is_utf8(url.mailbox) && (!url.absolute || url.mailbox.n > 0));
        buf_addf(out, "url %.*s %u", STR_ARG(url.mailbox), url.uid);
    }
    imap_url_write(out, text);
    arena_clear(&arena);
}

/* Row by row, a place for each character: what imap_pattern_matches does with bits. */
static bool matches_by_rows(struct str pattern, struct str name)
{
    static bool at[2][2100];
    bool *now = at[0], *next = at[1];

    for (size_t i = 0; i <= name.n; i++)
        now[i] = i == 0;
    for (size_t p = 0; p < pattern.n; p++) {
        char c = pattern.p[p];
        bool *spare = now;

        for (size_t i = 0; i <= name.n; i++)
            if (c == '*' || c == '%')
                next[i] = now[i] || (i > 0 && next[i - 1] && (c == '*' || name.p[i - 1] != '/'));
            else
                next[i] = i > 0 && now[i - 1] && name.p[i - 1] == c;
        now = next;
        next = spare;
    }
    return now[name.n];
}

/* The reference and the patterns of a LIST stand for names too. INBOX has rules of its own. */
static void match_patterns(const struct imap_list *list)
{
    for (size_t i = 0; i < list->pattern_count; i++)
        for (size_t k = 0; k <= list->pattern_count && k < 20; k++) {
            struct str pattern = list->patterns[i], name = k == 0 ? list->reference : list->patterns[k - 1];

            name = str_sub(name, 0, 2047);
            if (!str_istarts(pattern, STR("INBOX")))
                assert(imap_pattern_matches(pattern, name) == matches_by_rows(pattern, name));
        }
}

static void on_command(struct str text, struct buf *out)
{
    struct imap_command c;
    struct arena arena;
    const char *why;

    arena_init(&arena, 8 << 20);
    if (imap_command_parse(text, text.n % 2 == 0, &arena, &c, &why)) {
        describe_command(out, &c);
        if (c.verb == IMAP_LIST)
            match_patterns(&c.list);
        if (c.verb == IMAP_SELECT)
            name_again(c.select.mailbox);
        if (c.verb == IMAP_FETCH && !c.fetch.set.saved) {
            imap_set_normalize(&c.fetch.set, 1000);
            for (size_t i = 1; i < c.fetch.set.n; i++)
                assert(c.fetch.set.ranges[i].from > c.fetch.set.ranges[i - 1].to + 1);
        }
    } else {
        assert(why != NULL);
        buf_add(out, str_of(why));
    }
    arena_clear(&arena);
}

static bool is_append(struct str text)
{
    struct str tag, rest;
    enum imap_verb verb;
    bool uid;

    return imap_command_verb(text, &tag, &uid, &verb, &rest) && verb == IMAP_APPEND;
}

struct world {
    struct imap_input in;
    struct arena arena;
    struct imap_append append;
    bool appending;
    struct buf out;
};

/* As the server does it: every step until one that needs more bytes. */
static void append_steps(struct world *w, bool whole)
{
    for (;;) {
        enum imap_append_step step = imap_append_next(&w->append, imap_input_command(&w->in), whole);

        buf_addf(&w->out, "<%d>", step);
        if (step == IMAP_APPEND_URL)
            on_url(w->append.url, &w->out);
        if (step == IMAP_APPEND_TAKE) {
            imap_input_take(&w->in);
            return;
        }
        if (step == IMAP_APPEND_LITERAL) {
            imap_input_stream(&w->in);
            return;
        }
        if (step == IMAP_APPEND_BAD || step == IMAP_APPEND_END) {
            w->appending = false;
            if (!whole)
                imap_input_refuse(&w->in);
            return;
        }
    }
}

static void begin_append(struct world *w)
{
    arena_clear(&w->arena);
    arena_init(&w->arena, 1 << 20);
    imap_append_init(&w->append, &w->arena, false, false);
    w->appending = true;
}

static void on_whole(struct world *w)
{
    if (!w->appending && is_append(imap_input_command(&w->in)))
        begin_append(w);
    if (w->appending)
        append_steps(w, true);
    else
        on_command(imap_input_command(&w->in), &w->out);
    w->appending = false;
    imap_input_done(&w->in);
}

static void feed(struct world *w, struct str bytes)
{
    for (;;) {
        switch (imap_input_next(&w->in, &bytes)) {
        case IMAP_INPUT_MORE:
            return;
        case IMAP_INPUT_COMMAND:
            on_whole(w);
            break;
        case IMAP_INPUT_LITERAL:
            if (!w->appending && is_append(imap_input_command(&w->in)))
                begin_append(w);
            if (w->appending)
                append_steps(w, false);
            else
                imap_input_take(&w->in);
            break;
        case IMAP_INPUT_BYTES:
            buf_add(&w->out, imap_input_bytes(&w->in));
            break;
        case IMAP_INPUT_STREAMED:
            imap_input_forget(&w->in);
            imap_append_streamed(&w->append);
            break;
        case IMAP_INPUT_TOO_LONG:
            buf_add(&w->out, STR("too long"));
            w->appending = false;
            imap_input_done(&w->in);
            break;
        }
    }
}

static void run(struct str bytes, size_t cut, struct buf *out)
{
    struct world w = {0};

    imap_input_init(&w.in);
    arena_init(&w.arena, 1 << 20);
    buf_init(&w.out, 1 << 24);
    feed(&w, str_sub(bytes, 0, cut));
    feed(&w, str_skip(bytes, cut));
    buf_add(out, buf_str(&w.out));
    buf_clear(&w.out);
    arena_clear(&w.arena);
    imap_input_clear(&w.in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data + 1, size - 1};
    struct buf one, two;

    if (size < 2)
        return 0;
    buf_init(&one, 1 << 25);
    buf_init(&two, 1 << 25);
    on_url(bytes, &one);
    buf_reset(&one);
    run(bytes, bytes.n, &one);
    run(bytes, data[0] % bytes.n, &two);
    assert(one.failed || two.failed || str_eq(buf_str(&one), buf_str(&two)));
    buf_clear(&one);
    buf_clear(&two);
    return 0;
}
