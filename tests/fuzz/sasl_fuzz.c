/* The server side of a login against any bytes. First byte: mechanism and TLS; then messages, each
 * after its length in two bytes. The world is small: one login whose password is "secret", all
 * others invented. */
#include "roles/directory/password.h"
#include "roles/directory/sasl.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const mechanisms[] = {
    "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "USERPASS", "plain", "OTHER", ""};

static enum sasl_state world_find(void *arg, struct str name, struct sasl_login *out)
{
    static const uint8_t secret[32];

    (void)arg;
    memset(out, 0, sizeof *out);
    if (str_eq(name, STR("trouble")))
        return SASL_TROUBLE;
    password_invent(secret, name, &out->verifier);
    out->principal = str_eq(name, STR("anna")) ? 1 : 0;
    return SASL_MORE;
}

static bool world_check(void *arg, const struct verifier *v, struct str password)
{
    (void)arg;
    (void)v;
    return str_eq(password, STR("secret"));
}

static void check(const struct sasl *s, enum sasl_state state, const struct buf *out)
{
    if (state != SASL_MORE && state != SASL_RIGHT && state != SASL_TROUBLE && state != SASL_WRONG &&
        state != SASL_MALFORMED)
        abort();
    if (out->failed || (state == SASL_RIGHT && !str_ieq(sasl_typed_name(s), STR("anna")) &&
                           sasl_login(s)->principal != 0))
        abort();
}

static void talk(struct sasl *s, struct str input)
{
    enum sasl_state state = SASL_MORE;
    struct buf out;
    int steps = 0;

    buf_init(&out, 4 * SASL_DATA_MAX);
    while (state == SASL_MORE && input.n >= 2) {
        size_t n = (size_t)(unsigned char)input.p[0] << 8 | (unsigned char)input.p[1];

        state = sasl_step(s, str_sub(input, 2, n + 2), &out);
        check(s, state, &out);
        input = str_skip(input, n + 2);
        if (++steps > SASL_STEPS_MAX + 1)
            abort();
    }
    if (state != SASL_MORE && sasl_step(s, STR("more"), &out) != SASL_MALFORMED)
        abort();
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sasl_world world = {NULL, world_find, world_check};
    static struct sasl_library *library;
    struct sasl *s;

    if (size < 1)
        return 0;
    if (library == NULL)
        library = sasl_library_new();
    s = sasl_new(library, &world, str_of(mechanisms[data[0] & 7]),
        data[0] & 8 ? STR("unique") : STR(""), data[0] & 16 ? STR("exporter") : STR(""));
    if (s != NULL)
        talk(s, str_from((const char *)data + 1, size - 1));
    sasl_free(s);
    return 0;
}
