/* Encoders and decoders of all messages, made from the lists in messages.h. What comes in is checked
 * as if it came from the network: number, sender, receiver, every length, and that nothing is left. */
#include "base/err.h"
#include "ipc/channel.h"
#include "ipc/ipc.h"

#include <string.h>

static const char *const role_names[ROLE_COUNT] = {"supervisor", "resolver", "directory", "smtp",
    "filter", "queue", "relay", "access", "mailbox", "events", "web"};

const char *role_name(enum role_id role)
{
    return role < ROLE_COUNT ? role_names[role] : "nobody";
}

static const struct {
    const char *name;
    unsigned senders, receivers;
} table[MSG_COUNT] = {
    [MSG_NONE] = {"none", 0, 0},
#define ROW(name, senders, receivers) [MSG_##name] = {#name, senders, receivers},
    MESSAGES(ROW)
#undef ROW
};

const char *ipc_message_name(enum msg_type type)
{
    return type < MSG_COUNT ? table[type].name : "unknown";
}

/* ---- encoding ---- */

static void put(struct buf *out, const void *bytes, size_t n)
{
    buf_add(out, (struct str){bytes, n});
}

static void put_number(struct buf *out, uint64_t value)
{
    put(out, &value, sizeof value);
}

static void put_str(struct buf *out, struct str s)
{
    uint32_t n = (uint32_t)s.n;

    put(out, &n, sizeof n);
    buf_add(out, s);
}

static struct str whole(struct str s, size_t longest, const char *message, const char *field)
{
    if (s.n > longest)
        fatal("message %s: %s has %zu bytes, at most %zu are allowed", message, field, s.n, longest);
    return s;
}

static size_t begin_frame(struct buf *out, enum msg_type type)
{
    size_t start = out->n;
    uint32_t length = 0;
    uint16_t number = (uint16_t)type;

    put(out, &length, sizeof length);
    put(out, &number, sizeof number);
    return start;
}

static void end_frame(struct buf *out, size_t start)
{
    uint32_t length = (uint32_t)(out->n - start - sizeof length);

    if (!out->failed)
        memcpy(out->p + start, &length, sizeof length);
}

#define ENCODE_U(name) put_number(out, m->name);
#define ENCODE_I(name) put_number(out, (uint64_t)m->name);
#define ENCODE_S(name, longest) put_str(out, whole(m->name, longest, what, #name));
#define ENCODE_T(name, longest) put_str(out, str_sub(m->name, 0, longest));
#define ENCODER(name, senders, receivers)                                                          \
    void ipc_encode_##name(struct buf *out, const struct msg_##name *m)                            \
    {                                                                                              \
        const char *what = #name;                                                                  \
        size_t start = begin_frame(out, MSG_##name);                                               \
                                                                                                   \
        (void)what;                                                                                \
        (void)m;                                                                                   \
        FIELDS_##name(ENCODE_U, ENCODE_I, ENCODE_S, ENCODE_T) end_frame(out, start);               \
    }
MESSAGES(ENCODER)

/* ---- decoding ---- */

struct reader {
    struct str rest;
    bool bad;
};

static void get(struct reader *r, void *out, size_t n)
{
    if (r->rest.n < n) {
        r->bad = true;
        memset(out, 0, n);
        return;
    }
    memcpy(out, r->rest.p, n);
    r->rest = str_skip(r->rest, n);
}

static uint64_t get_number(struct reader *r)
{
    uint64_t value;

    get(r, &value, sizeof value);
    return value;
}

static struct str get_str(struct reader *r, size_t longest)
{
    uint32_t n;
    struct str s;

    get(r, &n, sizeof n);
    if (r->bad || n > longest || n > r->rest.n) {
        r->bad = true;
        return (struct str){0};
    }
    s = str_sub(r->rest, 0, n);
    r->rest = str_skip(r->rest, n);
    return s;
}

#define DECODE_U(name) m.name = get_number(r);
#define DECODE_I(name) m.name = (int64_t)get_number(r);
#define DECODE_S(name, longest) m.name = get_str(r, longest);
#define DECODER(name, senders, receivers)                                                          \
    static bool take_##name(struct role *role, struct channel *from, const struct handlers *h,     \
        struct reader *r)                                                                          \
    {                                                                                              \
        struct msg_##name m;                                                                       \
                                                                                                   \
        memset(&m, 0, sizeof m);                                                                   \
        FIELDS_##name(DECODE_U, DECODE_I, DECODE_S, DECODE_S) if (r->bad || r->rest.n) return false; \
        h->name(role, from, &m);                                                                   \
        return true;                                                                               \
    }
MESSAGES(DECODER)

static bool is_handled(const struct handlers *handlers, enum msg_type type)
{
    switch (type) {
#define HANDLED(name, senders, receivers)                                                          \
    case MSG_##name:                                                                               \
        return handlers->name != NULL;
        MESSAGES(HANDLED)
#undef HANDLED
    case MSG_NONE:
    case MSG_COUNT:
        break;
    }
    return false;
}

static bool take(struct role *role, struct channel *from, const struct handlers *handlers,
    enum msg_type type, struct reader *r)
{
    switch (type) {
#define TAKE(name, senders, receivers)                                                             \
    case MSG_##name:                                                                               \
        return take_##name(role, from, handlers, r);
        MESSAGES(TAKE)
#undef TAKE
    case MSG_NONE:
    case MSG_COUNT:
        break;
    }
    return false;
}

bool ipc_dispatch(struct role *role, struct channel *from, enum role_id sender, enum role_id receiver,
    const struct handlers *handlers, struct str frame, const char **why)
{
    struct reader r = {.rest = frame};
    uint16_t type;

    *why = NULL;
    get(&r, &type, sizeof type);
    if (r.bad || type == MSG_NONE || type >= MSG_COUNT)
        *why = "unknown message";
    else if (!(table[type].senders & 1u << sender))
        *why = "this sender may not send it";
    else if (!(table[type].receivers & 1u << receiver))
        *why = "not for this receiver";
    else if (!is_handled(handlers, (enum msg_type)type))
        *why = "this role does not take it";
    else if (!take(role, from, handlers, (enum msg_type)type, &r))
        *why = "malformed";
    return *why == NULL;
}
