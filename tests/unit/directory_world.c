#include "directory_world.h"

#include "base/clock.h"
#include "fault_vfs.h"
#include "scratch.h"

#include <stdio.h>
#include <string.h>

static char folder[SCRATCH_MAX];
struct store store;
struct lookup lookup;
static struct config *config;
struct buf rows;
int row_count;
int64_t changed, removed;
int pools_sent;
char said[4200];

static void on_row(void *arg, struct str json)
{
    (void)arg;
    row_count++;
    buf_add(&rows, json);
    buf_add_char(&rows, '\n');
}

static void on_account(void *arg, int64_t account, bool gone)
{
    (void)arg;
    *(gone ? &removed : &changed) = account;
}

static void on_pools(void *arg)
{
    (void)arg;
    pools_sent++;
}

const struct command_world world = {NULL, on_row, on_account, on_pools};

int say(const char *line)
{
    struct str rest = str_of(line), word;
    struct command c = {.store = &store, .lookup = &lookup, .world = &world, .room = CONTROL_ROWS};
    struct buf args, text;
    int code;

    buf_init(&args, 4000);
    buf_init(&text, 4096);
    buf_reset(&rows);
    row_count = 0;
    str_next_word(&rest, &c.object);
    while (str_next_word(&rest, &word)) {
        for (size_t i = 0; i < word.n; i++)
            buf_add_char(&args, word.p[i] == '~' ? ' ' : word.p[i]);
        buf_add_char(&args, 0);
    }
    c.args = buf_str(&args);
    c.text = &text;
    do {
        code = command_run(&c);
        if (c.room == 0)
            c.room = CONTROL_ROWS;
    } while (c.more);
    snprintf(said, sizeof said, "%.*s", STR_ARG(buf_str(&text)));
    buf_clear(&args);
    buf_clear(&text);
    return code;
}

void must(const char *line)
{
    if (say(line) != 0)
        fail_msg("%s: %s", line, said);
}

void refuses(const char *line, int code, const char *words)
{
    int got = say(line);

    if (got != code || strstr(said, words) == NULL)
        fail_msg("%s: %d, expected %d %s: %s", line, got, code, words, said);
}

bool shown(const char *what)
{
    return rows.n > 0 && str_ifind(buf_str(&rows), str_of(what)) >= 0;
}

void configure(const char *text)
{
    struct err err = {0};

    config_free(config);
    config = NULL;
    if (!config_parse(&config, STR("test.conf"), str_of(text), &err))
        fail_msg("%s", err.text);
    lookup.config = config;
    lookup_changed(&lookup);
}

static void path_of_store(char *path, size_t size)
{
    snprintf(path, size, "%s/directory.db", folder);
}

int directory_begin(void **state)
{
    struct err err = {0};
    char path[SCRATCH_MAX + 20];

    (void)state;
    scratch_empty(folder);
    path_of_store(path, sizeof path);
    buf_init(&rows, 10 * 1024 * 1024);
    if (!store_open(&store, path, &err))
        fail_msg("%s", err.text);
    if (config == NULL && !config_parse(&config, STR("test.conf"),
                              STR("hostname = \"mail.test\"\ndata = \"/nowhere\"\n"), &err))
        fail_msg("%s", err.text);
    lookup_init(&lookup, &store, config);
    must("domain add example.org");
    must("domain add second.example catch_all=anna@example.org");
    must("domain add backup.example kind=backup-mx");
    must("account add Anna@example.org password=secret quota=1G");
    must("account add bob@example.org");
    must("account add robot@example.org kind=sending-only password=beep");
    must("alias add sales@example.org to=anna@example.org to=Bob.B@outside.example");
    return 0;
}

int directory_end(void **state)
{
    (void)state;
    lookup_clear(&lookup);
    store_close(&store);
    buf_clear(&rows);
    return 0;
}

void reopen(void)
{
    struct err err = {0};
    char path[SCRATCH_MAX + 20];

    path_of_store(path, sizeof path);
    lookup_clear(&lookup);
    store_close(&store);
    if (!store_open(&store, path, &err))
        fail_msg("%s", err.text);
    lookup_init(&lookup, &store, config);
    lookup_changed(&lookup);
}

enum rcpt_result rcpt_of(const char *address, int64_t account, bool first)
{
    return ask_rcpt(&(struct rcpt_question){.address = str_of(address), .account = account, .first = first});
}

enum rcpt_result ask_rcpt(const struct rcpt_question *question)
{
    struct rcpt_question q = *question;
    struct rcpt_said answer;

    q.now = clock_monotonic();
    buf_init(&answer.text, IPC_TEXT);
    lookup_rcpt(&lookup, &q, &answer);
    snprintf(said, sizeof said, "%.*s%s%s", STR_ARG(buf_str(&answer.text)), answer.forwards ? " (forwards)" : "",
        answer.junk ? " (junk)" : "");
    buf_clear(&answer.text);
    return answer.result;
}

const char *destination(const char *address, const char *sender, int class)
{
    static const char *const kinds[] = {"mx", "smtp", "lmtp"};
    static char out[100000];
    struct resolved r;

    resolved_init(&r);
    lookup_resolve(&lookup, &(struct resolve_question){.address = str_of(address), .sender = str_of(sender), .original = str_of(address),
        .class = class & 1, .expanded = class & EXPANDED}, &r);
    for (size_t i = 0; i < r.targets.n; i++)
        if (r.targets.p[i] == 0)
            r.targets.p[i] = ' ';
    if (r.result == RESOLVE_LOCAL)
        snprintf(out, sizeof out, "local %d %s", (int)r.account, r.address.p);
    else if (r.result == RESOLVE_REMOTE)
        snprintf(out, sizeof out, "remote %s %.*s tls=%d cred=%d pool=%.*s", kinds[r.kind],
            STR_ARG(buf_str(&r.hosts)), (int)r.tls, (int)r.credential, STR_ARG(name_str(&r.pool)));
    else if (r.result == RESOLVE_EXPAND)
        snprintf(out, sizeof out, "expand %.*s", STR_ARG(buf_str(&r.targets)));
    else
        snprintf(out, sizeof out, "%s %.*s",
            r.result == RESOLVE_DISCARD ? "discard"
            : r.result == RESOLVE_FAIL  ? "fail"
                                        : "later",
            STR_ARG(buf_str(&r.text)));
    resolved_clear(&r);
    return out;
}

void goes(const char *address, const char *sender, const char *where)
{
    const char *got = destination(address, sender, 0);

    if (strcmp(got, where) != 0)
        fail_msg("%s from %s goes to \"%s\", expected \"%s\"", address, sender, got, where);
}

int directory_open(void **state)
{
    (void)state;
    scratch_make(folder, "directory_test");
    fault_install();
    return 0;
}

int directory_close(void **state)
{
    (void)state;
    config_free(config);
    scratch_remove(folder);
    return 0;
}
