/*
 * bench-append: puts APPEND on an IMAP server on loopback: N connections, each as a user of its own, each in step with the
 * server: APPEND INBOX with LITERAL+, the message in the same write, then it waits for the OK. The clock
 * starts when all are logged in.
 *
 * usage: bench-append PORT CONNECTIONS SECONDS USER-WITH-%d PASSWORD FILE
 *
 * FILE has the messages, each after a line with its length; they are sent in turn. Prints one line of JSON: messages, seconds, and
 * percentiles of how long one took. One process, epoll, no more than a session's answer in memory.
 */
#include "latency.h"
#include "wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define ANSWER_MAX 4096
#define COMMAND_ROOM 300
#define MESSAGES_MAX 10000
#define SECOND UINT64_C(1000000000)
#define STALL_MS 40000

struct message {
    const char *p;
    size_t n;
};

struct session {
    struct wire wire;
    char answer[ANSWER_MAX];
    size_t answer_n;
    char *out; /* what is to be written: [out_at, out_n) */
    size_t out_n, out_at;
    uint64_t began;
    unsigned number, sent; /* 0: the greeting is awaited, 1: the answer to LOGIN, more: to APPEND */
};

static struct {
    struct message messages[MESSAGES_MAX];
    size_t count, next, live, logged_in, out_room;
    struct session *all;
    uint64_t first, last, done, until;
    const char *user, *password;
    int epoll;
    struct latency latency;
} run;

static void give_up(const char *what)
{
    fprintf(stderr, "bench-append: %s\n", what);
    exit(1);
}

static void read_messages(const char *name)
{
    FILE *f = fopen(name, "rb");
    size_t n;

    if (f == NULL)
        give_up("the file of messages cannot be read");
    while (run.count < MESSAGES_MAX && fscanf(f, "%zu", &n) == 1 && fgetc(f) == '\n') {
        char *p = malloc(n);

        if (p == NULL || fread(p, 1, n, f) != n)
            give_up("the file of messages is cut");
        run.messages[run.count++] = (struct message){p, n};
        if (n + COMMAND_ROOM > run.out_room)
            run.out_room = n + COMMAND_ROOM;
    }
    fclose(f);
    if (run.count == 0)
        give_up("the file has no message");
}

static void watch(const struct session *s, int how, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = (void *)(uintptr_t)s};

    if (epoll_ctl(run.epoll, how, s->wire.fd, &e) != 0)
        give_up("epoll_ctl");
}

static void flush(struct session *s)
{
    while (s->out_at < s->out_n) {
        size_t n = 0;
        enum wire_result r = wire_write(&s->wire, s->out + s->out_at, s->out_n - s->out_at, &n);

        if (r == WIRE_CLOSED)
            give_up("the server closed");
        if (r == WIRE_AGAIN) {
            watch(s, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return;
        }
        s->out_at += n;
    }
}

static void say_login(struct session *s)
{
    const char *mark = strstr(run.user, "%d");
    int head = mark == NULL ? (int)strlen(run.user) : (int)(mark - run.user);
    int n = mark == NULL ? snprintf(s->out, COMMAND_ROOM, "t LOGIN %s \"%s\"\r\n", run.user, run.password)
                         : snprintf(s->out, COMMAND_ROOM, "t LOGIN %.*s%u%s \"%s\"\r\n", head, run.user, s->number, mark + 2, run.password);

    if (n < 0 || n >= COMMAND_ROOM)
        give_up("the name is too long");
    s->out_n = (size_t)n;
}

static void say_append(struct session *s)
{
    const struct message *m = &run.messages[run.next++ % run.count];
    int n = snprintf(s->out, COMMAND_ROOM, "t APPEND INBOX {%zu+}\r\n", m->n);

    memcpy(s->out + n, m->p, m->n);
    memcpy(s->out + n + m->n, "\r\n", 2);
    s->out_n = (size_t)n + m->n + 2;
}

static void end(struct session *s)
{
    wire_close(&s->wire);
    run.live--;
}

static void next_message(struct session *s)
{
    s->began = wire_now();
    s->answer_n = s->out_at = 0;
    s->sent++;
    say_append(s);
    flush(s);
}

/* The clock starts when all are there. */
static void start(void)
{
    run.first = wire_now();
    run.until = run.first + run.until * SECOND;
    for (size_t i = 0; i < run.live; i++)
        next_message(&run.all[i]);
}

/* The answer is there: what comes next. */
static void go_on(struct session *s)
{
    if (s->sent == 0) {
        s->answer_n = s->out_at = 0;
        s->sent++;
        say_login(s);
        flush(s);
        return;
    }
    if (s->sent == 1) {
        if (++run.logged_in == run.live)
            start();
        return;
    }
    run.last = wire_now();
    latency_add(&run.latency, run.last - s->began);
    run.done++;
    if (run.last >= run.until)
        end(s);
    else
        next_message(s);
}

/* The greeting is a line; after that the tagged line ends an answer. */
static bool is_complete(const struct session *s)
{
    const char *at = s->answer, *end_of = s->answer + s->answer_n;

    for (const char *lf; (lf = memchr(at, '\n', (size_t)(end_of - at))) != NULL; at = lf + 1) {
        if (s->sent == 0)
            return true;
        if (lf - at > 4 && memcmp(at, "t OK", 4) == 0)
            return true;
        if (at[0] == 't' && at[1] == ' ') {
            fprintf(stderr, "%.*s", (int)(lf - at + 1), at);
            give_up("the server refused");
        }
    }
    return false;
}

static void on_event(struct session *s, uint32_t events)
{
    enum wire_result r;
    size_t n = 0;

    if (events & EPOLLOUT) {
        watch(s, EPOLL_CTL_MOD, EPOLLIN);
        flush(s);
    }
    if ((events & ~(uint32_t)EPOLLOUT) == 0)
        return;
    r = wire_read(&s->wire, s->answer + s->answer_n, ANSWER_MAX - s->answer_n, &n);
    if (r == WIRE_CLOSED || s->answer_n + n == ANSWER_MAX)
        give_up(r == WIRE_CLOSED ? "the server closed" : "an endless answer");
    s->answer_n += n;
    if (is_complete(s))
        go_on(s);
}

static void connect_all(size_t count, uint16_t port)
{
    run.live = count;
    for (size_t i = 0; i < count; i++) {
        struct session *s = &run.all[i];

        s->number = (unsigned)i;
        s->out = malloc(run.out_room);
        if (s->out == NULL || !wire_connect(&s->wire, 0, port))
            give_up("connect");
        watch(s, EPOLL_CTL_ADD, EPOLLIN);
    }
}

int main(int argc, char **argv)
{
    struct epoll_event events[256];
    size_t count = argc == 7 ? strtoul(argv[2], NULL, 10) : 0;

    if (count == 0) {
        fprintf(stderr, "usage: bench-append PORT CONNECTIONS SECONDS USER-WITH-%%d PASSWORD FILE\n");
        return 64;
    }
    run.until = strtoull(argv[3], NULL, 10);
    run.user = argv[4];
    run.password = argv[5];
    read_messages(argv[6]);
    wire_files();
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    run.all = calloc(count, sizeof *run.all);
    if (run.all == NULL || run.epoll < 0)
        return 1;
    connect_all(count, (uint16_t)strtoul(argv[1], NULL, 10));
    while (run.live > 0) {
        int n = epoll_wait(run.epoll, events, 256, STALL_MS);

        if (n == 0)
            give_up("nothing moved for 40 s");
        for (int i = 0; i < n; i++)
            on_event(events[i].data.ptr, events[i].events);
    }
    printf("{\"messages\": %" PRIu64 ", \"seconds\": %.6f, ", run.done, (double)(run.last - run.first) / 1e9);
    latency_print(&run.latency, stdout);
    printf("}\n");
    return 0;
}
