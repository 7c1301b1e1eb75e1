#include "relay_talk.h"

#include <stdio.h>
#include <string.h>

static void add_event(struct talk *t, const char *format, ...) PRINTF(2, 3);

static void add_event(struct talk *t, const char *format, ...)
{
    size_t used = strlen(t->happened);
    va_list args;

    va_start(args, format);
    vsnprintf(t->happened + used, sizeof t->happened - used, format, args);
    va_end(args);
}

static void on_send(void *owner, struct str bytes)
{
    struct talk *t = owner;

    assert_true(t->said_n + bytes.n < sizeof t->said);
    memcpy(t->said + t->said_n, bytes.p, bytes.n);
    t->said_n += bytes.n;
}

static void on_start_tls(void *owner)
{
    add_event(owner, "start-tls\n");
}

static void on_ready(void *owner)
{
    add_event(owner, "ready\n");
}

static void on_settled(void *owner, struct client_rcpt *rcpt, const struct client_outcome *o)
{
    static const char *const names[] = {"delivered", "relayed", "deferred", "failed"};

    add_event(owner, "%.*s %s%s %u %.*s\n", STR_ARG(rcpt->address), names[o->status], o->final ? "!" : "", o->code,
        STR_ARG(o->text));
}

static void on_want_body(void *owner)
{
    add_event(owner, "want-body\n");
}

static void on_done(void *owner)
{
    add_event(owner, "done\n");
}

static void on_failed(void *owner, const struct client_failure *f)
{
    add_event(owner, "gone%s%s%s %u %.*s\n", f->tls ? " tls" : "", f->busy ? " busy" : "",
        f->unsuitable ? " unsuitable" : "", f->outcome.code, STR_ARG(f->outcome.text));
}

static void on_wait(void *owner, enum client_wait what)
{
    (void)owner;
    (void)what;
}

const struct client_world talk_world = {
    on_send, on_start_tls, on_ready, on_settled, on_want_body, on_done, on_failed, on_wait};

static void drop_line(char *text)
{
    char *end = strchr(text, '\n');

    memmove(text, end + 1, strlen(end + 1) + 1);
}

static void expect_said(struct talk *t, const char *line)
{
    size_t n = strlen(line);
    char shown[600];

    snprintf(shown, sizeof shown, "%.*s", (int)t->said_n, t->said);
    if (t->said_n < n + 2 || memcmp(t->said, line, n) != 0 || memcmp(t->said + n, "\r\n", 2) != 0)
        fail_msg("expected \"%s\", client said \"%s\"", line, shown);
    t->said_n -= n + 2;
    memmove(t->said, t->said + n + 2, t->said_n);
}

void expect_event(struct talk *t, const char *words)
{
    size_t n = strlen(words);

    if (strncmp(t->happened, words, n) != 0 || t->happened[n] != '\n')
        fail_msg("expected event \"%s\", got \"%s\"", words, t->happened);
    drop_line(t->happened);
}

static bool starts(const char *line, const char *word, const char **rest)
{
    size_t n = strlen(word);

    *rest = line + n;
    return strncmp(line, word, n) == 0;
}

static void act(struct talk *t, const char *line)
{
    const char *rest;

    if (strcmp(line, "connect") == 0)
        client_connected(t->client);
    else if (strcmp(line, "tls") == 0)
        client_secured(t->client, false);
    else if (strcmp(line, "verified") == 0)
        client_secured(t->client, true);
    else if (strcmp(line, "lost") == 0)
        client_lost(t->client, false, false, "reset");
    else if (strcmp(line, "timeout") == 0)
        client_lost(t->client, true, false, "");
    else if (strcmp(line, "tls-fails") == 0)
        client_lost(t->client, false, true, "bad");
    else if (strcmp(line, "begin") == 0)
        client_begin(t->client, &t->message, t->list, t->n);
    else if (strcmp(line, "quit") == 0)
        client_quit(t->client);
    else if (starts(line, "body ", &rest))
        client_body(t->client, str_of(rest), false);
    else if (starts(line, "last ", &rest))
        client_body(t->client, str_of(rest), true);
    else
        fail_msg("no such step: %s", line);
}

static void hear(struct talk *t, const char *const **at)
{
    char text[8192];
    size_t n = 0;
    const char *rest;

    for (; **at != NULL && starts(**at, "S ", &rest); ++*at)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s\r\n", rest);
    client_input(t->client, (struct str){text, n});
}

void play(struct talk *t, const char *const *script)
{
    const char *rest;

    while (*script != NULL) {
        const char *line = *script;

        if (starts(line, "S ", &rest)) {
            hear(t, &script);
            continue;
        }
        if (starts(line, "C ", &rest) || strcmp(line, "C ") == 0)
            expect_said(t, rest);
        else if (starts(line, "E ", &rest))
            expect_event(t, rest);
        else if (strcmp(line, "-") == 0)
            assert_int_equal(t->said_n, 0);
        else
            act(t, line);
        script++;
    }
    if (t->said_n != 0)
        fail_msg("client said more: \"%.*s\"", (int)t->said_n, t->said);
    if (t->happened[0] != '\0')
        fail_msg("more happened: \"%s\"", t->happened);
}

void start(struct talk *t)
{
    static const char *const names[] = {"a@x.test", "b@x.test", "c@x.test"};

    memset(t, 0, sizeof *t);
    t->settings = (struct client_settings){.tls = TLS_OPPORTUNISTIC, .hello = STR("me.test")};
    t->message = (struct client_message){.size = 7, .priority = 9, .sender = STR("s@y.test"), .body = STR("A: b\r\n\r\n.x\r\n"),
        .body_whole = true, .header_bits = BITS_SEVEN, .body_bits = BITS_SEVEN};
    for (size_t i = 0; i < 3; i++)
        t->rcpts[i].address = str_of(names[i]);
    for (size_t i = 0; i < MOST_RCPTS; i++)
        t->list[i] = &t->rcpts[i];
    t->n = 1;
}

void run(struct talk *t, const char *const *script)
{
    t->client = client_new(&t->settings, &talk_world, t);
    play(t, script);
    client_free(t->client);
}
