/* A machine before login fed with any bytes. See login_any.h. */
#include "login_any.h"
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

struct world {
    const struct login_protocol *p;
    bool tagged, asked, tls, over;
    unsigned flags;
    char last[2]; /* of what was sent */
};

static void w_send(void *arg, struct str bytes)
{
    struct world *w = arg;

    if (w->over || w->tls || (bytes.n > 0 && memchr(bytes.p, 0, bytes.n) != NULL))
        abort();
    for (size_t i = 0; i < bytes.n; i++) {
        w->last[0] = w->last[1];
        w->last[1] = bytes.p[i];
    }
}

static void check_line(const struct world *w)
{
    if (w->last[0] != '\r' || w->last[1] != '\n')
        abort();
}

static void w_start_tls(void *arg)
{
    struct world *w = arg;

    check_line(w);
    if (!(w->flags & LOGIN_STARTTLS))
        abort();
    w->tls = true;
}

static void w_begin(void *arg, struct str mechanism, bool has_initial, struct str initial)
{
    struct world *w = arg;

    (void)has_initial;
    if (w->over || w->asked || initial.n > 16384)
        abort();
    if (!(w->flags & (LOGIN_SECURE | LOGIN_LOOPBACK)) && !str_eq(mechanism, STR("SCRAM-SHA-256")))
        abort();
    w->asked = true;
}

static void w_step(void *arg, struct str data)
{
    struct world *w = arg;

    if (w->over || data.n > 16384)
        abort();
    w->asked = true;
}

static void w_cancel(void *arg)
{
    ((struct world *)arg)->asked = false;
}

static void w_close(void *arg)
{
    struct world *w = arg;

    if (w->over)
        abort();
    w->over = true;
}

static void w_open(void *arg, unsigned flags, struct str tag)
{
    const struct world *w = arg;

    (void)flags;
    if (w->tagged != (tag.n > 0) || tag.n > 64 || (tag.n > 0 && !str_is_printable(tag)))
        abort();
    w_close(arg);
}

static const struct login_world functions = {w_send, w_start_tls, w_begin, w_step, w_cancel, w_open, w_close, NULL};

static void answer(struct world *w, void *m, uint8_t choice, struct str data)
{
    struct login_outcome outcome = {(enum auth_result)(choice % 7), choice & 64, data};

    if (w->tls) {
        w->tls = false;
        w->flags = (w->flags | LOGIN_SECURE) & ~(unsigned)LOGIN_STARTTLS;
        w->p->secured(m);
    } else if (w->asked) {
        w->asked = false;
        if (choice & 128)
            w->p->challenge(m, data);
        else
            w->p->done(m, &outcome);
    }
}

void login_any(const struct login_protocol *p, bool tagged, const uint8_t *data, size_t size)
{
    struct world w = {.p = p, .tagged = tagged, .flags = size > 0 ? data[0] & 7u : 0};
    size_t piece = size > 0 && data[0] & 128 ? (data[0] >> 3 & 15) + 1u : SIZE_MAX;
    struct str input = str_skip(str_from((const char *)data, size), 1);
    void *m;

    if ((w.flags & LOGIN_SECURE) && (w.flags & LOGIN_STARTTLS))
        w.flags &= ~(unsigned)LOGIN_STARTTLS;
    m = p->new(&functions, &w, STR("host.test"), w.flags);
    p->greet(m);
    for (size_t most = piece; input.n > 0 && !w.over;) {
        size_t used;

        if (p->waits(m)) {
            answer(&w, m, (uint8_t)input.p[0], str_sub(input, 0, 5));
            input = str_skip(input, 1);
            continue;
        }
        used = p->input(m, str_sub(input, 0, most < input.n ? most : input.n));
        if (used > input.n)
            abort();
        if (used == 0 && most >= input.n)
            break;
        most = used == 0 ? input.n : piece; /* a response is taken when it is whole */
        input = str_skip(input, used);
    }
    check_line(&w);
    if (!w.over && !w.tls)
        p->bye(m, "end");
    p->free(m);
}
