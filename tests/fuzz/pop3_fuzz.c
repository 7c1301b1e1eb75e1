/* A POP3 session after login fed with any bytes. The first byte chooses the flags and how the input
 * is cut; the maildrop holds messages with awkward line ends. */
#include "base/buf.h"
#include "roles/mailbox/pop3.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const mails[] = {
    "Subject: a\r\n\r\n.\r\n..\r\nx", "", "\n.\n\r.\r\n", "A: b\r\n", "\r\n\r\n\r\n.", "S: \xc3\xa9\r\n\r\nbody\r\n",
};
enum { MAILS = sizeof mails / sizeof *mails };

static enum pop3_result load(void *world, struct pop3 *p)
{
    (void)world;
    for (uint32_t i = 0; i < MAILS; i++)
        if (!pop3_add(p, i + 1, str_of(mails[i]).n, i == 5 ? POP3_NEEDS_UTF8 : 0))
            abort();
    return POP3_OK;
}

static enum pop3_result read_piece(void *world, uint32_t uid, uint64_t offset, struct str *piece)
{
    const size_t *at_once = world;

    *piece = str_sub(str_of(mails[uid - 1]), (size_t)offset, (size_t)offset + *at_once);
    return POP3_OK;
}

static enum pop3_result remove_one(void *world, uint32_t uid)
{
    (void)world;
    return uid <= MAILS ? POP3_OK : POP3_FAILED;
}

static enum pop3_result remove_commit(void *world)
{
    (void)world;
    return POP3_OK;
}

static void remove_abort(void *world)
{
    (void)world;
}

static const struct pop3_store store = {load, read_piece, remove_one, remove_commit, remove_abort};

/* Every line of the answers ends with CRLF, whatever was asked. */
static void check(struct str out)
{
    if (out.n > 0 && !str_ends(out, STR("\r\n")))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t at_once = size > 0 ? 1 + data[0] % 7u : 1, step = size > 1 ? 1 + data[1] : 1, taken = 0;
    struct pop3 *p = pop3_new(&store, &at_once, size > 0 ? data[0] >> 5 : 0);
    enum pop3_next next = POP3_AGAIN;

    for (size_t at = 2; at < size && next != POP3_CLOSED; at += step) {
        size_t n = size - at < step ? size - at : step;

        if (!pop3_input(p, str_from((const char *)data + at, n)))
            break;
        do {
            next = pop3_run(p);
            if (next != POP3_WAIT_OUTPUT)
                continue;
            buf_consume(pop3_output(p), pop3_output(p)->n);
        } while (next == POP3_AGAIN || next == POP3_WAIT_OUTPUT);
        check(buf_str(pop3_output(p)));
        buf_consume(pop3_output(p), pop3_output(p)->n);
        taken += pop3_taken(p);
    }
    if (taken > size)
        abort();
    pop3_free(p);
    return 0;
}
