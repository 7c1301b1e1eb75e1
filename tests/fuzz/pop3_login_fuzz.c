/* POP3 before login fed with any bytes. The first byte chooses the flags; where the machine waits, the
 * world answers with what the next bytes of the input choose. */
#include "base/buf.h"
#include "roles/access/pop3_login.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    bool asked, tls, over;
    unsigned flags;
};

static void w_send(void *arg, struct str bytes)
{
    (void)arg;
    if (bytes.n > 0 && memchr(bytes.p, 0, bytes.n) != NULL)
        abort();
}

static void w_start_tls(void *arg)
{
    struct world *w = arg;

    if (!(w->flags & LOGIN_STARTTLS))
        abort();
    w->tls = true;
}

/* No password crosses without TLS or loopback. */
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

static void w_end(void *arg)
{
    struct world *w = arg;

    if (w->over)
        abort();
    w->over = true;
}

static void w_open(void *arg, unsigned flags, struct str tag)
{
    (void)flags;
    (void)tag;
    w_end(arg);
}

static const struct login_world functions = {w_send, w_start_tls, w_begin, w_step, w_cancel, w_open, w_end};

static void answer(struct world *w, void *m, uint8_t choice, struct str data)
{
    struct login_outcome outcome = {(enum auth_result)(choice % 7), choice & 64, data};

    if (w->tls) {
        w->tls = false;
        w->flags = (w->flags | LOGIN_SECURE) & ~(unsigned)LOGIN_STARTTLS;
        pop3_login.secured(m);
    } else if (w->asked) {
        w->asked = false;
        if (choice & 128)
            pop3_login.challenge(m, data);
        else
            pop3_login.done(m, &outcome);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.flags = size > 0 ? data[0] & 7u : 0};
    struct str input = str_skip(str_from((const char *)data, size), 1);
    void *m;

    if ((w.flags & LOGIN_SECURE) && (w.flags & LOGIN_STARTTLS))
        w.flags &= ~(unsigned)LOGIN_STARTTLS;
    m = pop3_login.new(&functions, &w, STR("host.test"), w.flags);
    pop3_login.greet(m);
    while (input.n > 0 && !w.over) {
        size_t used;

        if (pop3_login.waits(m)) {
            answer(&w, m, (uint8_t)input.p[0], str_sub(input, 0, 5));
            input = str_skip(input, 1);
            continue;
        }
        used = pop3_login.input(m, input);
        if (used > input.n)
            abort();
        if (used == 0)
            break;
        input = str_skip(input, used);
    }
    pop3_login.bye(m, "end");
    pop3_login.free(m);
    return 0;
}
