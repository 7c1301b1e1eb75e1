#include "sasl.h"
#include "base/encode.h"

#include <string.h>

static const struct mechanism {
    const char *name;
    bool sends_password; /* only with TLS, or on loopback */
    bool binds;          /* to TLS */
} mechanisms[] = {
    {"SCRAM-SHA-256-PLUS", false, true},
    {"SCRAM-SHA-256", false, false},
    {"PLAIN", true, false},
    {"LOGIN", true, false},
};

static bool offered(const struct mechanism *m, unsigned flags)
{
    if (m->binds)
        return flags & LOGIN_SECURE;
    return !m->sends_password || (flags & (LOGIN_SECURE | LOGIN_LOOPBACK));
}

void sasl_list(struct buf *out, const char *before, const char *after, unsigned flags)
{
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
        if (offered(&mechanisms[i], flags))
            buf_addf(out, "%s%s%s", before, mechanisms[i].name, after);
}

/* Decodes into a buffer that is wiped by the caller. */
static bool decode(struct buf *out, struct str text)
{
    buf_init(out, SASL_DATA_MAX);
    if (str_eq(text, STR("=")))
        return true;
    return base64_decode(out, text) && !out->failed;
}

static void wipe(struct buf *b)
{
    if (b->p != NULL)
        explicit_bzero(b->p, b->capacity);
    buf_clear(b);
}

enum sasl_result sasl_begin(struct sasl *s, struct str mechanism, bool has_initial, struct str initial, unsigned flags)
{
    const struct mechanism *m = NULL;
    struct buf data;
    bool decoded;

    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
        if (str_ieq(mechanism, str_of(mechanisms[i].name)))
            m = &mechanisms[i];
    if (m == NULL || (m->binds && !offered(m, flags)))
        return SASL_UNKNOWN;
    if (!offered(m, flags))
        return SASL_NEEDS_TLS;
    s->acknowledge = false;
    decoded = decode(&data, has_initial ? initial : STR("="));
    if (decoded)
        s->world->auth_begin(s->arg, str_of(m->name), has_initial, buf_str(&data));
    wipe(&data);
    return decoded ? SASL_ASKED : SASL_MALFORMED;
}

enum sasl_result sasl_line(struct sasl *s, struct str line)
{
    struct buf data;
    bool decoded;

    if (str_eq(line, STR("*"))) {
        if (!s->acknowledge)
            s->world->auth_cancel(s->arg);
        return SASL_CANCELLED;
    }
    if (s->acknowledge)
        return line.n == 0 || str_eq(line, STR("=")) ? SASL_COMPLETE : SASL_MALFORMED;
    decoded = decode(&data, line);
    if (decoded)
        s->world->auth_step(s->arg, buf_str(&data));
    else
        s->world->auth_cancel(s->arg);
    wipe(&data);
    return decoded ? SASL_ASKED : SASL_MALFORMED;
}

void sasl_send(struct sasl *s, const char *prefix, struct str data)
{
    struct buf line;

    buf_init(&line, SASL_LINE_MAX + 16);
    buf_add(&line, str_of(prefix));
    base64_encode(&line, data);
    buf_add(&line, STR("\r\n"));
    s->world->send(s->arg, buf_str(&line));
    buf_clear(&line);
}
