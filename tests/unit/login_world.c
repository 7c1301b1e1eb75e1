/* Conversations with a machine before login. See login_world.h. */
#include "login_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct buf said;

static void add_data(struct str data)
{
    for (size_t i = 0; i < data.n; i++)
        buf_add_char(&said, data.p[i] ? data.p[i] : '|');
}

static void w_send(void *arg, struct str bytes)
{
    (void)arg;
    buf_add(&said, bytes);
}

static void w_start_tls(void *arg)
{
    (void)arg;
    buf_add(&said, STR("<tls>"));
}

static void w_begin(void *arg, struct str mechanism, bool has_initial, struct str initial)
{
    (void)arg;
    buf_addf(&said, "<begin %.*s%s", STR_ARG(mechanism), has_initial ? " " : "");
    add_data(initial);
    buf_add_char(&said, '>');
}

static void w_step(void *arg, struct str data)
{
    (void)arg;
    buf_add(&said, STR("<step "));
    add_data(data);
    buf_add_char(&said, '>');
}

static void w_cancel(void *arg)
{
    (void)arg;
    buf_add(&said, STR("<cancel>"));
}

static void w_open(void *arg, unsigned flags, struct str tag)
{
    (void)arg;
    buf_addf(&said, "<open %.*s%s%u>", STR_ARG(tag), tag.n > 0 ? " " : "", flags);
}

static void w_close(void *arg)
{
    (void)arg;
    buf_add(&said, STR("<close>"));
}

const struct login_world login_said = {w_send, w_start_tls, w_begin, w_step, w_cancel, w_open, w_close, NULL};

static void world_says(const struct login_protocol *p, void *m, const char *what)
{
    struct str word = str_of(what), rest = str_skip(word, 1);
    struct login_outcome outcome = {.result = AUTH_OK, .may_read = true};

    rest.n--;
    if (str_starts(rest, STR("challenge "))) {
        p->challenge(m, str_skip(rest, 10));
    } else if (str_starts(rest, STR("ok"))) {
        outcome.data = str_skip(rest, 3);
        p->done(m, &outcome);
    } else if (str_starts(rest, STR("send-only"))) {
        outcome.may_read = false;
        p->done(m, &outcome);
    } else if (str_starts(rest, STR("result "))) {
        outcome.result = (enum auth_result)(rest.p[7] - '0');
        p->done(m, &outcome);
    } else if (str_starts(rest, STR("secured"))) {
        p->secured(m);
    } else {
        fail_msg("unknown word %s", what);
    }
}

/* Feeds bytes as a connection does: what is not used comes again with the rest. */
static void feed(const struct login_protocol *p, void *m, struct buf *pending, struct str bytes)
{
    size_t used;

    buf_add(pending, bytes);
    while (pending->n > 0 && !p->waits(m) && (used = p->input(m, buf_str(pending))) > 0)
        buf_consume(pending, used);
}

/* One turn: the client's bytes in two pieces, cut there. */
static void take_turn(const struct login_protocol *p, void *m, struct buf *pending, const struct turn *turn, size_t cut)
{
    struct str say = turn->say == NULL ? (struct str){0} : str_of(turn->say);

    if (str_starts(say, STR("<"))) {
        world_says(p, m, turn->say);
        feed(p, m, pending, (struct str){0});
    } else {
        feed(p, m, pending, str_sub(say, 0, cut));
        feed(p, m, pending, str_skip(say, cut));
    }
    if (!str_eq(buf_str(&said), str_of(turn->expect)))
        fail_msg("after %s (cut at %zu)\n expected: %s\n      got: %.*s", turn->say ? turn->say : "greeting", cut, turn->expect,
            STR_ARG(buf_str(&said)));
    buf_reset(&said);
}

static void converse_cut(const struct login_protocol *p, const char *hostname, unsigned flags, const struct turn *turns, size_t cut)
{
    void *m = p->new(&login_said, NULL, str_of(hostname), flags);
    struct buf pending;

    buf_init(&pending, 100000);
    buf_init(&said, 100000);
    p->greet(m);
    for (; turns->expect != NULL; turns++) {
        size_t n = turns->say == NULL ? 0 : strlen(turns->say);

        take_turn(p, m, &pending, turns, cut < n ? cut : n);
    }
    p->free(m);
    buf_clear(&pending);
    buf_clear(&said);
}

void converse_with(const struct login_protocol *p, const char *hostname, unsigned flags, const struct turn *turns)
{
    size_t longest = 0;

    for (const struct turn *t = turns; t->expect != NULL; t++)
        if (t->say != NULL && strlen(t->say) > longest)
            longest = strlen(t->say);
    for (size_t cut = 0; cut <= longest; cut += longest > 1000 ? 997 : 1)
        converse_cut(p, hostname, flags, turns, cut);
}
