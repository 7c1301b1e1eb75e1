/* See challenges.h. */
#include "challenges.h"
#include "ipc/args.h"
#include "tls_challenge.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct challenge {
    struct link link;
    struct str name, token, authorization;
    SSL_CTX *ctx; /* of tls-alpn-01 */
};

void challenges_init(struct challenges *c)
{
    *c = (struct challenges){0};
    list_init(&c->all);
}

static void forget(struct challenges *c, struct challenge *one)
{
    list_remove(&one->link);
    c->count--;
    str_free(&one->name);
    str_free(&one->token);
    str_free(&one->authorization);
    SSL_CTX_free(one->ctx);
    free(one);
}

static struct challenge *find_token(const struct challenges *c, struct str token)
{
    LIST_EACH(&c->all, it) {
        struct challenge *one = CONTAINER(it, struct challenge, link);

        if (str_eq(one->token, token))
            return one;
    }
    return NULL;
}

/* Letters, digits, and what base64url and names have besides. */
static bool is_plain(struct str s, size_t most)
{
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_' && s.p[i] != '.')
            return false;
    return s.n > 0 && s.n <= most;
}

static int set(struct challenges *c, struct str args, struct err *err)
{
    struct str kind = {0}, name = {0}, token = {0}, authorization = {0};
    struct challenge *one;
    SSL_CTX *ctx = NULL;
    bool tls;

    if (!args_option(args, "kind", &kind) || !args_option(args, "name", &name) || !args_option(args, "token", &token) ||
        !args_option(args, "authorization", &authorization) || !is_plain(name, 253) || !is_plain(token, 256) || !is_plain(authorization, 512)) {
        err_set(err, ERR_PERMANENT, "a challenge has kind, name, token and authorization");
        return EX_USAGE;
    }
    tls = str_eq(kind, STR("tls-alpn-01"));
    if (tls && !tls_challenge_new(&ctx, name, authorization, err))
        return EX_SOFTWARE;
    if ((one = find_token(c, token)) != NULL)
        forget(c, one);
    if (c->count == CHALLENGES_MAX)
        forget(c, CONTAINER(list_first(&c->all), struct challenge, link));
    one = xcalloc(1, sizeof *one);
    *one = (struct challenge){.name = str_dup(name), .token = str_dup(token), .authorization = str_dup(authorization), .ctx = ctx};
    list_add_last(&c->all, &one->link);
    c->count++;
    return 0;
}

static int note(struct challenges *c, struct str args)
{
    struct str text = {0};

    (void)args_option(args, "text", &text);
    text = str_sub(text, 0, text.n < sizeof c->trouble ? text.n : sizeof c->trouble - 1);
    memcpy(c->trouble, text.n > 0 ? text.p : "", text.n);
    c->trouble[text.n] = '\0';
    return 0;
}

int challenges_command(struct challenges *c, struct str args, struct err *err)
{
    struct challenge *one;
    struct str token = {0};

    if (args_has_word(args, "set"))
        return set(c, args, err);
    if (args_has_word(args, "note"))
        return note(c, args);
    if (args_has_word(args, "clear") && args_option(args, "token", &token)) {
        if ((one = find_token(c, token)) != NULL)
            forget(c, one);
        return 0;
    }
    err_set(err, ERR_PERMANENT, "what is to be done with the challenge? set, clear or note");
    return EX_USAGE;
}

struct str challenges_answer(const struct challenges *c, struct str token)
{
    const struct challenge *one = find_token(c, token);

    return one != NULL && one->ctx == NULL ? one->authorization : STR("");
}

struct ssl_ctx_st *challenges_context(const struct challenges *c, struct str name)
{
    LIST_EACH(&c->all, it) {
        const struct challenge *one = CONTAINER(it, struct challenge, link);

        if (one->ctx != NULL && str_ieq(one->name, name))
            return one->ctx;
    }
    return NULL;
}
