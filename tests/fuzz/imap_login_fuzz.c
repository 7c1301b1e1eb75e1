/* IMAP before login fed with any bytes. The first byte chooses the flags; where the machine waits, the world answers with
 * what the next bytes of the input choose. Each answer must be whole lines, and no password may cross without TLS. */
#include "base/buf.h"
#include "roles/access/imap_login.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    bool asked, tls, over;
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
    (void)flags;
    if (tag.n == 0 || tag.n > 64 || !str_is_printable(tag))
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
        imap_login.secured(m);
    } else if (w->asked) {
        w->asked = false;
        if (choice & 128)
            imap_login.challenge(m, data);
        else
            imap_login.done(m, &outcome);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.flags = size > 0 ? data[0] & 7u : 0};
    size_t piece = size > 0 && data[0] & 128 ? (data[0] >> 3 & 15) + 1u : SIZE_MAX;
    struct str input = str_skip(str_from((const char *)data, size), 1);
    void *m;

    if ((w.flags & LOGIN_SECURE) && (w.flags & LOGIN_STARTTLS))
        w.flags &= ~(unsigned)LOGIN_STARTTLS;
    m = imap_login.new(&functions, &w, STR("host.test"), w.flags);
    imap_login.greet(m);
    for (size_t most = piece; input.n > 0 && !w.over;) {
        size_t used;

        if (imap_login.waits(m)) {
            answer(&w, m, (uint8_t)input.p[0], str_sub(input, 0, 5));
            input = str_skip(input, 1);
            continue;
        }
        used = imap_login.input(m, str_sub(input, 0, most < input.n ? most : input.n));
        if (used > input.n)
            abort();
        if (used == 0 && most >= input.n)
            break;
        most = used == 0 ? input.n : piece; /* a response is taken when it is whole */
        input = str_skip(input, used);
    }
    check_line(&w);
    if (!w.over && !w.tls)
        imap_login.bye(m, "end");
    imap_login.free(m);
    return 0;
}
