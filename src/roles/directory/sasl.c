#include "sasl.h"

#include "base/encode.h"

#include <gsasl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sasl_library {
    Gsasl *gsasl;
};

struct sasl {
    struct sasl_world world;
    Gsasl_session *session; /* NULL for USERPASS */
    struct sasl_login login;
    struct name typed;
    enum sasl_state verdict; /* of the world, while it is not SASL_MORE */
    bool looked_up, ended;
    bool asks_first; /* LOGIN */
    int steps;
};

static const char *const mechanisms[] = {"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"};

/* ---- what libgsasl asks ---- */

static bool look_up(struct sasl *s, const char *name)
{
    if (s->looked_up)
        return s->verdict == SASL_MORE;
    s->looked_up = true;
    s->verdict = SASL_MALFORMED;
    if (name == NULL || !name_set(&s->typed, str_of(name)))
        return false;
    s->verdict = s->world.find(s->world.arg, name_str(&s->typed), &s->login);
    return s->verdict == SASL_MORE;
}

/* Acting for somebody else is not offered: an authorization id has to be the login itself, or
 * empty. */
static bool same_identity(const struct sasl *s, const char *authzid)
{
    return authzid == NULL || authzid[0] == 0 || str_ieq(str_of(authzid), name_str(&s->typed));
}

static int validate(struct sasl *s, Gsasl_session *session)
{
    const char *password = gsasl_property_fast(session, GSASL_PASSWORD);
    bool right;

    if (password == NULL || !look_up(s, gsasl_property_fast(session, GSASL_AUTHID)))
        return GSASL_AUTHENTICATION_ERROR;
    right = s->world.check(s->world.arg, &s->login.verifier, str_of(password));
    if (!same_identity(s, gsasl_property_fast(session, GSASL_AUTHZID)))
        right = false;
    s->verdict = right ? SASL_RIGHT : SASL_WRONG;
    return right ? GSASL_OK : GSASL_AUTHENTICATION_ERROR;
}

static int give_scram(struct sasl *s, Gsasl_session *session, Gsasl_property property)
{
    const struct verifier *v = &s->login.verifier;
    char number[24];

    if (!look_up(s, gsasl_property_fast(session, GSASL_AUTHID)))
        return GSASL_AUTHENTICATION_ERROR;
    if (property == GSASL_SCRAM_ITER) {
        snprintf(number, sizeof number, "%lld", (long long)v->iterations);
        return gsasl_property_set(session, property, number);
    }
    return gsasl_property_set(session, property,
        property == GSASL_SCRAM_SALT        ? v->salt
        : property == GSASL_SCRAM_STOREDKEY ? v->stored
                                            : v->server);
}

static int callback(Gsasl *ctx, Gsasl_session *session, Gsasl_property property)
{
    struct sasl *s = gsasl_session_hook_get(session);

    (void)ctx;
    if (property == GSASL_VALIDATE_SIMPLE)
        return validate(s, session);
    if (property == GSASL_SCRAM_ITER || property == GSASL_SCRAM_SALT ||
        property == GSASL_SCRAM_STOREDKEY || property == GSASL_SCRAM_SERVERKEY)
        return give_scram(s, session, property);
    return GSASL_NO_CALLBACK;
}

/* ---- life ---- */

struct sasl_library *sasl_library_new(void)
{
    struct sasl_library *lib = xcalloc(1, sizeof *lib);

    if (gsasl_init(&lib->gsasl) != GSASL_OK)
        fatal("libgsasl does not start");
    gsasl_callback_set(lib->gsasl, callback);
    return lib;
}

void sasl_library_free(struct sasl_library *lib)
{
    gsasl_done(lib->gsasl);
    free(lib);
}

static void set_binding(struct sasl *s, Gsasl_property property, struct str raw)
{
    struct buf text;

    if (raw.n == 0)
        return;
    buf_init(&text, 2048);
    base64_encode(&text, raw);
    if (!text.failed && gsasl_property_set_raw(s->session, property, text.p, text.n) != GSASL_OK)
        fatal("out of memory");
    buf_clear(&text);
}

struct sasl *sasl_new(struct sasl_library *lib, const struct sasl_world *world,
    struct str mechanism, struct str tls_unique, struct str tls_exporter)
{
    struct sasl *s = xcalloc(1, sizeof *s);
    size_t i = 0;

    s->world = *world;
    s->verdict = SASL_MORE;
    if (str_ieq(mechanism, STR("USERPASS")))
        return s;
    while (
        i < sizeof mechanisms / sizeof mechanisms[0] && !str_ieq(mechanism, str_of(mechanisms[i])))
        i++;
    if (i == sizeof mechanisms / sizeof mechanisms[0] ||
        gsasl_server_start(lib->gsasl, mechanisms[i], &s->session) != GSASL_OK) {
        free(s);
        return NULL;
    }
    s->asks_first = strcmp(mechanisms[i], "LOGIN") == 0;
    gsasl_session_hook_set(s->session, s);
    set_binding(s, GSASL_CB_TLS_UNIQUE, tls_unique);
    set_binding(s, GSASL_CB_TLS_EXPORTER, tls_exporter);
    return s;
}

void sasl_free(struct sasl *s)
{
    if (s == NULL)
        return;
    if (s->session != NULL)
        gsasl_finish(s->session);
    sodium_memzero(s, sizeof *s);
    free(s);
}

/* ---- steps ---- */

static enum sasl_state user_and_password(struct sasl *s, struct str data)
{
    struct str authzid, user, password;

    if (data.n == 0 || !str_next(&data, 0, &authzid) || !str_next(&data, 0, &user) || user.n == 0 ||
        authzid.n > 0 || str_find(data, 0) >= 0 || !name_set(&s->typed, user))
        return SASL_MALFORMED;
    password = data;
    s->looked_up = true;
    s->verdict = s->world.find(s->world.arg, user, &s->login);
    if (s->verdict != SASL_MORE)
        return s->verdict;
    return s->world.check(s->world.arg, &s->login.verifier, password) ? SASL_RIGHT : SASL_WRONG;
}

/* The world's own verdict goes before the library's: that one would go on with a salt of its own
 * making. */
static bool is_over(const struct sasl *s)
{
    return s->looked_up && s->verdict != SASL_MORE && s->verdict != SASL_RIGHT;
}

/* SCRAM is right when the library says so; a login that does not exist cannot get there, but does
 * not have to be trusted not to. */
static enum sasl_state success(const struct sasl *s)
{
    if (!s->looked_up || s->login.principal == 0)
        return SASL_WRONG;
    return same_identity(s, gsasl_property_fast(s->session, GSASL_AUTHZID)) ? SASL_RIGHT
                                                                            : SASL_WRONG;
}

static enum sasl_state library_step(struct sasl *s, struct str data, struct buf *out)
{
    char *answer = NULL;
    size_t n = 0;
    int rc = gsasl_step(s->session, data.n > 0 ? data.p : "", data.n, &answer, &n);

    if (!is_over(s) && (rc == GSASL_OK || rc == GSASL_NEEDS_MORE))
        buf_add(out, str_from(answer == NULL ? "" : answer, n));
    if (answer != NULL) {
        sodium_memzero(answer, n);
        gsasl_free(answer);
    }
    if (is_over(s))
        return s->verdict;
    if (rc == GSASL_NEEDS_MORE)
        return SASL_MORE;
    if (rc == GSASL_OK)
        return success(s);
    return rc == GSASL_AUTHENTICATION_ERROR ? SASL_WRONG : SASL_MALFORMED;
}

/* LOGIN asks for the name first, but many clients (.NET, smtplib) send it with the command. libgsasl would
 * drop it, and take the password that follows for the name. */
static enum sasl_state named_at_once(struct sasl *s, struct str name, struct buf *out)
{
    struct buf question;
    enum sasl_state state;

    buf_init(&question, SASL_DATA_MAX);
    state = library_step(s, (struct str){0}, &question);
    buf_clear(&question);
    return state == SASL_MORE ? library_step(s, name, out) : state;
}

enum sasl_state sasl_step(struct sasl *s, struct str data, struct buf *out)
{
    enum sasl_state state;

    if (s->ended || data.n > SASL_DATA_MAX || ++s->steps > SASL_STEPS_MAX)
        return SASL_MALFORMED;
    if (s->session == NULL)
        state = user_and_password(s, data);
    else if (s->steps == 1 && data.n > 0 && s->asks_first)
        state = named_at_once(s, data, out);
    else
        state = library_step(s, data, out);
    s->ended = state != SASL_MORE;
    return state;
}

const struct sasl_login *sasl_login(const struct sasl *s)
{
    return &s->login;
}

struct str sasl_typed_name(const struct sasl *s)
{
    return name_str(&s->typed);
}
