/* Any message through the filter, in two pieces: it ends or is refused, once; what comes out has a
 * header that no field was slipped into, and Bcc never gets through a submission. */
#include "ipc/ipc.h"
#include "roles/filter/message.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct buf body;
    unsigned ended, refused, questions;
    struct message *message;
    bool answer_now;
};

static void on_chunk(void *owner, struct str data)
{
    struct world *w = owner;

    assert(data.n > 0 && data.n <= IPC_CHUNK && !w->ended && !w->refused);
    buf_add(&w->body, data);
}

static void on_end(void *owner, uint64_t flags, struct str prepend, struct str message_id)
{
    struct world *w = owner;

    (void)flags;
    assert(!w->ended && !w->refused && prepend.n <= IPC_CHUNK && message_id.n <= IPC_NAME);
    assert(prepend.n == 0 || prepend.p[prepend.n - 1] == '\n');
    w->ended++;
}

static void on_refuse(void *owner, unsigned code, struct str text)
{
    struct world *w = owner;

    assert(!w->ended && !w->refused && code >= 400 && code < 600 && text.n > 5);
    w->refused++;
}

static void on_ask(void *owner, struct str address)
{
    struct world *w = owner;

    assert(address.n > 0 && address.n <= IPC_ADDRESS);
    w->questions++;
    if (w->answer_now)
        message_sender(w->message, true, false);
}

static int64_t now(void *owner)
{
    (void)owner;
    return 0;
}

static uint64_t random_number(void *owner)
{
    (void)owner;
    return 1;
}

static void no_private_field(void *owner, const struct header_field *f)
{
    (void)owner;
    assert(!str_ieq(f->name, STR("Bcc")) && !str_ieq(f->name, STR("Return-Path")) && f->name.n > 0);
}

static void check_header(struct str message)
{
    struct header_scan s;
    size_t used;

    header_scan_init(&s, 1 << 20, no_private_field, NULL);
    assert(header_scan(&s, message, &used) == HEADER_END && s.blank);
    header_scan_clear(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct message_world calls = {on_chunk, on_end, on_refuse, on_ask, now, random_number};
    static const struct message_limits limits = {4096, 5};
    struct str bytes = {(const char *)data + 2, size - 2};
    struct world w = {0};
    struct message m;

    if (size < 3)
        return 0;
    w.message = &m;
    w.answer_now = data[0] & 1;
    buf_init(&w.body, 1 << 24);
    message_begin(&m, &calls, &w, &limits, STR("mx.example"), &(struct msg_txn_begin){.message = 1,
        .flags = TXN_SUBMISSION, .account = data[0] & 2, .sender = STR("me@a.example"), .trace = STR("Received: x\r\n")});
    message_chunk(&m, str_sub(bytes, 0, data[1] % bytes.n));
    message_chunk(&m, str_skip(bytes, data[1] % bytes.n));
    message_end(&m, 0);
    for (unsigned i = 0; !w.answer_now && i < w.questions; i++)
        message_sender(&m, !(data[0] & 4), false);
    assert(w.ended + w.refused == 1);
    if (w.ended)
        check_header(buf_str(&w.body));
    message_clear(&m);
    buf_clear(&w.body);
    return 0;
}
