/* See issue.h. Every answer is one JSON object that is read and given up before the next request. */
#include "issue.h"
#include "base/json.h"
#include "jws.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { BAD_NONCES = 5, POLLS = 40, POLL_SECONDS = 2, URL = 1024, TOKEN_MAX = 256, DETAIL = 300 };

struct run {
    const struct acme_world *world;
    void *arg;
    const struct acme_job *job;
    struct buf nonce, kid, thumbprint;
    struct buf new_nonce, new_account, new_order, order, finalize, certificate;
    struct acme_answer answer;
    json_t *json; /* of the last answer; NULL when it is none */
    unsigned requests;
    struct buf *culprit;
    struct err *err;
};

static bool fail(struct run *r, enum err_kind kind, const char *what)
{
    return err_set(r->err, kind, "%s", what);
}

/* ---- JSON ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

/* What another server says becomes part of one line of our log. */
static void clean(const char *from, char *out, size_t size)
{
    size_t n = 0;

    for (; *from && n + 1 < size; from++)
        out[n++] = (unsigned char)*from < 0x20 || *from == 0x7f ? ' ' : *from;
    out[n] = '\0';
}

/* The CA refused: its own words (RFC 7807). */
static bool refused(struct run *r, const char *during, const json_t *problem)
{
    char type[100], detail[DETAIL];
    const char *name = strrchr(text_of(problem, "type"), ':');
    bool lasting = r->answer.status >= 400 && r->answer.status < 500 && r->answer.status != 429;

    clean(name != NULL ? name + 1 : "", type, sizeof type);
    clean(text_of(problem, "detail"), detail, sizeof detail);
    return err_set(r->err, lasting ? ERR_PERMANENT : ERR_TEMPORARY, "%s: the certificate authority says %u %s: %s", during, r->answer.status, type, detail);
}

/* ---- requests ---- */

/* All of a CA is at one place: what leads elsewhere is not followed. */
static bool keep_url(struct run *r, struct buf *to, const char *url)
{
    struct str text = str_of(url), directory = r->job->directory;
    size_t origin = STR("https://").n;

    while (origin < directory.n && directory.p[origin] != '/')
        origin++;
    buf_reset(to);
    if (text.n >= URL || !str_is_printable(text) || !str_starts(text, STR("https://")) || text.n <= origin || text.p[origin] != '/' ||
        !str_eq(str_sub(text, 0, origin), str_sub(directory, 0, origin)))
        return err_set(r->err, ERR_PERMANENT, "the certificate authority gave an address that is not its own: \"%.200s\"", url);
    buf_add(to, text);
    return true;
}

static bool request(struct run *r, const char *method, struct str url, struct str body)
{
    struct acme_answer *a = &r->answer;

    if (++r->requests > ACME_REQUESTS_MAX)
        return fail(r, ERR_TEMPORARY, "the certificate authority does not come to an end");
    json_decref(r->json);
    r->json = NULL;
    a->status = a->retry_after = 0;
    buf_reset(&a->nonce);
    buf_reset(&a->location);
    buf_reset(&a->body);
    if (!r->world->request(r->arg, method, url, body, a, r->err))
        return false;
    if (a->body.failed)
        return fail(r, ERR_TEMPORARY, "an answer of the certificate authority is too long");
    if (a->nonce.n > 0 && !a->nonce.failed) {
        buf_reset(&r->nonce);
        buf_add(&r->nonce, buf_str(&a->nonce));
    }
    r->json = json_loadb(a->body.p != NULL ? a->body.p : "", a->body.n, 0, NULL);
    return true;
}

static bool have_nonce(struct run *r)
{
    if (r->nonce.n > 0)
        return true;
    if (!request(r, "HEAD", buf_str(&r->new_nonce), STR("")))
        return false;
    return r->nonce.n > 0 || fail(r, ERR_TEMPORARY, "the certificate authority gives no nonce");
}

/* Signed; what a nonce that was too old has spoiled is said again. */
static bool post(struct run *r, const char *during, struct str url, struct str payload)
{
    for (int i = 0; i < BAD_NONCES; i++) {
        struct buf body;
        bool ok;

        if (!have_nonce(r))
            return false;
        buf_init(&body, 4 * ACME_ANSWER_MAX);
        acme_sign_request(r->job->account, buf_str(&r->kid), buf_str(&r->nonce), url, payload, &body);
        buf_reset(&r->nonce);
        ok = request(r, "POST", url, buf_str(&body));
        buf_clear(&body);
        if (!ok)
            return err_prefix(r->err, "%s", during);
        if (r->answer.status < 300)
            return true;
        if (!str_ends(str_of(text_of(r->json, "type")), STR(":badNonce")))
            return refused(r, during, r->json);
    }
    return fail(r, ERR_TEMPORARY, "the certificate authority takes no nonce of its own");
}

/* ---- the steps ---- */

static bool read_directory(struct run *r)
{
    if (!request(r, "GET", r->job->directory, STR("")))
        return false;
    if (r->answer.status != 200 || !json_is_object(r->json))
        return err_set(r->err, ERR_TEMPORARY, "%.*s: no directory of ACME (%u)", STR_ARG(r->job->directory), r->answer.status);
    return keep_url(r, &r->new_nonce, text_of(r->json, "newNonce")) && keep_url(r, &r->new_account, text_of(r->json, "newAccount")) &&
           keep_url(r, &r->new_order, text_of(r->json, "newOrder"));
}

/* For a key that is known the CA gives the account that is there. */
static bool enter_account(struct run *r)
{
    struct buf payload;
    bool ok;

    buf_init(&payload, 4096);
    buf_add(&payload, STR("{\"termsOfServiceAgreed\":true"));
    if (r->job->contact.n > 0) {
        buf_add(&payload, STR(",\"contact\":["));
        buf_add(&payload, STR("\"mailto:"));
        buf_add(&payload, r->job->contact);
        buf_add(&payload, STR("\"]"));
    }
    buf_add_char(&payload, '}');
    ok = post(r, "account", buf_str(&r->new_account), buf_str(&payload));
    buf_clear(&payload);
    if (ok)
        buf_add_char(&r->answer.location, '\0');
    return ok && keep_url(r, &r->kid, r->answer.location.p != NULL ? r->answer.location.p : "");
}

static bool place_order(struct run *r)
{
    struct buf payload;
    bool ok;

    buf_init(&payload, 100 * 1024);
    buf_add(&payload, STR("{\"identifiers\":["));
    for (size_t i = 0; i < r->job->n; i++) {
        buf_add(&payload, i > 0 ? STR(",") : STR(""));
        buf_add(&payload, STR("{\"type\":\"dns\",\"value\":"));
        json_quote(&payload, r->job->names[i]);
        buf_add_char(&payload, '}');
    }
    buf_add(&payload, STR("]}"));
    ok = post(r, "order", buf_str(&r->new_order), buf_str(&payload));
    buf_clear(&payload);
    if (ok)
        buf_add_char(&r->answer.location, '\0');
    return ok && keep_url(r, &r->order, r->answer.location.p != NULL ? r->answer.location.p : "") &&
           keep_url(r, &r->finalize, text_of(r->json, "finalize"));
}

static void pause_between_polls(struct run *r)
{
    unsigned seconds = r->answer.retry_after > 0 ? r->answer.retry_after : POLL_SECONDS;

    r->world->pause(r->arg, seconds < ACME_PAUSE_MAX ? seconds : ACME_PAUSE_MAX);
}

static void blame(struct run *r)
{
    struct str name = str_of(text_of(json_object_get(r->json, "identifier"), "value"));

    buf_reset(r->culprit);
    for (size_t i = 0; i < r->job->n; i++)
        if (str_ieq(r->job->names[i], name))
            buf_add(r->culprit, r->job->names[i]);
}

static const json_t *challenge_of(const json_t *authorization, const char *kind)
{
    const json_t *all = json_object_get(authorization, "challenges");

    for (size_t i = 0; i < json_array_size(all); i++)
        if (strcmp(text_of(json_array_get(all, i), "type"), kind) == 0)
            return json_array_get(all, i);
    return NULL;
}

/* Until the authorization is decided. */
static bool wait_for_authorization(struct run *r, struct str url)
{
    char name[256];

    for (int i = 0; i < POLLS; i++) {
        if (!post(r, "authorization", url, STR("")))
            return false;
        if (strcmp(text_of(r->json, "status"), "valid") == 0)
            return true;
        if (strcmp(text_of(r->json, "status"), "pending") != 0 && strcmp(text_of(r->json, "status"), "processing") != 0)
            break;
        pause_between_polls(r);
    }
    blame(r);
    clean(text_of(json_object_get(r->json, "identifier"), "value"), name, sizeof name);
    return refused(r, name, json_object_get(challenge_of(r->json, r->job->challenge), "error"));
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
            return false;
    return s.n > 0 && s.n <= TOKEN_MAX;
}

/* The name in the answer must be one that we asked for: nothing is shown for another. */
static bool is_asked_for(const struct run *r, struct str name)
{
    for (size_t i = 0; i < r->job->n; i++)
        if (str_ieq(r->job->names[i], name))
            return true;
    return false;
}

/* publish, tell the CA, wait, withdraw. */
static bool meet_challenge(struct run *r, struct str url, struct str name, struct str token, struct str where)
{
    struct acme_challenge c = {.kind = r->job->challenge, .name = name, .token = token};
    struct buf authorization;
    bool ok;

    buf_init(&authorization, URL);
    buf_addf(&authorization, "%.*s.%.*s", STR_ARG(token), STR_ARG(buf_str(&r->thumbprint)));
    c.authorization = buf_str(&authorization);
    ok = r->world->publish(r->arg, &c, r->err);
    ok = ok && post(r, "challenge", where, STR("{}")) && wait_for_authorization(r, url);
    r->world->withdraw(r->arg, token);
    buf_clear(&authorization);
    return ok;
}

static bool authorize(struct run *r, struct str url)
{
    const json_t *challenge;
    struct str name, token;
    struct buf where;
    bool ok;

    if (!post(r, "authorization", url, STR("")))
        return false;
    if (strcmp(text_of(r->json, "status"), "valid") == 0)
        return true;
    challenge = challenge_of(r->json, r->job->challenge);
    name = str_of(text_of(json_object_get(r->json, "identifier"), "value"));
    token = str_of(text_of(challenge, "token"));
    if (challenge == NULL || !is_token(token) || !is_asked_for(r, name))
        return err_set(r->err, ERR_PERMANENT, "the certificate authority offers no challenge %s for a name we asked for", r->job->challenge);
    buf_init(&where, URL);
    name = str_dup(name);
    token = str_dup(token);
    ok = keep_url(r, &where, text_of(challenge, "url")) && meet_challenge(r, url, name, token, buf_str(&where));
    str_free(&name);
    str_free(&token);
    buf_clear(&where);
    return ok;
}

static bool authorize_all(struct run *r)
{
    json_t *order = r->json;
    const json_t *all = json_object_get(order, "authorizations");
    bool ok = json_array_size(all) > 0 && json_array_size(all) <= r->job->n;

    r->json = NULL;
    if (!ok)
        fail(r, ERR_PERMANENT, "the certificate authority asks for other authorizations than one for each name");
    for (size_t i = 0; ok && i < json_array_size(all); i++) {
        struct buf url;

        buf_init(&url, URL);
        ok = keep_url(r, &url, json_string_value(json_array_get(all, i)) != NULL ? json_string_value(json_array_get(all, i)) : "") &&
             authorize(r, buf_str(&url));
        buf_clear(&url);
    }
    json_decref(order);
    return ok;
}

static bool finish_order(struct run *r)
{
    struct buf payload;
    bool ok;

    buf_init(&payload, 100 * 1024);
    buf_add(&payload, STR("{\"csr\":\""));
    base64url_encode(&payload, r->job->csr);
    buf_add(&payload, STR("\"}"));
    ok = post(r, "finalize", buf_str(&r->finalize), buf_str(&payload));
    buf_clear(&payload);
    for (int i = 0; ok && i < POLLS; i++) {
        const char *status = text_of(r->json, "status");

        if (strcmp(status, "valid") == 0)
            return keep_url(r, &r->certificate, text_of(r->json, "certificate"));
        if (strcmp(status, "processing") != 0 && strcmp(status, "ready") != 0)
            return refused(r, "finalize", json_object_get(r->json, "error"));
        pause_between_polls(r);
        ok = post(r, "order", buf_str(&r->order), STR(""));
    }
    return ok ? fail(r, ERR_TEMPORARY, "the certificate authority does not issue in time") : false;
}

static bool fetch_chain(struct run *r, struct buf *chain)
{
    if (!post(r, "certificate", buf_str(&r->certificate), STR("")))
        return false;
    buf_add(chain, buf_str(&r->answer.body));
    return (chain->n > 0 && !chain->failed) || fail(r, ERR_TEMPORARY, "the certificate is empty or too long");
}

/* ---- all of it ---- */

static void for_buffers(struct run *r, void (*call)(struct buf *, size_t))
{
    struct buf *urls[] = {&r->kid, &r->new_nonce, &r->new_account, &r->new_order, &r->order, &r->finalize, &r->certificate, &r->thumbprint};

    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        call(urls[i], URL);
    call(&r->nonce, ACME_HEADER_MAX);
    call(&r->answer.nonce, ACME_HEADER_MAX);
    call(&r->answer.location, ACME_HEADER_MAX);
    call(&r->answer.body, ACME_ANSWER_MAX);
}

static void clear(struct buf *b, size_t unused)
{
    (void)unused;
    buf_clear(b);
}

bool acme_issue(
    const struct acme_world *world, void *arg, const struct acme_job *job, struct buf *chain, struct buf *culprit, struct err *err)
{
    struct run r = {.world = world, .arg = arg, .job = job, .culprit = culprit, .err = err};
    bool ok;

    for_buffers(&r, buf_init);
    acme_thumbprint(job->account, &r.thumbprint);
    ok = read_directory(&r) && enter_account(&r) && place_order(&r) && authorize_all(&r) && finish_order(&r) && fetch_chain(&r, chain);
    json_decref(r.json);
    for_buffers(&r, clear);
    return ok;
}
