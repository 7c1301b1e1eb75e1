/*
 * bench-sink: an SMTP server on loopback that takes everything and keeps nothing. It is the other
 * end of what a server relays, and, put under load itself, the limit of the machine: the same
 * exchange with no work behind it. One process, epoll.
 *
 * Counts what it took in a small shared file (--counters), so that the watcher pays nothing for
 * looking: unsigned 64-bit messages, recipients, connections, handshakes, and the time of the last
 * message (nanoseconds, monotonic clock). On SIGTERM it prints one line of JSON: the counts, and
 * percentiles of the way from bench-source (its X-Bench-Time) to here.
 *
 * With --tarpits it listens on all addresses, and is a server that hangs on those of 127.10.0.0/16: by
 * the last number of the address before its greeting, at EHLO, MAIL, DATA or the end of the message.
 * Those of 127.11.0.0/16 do something else at these steps: close, babble, refuse, put off, or answer
 * without end (100 MB).
 */
#include "latency.h"
#include "wire.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define IN_ROOM 16384
#define OUT_ROOM 4096
#define TARPITS 0x7f0a0000u /* 127.10.0.0/16 */
#define LIARS 0x7f0b0000u   /* 127.11.0.0/16 */
#define FLOOD 100000000u
#define STAMP "X-Bench-Time: "

struct counters {
    uint64_t messages, recipients, connections, handshakes, last;
};

struct client {
    struct wire wire;
    struct client *next_free;
    bool shaking, in_data, closing, bad;
    const char *bad_at; /* from this verb on, NULL for none */
    enum { HANGS, CLOSES, BABBLES, REFUSES, DEFERS, FLOODS, HOWS } how;
    size_t flooded;
    uint32_t events;
    uint64_t rcpts, sent; /* of this message; sent: its stamp, 0 when it has none */
    size_t in_n, out_n;
    char in[IN_ROOM], out[OUT_ROOM];
};

/* The end of a message stands for the dot, the greeting for itself. */
static const char *const steps[] = {"GREE", "EHLO", "MAIL", "DATA", "DOT "};
enum { STEPS = sizeof steps / sizeof *steps };
static const char *const instead[HOWS] = {[BABBLES] = "\1\377 ugh\r\n",
    [REFUSES] = "554 5.7.1 No\r\n",
    [DEFERS] = "451 4.3.0 Later\r\n",
    [FLOODS] = "250-and so on\r\n"};

static struct {
    bool tarpits;
    int epoll, listener, signals;
    SSL_CTX *tls;
    struct client *free;
    struct counters *counters;
    struct latency latency;
} sink;

static void watch(struct client *c, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};

    if (c->events == events)
        return;
    if (epoll_ctl(sink.epoll, c->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->wire.fd, &e) != 0) {
        perror("epoll_ctl");
        exit(1);
    }
    c->events = events;
}

static void close_client(struct client *c)
{
    wire_close(&c->wire);
    c->next_free = sink.free;
    sink.free = c;
}

static void pour(struct client *c)
{
    const char *line = instead[FLOODS];
    size_t n = strlen(line);

    if (!c->bad || c->how != FLOODS || c->flooded >= FLOOD)
        return;
    for (; c->out_n + n <= OUT_ROOM; c->out_n += n, c->flooded += n)
        memcpy(c->out + c->out_n, line, n);
}

/* Writes the answers gathered; false: the connection is broken. */
static bool flush(struct client *c)
{
    size_t at = 0;

    while (at < c->out_n) {
        size_t n = 0;
        enum wire_result r = wire_write(&c->wire, c->out + at, c->out_n - at, &n);

        if (r == WIRE_CLOSED)
            return false;
        if (r == WIRE_AGAIN)
            break;
        at += n;
    }
    memmove(c->out, c->out + at, c->out_n - at);
    c->out_n -= at;
    pour(c);
    watch(c, c->out_n ? EPOLLOUT : EPOLLIN);
    return c->out_n > 0 || !c->closing;
}

static void answer(struct client *c, const char *text)
{
    size_t n;

    if (c->bad && instead[c->how] == NULL) {
        c->closing = c->how == CLOSES;
        return;
    }
    if (c->bad)
        text = instead[c->how];
    n = strlen(text);
    /* A client that sends hundreds of commands and reads no answer gets what fits. */
    if (c->out_n + n > OUT_ROOM)
        return;
    memcpy(c->out + c->out_n, text, n);
    c->out_n += n;
}

/* ---- commands ---- */

static void on_ehlo(struct client *c)
{
    answer(c, sink.tls && !c->wire.ssl
                  ? "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE "
                    "0\r\n250-STARTTLS\r\n250 ENHANCEDSTATUSCODES\r\n"
                  : "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 0\r\n250 "
                    "ENHANCEDSTATUSCODES\r\n");
}

static void on_ok(struct client *c)
{
    answer(c, "250 2.0.0 Ok\r\n");
}

static void on_mail(struct client *c)
{
    c->rcpts = 0;
    on_ok(c);
}

static void on_rcpt(struct client *c)
{
    c->rcpts++;
    on_ok(c);
}

static void on_data(struct client *c)
{
    c->in_data = !c->bad; /* who refuses it takes commands, not a message */
    c->sent = 0;
    answer(c, "354 End data with <CR><LF>.<CR><LF>\r\n");
}

static void on_starttls(struct client *c)
{
    if (!sink.tls || c->wire.ssl) {
        answer(c, "502 5.5.1 No\r\n");
        return;
    }
    c->shaking = true;
    answer(c, "220 2.0.0 Go\r\n");
}

static void on_quit(struct client *c)
{
    answer(c, "221 2.0.0 Bye\r\n");
    c->closing = true;
}

static const struct {
    const char *verb;
    void (*act)(struct client *c);
} verbs[] = {
    {"RCPT", on_rcpt},
    {"MAIL", on_mail},
    {"DATA", on_data},
    {"EHLO", on_ehlo},
    {"QUIT", on_quit},
    {"HELO", on_ok},
    {"LHLO", on_ehlo},
    {"RSET", on_ok},
    {"NOOP", on_ok},
    {"STAR", on_starttls},
};

static void come_to(struct client *c, const char *step)
{
    c->bad |= c->bad_at && strncasecmp(c->bad_at, step, 4) == 0;
}

static void on_line(struct client *c, const char *line, size_t n)
{
    if (n >= 4)
        come_to(c, line);
    for (size_t i = 0; n >= 4 && i < sizeof verbs / sizeof *verbs; i++) {
        if (strncasecmp(line, verbs[i].verb, 4) == 0) {
            verbs[i].act(c);
            return;
        }
    }
    answer(c, "500 5.5.2 What?\r\n");
}

/* ---- messages ---- */

static void find_stamp(struct client *c, const char *text, size_t n)
{
    const char *at = c->sent ? NULL : memmem(text, n, STAMP, sizeof STAMP - 1);

    if (at && (size_t)(text + n - at) >= sizeof STAMP - 1 + 20)
        c->sent = strtoull(at + sizeof STAMP - 1, NULL, 10);
}

static void on_message(struct client *c)
{
    uint64_t now = wire_now();

    c->in_data = false;
    come_to(c, "DOT ");
    if (c->bad) {
        on_ok(c);
        return;
    }
    if (c->sent && c->sent < now)
        latency_add(&sink.latency, now - c->sent);
    sink.counters->recipients += c->rcpts;
    sink.counters->last = now;
    /* The watcher waits for this one: the others are right by then. */
    __atomic_add_fetch(&sink.counters->messages, 1, __ATOMIC_RELEASE);
    on_ok(c);
}

/* Takes lines and message text from the buffer, until more is needed. Between two reads of a
 * message the last four bytes stay (its end may be cut anywhere), before its first the end of the
 * DATA line does. */
static void consume(struct client *c)
{
    char *at = c->in, *end = c->in + c->in_n, *found;

    while (at < end && !c->shaking && !c->closing) {
        if (c->in_data) {
            found = memmem(at, (size_t)(end - at), "\r\n.\r\n", 5);
            find_stamp(c, at, (size_t)(end - at));
            if (!found) {
                at = end - at > 4 ? end - 4 : at;
                break;
            }
            at = found + 5;
            on_message(c);
            continue;
        }
        found = memchr(at, '\n', (size_t)(end - at));
        if (!found)
            break;
        on_line(c, at, (size_t)(found - at));
        at = c->in_data && found > c->in ? found - 1 : found + 1;
    }
    /* What was sent with STARTTLS, before the handshake, counts for nothing. */
    c->in_n = c->shaking ? 0 : (size_t)(end - at);
    memmove(c->in, at, c->in_n);
}

/* ---- connections ---- */

static void shake_hands(struct client *c)
{
    enum wire_result r;

    if (!c->wire.ssl && !wire_tls(&c->wire, sink.tls, true)) {
        close_client(c);
        return;
    }
    r = wire_handshake(&c->wire);
    if (r == WIRE_CLOSED) {
        close_client(c);
        return;
    }
    if (r == WIRE_OK) {
        c->shaking = false;
        sink.counters->handshakes++;
    }
    watch(c, r == WIRE_AGAIN && c->wire.wants_write ? EPOLLOUT : EPOLLIN);
}

static void serve(struct client *c, uint32_t events)
{
    if (c->shaking && c->out_n == 0) {
        shake_hands(c);
        return;
    }
    if ((events & EPOLLOUT) && !flush(c)) {
        close_client(c);
        return;
    }
    if (!(events & ~(uint32_t)EPOLLOUT))
        return;
    do {
        size_t n = 0;
        enum wire_result r = wire_read(&c->wire, c->in + c->in_n, IN_ROOM - c->in_n, &n);

        if (r == WIRE_AGAIN)
            return;
        c->in_n += n;
        if (r == WIRE_OK)
            consume(c);
        /* A line or message that fills the buffer without moving on is nobody's mail. */
        if (r == WIRE_CLOSED || c->in_n == IN_ROOM || !flush(c)) {
            close_client(c);
            return;
        }
    } while (c->wire.ssl && SSL_has_pending(c->wire.ssl));
}

/* By its address. */
static void choose_part(struct client *c, uint32_t address)
{
    if (!sink.tarpits)
        return;
    if ((address & 0xffff0000u) == TARPITS) {
        c->bad_at = steps[(address & 255) % STEPS];
        c->how = HANGS;
    } else if ((address & 0xffff0000u) == LIARS) {
        c->bad_at = steps[(address & 255) % STEPS];
        c->how = CLOSES + (address & 255) / STEPS % (HOWS - CLOSES);
    }
}

static void accept_clients(void)
{
    struct wire wire;

    while (wire_accept(&wire, sink.listener)) {
        struct client *c = sink.free;

        if (c)
            sink.free = c->next_free;
        else
            c = malloc(sizeof *c);
        if (!c)
            abort();
        memset(c, 0, offsetof(struct client, in));
        c->wire = wire;
        sink.counters->connections++;
        choose_part(c, wire_local(&wire));
        come_to(c, "GREE");
        answer(c, "220 sink.example ESMTP\r\n");
        if (!flush(c))
            close_client(c);
    }
}

static int report(void)
{
    const struct counters *n = sink.counters;

    printf("{\"messages\": %" PRIu64 ", \"recipients\": %" PRIu64 ", \"connections\": %" PRIu64
           ", \"handshakes\": %" PRIu64 ", ",
        n->messages, n->recipients, n->connections, n->handshakes);
    latency_print(&sink.latency, stdout);
    printf("}\n");
    return 0;
}

static bool open_counters(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0 || ftruncate(fd, sizeof *sink.counters) != 0)
        return false;
    sink.counters = mmap(NULL, sizeof *sink.counters, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return sink.counters != MAP_FAILED;
}

static bool open_tls(const char *chain, const char *key)
{
    sink.tls = SSL_CTX_new(TLS_server_method());
    return sink.tls && SSL_CTX_use_certificate_chain_file(sink.tls, chain) == 1 &&
           SSL_CTX_use_PrivateKey_file(sink.tls, key, SSL_FILETYPE_PEM) == 1;
}

static bool open_events(void)
{
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = &sink.listener},
                       signalled = {.events = EPOLLIN, .data.ptr = &sink.signals};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    sink.epoll = epoll_create1(EPOLL_CLOEXEC);
    sink.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return sink.epoll >= 0 && sink.signals >= 0 &&
           epoll_ctl(sink.epoll, EPOLL_CTL_ADD, sink.listener, &listening) == 0 &&
           epoll_ctl(sink.epoll, EPOLL_CTL_ADD, sink.signals, &signalled) == 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--tarpits") == 0) {
        sink.tarpits = true;
        argc--;
        argv++;
    }
    if (argc != 3 && argc != 5) {
        fprintf(stderr, "usage: bench-sink [--tarpits] PORT COUNTERS-FILE [CERTIFICATE-CHAIN KEY]\n");
        return 64;
    }
    wire_files();
    sink.listener = wire_listen((uint16_t)strtoul(argv[1], NULL, 10), sink.tarpits);
    if (sink.listener < 0 || !open_counters(argv[2]) ||
        (argc == 5 && !open_tls(argv[3], argv[4])) || !open_events()) {
        perror("bench-sink");
        return 1;
    }
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(sink.epoll, events, 256, -1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &sink.signals)
                return report();
            if (events[i].data.ptr == &sink.listener)
                accept_clients();
            else
                serve(events[i].data.ptr, events[i].events);
        }
    }
}
