/* See login.h. The answers of libgsasl are taken as they come; the secret is wiped with the session. */
#include "login.h"
#include "base/encode.h"
#include "smtp/extension.h"

#include <gsasl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { LOGIN_TEXT_MAX = 12288 };

static const struct {
    unsigned bit;
    const char *name;
    bool client_first, mutual;
} mechanisms_by_strength[] = {
    {MECH_SCRAM_SHA_256, "SCRAM-SHA-256", true, true},
    {MECH_SCRAM_SHA_1, "SCRAM-SHA-1", true, true},
    {MECH_PLAIN, "PLAIN", true, false},
    {MECH_LOGIN, "LOGIN", false, false},
};

struct login {
    Gsasl *gsasl;
    Gsasl_session *session;
    const char *mechanism;
    bool client_first, mutual, finished;
};

static bool set_property(struct login *l, Gsasl_property property, struct str value)
{
    char *copy = xstrndup(value.p != NULL ? value.p : "", value.n);
    bool ok = gsasl_property_set(l->session, property, copy) == GSASL_OK;

    sodium_memzero(copy, value.n);
    free(copy);
    return ok;
}

static bool start_session(struct login *l, unsigned offered)
{
    for (size_t i = 0; i < sizeof mechanisms_by_strength / sizeof mechanisms_by_strength[0]; i++) {
        const char *name = mechanisms_by_strength[i].name;

        if (!(offered & mechanisms_by_strength[i].bit) ||
            gsasl_client_start(l->gsasl, name, &l->session) != GSASL_OK)
            continue;
        l->mechanism = name;
        l->client_first = mechanisms_by_strength[i].client_first;
        l->mutual = mechanisms_by_strength[i].mutual;
        return true;
    }
    return false;
}

bool login_new(struct login **login, unsigned mechanisms, struct str user, struct str secret, struct err *err)
{
    struct login *l = xcalloc(1, sizeof *l);

    *login = l;
    if (gsasl_init(&l->gsasl) != GSASL_OK) {
        l->gsasl = NULL;
        err_set(err, ERR_TEMPORARY, "libgsasl does not start");
    } else if (!start_session(l, mechanisms)) {
        err_set(err, ERR_PERMANENT, "the server offers no login mechanism we know");
    } else if (!set_property(l, GSASL_AUTHID, user) || !set_property(l, GSASL_PASSWORD, secret)) {
        err_set(err, ERR_PERMANENT, "the login cannot be used");
    } else {
        return true;
    }
    login_free(l);
    *login = NULL;
    return false;
}

void login_free(struct login *l)
{
    if (l == NULL)
        return;
    if (l->session != NULL)
        gsasl_finish(l->session);
    if (l->gsasl != NULL)
        gsasl_done(l->gsasl);
    free(l);
}

const char *login_mechanism(const struct login *l)
{
    return l->mechanism;
}

/* One step; input and output raw. */
static bool step(struct login *l, struct str input, struct buf *out)
{
    char *answer = NULL;
    size_t n = 0;
    int rc = gsasl_step(l->session, input.p != NULL ? input.p : "", input.n, &answer, &n);
    bool ok = (rc == GSASL_OK || rc == GSASL_NEEDS_MORE) && n <= LOGIN_TEXT_MAX / 2;

    if (rc == GSASL_OK)
        l->finished = true;
    if (ok)
        base64_encode(out, (struct str){answer, n});
    if (answer != NULL) {
        sodium_memzero(answer, n);
        gsasl_free(answer);
    }
    return ok;
}

bool login_initial(struct login *l, struct buf *out)
{
    size_t before = out->n;

    if (!l->client_first || !step(l, (struct str){0}, out))
        return false;
    if (out->n == before)
        buf_add_char(out, '=');
    return true;
}

bool login_step(struct login *l, struct str challenge, struct buf *out, struct err *err)
{
    struct buf raw;
    bool ok;

    buf_init(&raw, LOGIN_TEXT_MAX);
    ok = base64_decode(&raw, str_trim(challenge)) && step(l, buf_str(&raw), out);
    buf_clear(&raw);
    return ok || err_set(err, ERR_PERMANENT, "the server's answer to the login makes no sense");
}

bool login_is_complete(const struct login *l)
{
    return !l->mutual || l->finished;
}
